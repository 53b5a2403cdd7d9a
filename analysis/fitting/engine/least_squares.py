"""Many small bounded least-squares problems that share a law and its inputs, solved at once.

`solve` runs Levenberg-Marquardt on all of them. `projection` makes its inner step for laws with
linear parameters: variable projection.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from analysis.estimate import Floats
from analysis.fitting.engine.loss import Loss
from analysis.laws.law import Law
from analysis.laws.power_terms import coefficients
from analysis.laws.scales import linear_basis

_MAX_ITERATIONS = 300
_RELATIVE_DECREMENT = 1e-12  # of the objective: coordinates within ~1e-6 standard errors
_ROUNDING = 2e-15  # of a log residual
_NO_EFFECT = 1e-100  # curvature of a coordinate that has left the curve, e.g. log A far down
_EASE, _CAUTION = 1 / 3, 4.0  # what a step that was accepted, or refused, makes of the damping
_LEAST_DAMPING = 1e-12  # keeps the normal equations of a degenerate problem solvable
# Centred coordinates are of order 1. A longer step has left the region that the tangent describes:
# most often it throws a term off the curve, from where no gradient leads back.
_LONGEST_STEP = 2.0
_VALUES_IN_STEP = 30_000  # of y: what a step makes of them stays in the cache

Project: TypeAlias = Callable[[Floats, Floats, Floats, Floats], Floats]
"""`(theta, log_x, log_y, weights) -> theta`, some coordinates at their best given the others."""


class Points(NamedTuple):
    """Inputs that a law is fitted at, and the weight of the loss at each.

    Attributes:
        log_x: Log inputs, shape `(n_points, n_inputs)`.
        weights: Weights, not negative, shape `(n_points,)`, or `(n_problems, n_points)` where
            problems differ in them.
    """

    log_x: Floats
    weights: Floats


class Bounds(NamedTuple):
    """Bounds of coordinates; where both are equal, a coordinate is held.

    Attributes:
        lower: Lower bounds, shape `(n_problems, n_params)`.
        upper: Upper bounds, the same shape.
    """

    lower: Floats
    upper: Floats


class Solutions(NamedTuple):
    """Minima that `solve` found, one entry for each problem.

    Attributes:
        theta: Coordinates, shape `(n_problems, n_params)`.
        objective: Sum of weighted losses at `theta`, shape `(n_problems,)`.
        converged: Whether no measurable decrease is left, shape `(n_problems,)`.
    """

    theta: Floats
    objective: Floats
    converged: NDArray[np.bool_]


def solve(
    law: Law,
    points: Points,
    log_y: Floats,
    theta: Floats,
    *,
    loss: Loss = Loss(),
    bounds: Bounds | None = None,
    project: Project | None = None,
) -> Solutions:
    """Minimises `sum_i w_i loss(log y_i - log f(x_i; theta))` for each problem of a batch.

    Levenberg-Marquardt with Marquardt's scaling, many problems in step, on all cores. A
    coordinate on a bound whose gradient points outward is held there; steps are clipped to the
    bounds. A problem has converged when the decrease that its undamped step promises is
    negligible.

    With `project` this is variable projection: the linear coordinates take their best values after
    every step. As the damping vanishes, a step in all coordinates followed by that projection is
    Kaufman's step in the reduced problem (Ruhe and Wedin 1980, SIAM Review 22(3), 318, algorithm
    2).

    Args:
        law: The law.
        points: Inputs and weights.
        log_y: Shape `(n_problems, n_points)`, on the scale on which the law predicts.
        theta: Where each problem starts, shape `(n_problems, n_params)`.
        loss: The loss, its threshold in units of log y.
        bounds: Bounds of each problem; those of the law unless given.
        project: Sets the coordinates of `law.linear` to their best; squared error alone.

    Returns:
        The solutions. A problem that has not converged carries its best point.
    """
    n_problems = len(log_y)
    if bounds is None:
        shape = (n_problems, len(law.params))
        bounds = Bounds(np.broadcast_to(law.lower, shape), np.broadcast_to(law.upper, shape))
    weights = np.broadcast_to(points.weights, log_y.shape)

    def solve_share(share: slice) -> Solutions:
        problems = _Problems(law, points.log_x, weights[share], log_y[share], loss, project)
        return _solve_share(problems, theta[share], Bounds(*(ends[share] for ends in bounds)))

    n_threads = _n_cores()
    if n_problems <= _in_step(log_y) or n_threads == 1:
        return solve_share(slice(None))
    with ThreadPoolExecutor(n_threads) as threads:
        shares = list(
            threads.map(solve_share, [slice(i, None, n_threads) for i in range(n_threads)])
        )
    solutions = Solutions(np.empty_like(theta), np.empty(n_problems), np.empty(n_problems, bool))
    for first, share in enumerate(shares):
        for whole, part in zip(solutions, share, strict=True):
            whole[first::n_threads] = part
    return solutions


def _n_cores() -> int:
    """Cores that this process may use; some systems only report all of them."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _in_step(log_y: Floats) -> int:
    """Number of problems that are worked on at once."""
    return max(1, _VALUES_IN_STEP // max(1, log_y.shape[-1]))


class _Problems(NamedTuple):
    """Problems in step; arrays have one row for each."""

    law: Law
    log_x: Floats
    weights: Floats
    log_y: Floats
    loss: Loss
    project: Project | None

    def take(self, rows: NDArray[np.intp]) -> "_Problems":
        return self._replace(weights=self.weights[rows], log_y=self.log_y[rows])


def _solve_share(problems: _Problems, theta: Floats, bounds: Bounds) -> Solutions:
    """Solves the problems of one core: as many in step as fit the cache, then the next ones."""
    lower, upper = bounds
    theta = np.clip(theta, lower, upper)
    residuals, objective = _objective(problems, theta)
    n_problems, size = len(theta), _in_step(residuals)
    converged, iterations = np.zeros(n_problems, dtype=bool), np.zeros(n_problems, dtype=int)
    damping = np.full(n_problems, 1e-3)
    rounding = problems.weights.sum(axis=1) * _ROUNDING**2
    waiting = np.flatnonzero(np.isfinite(objective))
    todo, waiting = waiting[:size], waiting[size:]
    while todo.size:
        these, start, before = problems.take(todo), theta[todo], objective[todo]
        low, high, slightest = lower[todo], upper[todo], rounding[todo]
        gradient, hessian = _normal_equations(these, start, residuals[todo])
        held = ((start <= low) & (gradient > 0)) | ((start >= high) & (gradient < 0))
        step, decrement = _step(gradient, hessian, held | (low == high), damping[todo])
        trial = np.clip(start + step, low, high)
        if these.project is not None:
            trial = these.project(trial, these.log_x, these.log_y, these.weights)
        trial_residuals, after = _objective(these, trial)
        # The slack, rounding's effect on the objective, lets the last small gains through.
        slack = np.sqrt(2 * before * slightest) + slightest
        accepted = after <= before + slack
        moved = todo[accepted]
        theta[moved], objective[moved] = trial[accepted], after[accepted]
        residuals[moved] = trial_residuals[accepted]
        damping[todo] = np.maximum(
            damping[todo] * np.where(accepted, _EASE, _CAUTION), _LEAST_DAMPING
        )
        converged[todo] = decrement <= _RELATIVE_DECREMENT * before + slightest
        iterations[todo] += 1
        todo = todo[~converged[todo] & (iterations[todo] < _MAX_ITERATIONS)]
        n_free = size - len(todo)
        todo, waiting = np.concatenate([todo, waiting[:n_free]]), waiting[n_free:]
    return Solutions(theta, objective, converged)


def _objective(problems: _Problems, theta: Floats) -> tuple[Floats, Floats]:
    """Residuals, and their weighted loss: infinite where it is not a number."""
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        residuals = problems.log_y - problems.law.log_predict(theta, problems.log_x)
        value = np.einsum("pi,pi->p", problems.loss.value(residuals), problems.weights)
    return residuals, np.where(np.isnan(value), np.inf, value)


def _normal_equations(
    problems: _Problems, theta: Floats, residuals: Floats
) -> tuple[Floats, Floats]:
    jacobian = problems.law.jacobian(theta, problems.log_x)
    slopes = problems.weights * residuals * problems.loss.influence(residuals)
    bends = problems.weights * problems.loss.curvature(residuals)
    gradient = -(slopes[:, None, :] @ jacobian)[:, 0, :]
    return gradient, np.swapaxes(jacobian * bends[..., None], -1, -2) @ jacobian


def _step(
    gradient: Floats, hessian: Floats, held: NDArray[np.bool_], damping: Floats
) -> tuple[Floats, Floats]:
    """The damped step over free coordinates, and the decrease that the undamped one promises."""
    identity = np.eye(gradient.shape[-1])
    # In units where the Hessian has a unit diagonal; a coordinate without effect gets no step.
    diagonal = np.diagonal(hessian, axis1=-2, axis2=-1)
    scale = np.where(held, 0.0, 1.0 / np.sqrt(np.maximum(diagonal, _NO_EFFECT)))
    correlation = hessian * (scale[:, :, None] * scale[:, None, :])
    correlation = np.where(identity > 0, 1.0, correlation)
    downhill = -(gradient * scale)[..., None]
    damped = np.linalg.solve(correlation + damping[:, None, None] * identity, downhill)
    promised = np.linalg.solve(correlation + _LEAST_DAMPING * identity, downhill)
    step = damped[..., 0] * scale
    longest = np.max(np.abs(step), axis=-1, keepdims=True)
    step = step * (_LONGEST_STEP / np.maximum(longest, _LONGEST_STEP))
    return step, 0.5 * (downhill * promised).sum(axis=(-2, -1))


def projection(law: Law) -> Project:
    """Returns the step that sets the parameters in which y is linear to least squared error in y.

    Golub and Pereyra 1973, SIAM J. Numer. Anal. 10(2), 413. Coefficients that would leave the
    law's bounds (a negative E, A or B) are left as they came: there the caller's own step, which
    respects bounds, goes on in all coordinates.

    The law is one with `linear` parameters, not its view on the linear scale.
    """
    linear = np.flatnonzero(law.is_linear)
    is_log, lower = law.is_log[linear], np.array(law.lower)[linear]

    def project(theta: Floats, log_x: Floats, y: Floats, weights: Floats) -> Floats:
        with np.errstate(over="ignore", invalid="ignore"):
            basis = linear_basis(law, theta, log_x)
            usable = np.isfinite(np.sum(basis, axis=(-2, -1)))
            best = coefficients(np.where(usable[:, None, None], basis, 0.0), y, weights)
        inside = usable & (best > np.where(is_log, 0.0, lower)).all(axis=-1)
        logs = np.log(np.where(is_log & inside[:, None], best, 1.0))
        projected = theta.copy()
        projected[:, linear] = np.where(
            inside[:, None], np.where(is_log, logs, best), theta[:, linear]
        )
        return projected

    return project
