"""Where a search ends: how steep, how flat and how settled the objective is there."""

from typing import NamedTuple

import numpy as np

from analysis.estimate import Floats
from analysis.fitting.engine.least_squares import Points
from analysis.fitting.engine.loss import Loss
from analysis.fitting.engine.steps import Project
from analysis.laws.law import Law

MAX_CONDITION_NUMBER = 1e6
"""Above it the parameters are not identifiable from the rows."""

EXACT_RESIDUAL = 1e-10
"""Log residuals below it are those of a noise-free curve."""

_STATIONARY = 1e-6  # cosine between the residuals and a direction in which a parameter may move
_IN_VALLEY = 0.3  # share of a parameter in the flattest direction, whose length is 1
_NO_EFFECT = 1e-3  # of the residuals: what a parameter changes by moving its own size or by 1


class Task(NamedTuple):
    """A problem as the searches see it: the values to fit at the points."""

    law: Law
    points: Points
    log_y: Floats
    loss: Loss
    project: Project | None

    def predict(self, theta: Floats) -> Floats:
        """The curve at the points: `(..., n_params) -> (..., n_points)`."""
        return self.law.log_predict(theta, self.points.log_x)

    def residuals(self, theta: Floats) -> Floats:
        """Residuals at the points, of the same shape as the curve."""
        return self.log_y - self.predict(theta)

    def objective(self, theta: Floats) -> Floats:
        """Sum of weighted losses, infinite where it is not a number: `(..., n_params) -> (...)`."""
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            total = self.loss.value(self.residuals(theta)) @ self.points.weights
            return np.nan_to_num(total, nan=np.inf)

    def columns(self, theta: Floats) -> Floats:
        """The weighted Jacobian, shape `(n_points, n_params)`."""
        columns = self.law.jacobian(theta, self.points.log_x)
        return columns * np.sqrt(self.points.weights)[:, None]

    def unit_columns(self, theta: Floats) -> Floats:
        """The weighted Jacobian with columns of length 1, or 0 for one without effect."""
        columns = self.columns(theta)
        lengths = np.linalg.norm(columns, axis=0)
        return columns / np.where(lengths > 0, lengths, 1.0)

    def sample(self, n_points: int) -> "Task":
        """About so many points, evenly spread."""
        step = max(1, len(self.log_y) // n_points)
        points = Points(self.points.log_x[::step], self.points.weights[::step])
        return self._replace(points=points, log_y=self.log_y[::step])


class Ending(NamedTuple):
    """The place where a search ended.

    Attributes:
        gradient_norm: As in `analysis.fitting.result.FitResult`.
        is_stationary: Whether the slope is that of a minimum, within bounds.
        condition_number: At most 1 / epsilon.
        bounds_hit: Names of the parameters on a bound.
        valley: Names of the parameters that change most in the direction that changes the curve
            least.
        without_effect: Names of those that may change by themselves without any effect.
        is_settled: Whether the last search left the objective and the curve as they were.
        fall: Share of the objective by which it lowered it; 0 at a minimum.
    """

    gradient_norm: float = 0.0
    is_stationary: bool = True
    condition_number: float = 1.0
    bounds_hit: tuple[str, ...] = ()
    valley: tuple[str, ...] = ()
    without_effect: tuple[str, ...] = ()
    is_settled: bool = True
    fall: float = 0.0

    @property
    def is_identified(self) -> bool:
        """Whether the rows tell every parameter from the others."""
        return self.is_stationary and self.condition_number <= MAX_CONDITION_NUMBER


def ending_at(task: Task, theta: Floats) -> Ending:
    """Returns what a search that ended at `theta`, shape `(n_params,)`, found there."""
    law, names = task.law, np.array(task.law.params)
    residuals, columns = task.residuals(theta), task.unit_columns(theta)
    slopes = np.sqrt(task.points.weights) * task.loss.influence(residuals) * residuals
    gradient = -(columns.T @ slopes)
    at_lower, at_upper = theta <= law.lower, theta >= law.upper
    free = ~((at_lower & (gradient >= 0)) | (at_upper & (gradient <= 0)))
    steepest = float(np.max(np.abs(gradient), where=free, initial=0.0))
    lengths = np.linalg.norm(task.columns(theta), axis=0)
    noise = float(np.linalg.norm(np.sqrt(task.points.weights) * residuals))
    _, _, directions = np.linalg.svd(columns, full_matrices=False)
    return Ending(
        gradient_norm=steepest,
        is_stationary=steepest <= _STATIONARY * float(np.linalg.norm(slopes)) + EXACT_RESIDUAL,
        condition_number=condition_number(columns),
        bounds_hit=tuple(names[at_lower | at_upper].tolist()),
        valley=tuple(names[np.abs(directions[-1]) > _IN_VALLEY].tolist()),
        without_effect=tuple(names[lengths <= _NO_EFFECT * noise].tolist()),
    )


def condition_number(columns: Floats) -> float:
    """Largest over least singular value of columns; at most 1 / epsilon."""
    singular = np.linalg.svd(columns, compute_uv=False)
    return float(singular[0] / max(singular[-1], singular[0] * np.finfo(float).eps))
