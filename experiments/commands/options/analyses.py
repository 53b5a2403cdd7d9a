"""Options of the commands that analyse tables, and that look published results up."""

from dataclasses import dataclass
from typing import Annotated, Literal

from tyro.conf import Positional, UseAppendAction, arg

from experiments.commands.options.shared import File, JsonOptions, Of, Options, Stem

Redrawn = Literal[
    "clusters", "within_x", "residuals", "wild", "parametric", "rows", "sandwich", "curve"
]
"""`analysis.estimate.Redrawn` once more: importing it loads NumPy, which would slow down help."""
Span = tuple[float, float] | None

TableFile = Annotated[
    Positional[str],
    arg(
        metavar="TABLE", help="CSV, TSV, JSON (lines), Parquet, or a folder of these or of results."
    ),
]
Columns = Annotated[
    str | None, arg(metavar="Q=COLUMN[UNIT],...", help="E.g. N=params[1e6],D=tokens,loss=val_loss.")
]
Where = Annotated[
    str | None,
    arg(
        metavar="CONDITION,...",
        help="Take rows: 'lr=0.1,N>1e7,step=last' (=, !=, <, <=, >, >=; last, min, max of a run).",
    ),
]
HoldOut = Annotated[
    str | None,
    arg(metavar="COLUMN=VALUE,...", help="Fit without these rows and score on them; as --where."),
]
Flagged = Annotated[
    Literal["keep", "drop"] | None,
    arg(help="Doubtful rows; by default kept, but repeats and mixed units are refused."),
]
Huber = Annotated[
    float | None,
    arg(metavar="DELTA", help="Huber's threshold on log loss; by default squared error."),
]
SettledFloor = Annotated[
    Literal["highest"] | None,
    arg(help="Hold E of M2 and M4 at its highest minimum; by default that of least error."),
]
FitFile = Annotated[str, arg(metavar="FILE", help="A file that `scaling fit --json` wrote.")]
OutFolder = Annotated[str | None, arg(metavar="FOLDER")]


@dataclass(frozen=True, kw_only=True)
class RowOptions(Options):
    """Options of commands that take rows of a table."""

    table: TableFile
    columns: Columns = None
    where: Where = None
    melt: Annotated[str | None, arg(metavar="Q")] = None
    """Columns named 64, 128, 1.3B, ... hold the losses at these values of Q."""


@dataclass(frozen=True, kw_only=True)
class FitOptions(RowOptions):
    """Options of `scaling fit`."""

    law: str
    """Name of a law, or your own as module:NAME."""
    flagged: Flagged = None
    huber: Huber = None
    above: float = 1.0
    """Factor of the loss of rows above the curve; 0.1 fits the floor."""
    fix: Annotated[str | None, arg(metavar="NAME=NUMBER,...")] = None
    """Hold these parameters and fit the others."""
    floor: SettledFloor = None
    holdout: HoldOut = None
    scale: Literal["linear", "log"] | None = None
    """Residuals of y or of log y; by default of logs, and of y where it is a fraction."""
    weights: Annotated[str | None, arg(metavar="COLUMN")] = None
    """Weight of each row."""
    error: Annotated[str | None, arg(metavar="COLUMN")] = None
    """Known standard error of each row, in the unit of its column of y."""
    beside: Annotated[UseAppendAction[tuple[str, ...]], arg(metavar="LAW")] = ()
    """A published law to hold against the rows, from `scaling laws`; may be repeated."""
    bootstrap: Redrawn | None = None
    """What is redrawn: rows (cases), clusters (runs), ...; by default as the rows allow."""
    json: File = None
    """Write the fit, its profiles, the alternatives and the source."""
    latex: File = None
    """Write the table of a paper."""
    figures: OutFolder = None
    """Draw the fit, its residuals, profiles, ..."""


@dataclass(frozen=True, kw_only=True)
class RankOptions(RowOptions):
    """Options of `scaling rank`."""

    flagged: Flagged = None
    along: Annotated[str | None, arg(metavar="Q")] = None
    """Extrapolate over N, D or C; by default over compute."""
    predict: float | None = None
    """A size to predict: windows are scored as far beyond their rows."""
    floor: SettledFloor = None
    holdout: HoldOut = None
    huber: Huber = None
    json: File = None
    """Write the ranking."""
    figure: Stem = None
    """Draw the best laws over the rows held out."""


@dataclass(frozen=True, kw_only=True)
class IsoflopOptions(JsonOptions, RowOptions):
    """Options of `scaling isoflop`."""

    curves: bool = False
    """The rows are learning curves, to be read off at each budget."""
    budgets: Annotated[str | None, arg(metavar="FLOPS,...")] = None
    """Nominal FLOPs of the budgets; by default as the rows group."""
    span: float | None = None
    """Fit parabolas to sizes within this factor of the lowest loss."""
    noise: float | None = None
    """Standard deviation of a loss over seeds, in nats."""
    flops: float | None = None
    """Compute to allocate; by default the largest of the table."""
    out: OutFolder = None
    """Write figure.pdf .png .csv and report.json."""


@dataclass(frozen=True, kw_only=True)
class DescentOptions(JsonOptions, RowOptions):
    """Options of `scaling descent`."""

    x: str
    """Size of each row: a column or a quantity, e.g. width, epochs, N."""
    test: str
    """Test metric, e.g. test_error."""
    train: Annotated[str | None, arg(metavar="COLUMN")] = None
    """Train metric, which gives the interpolation threshold."""
    seed: Annotated[str | None, arg(metavar="COLUMN")] = None
    """Column that tells repeats apart; by default the one named seed."""
    group: Annotated[str | None, arg(metavar="COLUMN")] = None
    """A curve for each value, e.g. noise."""
    best: Annotated[str | None, arg(metavar="COLUMN")] = None
    """Test metric of each run when stopped early."""
    tolerance: Annotated[float | None, Of("train")] = None
    """Train metric that counts as interpolation; by default 1 % of the samples."""
    statistic: Literal["mean", "median"] | None = None
    """Centre over seeds; by default the mean of an error, the median of a loss."""
    parameters: Annotated[str | None, arg(metavar="COLUMN")] = None
    """Parameters of each size, to say which sizes a grid lacks."""
    constraints: float | None = None
    """Training samples times outputs, for the same purpose."""
    axis: Annotated[str | None, Of("out"), arg(metavar="COLUMN")] = None
    """Draw over this column, e.g. parameters, EMC / n; curves are still judged along --x."""
    out: OutFolder = None
    """Write figure.pdf .png .csv, report.json and table.tex."""


@dataclass(frozen=True, kw_only=True)
class AllocateOptions(Options):
    """Options of `scaling allocate`."""

    fit: Annotated[str | None, arg(metavar="FILE")] = None
    """A file that `scaling fit --json` wrote."""
    law: Annotated[str | None, arg(metavar="NAME|FILE.toml")] = None
    """A published law, from `scaling laws`, or your own."""
    curve: Annotated[str | None, Of("law")] = None
    """With --law: a loss of N and D to go by, in place of the paper's rules for N and D."""
    flops: float | None = None
    """Budget: training FLOPs, 6 N D."""
    hours: float | None = None
    """Budget: device-hours; with --gpu and --mfu."""
    price: float | None = None
    """Budget: dollars; with --gpu, --mfu and --dollars-per-hour."""
    gpu: str | None = None
    """Accelerator, e.g. h100, h200, tpu-v5p."""
    mfu: float | None = None
    """Model FLOPs utilisation, e.g. 0.4."""
    dollars_per_hour: float | None = None
    """Price of a device-hour."""
    inference_tokens: float | None = None
    """Tokens to serve; adds the over-trained model."""
    unique_tokens: float | None = None
    """Unique tokens at hand; more are repeats (data_constrained)."""
    far: bool = False
    """Allow a budget more than 10^6 times the compute of the fitted rows, 10^3 times that of a
    published law's data."""
    json: File = None
    """Write the allocation."""
    figure: Stem = None
    """Draw STEM.pdf and .png, with CSVs."""


@dataclass(frozen=True, kw_only=True)
class DesignOptions(JsonOptions):
    """Options of `scaling design`."""

    fit: FitFile
    flops: float
    """Budget: the sum of 6 N D over the runs."""
    quantity: str
    """A parameter, a derived number such as a, or loss."""
    at: Annotated[str | None, arg(metavar="N=..,D=..")] = None
    """Target of loss: N=1e9,D=2e10 or C=1e21."""
    cells: int = 8
    """Most runs, repeats counted."""
    sizes: Span = None
    """Least and largest N; by default 3 times beyond those fitted."""
    tokens: Span = None
    """Least and largest D; likewise."""
    to: File = None
    """Write the cells as .csv or .parquet."""


@dataclass(frozen=True, kw_only=True)
class ReproduceOptions(JsonOptions):
    """Options of `scaling reproduce`."""

    name: Annotated[Positional[str], arg(metavar="PAPER|all")]
    """E.g. besiroglu2024; all for every paper."""
    out: Annotated[str, arg(metavar="FOLDER")] = "results/reproductions"
    """Folder for the figure and the report."""
    page: Annotated[str | None, arg(metavar="FILE.md")] = None
    """For `all`: write a page of all results, with figures beside it."""


@dataclass(frozen=True, kw_only=True)
class LawsOptions(Options):
    """Options of `scaling laws`."""

    action: Annotated[
        Positional[Literal["list", "show", "compare"]],
        arg(
            metavar="{list,show,compare}", help="List all laws, show one, or compare their optima."
        ),
    ] = "list"
    name: Annotated[
        Positional[str | None], Of("action=show"), arg(metavar="LAW", help="For `show`: a law.")
    ] = None
    flops: Annotated[float | None, Of("action=compare")] = None
    """For `compare`: the compute of the best models."""
    law: Annotated[
        UseAppendAction[tuple[str, ...]], Of("action=compare"), arg(metavar="FILE.toml")
    ] = ()
    """For `compare`: a law of your own beside; may be repeated."""
    far: Annotated[bool, Of("action=compare")] = False
    """For `compare`: keep laws more than 1,000 times beyond their data."""
    json: File = None
    """Write what is printed."""
    latex: Annotated[File, Of("action=compare")] = None
    """For `compare`: write the table of a paper."""
    figure: Annotated[Stem, Of("action=compare")] = None
    """For `compare`: draw STEM.pdf and .png, with a CSV."""


@dataclass(frozen=True, kw_only=True)
class PredictOptions(Options):
    """Options of `scaling predict`."""

    fit: Annotated[str | None, arg(metavar="FILE")] = None
    """A file that `scaling fit --json` wrote."""
    law: Annotated[str | None, arg(metavar="NAME|FILE.toml")] = None
    """A published law, from `scaling laws`, or your own."""
    curve: Annotated[str | None, Of("law")] = None
    """Which curve of a published law; by default its first."""
    at: Annotated[str | None, arg(metavar="N=..,D=..")] = None
    """One point."""
    points: Annotated[str | None, arg(metavar="TABLE")] = None
    """A table of points, with a column for each input."""
    columns: Annotated[Columns, Of("points")] = None
    count: Annotated[Literal["total", "non_embedding", "matmul"] | None, Of("law")] = None
    """With --law: how N of the points is counted, where the law counts otherwise; with --shape."""
    shape: Annotated[str | None, Of("count"), arg(metavar="layers=..,width=..,...")] = None
    """With --count: layers, width, vocabulary and context of the model."""
    unit: Annotated[
        Literal["nats/token", "bits/token", "nats/byte", "bits/byte"] | None, Of("law")
    ] = None
    """With --law: unit of the loss."""
    bytes_per_token: Annotated[float | None, Of("unit")] = None
    """With --unit: bytes that a token of the law's tokenizer stands for, e.g. 4.3."""
    far: Annotated[bool, Of("law")] = False
    """With --law: allow compute more than 1,000 times beyond its data."""
    then: Annotated[str | None, arg(metavar="FILE")] = None
    """A fit of a task's metric over the loss, to predict the metric."""
    to: File = None
    """Write the points as .csv or .parquet."""
    json: File = None
    """Write the points and the notes."""


@dataclass(frozen=True, kw_only=True)
class AuditOptions(RowOptions):
    """Options of `scaling audit`."""

    law: str
    """A published law, from `scaling laws`, or your own as FILE.toml."""
    curve: str | None = None
    """Which curve of it; by default its first."""
    huber: Huber = None
    flagged: Flagged = None
    json: File = None
    """Write the findings."""


@dataclass(frozen=True, kw_only=True)
class ModelsOptions(Options):
    """Options of `scaling models`."""

    action: Annotated[
        Positional[Literal["list", "show", "compare", "train-cost"]],
        arg(
            metavar="{list,show,compare,train-cost}",
            help="List named models, show one, hold all against a law, or price a training.",
        ),
    ] = "list"
    name: Annotated[
        Positional[str | None],
        Of("action=show", "action=train-cost"),
        arg(metavar="MODEL", help="For `show` and `train-cost`: a model."),
    ] = None
    law: Annotated[str | None, Of("action=compare"), arg(metavar="NAME|FILE.toml")] = None
    """For `compare`: the published law that gives the best model of a budget; by default
    besiroglu2024."""
    gpu: Annotated[str | None, Of("action=train-cost")] = None
    """For `train-cost`: the accelerator, e.g. h100, tpu-v4; by default a100."""
    mfu: Annotated[float | None, Of("action=train-cost")] = None
    """For `train-cost`: model FLOPs utilisation; by default 0.4."""
    dollars_per_hour: Annotated[float | None, Of("action=train-cost")] = None
    """For `train-cost`: price of a device-hour; by default 2."""
    json: File = None
    """Write what is printed."""
    figure: Annotated[Stem, Of("action=compare")] = None
    """For `compare`: draw STEM.pdf and .png, with a CSV."""
