"""What a fit minimises over: law and rows on the scale of the residuals."""

from collections.abc import Mapping
from typing import Literal, NamedTuple, TypeAlias, get_args

import numpy as np
from numpy.typing import ArrayLike

from analysis.estimate import Floats
from analysis.fitting.engine.coordinates import Affine, hold, to_callers_units
from analysis.fitting.engine.least_squares import Points, Project, projection
from analysis.fitting.engine.observations import Observations
from analysis.laws.law import Law
from analysis.laws.scales import on_linear_scale

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


def centred_starts(law: Law, rows: Observations, starts: ArrayLike) -> Floats:
    """Starts of a caller in centred coordinates, each at the level of the rows.

    Args:
        law: The law.
        rows: The observations.
        starts: Parameters in the units of x and y given, shape `(n_starts, n_params)`.

    Returns:
        Coordinates, the same shape.

    Raises:
        ValueError: Another shape, or a value that no start can have.
    """
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
