"""Fitting a scaling law to rows of a table, with a verdict on how far to trust the result.

By default fits run on logarithms: the residual of a row is `log y - log f(x)`, so noise is taken to
be relative. On the linear scale it is `y - f(x)`. Rows are fitted as they are given. Where y comes
from several seeds at each x, that is a fit to the mean of log y (for symmetric log noise the median
of y), which lies below the log of the mean of y: by half the variance of log y for normal log
noise. For a claim about mean losses take the means before the fit; that choice is the caller's and
never made here.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from analysis.errors import FitError
from analysis.estimate import Bootstrap, Floats
from analysis.fitting.bootstrap.noise_trend import NoiseTrend, noise_trend
from analysis.fitting.bootstrap.replicates import (
    Replicates,
    draw_replicates,
    percentile_interval,
    require_resolvable,
    student_scales,
)
from analysis.fitting.bootstrap.resampling import choose_resampling, units_of
from analysis.fitting.bootstrap.units import unit_noise
from analysis.fitting.engine.coordinates import require_holdable
from analysis.fitting.engine.loss import Loss
from analysis.fitting.engine.observations import (
    FittedRows,
    checked_rows,
    observe,
    read_only,
    require_enough,
    require_spread,
)
from analysis.fitting.engine.optimum import Optimum, find_optimum
from analysis.fitting.engine.problem import Problem, pose
from analysis.fitting.nonsense import judged
from analysis.fitting.result import FitResult
from analysis.fitting.verdict import judge
from analysis.laws.law import Law


def fit(
    law: Law,
    x: ArrayLike,
    y: ArrayLike,
    *,
    weights: ArrayLike | None = None,
    clusters: ArrayLike | None = None,
    loss: Loss = Loss(),
    bootstrap: Bootstrap = Bootstrap(),
    fixed: Mapping[str, float] | None = None,
) -> FitResult:
    """Fits a law from many starts, with bootstrap intervals that cover.

    Minimises `sum_i w_i loss(log y_i - log f(x_i))` within the law's bounds, or on the linear
    scale `sum_i w_i loss(y_i - f(x_i))`: there, under squared error, by variable projection. The
    intervals are percentiles of refits to redrawn rows; `analysis.fitting.bootstrap.replicates`
    says how rows are redrawn so that intervals from few points are not too short. They take the law
    to be true: where it is not, they are narrow around the wrong curve.

    Args:
        law: The law, e.g. `analysis.laws.POWER_LAW`; `law.starting_at(params)` to choose the
            starts.
        x: Inputs, shape `(n_points,)`, or `(n_points, n_inputs)`; positive. Any order of rows.
        y: Values, shape `(n_points,)`; positive.
        weights: Weights of the rows, shape `(n_points,)`, positive; 1 unless given. A weight counts
            a row as so many copies; redrawn residuals take it to be an inverse variance.
        clusters: Labels, shape `(n_points,)`, equal for rows that share what makes them err
            together, such as the seed of runs of several sizes. None where rows are independent.
            One label for all rows of a law of one input: they are evaluations of one run, whose
            noise may be correlated from each to the next (`analysis.fitting.bootstrap.
            autocorrelation`).
        loss: Squared error or Huber's loss, of logs or not. With `above` under 1 the curve settles
            towards the floor of the rows (`analysis.fitting.engine.loss` says who does so), and
            replicates redraw rows: from 20 to 60 rows their 95 % intervals hold the curve sought 88
            to 96 % of the time.
        bootstrap: Replicates, seed and level of the intervals, and what is redrawn: "clusters"
            (needs `clusters`), "within_x" (needs repeats at every x), "residuals", or "rows", which
            redraws rows, or whole clusters: the bootstrap of cases. Unless given, the best kind
            that the rows allow (`analysis.fitting.bootstrap.resampling.choose_resampling`).
            "parametric" draws noise of the density that the loss is the likelihood of: normal, or
            Huber's.
        fixed: Parameters held, with their values in the units of x and y; the others are fitted.
            Those held are in the result with an error of 0.

    Returns:
        The result. Its verdict says whether anything about it is doubtful.

    Raises:
        ValueError: An argument is at fault: shapes, values that are not positive and finite, ...
        FitError: The rows do not support the fit: too few, no start converges, ...

    Examples:
        >>> from analysis.laws import POWER_LAW
        >>> n = np.array([16, 32, 64, 128, 256, 512])
        >>> noise = np.array([0.99, 1.02, 0.98, 1.01, 1.01, 0.99])
        >>> found = fit(POWER_LAW, n, 3 * n**-0.5 * noise)
        >>> low, high = found.intervals["alpha"]
        >>> f"{found.params['alpha']:.2f}", bool(low < 0.5 < high)
        ('0.50', True)
        >>> f"{float(found.predict([1024])[0]):.3f}"
        '0.094'
    """
    # 1. Refuse what no search can answer.
    require_resolvable(bootstrap.level, bootstrap.n)
    asked = ask(law, x, y, weights, clusters, loss, fixed)
    problem = asked.problem
    choose_resampling(problem, bootstrap.kind)
    # 2. Search, and search again in redrawn rows.
    optimum = find_optimum(problem)
    trend = noise_trend(problem, optimum.theta, law.inputs)
    replicates = draw_replicates(problem, optimum.theta, bootstrap, trend)
    # 3. Return from centred coordinates to the units of x and y.
    return result_of(asked, optimum, replicates, trend, float(bootstrap.level))


def estimate(
    law: Law,
    x: ArrayLike,
    y: ArrayLike,
    *,
    weights: ArrayLike | None = None,
    clusters: ArrayLike | None = None,
    loss: Loss = Loss(),
    fixed: Mapping[str, float] | None = None,
) -> dict[str, float]:
    """Returns the parameters that `fit` finds, without intervals or verdict, in far less time.

    Args:
        law: The law.
        x: Inputs, as `fit` takes them, and likewise all that follow.
        y: Values.
        weights: Weights of the rows.
        clusters: Labels of the rows.
        loss: The loss.
        fixed: Parameters held.

    Raises:
        ValueError: An argument is at fault.
        FitError: The rows do not support the fit.
    """
    asked = ask(law, x, y, weights, clusters, loss, fixed)
    theta = asked.problem.to_raw(find_optimum(asked.problem).theta)
    params = _to_params(law, theta, asked.fixed)
    return dict(zip(law.params, params.tolist(), strict=True))


class Asked(NamedTuple):
    """What is to be fitted.

    Attributes:
        law: The law, with all its parameters.
        seen: The rows, checked.
        loss: The loss, in units of the rows.
        fixed: Values of the parameters held, by name.
        problem: What a search minimises over.
    """

    law: Law
    seen: FittedRows
    loss: Loss
    fixed: Mapping[str, float]
    problem: Problem


def ask(
    law: Law,
    x: ArrayLike,
    y: ArrayLike,
    weights: ArrayLike | None = None,
    clusters: ArrayLike | None = None,
    loss: Loss = Loss(),
    fixed: Mapping[str, float] | None = None,
) -> Asked:
    """Returns what is to be fitted, of arguments as `fit` takes them.

    Raises:
        ValueError: An argument is at fault.
        FitError: Rows that are too few, or do not differ in what the law depends on.
    """
    fixed = {} if fixed is None else dict(fixed)
    seen = checked_rows(law, x, y, weights, clusters)
    fixed = {**law.settle(seen.x, seen.y), **fixed}
    require_holdable(law, fixed)
    rows = observe(law, seen)
    problem = pose(law, rows, loss, fixed)
    require_enough(problem.law, rows)
    if not fixed:
        require_spread(law, rows)
    return Asked(law, seen, loss, fixed, problem)


def result_of(
    asked: Asked, optimum: Optimum, replicates: Replicates, trend: NoiseTrend | None, level: float
) -> FitResult:
    """Returns what a search found, in the units of the rows, judged.

    Args:
        asked: What was fitted.
        optimum: The estimate, in centred units.
        replicates: Its replicates, in centred units.
        trend: Trend of the noise about it.
        level: Level of the intervals.

    Raises:
        FitError: A parameter, or an end of its interval, beyond the range of float64.
    """
    law, seen, loss, fixed, problem = asked
    rows, theta = problem.rows, optimum.theta
    refitted = problem.to_raw(replicates.theta)
    params = _to_params(law, problem.to_raw(theta), fixed)
    lows, highs = _to_params(law, np.stack(percentile_interval(refitted, level)), fixed).tolist()
    to_params = np.where(law.is_log, params, 1.0)[:, None] * problem.to_raw.matrix
    covariance = to_params @ replicates.covariance(theta) @ to_params.T
    # Sums go over the sorted rows, so that not even rounding depends on the order given.
    in_order = problem.unit * problem.residuals(theta)
    noise = _noise(problem, replicates, theta)
    residuals = np.empty_like(in_order)
    residuals[rows.order] = in_order
    verdict, reason = judge(
        problem.law, optimum, replicates, level, n_points=len(in_order), held=tuple(fixed)
    )
    return judged(
        FitResult(
            law=law,
            params=dict(zip(law.params, params.tolist(), strict=True)),
            standard_errors=dict(
                zip(law.params, np.sqrt(np.diagonal(covariance)).tolist(), strict=True)
            ),
            covariance=read_only(covariance),
            intervals=dict(zip(law.params, zip(lows, highs, strict=True), strict=True)),
            level=level,
            bootstrap=replicates.how,
            replicates=read_only(refitted),
            verdict=verdict,
            reason=reason,
            objective=float(rows.weights @ loss.value(in_order)),
            loss=loss,
            fixed=tuple(name for name in law.params if name in fixed),
            n_points=len(residuals),
            n_starts=optimum.n_starts,
            n_starts_agreeing=optimum.n_starts_agreeing,
            n_optima=optimum.n_optima,
            gradient_norm=optimum.ending.gradient_norm,
            bounds_hit=optimum.ending.bounds_hit,
            condition_number=optimum.ending.condition_number,
            noise=noise,
            noise_factors=read_only(_noise_factors(replicates, len(in_order) - len(theta))),
            noise_trend=trend,
            residuals=read_only(residuals),
            rows=seen,
        )
    )


def _noise(problem: Problem, replicates: Replicates, theta: Floats) -> float:
    """Standard deviation of a run of mean weight about the curve, without bias."""
    rows, root = problem.rows, np.sqrt(problem.rows.weights)
    if replicates.noise is not None:
        return problem.unit * replicates.noise / float(np.sqrt(rows.weights.mean()))
    residuals = root * problem.unit * problem.residuals(theta)
    spent = float(len(theta))
    if rows.clusters is not None:
        jacobian = problem.law.jacobian(theta, rows.log_x) * root[:, None]
        spent = unit_noise(jacobian, residuals, units_of(rows)).spent
    return float(np.sqrt(residuals @ residuals / (len(residuals) - spent) / rows.weights.mean()))


def _noise_factors(replicates: Replicates, freedom: int) -> Floats:
    """Factors of the noise in each replicate; of redrawn rows, which have none, Student's."""
    how = replicates.how
    if how.degrees_of_freedom is not None:
        return replicates.noise_scale
    return student_scales(np.random.default_rng(how.seed), freedom, how.n_replicates)


def _to_params(law: Law, theta: Floats, fixed: Mapping[str, float]) -> Floats:
    """Parameters, in the units of x and y, of coordinates."""
    with np.errstate(over="ignore", under="ignore"):
        params = law.to_params(theta)
    for name, value in fixed.items():
        params[..., law.params.index(name)] = value
    if not np.all(np.isfinite(params) & ((params > 0) | ~law.is_log)):
        raise FitError(
            f"A parameter of {law.name}, or an end of its interval, is beyond the range of "
            "float64. Add rows, which may make it less uncertain, or give x in units that bring it "
            "nearer to 1, such as millions of parameters."
        )
    return params
