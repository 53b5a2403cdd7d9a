"""What a fit minimises over: law and rows on the scale of the residuals."""

from typing import Literal, NamedTuple, TypeAlias, get_args

import numpy as np

from analysis.batched_least_squares import Project
from analysis.laws.law import Floats, Law
from analysis.laws.scales import on_linear_scale
from analysis.observations import Observations
from analysis.variable_projection import projection

Scale: TypeAlias = Literal["log", "linear"]
"""Whether residuals are `log y - log f(x)` or `y - f(x)`."""


class Problem(NamedTuple):
    """Law and rows as the engine takes them, centred.

    Attributes:
        law: The law, or its view on the linear scale.
        rows: The rows, on the same scale.
        delta: Huber's threshold in centred units; None for squared error.
        project: For variable projection; None where it does not apply.
        unit: Residuals of the caller are so many times the centred ones.
    """

    law: Law
    rows: Observations
    delta: float | None
    project: Project | None
    unit: float

    def residuals(self, theta: Floats) -> Floats:
        """Centred residuals, shape `(n_rows,)`, at centred coordinates, shape `(n_params,)`."""
        return self.rows.log_y - self.law.log_predict(theta, self.rows.log_x)


def pose(law: Law, rows: Observations, scale: Scale, delta: float | None) -> Problem:
    """The problem of fitting a law to rows.

    Args:
        law: The law.
        rows: The observations, as `observe` makes them.
        scale: Of the residuals.
        delta: Huber's threshold in the caller's units of the residuals; None for squared error.

    Returns:
        The problem.

    Raises:
        ValueError: A threshold that is not positive, another scale.
    """
    if delta is not None and not 0 < delta < np.inf:
        raise ValueError(
            f"delta = {delta}, but Huber's threshold is a positive residual in units of log y "
            "or, on the linear scale, of y: give e.g. 1e-3, or None for squared error."
        )
    if scale == "log":
        return Problem(law, rows, delta, None, 1.0)
    if scale != "linear":
        raise ValueError(f"scale = {scale!r}, but it is one of {', '.join(get_args(Scale))}.")
    unit = float(np.exp(rows.log_y_scale))
    return Problem(
        on_linear_scale(law),
        rows.on_linear_scale(),
        None if delta is None else delta / unit,
        projection(law) if law.linear and delta is None else None,
        unit,
    )
