"""Many small bounded least-squares problems that share a law and its inputs, solved at once."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from analysis.laws.law import Floats, Law

_MAX_ITERATIONS = 300
_RELATIVE_DECREMENT = 1e-12  # of the objective: coordinates within ~1e-6 standard errors
_ROUNDING = 2e-15  # of a log residual
_TAIL_CURVATURE = 0.03  # of Huber's loss; 0.01 to 0.1 converge alike, 1 several times slower
_NO_EFFECT = 1e-100  # curvature of a coordinate that has left the curve, e.g. log A far down
_LEAST_DAMPING = 1e-12  # keeps the normal equations of a degenerate problem solvable


class Points(NamedTuple):
    """Where a law is fitted: inputs and the weight of the loss at each.

    Attributes:
        log_x: Shape `(n_points, n_inputs)`.
        weights: Shape `(n_points,)`, positive.
    """

    log_x: Floats
    weights: Floats


class Solutions(NamedTuple):
    """What `solve` found, one entry for each problem.

    Attributes:
        theta: Coordinates, shape `(n_problems, n_params)`.
        objective: Sum of weighted losses at `theta`, shape `(n_problems,)`.
        converged: Whether no measurable decrease is left, shape `(n_problems,)`.
    """

    theta: Floats
    objective: Floats
    converged: NDArray[np.bool_]


def loss(residuals: Floats, delta: float | None) -> Floats:
    """Half the squared residual or, beyond `delta`, Huber's `delta (|r| - delta / 2)`."""
    squared = 0.5 * residuals**2
    if delta is None:
        return squared
    size = np.abs(residuals)
    return np.where(size <= delta, squared, delta * (size - 0.5 * delta))


def influence_weights(residuals: Floats, delta: float | None) -> Floats:
    """Derivative of `loss` over the residual: 1, or `delta / |r|` beyond `delta`."""
    if delta is None:
        return np.ones_like(residuals)
    return delta / np.maximum(np.abs(residuals), delta)


def solve(
    law: Law, points: Points, log_y: Floats, theta: Floats, *, delta: float | None = None
) -> Solutions:
    """Minimise `sum_i w_i loss(log y_i - log f(x_i; theta))` for each problem of a batch.

    Levenberg-Marquardt with Marquardt's scaling, all problems in step. A coordinate on a bound
    whose gradient points outward is held there; steps are clipped to the bounds. A problem has
    converged when the decrease that its undamped step promises is negligible.

    Args:
        law: The law.
        points: Inputs and weights, the same for every problem.
        log_y: Shape `(n_problems, n_points)`.
        theta: Where each problem starts, shape `(n_problems, n_params)`.
        delta: Huber's threshold in units of log y; None for squared error.

    Returns:
        The solutions. A problem that has not converged carries its best point.
    """
    lower, upper = np.array(law.lower), np.array(law.upper)
    theta = np.clip(theta, lower, upper)
    objective = _objective(law, points, log_y, theta, delta)
    converged = np.zeros(len(theta), dtype=bool)
    damping = np.full(len(theta), 1e-3)
    rounding = points.weights.sum() * _ROUNDING**2
    todo = np.flatnonzero(np.isfinite(objective))
    for _ in range(_MAX_ITERATIONS):
        if not todo.size:
            break
        start, before = theta[todo], objective[todo]
        gradient, hessian = _normal_equations(law, points, log_y[todo], start, delta)
        held = ((start <= lower) & (gradient > 0)) | ((start >= upper) & (gradient < 0))
        step, decrement = _step(gradient, hessian, held, damping[todo])
        trial = np.clip(start + step, lower, upper)
        after = _objective(law, points, log_y[todo], trial, delta)
        # The slack, rounding's effect on the objective, lets the last small gains through.
        slack = np.sqrt(2 * before * rounding) + rounding
        accepted = after <= before + slack
        theta[todo] = np.where(accepted[:, None], trial, start)
        objective[todo] = np.where(accepted, after, before)
        damping[todo] = np.maximum(damping[todo] * np.where(accepted, 0.1, 8.0), _LEAST_DAMPING)
        converged[todo] = decrement <= _RELATIVE_DECREMENT * before + rounding
        todo = todo[~converged[todo]]
    return Solutions(theta, objective, converged)


def _objective(
    law: Law, points: Points, log_y: Floats, theta: Floats, delta: float | None
) -> Floats:
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        residuals = log_y - law.log_predict(theta, points.log_x)
        value = loss(residuals, delta) @ points.weights
    return np.where(np.isnan(value), np.inf, value)


def _normal_equations(
    law: Law, points: Points, log_y: Floats, theta: Floats, delta: float | None
) -> tuple[Floats, Floats]:
    residuals = log_y - law.log_predict(theta, points.log_x)
    jacobian = law.jacobian(theta, points.log_x)
    slopes = points.weights * influence_weights(residuals, delta) * residuals
    curvatures = points.weights * _curvatures(residuals, delta)
    gradient = -(slopes[:, None, :] @ jacobian)[:, 0, :]
    return gradient, np.swapaxes(jacobian * curvatures[..., None], -1, -2) @ jacobian


def _curvatures(residuals: Floats, delta: float | None) -> Floats:
    """Second derivative of `loss`; beyond `delta`, where that is 0, a little of the first over r.

    The little keeps the normal equations solvable where all residuals are beyond `delta`.
    """
    weights = influence_weights(residuals, delta)
    return np.where(weights < 1.0, _TAIL_CURVATURE * weights, 1.0)


def _step(
    gradient: Floats, hessian: Floats, held: NDArray[np.bool_], damping: Floats
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """The damped step over free coordinates, and the decrease that the undamped one promises."""
    identity = np.eye(gradient.shape[-1])
    # In units where the Hessian has a unit diagonal; a coordinate without effect gets no step.
    diagonal = np.diagonal(hessian, axis1=-2, axis2=-1)
    scale = np.where(held, 0.0, 1.0 / np.sqrt(np.maximum(diagonal, _NO_EFFECT)))
    correlation = hessian * (scale[:, :, None] * scale[:, None, :])
    correlation = np.where(identity > 0, 1.0, correlation)
    downhill = -(gradient * scale)[..., None]
    damped = np.linalg.solve(correlation + damping[:, None, None] * identity, downhill)
    undamped = np.linalg.solve(correlation + _LEAST_DAMPING * identity, downhill)
    return damped[..., 0] * scale, 0.5 * (downhill * undamped).sum(axis=(-2, -1))
