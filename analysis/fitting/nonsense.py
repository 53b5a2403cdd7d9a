"""Fits that are numerically fine and mean nothing: each in a sentence.

The engine judges whether it found the minimum (`analysis.fitting.verdict`). Here the question is
what the minimum says: whether the loss falls with size, data and compute at all, whether the
largest run is predicted better than by no law, and whether every number has an error.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from analysis.estimate import Floats
from analysis.fitting.result import FitResult
from analysis.fitting.verdict import Verdict

_FALLS_WITH = ("N", "D", "C")
_FLAT = 1e-9
"""Change of log y over all rows below which a curve is flat."""
_BETTER = 1e-9
"""Error of log y that is none."""


def judged(result: FitResult) -> FitResult:
    """Returns a fit whose verdict and reason say what is nonsense about it, if anything is.

    A graver doubt of the search keeps its verdict; the sentences join its own.
    """
    curve = (*_directions(result), *_largest_run(result))
    sentences = (*curve, *_errors(result))
    if not sentences:
        return result
    replaced = curve and result.verdict is Verdict.CONVERGED
    reason = " ".join(sentences if replaced else (result.reason, *sentences))
    return replace(
        result, verdict=Verdict.IMPLAUSIBLE if replaced else result.verdict, reason=reason
    )


def _directions(result: FitResult) -> Iterator[str]:
    """How y changes from the least to the greatest value of an input, the others at their mean."""
    law, log_x = result.law, np.log(result.require_rows().x)
    for place, name in enumerate(law.inputs):
        ends = np.stack([log_x.mean(axis=0)] * 2)
        ends[:, place] = log_x[:, place].min(), log_x[:, place].max()
        if ends[0, place] == ends[1, place]:
            continue
        (change,) = _change(result, _estimate(result)[None, :], ends)
        if abs(change) < _FLAT:
            yield f"The {law.output} does not change with {name}: its exponent or factor is 0."
        elif name in _FALLS_WITH and law.output == "loss":
            if change > 0:
                yield f"The loss rises with {name}: an exponent has the wrong sign."
                continue
            # Some replicates may lie beyond the range of float64, which no end of an interval does.
            changes = _change(result, result.replicates, ends)
            if np.nanquantile(changes, (1 + result.level) / 2) >= -_FLAT:
                yield (
                    f"The rows do not show that the loss falls with {name}: it does not in "
                    f"{np.mean(changes >= -_FLAT):.0%} of the replicates."
                )


def _change(result: FitResult, theta: Floats, ends: Floats) -> Floats:
    """Change of log y between two rows of inputs, shape `(n,)`."""
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        log_y = result.law.log_predict(theta, ends)
        return log_y[:, 1] - log_y[:, 0]


def _estimate(result: FitResult) -> Floats:
    return result.law.to_theta(np.array([result.params[name] for name in result.law.params]))


def _largest_run(result: FitResult) -> Iterator[str]:
    """Whether the largest run lies nearer to the mean of all rows than to the curve."""
    if result.loss.above != 1:
        return  # the curve seeks the floor, not the middle, of the rows
    rows = result.require_rows()
    size = np.log(rows.x).sum(axis=1)
    if np.ptp(size) < _FLAT:
        return
    y = np.log(rows.y) if result.loss.scale == "log" else rows.y
    largest = size >= size.max() - _FLAT
    constant = y[largest] - np.average(y, weights=rows.weights)
    error = float(np.sqrt(np.mean(result.residuals[largest] ** 2)))
    if error > float(np.sqrt(np.mean(constant**2))) + _BETTER:
        yield (
            f"At the largest run the law errs by {error:.2g}, more than the mean of all rows does: "
            "a constant predicts it better."
        )


def _errors(result: FitResult) -> Iterator[str]:
    """Numbers without a finite standard error, by the reason why they have none."""
    errors = dict(result.standard_errors)
    intervals = dict(result.intervals)
    for name, each in result.derived().items():
        errors[name], intervals[name] = each.standard_error, each.interval
    without = [name for name, error in errors.items() if not np.isfinite(error)]
    undefined = [name for name in without if not np.all(np.isfinite(intervals[name]))]
    spread = [name for name in without if name not in undefined]
    if undefined:
        yield (
            f"{_have(undefined)} no standard error and no interval: in too many replicates an "
            "exponent is at or near 0, where it is not defined."
        )
    if spread:
        yield (
            f"{_have(spread)} no standard error: a few replicates lie so far off that their "
            "standard deviation exceeds the interval. Go by the interval."
        )


def _have(names: list[str]) -> str:
    return f"{' and '.join(names)} {'has' if len(names) == 1 else 'have'}"
