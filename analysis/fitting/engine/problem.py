"""What a fit minimises over: law and rows on the scale of the residuals, and the starts."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from analysis.estimate import Floats
from analysis.fitting.engine.coordinates import Affine, hold, to_callers_units
from analysis.fitting.engine.least_squares import Points, projection
from analysis.fitting.engine.loss import Loss
from analysis.fitting.engine.observations import Observations
from analysis.fitting.engine.steps import Project
from analysis.laws.law import Law
from analysis.laws.scales import on_linear_scale


class Problem(NamedTuple):
    """Law and rows as the engine takes them, centred.

    Attributes:
        law: The law, or a view of it: on the linear scale, with the parameters that are not held.
        rows: The rows, on the same scale.
        loss: The loss of centred residuals.
        project: Step of variable projection; None where it does not apply.
        unit: Factor from centred residuals to those of the caller.
        to_raw: Map from coordinates of `law` to all those of the complete law, in the caller's
            units.
        starts: Coordinates to start from, shape `(n_starts, n_params)`; None for those that the
            law chooses from the rows.
    """

    law: Law
    rows: Observations
    loss: Loss
    project: Project | None
    unit: float
    to_raw: Affine
    starts: Floats | None

    def residuals(self, theta: Floats) -> Floats:
        """Centred residuals, shape `(n_rows,)`, at centred coordinates, shape `(n_params,)`."""
        return self.rows.log_y - self.law.log_predict(theta, self.rows.log_x)

    @property
    def points(self) -> Points:
        """Inputs to fit at: under plain squared error the distinct ones, with their rows' weight.

        Squared residuals of rows that share an input sum to a constant plus their number times
        the squared residual of their mean, so that the fit may see the means alone; with
        weights likewise. Under any other loss each row counts by itself.
        """
        rows = self.rows
        if not self.loss.is_squared:
            return Points(rows.log_x, rows.weights)
        last = np.cumsum(rows.group_sizes) - 1
        return Points(rows.log_x[last], rows.group_sums(rows.weights))

    def targets(self, values: Floats) -> Floats:
        """Values of rows as values to fit at `points`: `(..., n_rows) -> (..., n_points)`."""
        if not self.loss.is_squared:
            return values
        weights, sums = self.rows.weights, self.rows.group_sums
        return sums(values * weights) / sums(weights)


def pose(
    law: Law, rows: Observations, loss: Loss, fixed: Mapping[str, float] | None = None
) -> Problem:
    """Returns the problem of fitting a law to rows.

    Args:
        law: The law.
        rows: The observations, as `observe` makes them.
        loss: The loss, its threshold in the caller's units.
        fixed: Values of the parameters held, in the caller's units, by name.

    Raises:
        ValueError: Starts that the law cannot have.
    """
    starts = _centred_starts(law, rows) if law.starts_at else None
    to_raw = to_callers_units(law, rows)
    if fixed:
        if starts is not None:
            starts = starts[:, [name not in fixed for name in law.params]]
        law, to_raw = hold(law, to_raw, fixed)
    if loss.scale == "log":
        return Problem(law, rows, loss, None, 1.0, to_raw, starts)
    unit = float(np.exp(rows.log_y_scale))
    project = projection(law) if law.linear and loss.is_squared else None
    return Problem(
        on_linear_scale(law),
        rows._replace(log_y=np.exp(rows.log_y)),
        loss.over(unit),
        project,
        unit,
        to_raw,
        starts,
    )


def _centred_starts(law: Law, rows: Observations) -> Floats:
    """Starts of a caller in centred coordinates, each brought to the level of the rows."""
    theta = law.to_theta(np.array(law.starts_at, dtype=np.float64))
    theta = law.rescale(theta, -rows.log_x_scale, -rows.log_y_scale)
    # A start at another level than the rows would spend its steps on getting there; a factor of y
    # takes it there at once.
    with np.errstate(over="ignore", divide="ignore"):
        levels = np.mean(rows.log_y - law.log_predict(theta, rows.log_x), axis=-1)
    levels = np.where(np.isfinite(levels), levels, 0.0)
    still = np.zeros_like(rows.log_x_scale)
    return np.stack(
        [law.rescale(each, still, level) for each, level in zip(theta, levels, strict=True)]
    )
