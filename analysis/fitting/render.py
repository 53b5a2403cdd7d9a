"""A fit as a table: plain text for the screen, LaTeX for a paper."""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from analysis.estimate import Redrawn, interval_text, shown
from analysis.fitting.bootstrap.noise_trend import NoiseTrend
from analysis.fitting.bootstrap.replicates import BootstrapRecord
from analysis.fitting.engine.loss import Loss
from analysis.laws.symbols import GREEK

_BOOTSTRAP: dict[Redrawn, str] = {
    "residuals": "residuals redrawn",
    "within_x": "residuals redrawn within each x",
    "wild": "signs of residuals redrawn",
    "clusters": "residuals of clusters redrawn",
    "curve": "noise of one curve drawn anew",
    "parametric": "noise drawn anew",
    "rows": "rows redrawn",
    "sandwich": "normal limit of redrawn rows",
}
_SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
}
_SMALLEST, _LARGEST = 1e-3, 1e5  # beyond them a number is written with a power of ten
_DIGITS_OF_AN_ERROR = 2
_MOST_DIGITS = 6  # of a number without an error


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
        f"percentile bootstrap, {_BOOTSTRAP[how.resampling]}: {how.n_replicates} replicates"
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
    derived = [_latex_row(row) for row in table.derived]
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{_caption(table)}}}",
        rf"\label{{tab:{table.name}}}",
        r"\begin{tabular}{lrrr}",
        r"\toprule",
        rf"Parameter & Estimate & Standard error & {100 * table.level:g}\,\% interval \\",
        r"\midrule",
        *(_latex_row(row) for row in table.params),
        *([r"\midrule", *derived] if derived else []),
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def tabular(headings: Sequence[str], rows: Iterable[Sequence[str]], sides: str) -> list[str]:
    """Returns the lines of a `tabular` of texts, each as LaTeX prints it.

    Args:
        headings: One a column.
        rows: Cells, one a column in each row.
        sides: A letter a column, such as "lrr".
    """

    def row(texts: Sequence[str]) -> str:
        return " & ".join(map(escaped, texts)) + r" \\"

    return [
        rf"\begin{{tabular}}{{{sides}}}",
        r"\toprule",
        row(headings),
        r"\midrule",
        *map(row, rows),
        r"\bottomrule",
        r"\end{tabular}",
    ]


def escaped(text: str) -> str:
    """Text as LaTeX prints it."""
    return "".join(_SPECIAL.get(character, character) for character in text)


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


def _caption(table: FitTable) -> str:
    how = table.bootstrap
    return (
        rf"\texttt{{{escaped(table.name)}}} fitted to {table.n_points} points: "
        f"{escaped(str(table.loss))} on {table.residuals}, objective "
        f"{_number(table.objective, None)}. Intervals are percentiles of {how.n_replicates} "
        f"bootstrap replicates (`{escaped(how.resampling)}'). "
        f"Verdict: {escaped(f'{table.verdict}. {table.reason}')}"
    )


def _latex_row(row: TableRow) -> str:
    name, value, error, interval = row
    if error is None or interval is None:
        return rf"{symbol(name)} & {_number(value, None)} & held & -- \\"
    if not math.isfinite(error):
        return rf"{symbol(name)} & {_number(value, None)} & -- & -- \\"
    place = _exponent(error) - _DIGITS_OF_AN_ERROR + 1 if error > 0 else None
    low, high = (_number(end, place).strip("$") for end in interval)
    return (
        rf"{symbol(name)} & {_number(value, place)} & {_number(error, place)} & "
        rf"$[{low},\, {high}]$ \\"
    )


def _number(value: float, place: int | None) -> str:
    """A number to the place `10^place`, but to one digit at least; None: to a few digits."""
    if not math.isfinite(value):
        return "--" if math.isnan(value) else rf"${'-' if value < 0 else ''}\infty$"
    if value == 0:
        return "$0$"
    exponent = _exponent(value)
    last = exponent - _MOST_DIGITS + 1 if place is None else min(place, exponent)
    if _SMALLEST <= abs(value) < _LARGEST:
        text = f"{round(value, -last):.{max(-last, 0)}f}"
        return f"${_without_zeros(text) if place is None else text}$"
    mantissa, _, power = f"{value:.{exponent - last}e}".partition("e")
    mantissa = _without_zeros(mantissa) if place is None else mantissa
    return rf"${mantissa} \times 10^{{{int(power)}}}$"


def _without_zeros(text: str) -> str:
    return text.rstrip("0").rstrip(".") if "." in text else text


def _exponent(value: float) -> int:
    """The power of ten of the first digit, once rounded as it will be shown."""
    return int(f"{value:.{_DIGITS_OF_AN_ERROR - 1}e}".partition("e")[2])
