"""Starts that a caller gives, brought to where a fit can use them."""

import numpy as np
from numpy.typing import ArrayLike

from analysis.laws.law import Floats, Law
from analysis.observations import Observations


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
