"""The best fit from many starts, with its diagnostics.

All starts run at once (`least_squares.solve`); SciPy's dogbox, which shares no code with them, then
takes the best one to where the objective no longer falls: about a millionth of a standard error.
"""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from scipy.optimize import least_squares

from analysis.errors import FitError
from analysis.estimate import Floats
from analysis.fitting.engine.distinct_optima import Optima, count_optima
from analysis.fitting.engine.least_squares import Points, Project, Solutions, solve
from analysis.fitting.engine.loss import Loss
from analysis.fitting.engine.problem import Problem
from analysis.laws.law import Law

MAX_CONDITION_NUMBER = 1e6
"""Above it the parameters are not identifiable from the rows."""

_AGREEMENT = 1e-6  # of the objective
_BARRIER = 1e3  # times that tolerance: midway between two optima the objective lies higher
_PRECISION = 1e-15  # SciPy's tolerances, a little above the epsilon of float64
_EXACT_RESIDUAL = 1e-10  # log residuals below it are those of a noise-free curve
_NEAR = 100.0  # times the least squared error: ten times its root
_MANY, _SAMPLE = 20_000, 2_000  # points
_SAME_ON_SAMPLE = 1e-3  # less than what the rows left out move an end by
_SAME_PLACE = 1e-5  # coordinates that round to one multiple of it are the same


class Optimum(NamedTuple):
    """The best coordinates, in centred units, and the diagnostics that `FitResult` describes.

    Attributes:
        theta: Coordinates, shape `(n_params,)`.
        objective: Weighted sum of losses at the points.
        condition_number: At most 1 / epsilon.
        n_curves: Different curves among the `n_optima` places.
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


class _Task(NamedTuple):
    """A problem as the searches see it: the values to fit at the points."""

    law: Law
    points: Points
    log_y: Floats
    loss: Loss
    project: Project | None

    def residuals(self, theta: Floats) -> Floats:
        return self.log_y - self.law.log_predict(theta, self.points.log_x)

    def objective(self, theta: Floats) -> Floats:
        """Sum of weighted losses, infinite where it is not a number: `(..., n_params) -> (...)`."""
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            total = self.loss.value(self.residuals(theta)) @ self.points.weights
            return np.nan_to_num(total, nan=np.inf)

    def unit_columns(self, theta: Floats) -> Floats:
        """The weighted Jacobian with columns of length 1, or 0 for one without effect."""
        columns = self.law.jacobian(theta, self.points.log_x)
        columns = columns * np.sqrt(self.points.weights)[:, None]
        lengths = np.linalg.norm(columns, axis=0)
        return columns / np.where(lengths > 0, lengths, 1.0)

    def sample(self) -> "_Task":
        """Every k-th point where there are very many, else all."""
        step = max(1, len(self.log_y) // _SAMPLE) if len(self.log_y) > _MANY else None
        some = slice(None, None, step)
        points = Points(self.points.log_x[some], self.points.weights[some])
        return self._replace(points=points, log_y=self.log_y[some])


def find_optimum(problem: Problem) -> Optimum:
    """Minimises the sum of losses from every start.

    Raises:
        FitError: No start reached a stationary point.
    """
    law = problem.law
    task = _Task(
        law, problem.points, problem.targets(problem.rows.log_y), problem.loss, problem.project
    )
    # 1. Search from all starts. Of very many points an evenly spread sample finds the basins: the
    # starts end there first, and go on from where they ended.
    sample = task.sample()
    starts = problem.starts
    if starts is None:
        starts = law.starts(sample.points.log_x, sample.log_y)
    found = _search(sample, starts)
    if len(task.log_y) > _MANY:
        near = found.objective <= _NEAR * found.objective.min()
        found = _solve_all(task, found.theta[near], _SAME_ON_SAMPLE)
    theta = _polish(task, found.theta[int(np.argmin(found.objective))])

    # 2. Refuse an end that is no minimum.
    residuals = task.residuals(theta)
    objective = float(task.objective(theta))
    columns = task.unit_columns(theta)
    slopes = np.sqrt(task.points.weights) * task.loss.influence(residuals) * residuals
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

    # 3. Count the starts that agree with it, and the places where those ended.
    tolerance = _AGREEMENT * objective + task.points.weights.sum() * _EXACT_RESIDUAL**2
    agreeing = found.objective <= objective + tolerance
    places = _places(task, theta, found.theta[agreeing], objective + _BARRIER * tolerance)
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


def _places(task: _Task, theta: Floats, ends: Floats, barrier: float) -> Optima:
    """The separate places among the ends that are as low as the best one, `theta`."""
    return count_optima(
        theta,
        ends,
        task.objective,
        lambda theta: task.law.log_predict(theta, task.points.log_x),
        lambda theta: _condition_number(task.unit_columns(theta)) <= MAX_CONDITION_NUMBER,
        barrier=barrier,
        noise=float(np.sqrt(np.mean(task.residuals(theta) ** 2))) + _EXACT_RESIDUAL,
    )


def _condition_number(columns: Floats) -> float:
    singular = np.linalg.svd(columns, compute_uv=False)
    return float(singular[0] / max(singular[-1], singular[0] * np.finfo(float).eps))


def _search(task: _Task, starts: Floats) -> Solutions:
    """Where every start comes to rest."""
    found = _solve_all(task._replace(loss=task.loss.squared()), starts)
    return found if task.loss.delta is None else _under_huber(task, starts, found)


def _under_huber(task: _Task, starts: Floats, squared: Solutions) -> Solutions:
    """Minima of Huber's loss: from where squared error came to rest, and from starts near the data.

    Far from the data Huber's loss has little slope to follow, and every start goes by way of
    squared error. Near them it may have minima of its own, and the better of two ends is kept.
    """
    found = _solve_all(task, squared.theta)
    at_start = task._replace(loss=task.loss.squared()).objective(starts)
    near = np.flatnonzero(at_start <= _NEAR * squared.objective.min())
    direct = _solve_all(task, starts[near])
    better = direct.objective < found.objective[near]
    for ours, theirs in zip(found, direct, strict=True):
        ours[near[better]] = theirs[better]
    return found


def _solve_all(task: _Task, starts: Floats, same_place: float = _SAME_PLACE) -> Solutions:
    """`solve` from every start, once for starts that coincide."""
    _, first, place = np.unique(
        np.round(starts / same_place), axis=0, return_index=True, return_inverse=True
    )
    targets = np.broadcast_to(task.log_y, (len(first), len(task.log_y)))
    found = solve(
        task.law, task.points, targets, starts[first], loss=task.loss, project=task.project
    )
    every = place.reshape(-1)
    return Solutions(found.theta[every], found.objective[every], found.converged[every])


def _polish(task: _Task, theta: Floats) -> Floats:
    """The minimum that SciPy's dogbox finds from the best end of the batch."""
    law, (log_x, weights), log_y, loss, _ = task
    # SciPy's losses see squares. Where the sign of a residual counts, each row is two: one for
    # its part above the curve and one for its part below, of which one is 0.
    sides = (1.0,) if loss.above == 1 else (loss.above, 1.0)
    weights = np.concatenate([weights * side for side in sides])
    root = np.sqrt(weights)
    one_sided = replace(loss, above=1.0)

    def parts(theta: Floats) -> Floats:
        off = law.log_predict(theta, log_x) - log_y
        if loss.above == 1:
            return off
        return np.concatenate([np.minimum(off, 0.0), np.maximum(off, 0.0)])

    def slopes(theta: Floats) -> Floats:
        jacobian = law.jacobian(theta, log_x)
        if loss.above != 1:
            is_above = (law.log_predict(theta, log_x) < log_y)[:, None]
            jacobian = np.concatenate([jacobian * is_above, jacobian * ~is_above])
        return jacobian * root[:, None]

    def huber(squares: Floats) -> Floats:
        # Twice the weighted loss as a function of the weighted squared residual, and derivatives.
        assert loss.delta is not None
        residuals = np.sqrt(squares / weights)
        inner = residuals <= loss.delta
        size = np.where(inner, 1.0, residuals)
        return np.stack(
            [
                2 * weights * one_sided.value(residuals),
                one_sided.influence(residuals),
                np.where(inner, 0.0, -0.5 * loss.delta / (weights * size**3)),
            ]
        )

    result = least_squares(
        lambda theta: root * parts(theta),
        theta,
        jac=slopes,  # pyright: ignore[reportArgumentType]
        bounds=(law.lower, law.upper),
        method="dogbox",
        x_scale="jac",
        loss="linear" if loss.delta is None else huber,  # pyright: ignore[reportArgumentType]
        ftol=_PRECISION,
        xtol=_PRECISION,
        gtol=_PRECISION,
    )
    return result.x
