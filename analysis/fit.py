"""Fit a scaling law to rows of a table, and say how far to trust the result.

Fits run on logarithms unless asked otherwise: the residual of a row is `log y - log f(x)`, so
noise is taken to be relative. On the linear scale it is `y - f(x)`. Rows are fitted as they are
given. Where y comes from several seeds at each x, that is a fit to the mean of log y (for symmetric
log noise the median of y), which lies below the log of the mean of y: by half the variance of log y
for normal log noise. A claim about mean losses wants the means taken before the fit; whether to do
so is the caller's choice and never made here.
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
from analysis.problem import Scale, pose
from analysis.resampling import Resampling
from analysis.uncertainty import draw_replicates, percentile_interval, require_resolvable

__all__ = ["FitError", "FitResult", "fit"]


def fit(
    law: Law,
    x: ArrayLike,
    y: ArrayLike,
    *,
    weights: ArrayLike | None = None,
    scale: Scale = "log",
    units: ArrayLike | None = None,
    resampling: Resampling | None = None,
    delta: float | None = None,
    starts: ArrayLike | None = None,
    level: float = 0.95,
    n_replicates: int = 1000,
    seed: int = 0,
) -> FitResult:
    """Fit a law from many starts, with bootstrap intervals that cover.

    Minimises `sum_i w_i loss(log y_i - log f(x_i))` within the law's bounds, or on the linear
    scale `sum_i w_i loss(y_i - f(x_i))`: there, under squared error, by variable projection. The
    intervals are percentiles of refits to redrawn rows; `analysis.uncertainty` says how rows are
    redrawn so that intervals from few points are not too short. They take the law to be true:
    where it is not, they are narrow around the wrong curve.

    Args:
        law: The law, e.g. `analysis.laws.POWER_LAW`.
        x: Inputs, shape `(n_points,)`, or `(n_points, n_inputs)`; positive. Any order of rows.
        y: Values, shape `(n_points,)`; positive.
        weights: Of the rows, shape `(n_points,)`, positive; 1 unless given. A weight counts a row
            as so many copies; resampled residuals take it for an inverse variance.
        scale: "log" or "linear": on what scale residuals are taken.
        units: Labels, shape `(n_points,)`, equal for rows that share what makes them err
            together, such as the seed of runs of several sizes. None where rows are independent.
        resampling: Where replicates have their noise from: "units" (needs `units`), "within_x"
            (needs repeats at every x) or "residuals", unless given the first that the rows allow.
            "rows" redraws rows, or whole units: the bootstrap of cases.
        delta: Residual, in units of log y or on the linear scale of y, beyond which Huber's loss
            grows linearly. None: squared error.
        starts: Parameters to start from, in the order of `law.params` and the units of x and y,
            shape `(n_starts, n_params)`; the law's own unless given. A factor of y first brings
            each to the level of the rows.
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
    rows = observe(law, x, y, units, weights)
    require_enough(law, rows)
    resampling = _choose_resampling(rows, resampling)
    problem = pose(law, rows, scale, delta)

    optimum = find_optimum(
        problem.law,
        problem.rows.points(problem.delta),
        problem.rows.targets(problem.rows.log_y, problem.delta),
        problem.delta,
        starts=None if starts is None else _centred_starts(law, rows, starts),
        project=problem.project,
    )
    replicates = draw_replicates(
        problem.law,
        problem.rows,
        optimum.theta,
        resampling=resampling,
        n_replicates=int(n_replicates),
        seed=int(seed),
        delta=problem.delta,
        project=problem.project,
    )
    refitted = law.rescale(replicates.theta, rows.log_x_scale, rows.log_y_scale)
    params = _to_params(law, law.rescale(optimum.theta, rows.log_x_scale, rows.log_y_scale))
    low, high = _to_params(law, np.stack(percentile_interval(refitted, level)))
    covariance = _covariance(law, rows, params, replicates.covariance(optimum.theta))
    residuals = np.empty_like(rows.log_y)
    residuals[rows.order] = problem.unit * problem.residuals(optimum.theta)
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
        objective=float(rows.weights @ loss(residuals[rows.order], delta)),
        scale=scale,
        delta=None if delta is None else float(delta),
        n_points=len(residuals),
        n_starts=optimum.n_starts,
        n_starts_agreeing=optimum.n_starts_agreeing,
        gradient_norm=optimum.gradient_norm,
        bounds_hit=optimum.bounds_hit,
        condition_number=optimum.condition_number,
        residuals=read_only(residuals),
    )


def _centred_starts(law: Law, rows: Observations, starts: ArrayLike) -> Floats:
    """Starts of a caller in centred coordinates."""
    params = np.asarray(starts, dtype=np.float64)
    if params.ndim != 2 or params.shape[1] != len(law.params) or not len(params):
        raise ValueError(
            f"starts has shape {params.shape}, but {law.name} has {len(law.params)} parameters: "
            f"give one row for each start, with {', '.join(law.params)}."
        )
    wrong = ~np.isfinite(params) | ((params <= 0) & law.is_log)
    if np.any(wrong):
        row, column = np.argwhere(wrong)[0]
        raise ValueError(
            f"starts[{row}] has {law.params[column]} = {params[row, column]}, but a start is finite"
            f", and {', '.join(sorted(law.logs))} > 0: leave the start out."
        )
    theta = law.rescale(law.to_theta(params), -rows.log_x_scale, -rows.log_y_scale)
    # A start at another level than the rows would spend its steps on getting there; a factor of y
    # takes it there at once.
    with np.errstate(over="ignore", divide="ignore"):
        levels = np.mean(rows.log_y - law.log_predict(theta, rows.log_x), axis=-1)
    levels = np.where(np.isfinite(levels), levels, 0.0)
    still = np.zeros_like(rows.log_x_scale)
    return np.stack(
        [law.rescale(each, still, level) for each, level in zip(theta, levels, strict=True)]
    )


def require_enough(law: Law, rows: Observations) -> None:
    """Refuses rows that cannot support a law.

    Raises:
        FitError: no more rows than parameters, or an input that is the same in all of them.
    """
    n_params, n_rows, n_distinct = len(law.params), len(rows.log_y), len(rows.group_sizes)
    if n_rows <= n_params:
        raise FitError(
            f"{law.name} has {n_params} parameters ({', '.join(law.params)}), but there are "
            f"{n_rows} rows: give at least {n_params + 1}, so that a residual is left to judge by."
        )
    for column, name in enumerate(law.inputs):
        if np.ptp(rows.log_x[:, column]) == 0 and len(law.inputs) > 1:
            value = float(np.exp(rows.log_x[0, column] + rows.log_x_scale[column]))
            raise FitError(
                f"{name} = {value:.6g} in every row: how {law.name} depends on {name} cannot be "
                f"told. Give rows at several {name}, or fit a law of the other inputs."
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
        if np.all(rows.group_sizes > 1) and np.ptp(rows.weights) == 0:
            return "within_x"
        return "residuals"
    if asked not in get_args(Resampling):
        raise ValueError(
            f"resampling = {asked!r}, but it is one of {', '.join(get_args(Resampling))}."
        )
    if asked == "within_x" and np.ptp(rows.weights) > 0:
        raise ValueError(
            "resampling = 'within_x' with weights that differ: give 'residuals' or 'rows', or "
            "leave the weights out."
        )
    if asked != "rows" and (asked == "units") != (rows.units is not None):
        state = "missing" if rows.units is None else "given"
        raise ValueError(
            f"resampling = {asked!r} with `units` {state}: give `units` with resampling 'units' "
            "or 'rows' and with no other."
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
