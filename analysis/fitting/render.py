"""A fit as a table: plain text for the screen, LaTeX for a paper."""

import math
from typing import NamedTuple

from analysis import latex
from analysis.estimate import Redrawn, interval_text, shown
from analysis.fitting.bootstrap.noise_trend import NoiseTrend
from analysis.fitting.bootstrap.replicates import BootstrapRecord
from analysis.fitting.engine.loss import Loss
from analysis.latex import escaped
from analysis.laws.symbols import GREEK

REDRAWN: dict[Redrawn, str] = {
    "residuals": "residuals redrawn",
    "within_x": "residuals redrawn within each x",
    "wild": "signs of residuals redrawn",
    "clusters": "residuals of clusters redrawn",
    "curve": "noise of one curve drawn anew",
    "parametric": "noise drawn anew",
    "rows": "rows redrawn",
    "sandwich": "normal limit of redrawn rows",
}
"""What a bootstrap redraws, in words."""


class TableRow(NamedTuple):
    """A parameter, or a number derived from them; error and interval are None where it was held."""

    name: str
    value: float
    error: float | None
    interval: tuple[float, float] | None


class FitTable(NamedTuple):
    """The content of a fit's table: what `FitResult` has under these names, and three more.

    Attributes:
        params: A row for each parameter.
        derived: A row for each number derived from them.
        rms: Root mean square residual.
    """

    name: str
    formula: str
    verdict: str
    reason: str
    level: float
    params: tuple[TableRow, ...]
    derived: tuple[TableRow, ...]
    n_points: int
    rms: float
    objective: float
    loss: Loss
    n_starts: int
    n_starts_agreeing: int
    gradient_norm: float
    condition_number: float
    bootstrap: BootstrapRecord
    noise_trend: NoiseTrend | None

    @property
    def residuals(self) -> str:
        """Words for the residuals."""
        return "log residuals" if self.loss.scale == "log" else "residuals"


def plain_table(table: FitTable) -> str:
    """The verdict, the parameters and what is derived from them, the objective, the bootstrap."""
    how = table.bootstrap
    width = max(len("parameter"), *(len(row.name) for row in table.params))
    clusters = "" if how.n_clusters is None else f", {how.n_clusters} clusters"
    df = how.degrees_of_freedom
    freedom = "" if df is None else f"{df:.4g} degrees of freedom, "
    lines = [
        f"{table.name}: {table.formula}",
        f"{table.verdict}: {table.reason}",
        "",
        f"{'parameter':<{width}} {'estimate':>13} {'std. error':>13}   "
        f"{100 * table.level:g} % interval",
        *(_plain_row(row, width) for row in (*table.params, *table.derived)),
        "",
        f"{table.n_points} points, {table.residuals} {table.rms:.3g} rms, objective "
        f"{table.objective:.6g} ({table.loss})",
        f"{table.n_starts_agreeing} of {table.n_starts} starts agree, gradient "
        f"{table.gradient_norm:.1e}, condition number {table.condition_number:.3g}",
        f"percentile bootstrap, {REDRAWN[how.resampling]}: {how.n_replicates} replicates"
        f"{clusters}, {freedom}seed {how.seed}",
    ]
    if how.correlation is not None:
        lines.append(
            "rows are treated as evaluations of one run: the noise of neighbours is correlated by "
            f"{how.correlation:.2g}"
        )
    if (trend := table.noise_trend) is not None and trend.is_unequal:
        lines.append(f"{trend}{_allowed_for(how)}")
    return "\n".join(lines)


def _allowed_for(how: BootstrapRecord) -> str:
    """What the intervals make of noise that has a trend."""
    if how.takes_noise_as_equal:
        return "; redrawn noise is of one size, so that its intervals may be too short or too long"
    return ", and the intervals allow for it"


def _plain_row(row: TableRow, width: int) -> str:
    value = shown(row.value, ".6g")
    if row.error is None or row.interval is None:
        return f"{row.name:<{width}} {value:>13} {'held':>13}"
    error, interval = shown(row.error, ".3g"), interval_text(*row.interval, ".6g")
    return f"{row.name:<{width}} {value:>13} {error:>13}   {interval}"


def latex_table(table: FitTable) -> str:
    r"""The fit as a `table` environment: parameters, what is derived from them, and a caption.

    Numbers carry the digits that their standard error supports: to the second digit of the error.
    The caption names the law, the loss, its minimum, the rows, the bootstrap and the verdict.

    Args:
        table: The table of the fit.

    Returns:
        LaTeX that needs `\usepackage{booktabs}` and no other package.
    """
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{latex_caption(table)}}}",
        rf"\label{{tab:{table.name}}}",
        *latex_rows(table),
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def latex_rows(table: FitTable) -> list[str]:
    """The `tabular` of a fit, without its caption: arguments and numbers as of `latex_table`."""
    return latex.ruled(
        "lrrr",
        [rf"Parameter & Estimate & Standard error & {100 * table.level:g}\,\% interval"],
        [_latex_row(row) for row in table.params],
        [_latex_row(row) for row in table.derived],
    )


def symbol(name: str) -> str:
    r"""The name of a parameter in mathematics: `alpha_N` is `$\alpha_{N}$`, `c0` is `$c_{0}$`."""
    head, *below = name.split("_")
    letters = head.rstrip("0123456789")
    below = [part for part in (head[len(letters) :], *below) if part]
    subscript = f"_{{{','.join(map(_letter, below))}}}" if below else ""
    return f"${_letter(letters)}{subscript}$"


def _letter(word: str) -> str:
    if word in GREEK:
        return f"\\{word}"
    return word if len(word) <= 1 or word.isdigit() else rf"\mathrm{{{escaped(word)}}}"


def latex_caption(table: FitTable) -> str:
    """What a fit's table shows: law, loss, minimum, rows, bootstrap and verdict, as LaTeX."""
    how = table.bootstrap
    return (
        rf"\texttt{{{escaped(table.name)}}} fitted to {table.n_points} points: "
        f"{escaped(str(table.loss))} on {table.residuals}, objective "
        f"{latex.number(table.objective)}. Intervals are percentiles of {how.n_replicates} "
        f"bootstrap replicates (`{escaped(how.resampling)}'). "
        f"Verdict: {escaped(f'{table.verdict}. {table.reason}')}"
    )


def _latex_row(row: TableRow) -> str:
    name, value, error, ends = row
    if error is None or ends is None:
        return f"{symbol(name)} & {latex.number(value)} & held & --"
    if not math.isfinite(error):
        return f"{symbol(name)} & {latex.number(value)} & -- & --"
    place = latex.place_of(error)
    return (
        f"{symbol(name)} & {latex.number(value, place)} & {latex.number(error, place)} & "
        f"{latex.interval(*ends, place)}"
    )
