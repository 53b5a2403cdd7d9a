"""The best fit from many starts, and what can be said of it without an interval."""

from typing import NamedTuple

import numpy as np
from scipy.optimize import least_squares

from analysis.errors import FitError
from analysis.estimate import Floats
from analysis.fitting.engine.distinct_optima import count_optima
from analysis.fitting.engine.least_squares import Points, Project, Solutions, solve
from analysis.fitting.engine.loss import influence_weights, loss
from analysis.laws.law import Law

MAX_CONDITION_NUMBER = 1e6
"""Above it, some change of the parameters leaves the curve as it is at every point."""

_AGREEMENT = 1e-6  # of the objective
_BARRIER = 1e3  # times that tolerance: midway between two optima the objective lies higher
_PRECISION = 1e-15  # SciPy's tolerances, a little above the epsilon of float64
_EXACT_RESIDUAL = 1e-10  # log residuals below it are those of a noise-free curve
_NEAR = 100.0  # times the least squared error: ten times its root
_MANY, _SAMPLE = 20_000, 2_000  # points
_SAME_ON_SAMPLE = 1e-3  # less than what the rows left out move an end by
_SAME_PLACE = 1e-5  # coordinates that round to one multiple of it are the same


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
        n_optima: Separate places where they ended.
        n_curves: Different curves among those.
    """

    theta: Floats
    objective: float
    gradient_norm: float
    condition_number: float
    bounds_hit: tuple[str, ...]
    n_starts: int
    n_starts_agreeing: int
    n_optima: int
    n_curves: int


def find_optimum(
    law: Law,
    points: Points,
    log_y: Floats,
    delta: float | None = None,
    *,
    above: float = 1.0,
    starts: Floats | None = None,
    project: Project | None = None,
) -> Optimum:
    """Minimise the sum of losses from every start.

    All starts run at once (`batched_least_squares`); SciPy's dogbox, which shares no code with
    them, then takes the best one as far as the objective can tell: to about a millionth of a
    standard error. Of very many points a sample, evenly spread, tells the basins: the starts end
    there first, and go on from where they ended.

    Args:
        law: The law.
        points: Centred inputs and weights.
        log_y: Centred log y, shape `(n_points,)`.
        delta: Huber's threshold in units of log y; None for squared error.
        above: Factor of the loss of rows above the curve.
        starts: Coordinates to start from, shape `(n_starts, n_params)`; those of the law unless
            given.
        project: For variable projection, under squared error (`batched_least_squares.solve`).

    Returns:
        The optimum.

    Raises:
        FitError: No start reached a stationary point.
    """
    some = slice(None, None, max(1, len(log_y) // _SAMPLE) if len(log_y) > _MANY else None)
    sample = Points(points.log_x[some], points.weights[some])
    starts = law.starts(sample.log_x, log_y[some]) if starts is None else starts
    found = _search(law, sample, log_y[some], starts, delta, above, project)
    if len(log_y) > _MANY:
        near = found.objective <= _NEAR * found.objective.min()
        ends = found.theta[near]
        found = _solve_all(law, points, log_y, ends, delta, above, project, _SAME_ON_SAMPLE)
    best = int(np.argmin(found.objective))
    theta = _polish(law, points, log_y, found.theta[best], delta, above)

    residuals = log_y - law.log_predict(theta, points.log_x)
    objective = float(loss(residuals, delta, above) @ points.weights)
    columns = _unit_columns(law, points, theta)
    slopes = np.sqrt(points.weights) * influence_weights(residuals, delta, above) * residuals
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
    tolerance = _AGREEMENT * objective + points.weights.sum() * _EXACT_RESIDUAL**2
    agreeing = found.objective <= objective + tolerance

    def objective_at(theta: Floats) -> Floats:
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            off = log_y - law.log_predict(theta, points.log_x)
            return np.nan_to_num(loss(off, delta, above) @ points.weights, nan=np.inf)

    places = count_optima(
        theta,
        found.theta[agreeing],
        objective_at,
        lambda theta: law.log_predict(theta, points.log_x),
        lambda theta: _condition_number(_unit_columns(law, points, theta)) <= MAX_CONDITION_NUMBER,
        barrier=objective + _BARRIER * tolerance,
        noise=float(np.sqrt(np.mean(residuals**2))) + _EXACT_RESIDUAL,
    )
    return Optimum(
        theta=theta,
        objective=objective,
        gradient_norm=gradient_norm,
        condition_number=_condition_number(columns),
        bounds_hit=tuple(np.array(law.params)[at_lower | at_upper].tolist()),
        n_starts=len(starts),
        n_starts_agreeing=int(np.sum(agreeing)),
        n_optima=places.n_places,
        n_curves=places.n_curves,
    )


def _unit_columns(law: Law, points: Points, theta: Floats) -> Floats:
    """The weighted Jacobian with columns of length 1, or of 0 where a parameter has no effect."""
    columns = law.jacobian(theta, points.log_x) * np.sqrt(points.weights)[:, None]
    lengths = np.linalg.norm(columns, axis=0)
    return columns / np.where(lengths > 0, lengths, 1.0)


def _condition_number(columns: Floats) -> float:
    singular = np.linalg.svd(columns, compute_uv=False)
    return float(singular[0] / max(singular[-1], singular[0] * np.finfo(float).eps))


def _search(
    law: Law,
    points: Points,
    log_y: Floats,
    starts: Floats,
    delta: float | None,
    above: float,
    project: Project | None,
) -> Solutions:
    """Where every start comes to rest."""
    found = _solve_all(law, points, log_y, starts, None, above, project)
    if delta is not None:
        found = _under_huber(law, points, log_y, starts, found, delta, above)
    return found


def _under_huber(
    law: Law,
    points: Points,
    log_y: Floats,
    starts: Floats,
    squared: Solutions,
    delta: float,
    above: float,
) -> Solutions:
    """Minima of Huber's loss: from where squared error came to rest, and from starts near the data.

    Far from the data Huber's loss has little slope to follow, and every start goes by way of
    squared error. Near them it may have minima of its own, and the better of two ends is kept.
    """
    found = _solve_all(law, points, log_y, squared.theta, delta, above)
    with np.errstate(over="ignore", invalid="ignore"):
        residuals = log_y - law.log_predict(starts, points.log_x)
        at_start = loss(residuals, None, above) @ points.weights
    near = np.flatnonzero(at_start <= _NEAR * squared.objective.min())
    direct = _solve_all(law, points, log_y, starts[near], delta, above)
    better = direct.objective < found.objective[near]
    for ours, theirs in zip(found, direct, strict=True):
        ours[near[better]] = theirs[better]
    return found


def _solve_all(
    law: Law,
    points: Points,
    log_y: Floats,
    starts: Floats,
    delta: float | None,
    above: float,
    project: Project | None = None,
    same_place: float = _SAME_PLACE,
) -> Solutions:
    """`solve` from every start, once for starts that coincide."""
    _, first, place = np.unique(
        np.round(starts / same_place), axis=0, return_index=True, return_inverse=True
    )
    targets = np.broadcast_to(log_y, (len(first), len(log_y)))
    found = solve(law, points, targets, starts[first], delta=delta, above=above, project=project)
    every = place.reshape(-1)
    return Solutions(found.theta[every], found.objective[every], found.converged[every])


def _polish(
    law: Law, points: Points, log_y: Floats, theta: Floats, delta: float | None, above: float
) -> Floats:
    # SciPy's losses see squares. Where the sign of a residual counts, each row is two: one for
    # its part above the curve and one for its part below, of which one is 0.
    sides = (1.0,) if above == 1 else (above, 1.0)
    weights = np.concatenate([points.weights * side for side in sides])
    root = np.sqrt(weights)

    def parts(theta: Floats) -> Floats:
        off = law.log_predict(theta, points.log_x) - log_y
        return off if above == 1 else np.concatenate([np.minimum(off, 0.0), np.maximum(off, 0.0)])

    def slopes(theta: Floats) -> Floats:
        jacobian = law.jacobian(theta, points.log_x)
        if above != 1:
            is_above = (law.log_predict(theta, points.log_x) < log_y)[:, None]
            jacobian = np.concatenate([jacobian * is_above, jacobian * ~is_above])
        return jacobian * root[:, None]

    def huber(squares: Floats) -> Floats:
        # Twice the weighted loss as a function of the weighted squared residual, and derivatives.
        assert delta is not None
        residuals = np.sqrt(squares / weights)
        inner = residuals <= delta
        size = np.where(inner, 1.0, residuals)
        return np.stack(
            [
                2 * weights * loss(residuals, delta),
                influence_weights(residuals, delta),
                np.where(inner, 0.0, -0.5 * delta / (weights * size**3)),
            ]
        )

    result = least_squares(
        lambda theta: root * parts(theta),
        theta,
        jac=slopes,  # pyright: ignore[reportArgumentType]
        bounds=(law.lower, law.upper),
        method="dogbox",
        x_scale="jac",
        loss="linear" if delta is None else huber,  # pyright: ignore[reportArgumentType]
        ftol=_PRECISION,
        xtol=_PRECISION,
        gtol=_PRECISION,
    )
    return result.x
