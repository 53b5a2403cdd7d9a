"""Choosing among laws by what they predict, with information criteria and verdicts beside it.

A ranking compares laws on the same rows, and first of all by their extrapolation error
(`analysis.fitting.extrapolation`), which is what a law is for. AIC and BIC judge the fit to the
rows at hand and charge for parameters; they know nothing of where a curve goes beyond its data.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from analysis.errors import FitError
from analysis.estimate import Bootstrap, Floats
from analysis.fitting.combination import weights_of
from analysis.fitting.engine.ending import EXACT_RESIDUAL
from analysis.fitting.engine.loss import Loss
from analysis.fitting.extrapolation import extrapolation, pooled_rmsle
from analysis.fitting.fit import fit
from analysis.fitting.information import information
from analysis.fitting.ranking_result import Blind, RankedLaw, Ranking
from analysis.laws.law import Law

_LEAST_FREEDOM = 2  # rows of a window less parameters: with fewer a curve goes through all rows
_SAME_CURVE = 1e-3  # of the residuals: what two curves may differ by and be one


def rank(
    laws: Iterable[Law],
    x: ArrayLike,
    y: ArrayLike,
    *,
    along: ArrayLike = 0,
    n_windows: int = 5,
    to: float | None = None,
    loss: Loss = Loss(),
    bootstrap: Bootstrap = Bootstrap(),
) -> Ranking:
    """Ranks laws by the error with which they extrapolate.

    Laws are compared in pairs, each with the best of those that have a fit in the most windows, on
    the windows that both have: no law takes the windows of small sizes from the
    others, or gains by having none there. With a horizon, a window whose rows exceed the
    parameters of a law by less than two does not count for it (where any law has others): its curve
    goes nearly through all of them. A law that is left with
    fewer than half of the windows is not ranked.

    With a horizon, laws are combined with the weights of `analysis.fitting.combination`: the mean
    of laws that windows cannot tell apart, or that err to opposite sides, often errs less than a
    choice. How it fares is measured by windows: each is scored by laws combined, and by a law
    chosen, by the others. Laws with the same curve count once. A law counts where it leaves the
    range of y by no more, in logs, than that range spans; by as many times as much, if `to` lies
    farther beyond the rows than they span. Without a horizon the best law stands alone: farther out
    than any window reaches, one of several may go anywhere.

    Args:
        laws: The laws, such as `analysis.laws.LAWS.values()`. Those for another number of inputs
            are listed as such. Of two alike in error and number of parameters the first leads.
        x: Inputs, as `extrapolation` takes them; columns are the inputs of every law, in its order.
        y: Values, as `extrapolation` takes them.
        along: What orders rows by size, as in `extrapolation`.
        n_windows: Windows, as in `extrapolation`.
        to: The size to predict, as in `extrapolation`: windows are then scored as far beyond.
        loss: The loss of every fit.
        bootstrap: How the intervals of the fits to all rows are made; windows have none.

    Returns:
        The ranking, with a row for every law.

    Raises:
        ValueError: An argument is at fault.
        FitError: No law can be ranked, or every row has the same size.
    """
    n_columns = 1 if np.ndim(x) < 2 else np.shape(x)[-1]
    judged: list[RankedLaw] = []
    for law in laws:
        if len(law.inputs) != n_columns:
            reason = (
                f"It takes {len(law.inputs)} input(s) ({', '.join(law.inputs)}), but x has "
                f"{n_columns} column(s)."
            )
            judged.append(RankedLaw(law, None, None, None, None, reason))
            continue
        found = extrapolation(law, x, y, along=along, n_windows=n_windows, to=to, loss=loss)
        try:
            result = fit(law, x, y, loss=loss, bootstrap=bootstrap)
        except FitError as error:
            judged.append(RankedLaw(law, None, found, None, None, str(error)))
            continue
        criteria = information(result) if loss == Loss() else None
        judged.append(RankedLaw(law, None, found, result, criteria, result.reason))
    ranking = _ranked(judged)
    if to is None:
        return ranking
    low, high = _counted_within(judged, np.asarray(y, dtype=np.float64), to)
    return replace(ranking, counted_from=low, counted_to=high)


def _counted_within(judged: list[RankedLaw], y: Floats, to: float) -> tuple[float, float]:
    """Range of log y within which a law counts in the combination."""
    least, greatest = next(
        row.extrapolation.sizes for row in judged if row.extrapolation is not None
    )
    again = max(1.0, math.log(to / greatest) / math.log(greatest / least))
    low, high = np.log(y.min()), np.log(y.max())
    return float(low - again * (high - low)), float(high + again * (high - low))


def _ranked(judged: list[RankedLaw]) -> Ranking:
    """The rows with their errors beside the reference, sorted."""
    n_windows = max((len(row.windows) for row in judged), default=0)
    horizons = [row.extrapolation.horizon for row in judged if row.extrapolation is not None]
    freedom = 1 if not horizons or horizons[0] is None else _LEAST_FREEDOM
    compared = _comparable(judged, n_windows, freedom) or _comparable(judged, n_windows, 1)
    if not compared:
        reasons = " ".join(f"{row.law.name}: {row.reason}" for row in judged if row.fit is None)
        raise FitError(
            "No law can be ranked: none has a fit to all rows and in half of the windows. Give "
            f"rows at more sizes, or laws with fewer parameters. {reasons}".rstrip()
        )
    most = max(map(len, compared.values()))
    standard = min(
        (number for number in compared if len(compared[number]) == most),
        key=lambda number: _pooled(judged[number], compared[number]),
    )
    reference, everywhere = judged[standard], compared[standard]
    rows = [
        replace(row, error=_beside(row, compared[number], reference, everywhere))
        if number in compared
        else replace(row, reason=_why_not(row, freedom))
        for number, row in enumerate(judged)
    ]
    # The sort is stable: laws alike in both, and those not ranked, stay in the caller's order.
    rows.sort(key=_place)
    horizon = None if reference.extrapolation is None else reference.extrapolation.horizon
    weights, blind = {rows[0].law.name: 1.0}, None
    # Windows that share out the sizes say nothing of how laws part farther beyond.
    if horizon is not None:
        different = _different(rows)
        weights = _combined(
            different, {judged[number].law.name: compared[number] for number in compared}
        )
        blind = _blind(different, everywhere)
    return Ranking(
        tuple(rows),
        tuple(sorted(everywhere)),
        n_windows,
        reference.law.name,
        weights,
        blind,
        horizon,
    )


def _place(row: RankedLaw) -> tuple[bool, float, int]:
    """What laws are sorted by: the error as it is printed, then the number of parameters."""
    if row.error is None:
        return True, math.inf, 0
    return False, float(f"{row.error:.4g}"), len(row.law.params)


def _comparable(judged: list[RankedLaw], n_windows: int, freedom: int) -> dict[int, set[int]]:
    """Windows that count, by the number of each law with a fit and half of the windows."""
    counted = {number: _counted(row, freedom) for number, row in enumerate(judged)}
    return {
        number: windows
        for number, windows in counted.items()
        if judged[number].fit is not None and windows and 2 * len(windows) >= n_windows
    }


def _counted(row: RankedLaw, freedom: int) -> set[int]:
    """Numbers of the windows with a fit that has so many degrees of freedom."""
    least = len(row.law.params) + freedom
    return {
        number
        for number, each in enumerate(row.windows)
        if each.rmsle is not None and each.n_fitted >= least
    }


def _beside(row: RankedLaw, windows: set[int], reference: RankedLaw, everywhere: set[int]) -> float:
    """Error of a law in all windows of the reference, from those that both have."""
    both = windows & everywhere
    if not both:
        return _pooled(row, windows)
    own, beside, scale = (
        _pooled(row, both),
        _pooled(reference, both),
        _pooled(reference, everywhere),
    )
    return own if both == everywhere or not 0 < beside < math.inf else own * (scale / beside)


def _pooled(row: RankedLaw, numbers: set[int]) -> float:
    error = pooled_rmsle(row.windows[number] for number in sorted(numbers))
    assert error is not None
    return error


def _different(rows: list[RankedLaw]) -> list[RankedLaw]:
    """The ranked laws, of those with the same curve the first alone."""
    found: list[RankedLaw] = []
    for row in rows:
        if row.error is None or row.fit is None:
            continue
        own = row.fit.residuals
        # Residuals of a noise-free curve are rounding, and differ between laws as rounding does.
        noise = _SAME_CURVE * float(np.sqrt(np.mean(own**2))) + EXACT_RESIDUAL
        if not any(
            other.fit is not None and np.allclose(other.fit.residuals, own, rtol=0, atol=noise)
            for other in found
        ):
            found.append(row)
    return found


def _combined(rows: list[RankedLaw], counted: Mapping[str, set[int]]) -> dict[str, float]:
    """Weights of laws by their errors, and by the windows that count for all of them."""
    errors = {row.law.name: row.error for row in rows if row.error is not None}
    shared = set.intersection(*(counted[name] for name in errors))
    return weights_of(errors, [_log_errors(rows, number) for number in sorted(shared)])


def _log_errors(rows: list[RankedLaw], number: int) -> dict[str, Floats]:
    """Log errors of each law in a window."""
    return {row.law.name: np.array(row.windows[number].log_errors) for row in rows}


def _blind(rows: list[RankedLaw], everywhere: set[int]) -> Blind | None:
    """Each window scored by what the others choose; None where fewer than two laws can be."""
    whole = [row for row in rows if all(row.windows[n].rmsle is not None for n in everywhere)]
    if len(whole) < 2 or len(everywhere) < 2:
        return None
    off = {number: _log_errors(whole, number) for number in everywhere}
    squares: dict[str, list[Floats]] = {"combined": [], "best": []}
    for number in sorted(everywhere):
        errors = {row.law.name: _pooled(row, everywhere - {number}) for row in whole}
        best = min(errors, key=lambda name: errors[name])
        weights = weights_of(errors, [off[other] for other in sorted(everywhere - {number})])
        mean = np.sum([weight * off[number][name] for name, weight in weights.items()], axis=0)
        squares["combined"].append(mean**2)
        squares["best"].append(off[number][best] ** 2)
    combined, best = (float(np.sqrt(np.mean(np.concatenate(each)))) for each in squares.values())
    return Blind(combined, best)


def _why_not(row: RankedLaw, freedom: int) -> str:
    if row.fit is None:
        return row.reason
    counted, n_windows = len(_counted(row, freedom)), len(row.windows)
    failures = [each.reason for each in row.windows if each.reason is not None]
    last = f" The last failure: {failures[-1]}" if failures else ""
    return (
        f"It has a fit, with at least {freedom} more row(s) than parameters, in {counted} of "
        f"{n_windows} windows, too few to compare it with the others.{last}"
    )
