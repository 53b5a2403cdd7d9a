"""The best fit from many starts, and what can be said of it without an interval."""

from typing import NamedTuple

import numpy as np
from scipy.optimize import least_squares

from analysis.batched_least_squares import Points, influence_weights, loss, solve
from analysis.errors import FitError
from analysis.laws.law import Floats, Law

_AGREEMENT = 1e-6  # of the objective
_PRECISION = 1e-15  # SciPy's tolerances, a little above the epsilon of float64
_EXACT_RESIDUAL = 1e-10  # log residuals below it are those of a noise-free curve


class Optimum(NamedTuple):
    """The best coordinates and their diagnostics, in centred units.

    Attributes:
        theta: Coordinates, shape `(n_params,)`.
        objective: Weighted sum of losses at the points.
        gradient_norm: Largest projection of the loss's derivatives on a column of the Jacobian
            that is free to move, for columns of length 1; in units of log y.
        condition_number: Of the Jacobian with columns of length 1; at most 1 / epsilon.
        bounds_hit: Names of the parameters that lie on a bound.
        n_starts: Starts tried.
        n_starts_agreeing: Starts that ended at the best objective, to a part in a million.
    """

    theta: Floats
    objective: float
    gradient_norm: float
    condition_number: float
    bounds_hit: tuple[str, ...]
    n_starts: int
    n_starts_agreeing: int


def find_optimum(law: Law, points: Points, log_y: Floats, delta: float | None = None) -> Optimum:
    """Minimise the sum of losses from every start of the law.

    All starts run at once (`batched_least_squares`); SciPy's dogbox, which shares no code with
    them, then takes the best one as far as the objective can tell: to about a millionth of a
    standard error.

    Args:
        law: The law.
        points: Centred inputs and weights.
        log_y: Centred log y, shape `(n_points,)`.
        delta: Huber's threshold in units of log y; None for squared error.

    Returns:
        The optimum.

    Raises:
        FitError: No start reached a stationary point.
    """
    starts = law.starts(points.log_x, log_y)
    targets = np.broadcast_to(log_y, (len(starts), len(log_y)))
    if delta is not None:
        # Far from the data Huber's loss has little slope to follow: also start where squared
        # error, from the same starts, comes to rest.
        starts = np.concatenate([starts, solve(law, points, targets, starts).theta])
        targets = np.broadcast_to(log_y, (len(starts), len(log_y)))
    found = solve(law, points, targets, starts, delta=delta)
    best = int(np.argmin(found.objective))
    theta = _polish(law, points, log_y, found.theta[best], delta)

    residuals = log_y - law.log_predict(theta, points.log_x)
    objective = float(loss(residuals, delta) @ points.weights)
    jacobian = law.jacobian(theta, points.log_x)
    columns = jacobian * np.sqrt(points.weights)[:, None]
    lengths = np.linalg.norm(columns, axis=0)
    columns = columns / np.where(lengths > 0, lengths, 1.0)
    slopes = np.sqrt(points.weights) * influence_weights(residuals, delta) * residuals
    gradient = -(columns.T @ slopes)
    at_lower, at_upper = theta <= law.lower, theta >= law.upper
    free = ~((at_lower & (gradient >= 0)) | (at_upper & (gradient <= 0)))
    gradient_norm = float(np.max(np.abs(gradient), where=free, initial=0.0))
    if not gradient_norm <= 1e-6 * np.linalg.norm(slopes) + _EXACT_RESIDUAL:
        raise FitError(
            f"{law.name}: none of {len(starts)} starts reached a minimum; the best stopped with a "
            f"projected gradient of {gradient_norm:.2e} (log units). Check the rows for outliers, "
            "or fit a law with fewer parameters."
        )
    singular = np.linalg.svd(columns, compute_uv=False)
    tolerance = _AGREEMENT * objective + points.weights.sum() * _EXACT_RESIDUAL**2
    return Optimum(
        theta=theta,
        objective=objective,
        gradient_norm=gradient_norm,
        condition_number=float(singular[0] / max(singular[-1], singular[0] * np.finfo(float).eps)),
        bounds_hit=tuple(np.array(law.params)[at_lower | at_upper].tolist()),
        n_starts=len(starts),
        n_starts_agreeing=int(np.sum(found.objective <= objective + tolerance)),
    )


def _polish(law: Law, points: Points, log_y: Floats, theta: Floats, delta: float | None) -> Floats:
    root = np.sqrt(points.weights)
    result = least_squares(
        lambda theta: root * (law.log_predict(theta, points.log_x) - log_y),
        theta,
        jac=lambda theta: root[:, None] * law.jacobian(theta, points.log_x),  # pyright: ignore
        bounds=(law.lower, law.upper),
        method="dogbox",
        x_scale="jac",
        loss="linear" if delta is None else "huber",
        f_scale=1.0 if delta is None else delta,
        ftol=_PRECISION,
        xtol=_PRECISION,
        gtol=_PRECISION,
    )
    return result.x
