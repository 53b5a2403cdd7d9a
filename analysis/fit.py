"""Fit a scaling law to rows of a table, and say how far to trust the result.

Fits run on logarithms: the residual of a row is `log y - log f(x)`, so noise is taken to be
relative. Rows are fitted as they are given. Where y comes from several seeds at each x, that is a
fit to the mean of log y (for symmetric log noise the median of y), which lies below the log of the
mean of y: by half the variance of log y for normal log noise. A claim about mean losses wants the
means taken before the fit; whether to do so is the caller's choice and never made here.
"""

from typing import get_args

import numpy as np
from numpy.typing import ArrayLike

from analysis.batched_least_squares import loss
from analysis.errors import FitError
from analysis.fit_result import FitResult, read_only
from analysis.fit_verdict import judge
from analysis.laws.law import Floats, Law
from analysis.observations import Observations, observe
from analysis.optimum import find_optimum
from analysis.resampling import Resampling
from analysis.uncertainty import draw_replicates, percentile_interval, require_resolvable

__all__ = ["FitError", "FitResult", "fit"]


def fit(
    law: Law,
    x: ArrayLike,
    y: ArrayLike,
    *,
    units: ArrayLike | None = None,
    resampling: Resampling | None = None,
    delta: float | None = None,
    level: float = 0.95,
    n_replicates: int = 1000,
    seed: int = 0,
) -> FitResult:
    """Fit a law to log y from many starts, with bootstrap intervals that cover.

    Minimises `sum_i loss(log y_i - log f(x_i))` within the law's bounds. The intervals are
    percentiles of refits to redrawn rows; `analysis.uncertainty` says how rows are redrawn so
    that intervals from few points are not too short. They take the law to be true: where it is
    not, they are narrow around the wrong curve.

    Args:
        law: The law, e.g. `analysis.laws.POWER_LAW`.
        x: Inputs, shape `(n_points,)`, or `(n_points, n_inputs)`; positive. Any order of rows.
        y: Values, shape `(n_points,)`; positive.
        units: Labels, shape `(n_points,)`, equal for rows that share what makes them err
            together, such as the seed of runs of several sizes. None where rows are independent.
        resampling: Where replicates have their noise from: "units" (needs `units`), "within_x"
            (needs repeats at every x) or "residuals". Unless given: the first that the rows allow.
        delta: Residual, in units of log y, beyond which Huber's loss grows linearly. None: squared
            error.
        level: Probability with which an interval is to cover.
        n_replicates: Bootstrap replicates.
        seed: Seed of the bootstrap: the same rows and seed give the same result.

    Returns:
        The result. Its verdict says whether anything about it is doubtful.

    Raises:
        ValueError: An argument is at fault: shapes, values that are not positive and finite, ...
        FitError: The rows do not support the fit: too few, no start converges, ...
    """
    require_resolvable(level, n_replicates)
    if delta is not None and not 0 < delta < np.inf:
        raise ValueError(
            f"delta = {delta}, but Huber's threshold is a positive residual in units of log y: "
            "give e.g. 1e-3, or None for squared error."
        )
    rows = observe(law, x, y, units)
    _require_enough(law, rows)
    resampling = _choose_resampling(rows, resampling)

    optimum = find_optimum(law, rows.points(delta), rows.targets(rows.log_y, delta), delta)
    replicates = draw_replicates(
        law,
        rows,
        optimum.theta,
        resampling=resampling,
        n_replicates=int(n_replicates),
        seed=int(seed),
        delta=delta,
    )
    refitted = law.rescale(replicates.theta, rows.log_x_scale, rows.log_y_scale)
    params = _to_params(law, law.rescale(optimum.theta, rows.log_x_scale, rows.log_y_scale))
    low, high = _to_params(law, np.stack(percentile_interval(refitted, level)))
    covariance = _covariance(law, rows, params, replicates.covariance(optimum.theta))
    residuals = np.empty_like(rows.log_y)
    residuals[rows.order] = rows.log_y - law.log_predict(optimum.theta, rows.log_x)
    verdict, reason = judge(law, optimum, replicates, level)
    return FitResult(
        law=law,
        params=_by_name(law, params),
        standard_errors=_by_name(law, np.sqrt(np.diagonal(covariance))),
        covariance=read_only(covariance),
        intervals={
            name: (float(low[column]), float(high[column]))
            for column, name in enumerate(law.params)
        },
        level=float(level),
        bootstrap=replicates.how,
        replicates=read_only(refitted),
        verdict=verdict,
        reason=reason,
        objective=float(loss(residuals[rows.order], delta).sum()),
        delta=None if delta is None else float(delta),
        n_points=len(residuals),
        n_starts=optimum.n_starts,
        n_starts_agreeing=optimum.n_starts_agreeing,
        gradient_norm=optimum.gradient_norm,
        bounds_hit=optimum.bounds_hit,
        condition_number=optimum.condition_number,
        residuals=read_only(residuals),
    )


def _require_enough(law: Law, rows: Observations) -> None:
    n_params, n_rows, n_distinct = len(law.params), len(rows.log_y), len(rows.group_sizes)
    if n_rows <= n_params:
        raise FitError(
            f"{law.name} has {n_params} parameters ({', '.join(law.params)}), but there are "
            f"{n_rows} rows: give at least {n_params + 1}, so that a residual is left to judge by."
        )
    if n_distinct < n_params:
        raise FitError(
            f"{law.name} has {n_params} parameters ({', '.join(law.params)}), but {n_distinct} "
            f"distinct x: give rows at {n_params} distinct x or more."
        )


def _choose_resampling(rows: Observations, asked: Resampling | None) -> Resampling:
    if asked is None:
        if rows.units is not None:
            return "units"
        return "within_x" if np.all(rows.group_sizes > 1) else "residuals"
    if asked not in get_args(Resampling):
        raise ValueError(
            f"resampling = {asked!r}, but it is one of {', '.join(get_args(Resampling))}."
        )
    if (asked == "units") != (rows.units is not None):
        state = "missing" if rows.units is None else "given"
        raise ValueError(
            f"resampling = {asked!r} with `units` {state}: give `units` with resampling 'units' "
            "and with no other."
        )
    return asked


def _to_params(law: Law, theta: Floats) -> Floats:
    """Parameters of coordinates in the units of x and y given."""
    with np.errstate(over="ignore", under="ignore"):
        params = law.to_params(theta)
    if not np.all(np.isfinite(params) & ((params > 0) | ~law.is_log)):
        raise FitError(
            f"A parameter of {law.name}, or an end of its interval, is beyond the range of "
            "float64: add rows, which may leave it less uncertain, or give x in units that bring "
            "it nearer to 1, such as millions of parameters."
        )
    return params


def _covariance(law: Law, rows: Observations, params: Floats, centred: Floats) -> Floats:
    """Covariance of the parameters from that of centred coordinates."""
    identity = np.eye(len(params))
    origin = law.rescale(np.zeros(len(params)), rows.log_x_scale, rows.log_y_scale)
    shift = (law.rescale(identity, rows.log_x_scale, rows.log_y_scale) - origin).T
    to_params = np.where(law.is_log, params, 1.0)[:, None] * shift
    return to_params @ centred @ to_params.T


def _by_name(law: Law, values: Floats) -> dict[str, float]:
    return dict(zip(law.params, values.tolist(), strict=True))
