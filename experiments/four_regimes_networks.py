"""Do trained networks show the four regimes of scaling, on a smooth manifold?

Claim: networks with one hidden layer learn a smooth random network from inputs on a manifold of
dimension d. With far more parameters than data the loss falls as D^-a, with far more data than
parameters as P^-a; both exponents are at least 4 / d, since a network of rectifiers is piecewise
linear and misses a smooth function by the square of the distance over which it is. Where the other
of the two is held, the loss approaches its limit as 1/D and as 1/width.
Paper: Bahri, Dyer, Kaplan, Lee, Sharma 2021 (arXiv 2102.06701), section 2. `four_regimes` asks the
same of a spectrum, for which there is theory at every size.
Command: scaling run four_regimes_networks
Cost: 1,300 runs, 6 CPU-minutes: about 3 min on two quiet cores.
Expected: exponents of at least 4 / d in D and in P for d = 2, 3, 4 and 6; 1 in the interval of the
exponents of the variance-limited regimes. There width is that of ReLU features under a trained
read-out, whose limit, kernel regression, is known exactly; all other networks train every layer.
"""

from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.special import stdtrit

from analysis.estimate import Floats
from analysis.plots import style, ticks
from analysis.tables import results
from experiments.experiment import Expected, Findings, Measured, Sweep
from experiments.shared.panels import with_notes
from scaling.config import RunConfig
from scaling.data.network_teacher import NetworkTeacher
from scaling.models.kernel import Kernel
from scaling.models.mlp import MLP
from scaling.models.random_features import RandomFeatures
from scaling.solving import Ridge
from scaling.training import Adam, Gradient
from sweeps.space import grid

MANIFOLDS = (2, 3, 4, 6)
"""Dimensions d of the manifold."""
WIDE = 512
"""Width at which data limit the resolution."""
PLENTY = 16_384
"""Examples with which parameters limit the resolution."""
OF_VARIANCE = 4
"""Dimension of the manifold in the variance-limited regimes."""
HELD_WIDTH, HELD_EXAMPLES = 8, 16
"""What is held in them: the width of the network, or the examples."""
RIDGE = 0.1
"""Ridge of the read-out of features, and of the kernel that they tend to."""
CONFIDENCE = 0.95
TRIED = np.linspace(0.05, 4, 791)
"""Exponents of an approach to a limit among which the best is taken."""
N_RESAMPLES = 400

RESOLUTION_D, RESOLUTION_P = "resolution, D", "resolution, P"
VARIANCE_D, VARIANCE_P = "variance, D", "variance, width"
_PAPER = "Bahri et al. 2021, section 2"
_NAMED = {
    RESOLUTION_D: "D_{}", RESOLUTION_P: "P_{}",
    VARIANCE_D: "variance_D", VARIANCE_P: "variance_width",
}  # fmt: skip
_TOO_FEW = Measured(value=None, note="fewer than two teachers have all sizes that are done")


class Size(NamedTuple):
    """One declared size.

    Attributes:
        manifolds: Dimensions at which resolution is limited.
        examples: Training examples at width `WIDE`.
        widths: Widths with `PLENTY` examples.
        steps: Steps of each of these runs.
        held_width: Training examples at width `HELD_WIDTH`; the last stand for the limit.
        features: Numbers of features for `HELD_EXAMPLES` examples.
        n_seeds: Teachers of the resolution-limited regimes.
        n_seeds_of_variance: Teachers of the variance-limited regime in D, and in width.
    """

    manifolds: tuple[int, ...]
    examples: tuple[int, ...]
    widths: tuple[int, ...]
    steps: int
    held_width: tuple[int, ...]
    features: tuple[int, ...]
    n_seeds: int
    n_seeds_of_variance: tuple[int, int]


def _network(width: int, data: NetworkTeacher, train: Gradient) -> RunConfig:
    return RunConfig(model=MLP(width=width, depth=1), data=data, train=train)


def _training(steps: int, rate: float, batch: int | None) -> Gradient:
    return Gradient(
        optimizer=Adam(learning_rate=rate),
        schedule="cosine",
        objective="squared_error",
        batch_size=batch,
        steps=steps,
        evaluations=1,
    )


def _sweep(size: Size) -> list[RunConfig]:
    teachers = range(size.n_seeds)
    of_data, of_width = map(range, size.n_seeds_of_variance)
    runs: list[RunConfig] = []
    for d in size.manifolds:
        for n in size.examples:
            data, train = NetworkTeacher(n_train=n, dimension=d), _training(size.steps, 5e-3, 32)
            runs += grid(_network(WIDE, data, train), {"seed": teachers})
        data, train = NetworkTeacher(n_train=PLENTY, dimension=d), _training(size.steps, 1e-2, 256)
        for width in size.widths:
            runs += grid(_network(width, data, train), {"seed": teachers})
    for n in size.held_width:
        data = NetworkTeacher(n_train=n, dimension=OF_VARIANCE)
        runs += grid(_network(HELD_WIDTH, data, _training(1500, 1e-2, None)), {"seed": of_data})
    data = NetworkTeacher(n_train=HELD_EXAMPLES, dimension=OF_VARIANCE)
    models = [RandomFeatures(n_features=n, activation="relu") for n in size.features]
    for model in (*models, Kernel(kernel="arc_cosine")):
        runs += grid(
            RunConfig(model=model, data=data, train=Ridge(ridge=RIDGE)), {"seed": of_width}
        )
    return runs


SWEEP: Sweep = {
    "smoke": partial(
        _sweep, Size((4,), (64, 256), (8, 32), 1500, (64, 256, 1024), (32, 128), 3, (4, 24))
    ),
    "cpu": partial(
        _sweep,
        Size(
            MANIFOLDS, (32, 64, 128, 256, 512), (8, 16, 32, 64), 20_000,
            (128, 256, 512, 1024, 8192), (32, 64, 128, 256), 5, (24, 200),
        ),
    ),
    "gpu": partial(
        _sweep,
        Size(
            MANIFOLDS, (32, 64, 128, 256, 512, 1024, 2048), (8, 16, 32, 64, 128), 100_000,
            (128, 256, 512, 1024, 2048, 16_384), (32, 64, 128, 256, 512), 12, (100, 1000),
        ),
    ),
}  # fmt: skip

EXPECTED = (
    *(
        Expected(
            name=f"{axis}_{d}",
            says=f"exponent in {axis}, d = {d}, at least 4 / d = {4 / d:.3g}",
            low=4 / d,
            source=_PAPER,
            budgets=("smoke", "cpu", "gpu") if d == OF_VARIANCE else ("cpu", "gpu"),
        )
        for axis in ("D", "P")
        for d in MANIFOLDS
    ),
    *(
        Expected(
            name=f"variance_{axis}",
            says=f"exponent of L - L({axis} = inf) in {axis}, 95 % interval",
            target=1.0,
            source=f"{_PAPER}: 1",
        )
        for axis in ("D", "width")
    ),
)

CAPTION = (
    "Test loss of trained networks where (a) data and (b) parameters limit the resolution, a "
    "series a dimension d, and (c) where variance limits; (d) the exponents beside the bound 4 "
    "/ d, with 95 % intervals.",
    "At d = 4 the exponents are {D_4} in data and {P_4} in parameters.",
)
ALT = (
    "Falling lines of test loss on logarithmic axes, and exponents over 4 / d.",
    "At d = 4 the exponents are {D_4} in data and {P_4} in parameters, where the bound is 1.",
)


class Line(NamedTuple):
    """One curve.

    Attributes:
        sizes: Ascending, shape (n,).
        losses: Loss, less its limit where variance limits it, by seed, shape (n_seeds, n).
        limit: Size whose loss was taken for the limit; infinite where there is none.
        found: The exponent.
    """

    sizes: Floats
    losses: Floats
    limit: float
    found: Measured


Details = dict[tuple[str, int], Line]
"""Curves by regime and dimension of the manifold."""


def analyse(table: pd.DataFrame) -> Findings[Details]:
    """Fits the exponent of each curve, over teachers that every size of it shares.

    Raises:
        ValueError: No curve has two teachers and two sizes.
    """
    runs, excluded = results.usable(table.assign(size=np.nan), ["eval_squared_error"])
    runs = _with_regime(runs)
    lines: Details = {}
    measured: dict[str, Measured] = {}
    for _, planned in _with_regime(table).groupby(["regime", "data.dimension"], sort=True):
        regime, d = str(planned["regime"].iloc[0]), int(planned["data.dimension"].iloc[0])
        line = _line(runs.loc[(runs["regime"] == regime) & (runs["data.dimension"] == d)], regime)
        if line is not None:
            lines[regime, d] = line
        measured[_NAMED[regime].format(d)] = line.found if line is not None else _TOO_FEW
    if not lines:
        raise ValueError(f"In every regime, {_TOO_FEW.note}. Run the command again.")
    return Findings(
        measured=measured,
        verdict="\n".join(
            f"{regime}, d = {d}: exponent {line.found.value:.3g}; {line.found.note}"
            for (regime, d), line in lines.items()
        ),
        shown=with_notes(
            pd.concat([_shown(key, line) for key, line in lines.items()]), excluded, "size"
        ),
        details=lines,
    )


def _with_regime(runs: pd.DataFrame) -> pd.DataFrame:
    """Adds the regime and the size that varies: examples, parameters, or features.

    The last of a variance-limited regime stands for its limit; that of features is the kernel.
    """
    kind, n = runs["model.kind"], runs["data.n_train"].astype(float)
    network, width = kind == MLP.kind, runs["model.width"]
    regime = np.select(
        [~network, network & (n == PLENTY), network & (width == WIDE)],
        [VARIANCE_P, RESOLUTION_P, RESOLUTION_D],
        VARIANCE_D,
    )
    features = runs["model.n_features"].astype(float).fillna(np.inf)
    size = np.select(
        [regime == VARIANCE_P, regime == RESOLUTION_P],
        [features, runs["n_params_total"].astype(float)],
        n,
    )
    return runs.assign(regime=regime, size=size)


def _line(runs: pd.DataFrame, regime: str) -> Line | None:
    """The curve of one regime on one manifold, over the seeds that all of its sizes have.

    None where they are too few for an exponent with an interval.
    """
    if runs.empty:
        return None
    by_seed = runs.pivot_table(index="seed", columns="size", values="eval_squared_error").dropna()
    sizes, losses = by_seed.columns.to_numpy(np.float64), by_seed.to_numpy(np.float64)
    of_variance = regime in (VARIANCE_D, VARIANCE_P)
    if len(losses) < 2 or len(sizes) - of_variance < 2:
        return None
    if not of_variance:
        return Line(sizes, losses, np.inf, _decay(sizes, losses))
    beyond, limit = losses[:, :-1] - losses[:, -1:], float(sizes[-1])
    return Line(sizes[:-1], beyond, limit, _approach(sizes[:-1], beyond, limit))


def _decay(sizes: Floats, losses: Floats) -> Measured:
    """Exponent of L ~ size^-a: the mean over teachers, with Student's interval."""
    slopes = -np.polyfit(np.log(sizes), np.log(losses).T, 1)[0]
    value, n = float(slopes.mean()), len(slopes)
    reach = stdtrit(n - 1, (1 + CONFIDENCE) / 2) * slopes.std(ddof=1) / np.sqrt(n)
    note = f"{n} teachers, {sizes[0]:g} to {sizes[-1]:g}"
    return Measured(value=value, low=value - float(reach), high=value + float(reach), note=note)


def _approach(sizes: Floats, beyond: Floats, limit: float) -> Measured:
    """Exponent of L - L(limit) = c (size^-a - limit^-a), with its interval over teachers."""
    rng, n = np.random.default_rng(0), len(beyond)
    errors = beyond.std(axis=0, ddof=1) / np.sqrt(n)

    shapes = (sizes ** -TRIED[:, None] - limit ** -TRIED[:, None]) / errors
    shapes /= np.linalg.norm(shapes, axis=1, keepdims=True)

    def exponent(means: Floats) -> float:
        """The exponent at which c explains most; c is above 0."""
        return float(TRIED[np.argmax(shapes @ (means / errors))])

    drawn = [exponent(beyond[rng.integers(n, size=n)].mean(axis=0)) for _ in range(N_RESAMPLES)]
    low, high = np.quantile(drawn, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    value = exponent(beyond.mean(axis=0))
    return Measured(
        value=value,
        low=min(float(low), value),
        high=max(float(high), value),
        note=f"{n} teachers, {sizes[0]:g} to {sizes[-1]:g}, limit at {limit:g}",
    )


def _centre(line: Line, regime: str) -> tuple[Floats, Floats]:
    """Centre of each point and its standard error: geometric where losses decay as they are."""
    n = len(line.losses)
    if regime in (RESOLUTION_D, RESOLUTION_P):
        logs = np.log(line.losses)
        middle = np.exp(logs.mean(axis=0))
        return middle, middle * logs.std(axis=0, ddof=1) / np.sqrt(n)
    return line.losses.mean(axis=0), line.losses.std(axis=0, ddof=1) / np.sqrt(n)


def _shown(key: tuple[str, int], line: Line) -> pd.DataFrame:
    middle, error = _centre(line, key[0])
    return pd.DataFrame(
        {
            "regime": key[0],
            "manifold": key[1],
            "size": line.sizes,
            "loss": middle,
            "sem": error,
            "n_runs": len(line.losses),
        }
    )


_PANELS = (
    ("training examples, $D$", "test loss (variance of target)", (RESOLUTION_D,)),
    ("parameters, $P$", "test loss (variance of target)", (RESOLUTION_P,)),
    ("$D$ or width", "test loss − its limit", (VARIANCE_D, VARIANCE_P)),
)


def figure(findings: Findings[Details]) -> Figure:
    """Draws losses in the four regimes, and the exponents beside 4 / d."""
    with style.paper_figure(2, 2, height=5.2) as (drawing, axes):
        for ax, (x, y, regimes) in zip(axes.flat, _PANELS, strict=False):
            _draw(ax, findings, regimes)
            ax.set(xlabel=x, ylabel=y)
        _draw_exponents(axes[1, 1], findings)
    return drawing


def overview(ax: Axes, findings: Findings[Details]) -> None:
    """Draws the exponents beside 4 / d."""
    _draw_exponents(ax, findings)


def _draw(ax: Axes, findings: Findings[Details], regimes: tuple[str, ...]) -> None:
    lines = {key: line for key, line in findings.details.items() if key[0] in regimes}
    if not lines:
        ax.set_axis_off()
        return
    ax.set(xscale="log", yscale="log")
    for ((regime, d), line), look in zip(lines.items(), style.SERIES, strict=False):
        middle, error = _centre(line, regime)
        name = f"$d$ = {d}" if len(regimes) == 1 else f"in {regime.rpartition(', ')[2]}"
        ax.errorbar(
            line.sizes, middle, error, **look.marks(filled=False), elinewidth=0.8,
            label=f"{name}: {line.found.value:.2f}",
        )  # fmt: skip
        a = line.found.value or 0.0
        shape = line.sizes**-a - (line.limit**-a if np.isfinite(line.limit) else 0.0)
        scale = np.exp(np.mean(np.log(np.abs(middle) / shape)))
        ax.plot(line.sizes, scale * shape, **look.line(), linewidth=0.8)
    ticks.log_ticks(ax, "x", "y", most=4)
    ax.legend(loc="lower left", fontsize=7, title="exponent", title_fontsize=7)


def _draw_exponents(ax: Axes, findings: Findings[Details]) -> None:
    if not any(regime in (RESOLUTION_D, RESOLUTION_P) for regime, _ in findings.details):
        ax.set_axis_off()
        return
    shown = (RESOLUTION_D, "in $D$", 0.985), (RESOLUTION_P, "in $P$", 1.015)  # side by side
    for (regime, label, aside), look in zip(shown, style.SERIES, strict=False):
        drawn = [(d, line.found) for (name, d), line in findings.details.items() if name == regime]
        if not drawn:
            continue
        at = aside * np.array([4 / d for d, _ in drawn])
        ends = np.array([[found.low, found.value, found.high] for _, found in drawn], np.float64).T
        ax.errorbar(
            at, ends[1], [ends[1] - ends[0], ends[2] - ends[1]], **look.marks(filled=False),
            elinewidth=0.8, label=label,
        )  # fmt: skip
    line = np.array([0.0, 4 / min(MANIFOLDS) * 1.1])
    ax.plot(line, line, color=style.INK, linestyle="--", linewidth=0.9, label="4 / d, the bound")
    ax.set(xlabel="$4 / d$", ylabel="exponent", xlim=line, ylim=(0, None))
    ax.legend(loc="upper left", fontsize=7)
