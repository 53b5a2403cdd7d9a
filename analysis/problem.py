"""What a fit minimises over: law and rows on the scale of the residuals."""

from collections.abc import Mapping
from typing import Literal, NamedTuple, TypeAlias, get_args

import numpy as np

from analysis.batched_least_squares import Points, Project
from analysis.coordinates import Affine, hold, to_callers_units
from analysis.laws.law import Floats, Law
from analysis.laws.scales import on_linear_scale
from analysis.observations import Observations
from analysis.variable_projection import projection

Scale: TypeAlias = Literal["log", "linear"]
"""Whether residuals are `log y - log f(x)` or `y - f(x)`."""


class Problem(NamedTuple):
    """Law and rows as the engine takes them, centred.

    Attributes:
        law: The law, or a view of it: on the linear scale, with the parameters that are not held.
        rows: The rows, on the same scale.
        delta: Huber's threshold in centred units; None for squared error.
        above: Factor of the loss of rows above the curve.
        project: For variable projection; None where it does not apply.
        unit: Residuals of the caller are so many times the centred ones.
        to_raw: From coordinates of `law` to all of the whole law's, in the caller's units.
    """

    law: Law
    rows: Observations
    delta: float | None
    above: float
    project: Project | None
    unit: float
    to_raw: Affine

    def residuals(self, theta: Floats) -> Floats:
        """Centred residuals, shape `(n_rows,)`, at centred coordinates, shape `(n_params,)`."""
        return self.rows.log_y - self.law.log_predict(theta, self.rows.log_x)

    @property
    def points(self) -> Points:
        """Where to fit (`Observations.points`)."""
        return self.rows.points(self.delta, self.above)

    def targets(self, rows: Floats) -> Floats:
        """Values of rows as values to fit at `points`: `(..., n_rows) -> (..., n_points)`."""
        return self.rows.targets(rows, self.delta, self.above)


def pose(
    law: Law,
    rows: Observations,
    scale: Scale,
    delta: float | None,
    above: float = 1.0,
    fixed: Mapping[str, float] | None = None,
) -> Problem:
    """The problem of fitting a law to rows.

    Args:
        law: The law.
        rows: The observations, as `observe` makes them.
        scale: Of the residuals.
        delta: Huber's threshold in the caller's units of the residuals; None for squared error.
        above: Factor of the loss of rows above the curve.
        fixed: Parameters held, at values in the caller's units.

    Returns:
        The problem.

    Raises:
        ValueError: A threshold or a factor that is not positive, another scale.
    """
    if delta is not None and not 0 < delta < np.inf:
        raise ValueError(
            f"delta = {delta}, but Huber's threshold is a positive residual in units of log y "
            "or, on the linear scale, of y: give e.g. 1e-3, or None for squared error."
        )
    if not 0 < above < np.inf:
        raise ValueError(
            f"above = {above}, but what the loss of rows above the curve is multiplied by is "
            "positive and finite: give e.g. 0.1 to fit the floor of the rows, or 1."
        )
    to_raw = to_callers_units(law, rows)
    if fixed:
        law, to_raw = hold(law, to_raw, fixed)
    if scale == "log":
        return Problem(law, rows, delta, above, None, 1.0, to_raw)
    if scale != "linear":
        raise ValueError(f"scale = {scale!r}, but it is one of {', '.join(get_args(Scale))}.")
    unit = float(np.exp(rows.log_y_scale))
    return Problem(
        on_linear_scale(law),
        rows.on_linear_scale(),
        None if delta is None else delta / unit,
        above,
        projection(law) if law.linear and delta is None and above == 1 else None,
        unit,
        to_raw,
    )
