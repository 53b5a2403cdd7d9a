"""Peak, width and minima of every drawn curve, and the intervals that they make."""

from typing import NamedTuple

import numpy as np

from analysis.double_descent.seeds import IntArray
from analysis.estimate import Estimate, Floats


class DrawnShape(NamedTuple):
    """Shapes of curves along a fine grid: of the mean curve, then of each draw.

    Each has shape (1 + n_draws,), in the metric's own units; NaN where a curve has no interior
    maximum.

    Attributes:
        location: Log size of the clearest maximum.
        height: Metric there.
        width: Log ratio of the sizes between which the metric is above half the prominence.
        first_at: Log size of the lowest point left of the maximum.
        first: Metric there.
        final_at: Log size of the lowest point right of it.
        final: Metric there.
        end_slope: Change of the metric over the last tenth of the grid.
    """

    location: Floats
    height: Floats
    width: Floats
    first_at: Floats
    first: Floats
    final_at: Floats
    final: Floats
    end_slope: Floats


def drawn_shape(along: Floats, curves: Floats, is_log: bool) -> DrawnShape:
    """Measures the clearest maximum of every curve: prominence over the spread of the draws there.

    Args:
        along: Log sizes of the fine grid, shape (m,).
        curves: The mean curve, then draws, of the metric or its logarithm, shape (1 + n_draws, m).
        is_log: Whether they are of the logarithm.
    """
    rows, grid = np.arange(len(curves)), np.arange(len(along))
    spread = np.maximum(curves[1:].std(axis=0), 1e-300)
    lowest_before = np.minimum.accumulate(curves, axis=1)
    lowest_after = np.minimum.accumulate(curves[:, ::-1], axis=1)[:, ::-1]
    prominence = curves - np.maximum(lowest_before, lowest_after)
    top = (prominence / spread).argmax(axis=1)
    exists = prominence[rows, top] > 0
    before, after = grid < top[:, np.newaxis], grid > top[:, np.newaxis]
    first = np.where(before, curves, np.inf).argmin(axis=1)
    final = np.where(after, curves, np.inf).argmin(axis=1)
    # The highest point between the two low ones.
    between = (grid > first[:, np.newaxis]) & (grid < final[:, np.newaxis])
    top = np.where(exists, np.where(between, curves, -np.inf).argmax(axis=1), top)
    metric = _metric(curves, is_log)
    height = metric[rows, top]
    base = np.maximum(metric[rows, first], metric[rows, final])
    left, right = _half(along, metric, top, (height + base) / 2)
    step = max(len(along) // 10, 1)
    values = (
        along[top], height, right - left, along[first], metric[rows, first],
        along[final], metric[rows, final],
    )  # fmt: skip
    shown = (np.where(exists, each, np.nan) for each in values)
    return DrawnShape(*shown, end_slope=metric[:, -1] - metric[:, -1 - step])


def interval(values: Floats, level: float, *, value: float | None = None) -> Estimate:
    """Returns the value of the mean curve with quantiles of the draws.

    Draws without a value (NaN) leave the ends open: below first, then above.

    Args:
        values: Of the mean curve, then of the draws, shape (1 + n_draws,).
        level: Nominal coverage.
        value: Value to give instead of that of the mean curve.
    """
    n_tail = int((1 - level) / 2 * (len(values) - 1))
    draws = values[1:]
    low = np.sort(np.where(np.isnan(draws), -np.inf, draws))[n_tail]
    high = np.sort(np.where(np.isnan(draws), np.inf, draws))[-1 - n_tail]
    middle = float(values[0]) if value is None else value
    return Estimate(middle, min(float(low), middle), max(float(high), middle), level)


def _half(along: Floats, metric: Floats, top: IntArray, half: Floats) -> tuple[Floats, Floats]:
    """Log sizes left and right of the maximum where each curve crosses a level, interpolated."""
    grid, rows = np.arange(len(along)), np.arange(len(metric))
    under = metric < half[:, np.newaxis]
    left = np.where(under & (grid < top[:, np.newaxis]), grid, 0).max(axis=1)
    last = len(along) - 1
    right = np.where(under & (grid > top[:, np.newaxis]), grid, last).min(axis=1)
    ends = []
    for outer, inner in ((left, np.minimum(left + 1, last)), (right, np.maximum(right - 1, 0))):
        low, high = metric[rows, outer], metric[rows, inner]
        with np.errstate(divide="ignore", invalid="ignore"):
            share = np.clip(np.where(high != low, (half - low) / (high - low), 0.0), 0, 1)
        ends.append(along[outer] + share * (along[inner] - along[outer]))
    return ends[0], ends[1]


def _metric(curves: Floats, is_log: bool) -> Floats:
    return np.exp(np.clip(curves, -600, 600)) if is_log else curves
