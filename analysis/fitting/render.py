"""A fit as a plain-text table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from analysis.laws.symbols import GREEK

if TYPE_CHECKING:
    from analysis.estimate import Redrawn
    from analysis.fitting.result import FitResult
import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from analysis.fitting.result import FitResult

_BOOTSTRAP: dict[Redrawn, str] = {
    "residuals": "residuals redrawn",
    "within_x": "residuals redrawn within each x",
    "clusters": "residuals of clusters redrawn",
    "parametric": "noise drawn anew",
    "rows": "rows redrawn",
    "sandwich": "limit of rows redrawn, a normal",
}


def plain_table(result: FitResult) -> str:
    """The verdict, the parameters and what is derived from them, the objective, the bootstrap."""
    how = result.bootstrap
    width = max(len("parameter"), *map(len, result.params))
    clusters = "" if how.n_clusters is None else f", {how.n_clusters} clusters"
    freedom = (
        ""
        if how.degrees_of_freedom is None
        else f"{how.degrees_of_freedom:.4g} degrees of freedom, "
    )
    kind = "log residuals" if result.loss.scale == "log" else "residuals"
    rms = float(np.sqrt(np.mean(result.residuals**2)))
    lines = [
        f"{result.law.name}: {result.law.formula}",
        f"{result.verdict}: {result.reason}",
        "",
        f"{'parameter':<{width}} {'estimate':>13} {'std. error':>13}   "
        f"{100 * result.level:g} % interval",
        *(
            f"{name:<{width}} {value:>13.6g} {'held':>13}"
            if name in result.fixed
            else f"{name:<{width}} {value:>13.6g} {result.standard_errors[name]:>13.3g}   "
            f"[{result.intervals[name][0]:.6g}, {result.intervals[name][1]:.6g}]"
            for name, value in result.params.items()
        ),
        *(
            f"{name:<{width}} {value:>13.6g} {error:>13.3g}   [{low:.6g}, {high:.6g}]"
            for name, (value, error, (low, high)) in result.derived().items()
        ),
        "",
        f"{result.n_points} points, {kind} {rms:.3g} rms, objective {result.objective:.6g} "
        f"({result.loss!s})",
        f"{result.n_starts_agreeing} of {result.n_starts} starts agree, gradient "
        f"{result.gradient_norm:.1e}, condition number {result.condition_number:.3g}",
        f"percentile bootstrap, {_BOOTSTRAP[how.resampling]}: {how.n_replicates} replicates"
        f"{clusters}, {freedom}seed {how.seed}",
    ]
    return "\n".join(lines)


_SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
}
_SMALLEST, _LARGEST = 1e-3, 1e5  # beyond them a number is written with a power of ten
_DIGITS_OF_AN_ERROR = 2
_MOST_DIGITS = 6  # of a number without an error


def latex_table(result: FitResult) -> str:
    r"""The fit as a `table` environment: parameters, what is derived from them, and a caption.

    Numbers carry the digits that their standard error supports: to the second digit of the error.
    The caption names the law, the loss, its minimum, the rows, the bootstrap and the verdict.

    Args:
        result: The fit.

    Returns:
        LaTeX that needs `\usepackage{booktabs}` and no other package.
    """
    fitted = [
        _held(name, value)
        if name in result.fixed
        else _row(name, value, result.standard_errors[name], result.intervals[name])
        for name, value in result.params.items()
    ]
    derived = [_row(name, *each) for name, each in result.derived().items()]
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{_caption(result)}}}",
        rf"\label{{tab:{result.law.name}}}",
        r"\begin{tabular}{lrrr}",
        r"\toprule",
        rf"Parameter & Estimate & Standard error & {100 * result.level:g}\,\% interval \\",
        r"\midrule",
        *fitted,
        *([r"\midrule", *derived] if derived else []),
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


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


def _caption(result: FitResult) -> str:
    kind = "log residuals" if result.loss.scale == "log" else "residuals"
    how = result.bootstrap
    return (
        rf"\texttt{{{escaped(result.law.name)}}} fitted to {result.n_points} points: "
        f"{escaped(str(result.loss))} on {kind}, objective "
        f"{_number(result.objective, None)}. Intervals are percentiles of {how.n_replicates} "
        f"bootstrap replicates (`{escaped(how.resampling)}'). "
        f"Verdict: {escaped(f'{result.verdict}. {result.reason}')}"
    )


def _row(name: str, value: float, error: float, interval: tuple[float, float]) -> str:
    if not math.isfinite(error):
        return rf"{symbol(name)} & {_number(value, None)} & -- & -- \\"
    place = _exponent(error) - _DIGITS_OF_AN_ERROR + 1 if error > 0 else None
    low, high = (_number(end, place).strip("$") for end in interval)
    return (
        rf"{symbol(name)} & {_number(value, place)} & {_number(error, place)} & "
        rf"$[{low},\, {high}]$ \\"
    )


def _held(name: str, value: float) -> str:
    return rf"{symbol(name)} & {_number(value, None)} & held & -- \\"


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
