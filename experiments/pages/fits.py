"""Fits on a page: verdict, constants with their intervals, and the law under other losses."""

from collections.abc import Sequence

from analysis.estimate import interval_text
from analysis.fitting.render import REDRAWN
from analysis.fitting.verdict import Verdict
from experiments.pages import parts
from experiments.shared.fits import Constant, ShownFit


def fits_shown(fits: Sequence[ShownFit]) -> str:
    """Returns the fits of an experiment, each as tables under its verdict."""
    return "".join(map(_fit, fits))


def _fit(fit: ShownFit) -> str:
    how = (
        f"{fit.n_points:,} rows, {fit.loss}, {fit.rms:.3g} root mean square; "
        f"{fit.n_starts_agreeing} of {fit.n_starts} starts agree; {fit.n_replicates:,} bootstrap "
        f"replicates, {REDRAWN[fit.resampling]}"
    )
    return "".join(
        [
            f"<h3>Fit {parts.text(fit.name)} ",
            parts.badge(fit.verdict, "fresh" if fit.verdict == Verdict.CONVERGED else "stale"),
            "</h3>",
            parts.paragraph(f"{fit.formula}. {fit.reason}"),
            _constants(fit),
            _alternatives(fit),
            parts.paragraph(how, "quiet"),
        ]
    )


def _constants(fit: ShownFit) -> str:
    rows = [
        (
            each.name,
            _number(each.value),
            "held" if each.error is None and each.low is None else _number(each.error),
            _interval(each.low, each.high),
            _profile(each) if at < fit.n_params else "",
        )
        for at, each in enumerate(fit.constants)
    ]
    level = f"{100 * fit.level:g} %"
    headings = ("constant", "estimate", "standard error", f"{level} interval", "profile")
    return parts.table(headings, rows, f"Constants of {fit.name}, and what follows from them")


def _profile(each: Constant) -> str:
    if each.profile_low is None and each.profile_high is None:
        return each.doubt
    low = "open" if each.profile_low is None else _number(each.profile_low)
    high = "open" if each.profile_high is None else _number(each.profile_high)
    return f"[{low}, {high}]" + (f": {each.doubt}" if each.doubt else "")


def _alternatives(fit: ShownFit) -> str:
    """The parameters under other losses, beneath those of the fit."""
    if not fit.alternatives:
        return ""
    params = fit.constants[: fit.n_params]
    rows = [("this fit", *(_number(each.value) for each in params), fit.verdict)]
    for other in fit.alternatives:
        values = [_number(value) for value in other.values] or [""] * len(params)
        rows.append((other.loss, *values, other.verdict))
    headings = ("loss", *(each.name for each in params), "verdict")
    return parts.table(headings, rows, f"{fit.name} under other losses")


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.5g}"


def _interval(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else interval_text(low, high, ".5g")
