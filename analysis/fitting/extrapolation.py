"""How well a law predicts larger sizes: it is fitted to the smaller ones and scored on the others.

The sizes are cut at several places. A window fits the law to every row below its cut and scores it
on the rows from there to the next cut, so that each row above the first cut is scored once, by a
fit that has seen smaller sizes alone. The score is the root mean squared log error,

    RMSLE = sqrt(mean((log y - log f(x))^2)),

about the relative error of a prediction. A law that fits well inside its data has a large error
here if its curve is wrong beyond them (Alabdulmohsin et al. 2022, arXiv 2209.06640: judge a law by
extrapolation, not by its fit).
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analysis.errors import FitError
from analysis.estimate import Floats
from analysis.fitting.engine.loss import Loss
from analysis.fitting.engine.observations import (
    checked_rows,
    observe,
    require_enough,
    require_spread,
)
from analysis.fitting.engine.optimum import find_optimum
from analysis.fitting.engine.problem import pose
from analysis.guards import positive
from analysis.laws.law import Law

_LEAST_SIZES = 4  # fitted by a window with a horizon


class Window(NamedTuple):
    """A fit to smaller sizes, and its score on the next ones.

    Attributes:
        fitted_to: Largest size that the law was fitted to.
        scored_from: Smallest size scored.
        scored_to: Largest size scored.
        n_fitted: Rows fitted.
        n_scored: Rows scored.
        rmsle: Root mean squared log error of the rows scored, infinite where the curve leaves
            float64; None where there is no fit.
        reason: Why there is no fit; None where there is one.
        log_errors: `log y - log f` of the rows scored, smallest sizes first; empty without a fit.
    """

    fitted_to: float
    scored_from: float
    scored_to: float
    n_fitted: int
    n_scored: int
    rmsle: float | None
    reason: str | None
    log_errors: tuple[float, ...] = ()


@dataclass(frozen=True)
class Extrapolation:
    """The windows of a law.

    Attributes:
        law: The law.
        windows: From the smallest sizes to the largest.
        largest: Leave-the-largest-out: fitted to all sizes but the largest, scored on that one.
        sizes: Least and greatest size of the rows.
        horizon: Factor beyond its fitted sizes up to which a window is scored, as far as there are
            rows; None where windows share out the sizes. It is less than asked for where the rows
            do not span as much.
    """

    law: Law
    windows: tuple[Window, ...]
    largest: Window
    sizes: tuple[float, float]
    horizon: float | None = None

    @property
    def rmsle(self) -> float | None:
        """RMSLE of all rows scored, over the windows that have a fit; None where none has."""
        return pooled_rmsle(self.windows)


def pooled_rmsle(windows: Iterable[Window]) -> float | None:
    """RMSLE of all rows scored in the windows that have a fit; None where none has."""
    scored = [(each.n_scored, each.rmsle**2) for each in windows if each.rmsle is not None]
    if not scored:
        return None
    counts, squares = np.array(scored).T
    return float(np.sqrt(counts @ squares / counts.sum()))


def extrapolation(
    law: Law,
    x: ArrayLike,
    y: ArrayLike,
    *,
    along: ArrayLike = 0,
    n_windows: int = 5,
    always_fitted: float = 0.5,
    to: float | None = None,
    loss: Loss = Loss(),
) -> Extrapolation:
    """Fits on smaller sizes and scores the next ones, for a window that expands.

    Args:
        law: The law.
        x: Inputs, shape `(n_points,)`, or `(n_points, n_inputs)`; positive. Any order of rows.
        y: Values, shape `(n_points,)`; positive.
        along: What orders rows by size: the number of a column of x, or a positive size for each
            row, such as its FLOPs, shape `(n_points,)`.
        n_windows: Windows; as many as there are sizes to score where those are fewer.
        always_fitted: Share of the distinct sizes, the smallest ones, that every window fits and
            none scores; rounded up. The others are dealt to the windows evenly.
        to: A size beyond those of the rows that is to be predicted. Every window is then scored as
            far beyond its fitted sizes, by a factor, as this size is beyond all of them, or as the
            rows reach. The cuts begin at the later half of those with rows for the whole horizon
            and end below the largest size, evenly: a law that the last rows speak against is found
            out by a fit to nearly all of them, although it can be scored on few.
        loss: The loss of the fits.

    Returns:
        The windows. One whose rows do not support a fit is kept, with the reason.

    Raises:
        ValueError: An argument is at fault.
        FitError: Every row has the same size.
    """
    if n_windows < 1 or not 0 < always_fitted < 1:
        raise ValueError(
            f"n_windows = {n_windows} and always_fitted = {always_fitted}, but n_windows is at "
            "least 1 and always_fitted a share between 0 and 1. Give e.g. 5 and 0.5."
        )
    rows = checked_rows(law, x, y)
    # In the canonical order, so that not even rounding depends on that of the caller's rows.
    order = observe(law, rows).order
    inputs, values = rows.x[order], rows.y[order]
    size = _sizes(law, inputs, along, order)
    distinct = np.unique(size)
    if len(distinct) < 2:
        raise FitError(
            f"Every row has the size {size[0] if len(size) else math.nan:.6g}, so none is left to "
            "extrapolate to. Give rows at several sizes."
        )
    horizon = None
    if to is None:
        blocks = _dealt(distinct, n_windows, always_fitted)
    else:
        blocks, horizon = _as_far(distinct, n_windows, always_fitted, to)
    windows = tuple(_window(law, inputs, values, size, block, loss) for block in blocks)
    alone = windows[-1].scored_from == distinct[-1]
    largest = windows[-1] if alone else _window(law, inputs, values, size, distinct[-1:], loss)
    sizes = float(distinct[0]), float(distinct[-1])
    return Extrapolation(law, windows, largest, sizes, horizon)


def _dealt(distinct: Floats, n_windows: int, always_fitted: float) -> list[Floats]:
    """The sizes that each window scores: those above the first cut, dealt evenly."""
    # At least one size is fitted and at least one is scored. The share is rounded before it
    # is rounded up, so that a tenth of ten sizes is one of them.
    n_always = min(math.ceil(round(always_fitted * len(distinct), 9)), len(distinct) - 1)
    scored = distinct[n_always:]
    return list(np.array_split(scored, min(n_windows, len(scored))))


def _as_far(
    distinct: Floats, n_windows: int, always_fitted: float, to: float
) -> tuple[list[Floats], float]:
    """The sizes that each window scores, up to a factor beyond those fitted; and the factor."""
    if not distinct[-1] < to < math.inf:
        raise ValueError(
            f"to = {to:.6g}, but the largest size of the rows is {distinct[-1]:.6g}: a horizon "
            "lies beyond it. Give a larger size, or none."
        )
    least = min(_LEAST_SIZES, len(distinct) - 1)
    # The longest horizon that a cut after the least number of sizes leaves room for.
    horizon = min(float(to / distinct[-1]), float(distinct[-1] / distinct[least - 1]))
    reach = np.searchsorted(distinct, distinct * horizon * (1 + 1e-9), side="right")
    cuts = np.arange(least, len(distinct))
    full = distinct[cuts - 1] * horizon <= distinct[-1] * (1 + 1e-9)
    scored = reach[cuts - 1] > cuts
    if not scored.any():
        return [distinct[-1:]], horizon
    whole = np.flatnonzero(full & scored)
    first = whole[min(int(always_fitted * len(whole)), len(whole) - 1)] if len(whole) else 0
    later = cuts[first:][scored[first:]]
    chosen = np.unique(np.linspace(0, len(later) - 1, n_windows).round().astype(int))
    return [distinct[cut : reach[cut - 1]] for cut in later[chosen]], horizon


def _sizes(law: Law, inputs: Floats, along: ArrayLike, order: NDArray[np.intp]) -> Floats:
    """The size of each row, in canonical order."""
    given = np.asarray(along)
    if given.ndim == 0:
        column = int(given)
        if column != given or not 0 <= column < len(law.inputs):
            raise ValueError(
                f"along = {along}, but {law.name} has the columns 0 to {len(law.inputs) - 1} "
                f"({', '.join(law.inputs)}). Give one of them, or a size for each row."
            )
        return inputs[:, column]
    sizes = np.asarray(given, dtype=np.float64)
    if sizes.shape != order.shape:
        raise ValueError(
            f"along has shape {sizes.shape}, but x has {len(order)} rows. Give the number of a "
            "column of x, or one size for each row."
        )
    positive("along", sizes)
    return sizes[order]


def _window(law: Law, x: Floats, y: Floats, size: Floats, block: Floats, loss: Loss) -> Window:
    below = size < block[0]
    scored = (size >= block[0]) & (size <= block[-1])
    rmsle = reason = None
    errors: tuple[float, ...] = ()
    try:
        predicted = _log_predict_from(law, x[below], y[below], np.log(x[scored]), loss)
        off = np.nan_to_num(np.log(y[scored]) - predicted, nan=math.inf)
        rmsle, errors = float(np.sqrt(np.mean(off**2))), tuple(off.tolist())
    except FitError as error:
        reason = str(error)
    return Window(
        fitted_to=float(size[below].max()),
        scored_from=float(block[0]),
        scored_to=float(block[-1]),
        n_fitted=int(below.sum()),
        n_scored=int(scored.sum()),
        rmsle=rmsle,
        reason=reason,
        log_errors=errors,
    )


def _log_predict_from(law: Law, x: Floats, y: Floats, log_x_new: Floats, loss: Loss) -> Floats:
    """Log y at new inputs, shape `(n_new,)`, by a fit to the rows.

    The optimum alone, in centred coordinates: a prediction needs no interval, nor parameters that
    float64 can hold in the caller's units.
    """
    seen = checked_rows(law, x, y)
    rows = observe(law, seen)
    require_enough(law, rows)
    require_spread(law, rows)
    settled = law.settle(seen.x, seen.y)
    problem = pose(law, rows, loss, settled)
    theta = find_optimum(problem).theta
    # A law may leave float64 far from its rows.
    with np.errstate(over="ignore", under="ignore", divide="ignore", invalid="ignore"):
        if settled:
            return law.log_predict(problem.to_raw(theta), log_x_new)
        return law.log_predict(theta, log_x_new - rows.log_x_scale) + rows.log_y_scale
