"""The interface of every scaling law."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from analysis.estimate import Floats

ArrayLike: TypeAlias = Any
"""An array of NumPy, JAX or any other library that follows the Python array API standard."""


def from_columns(columns: Sequence[ArrayLike]) -> ArrayLike:
    """Returns the Jacobian `(..., n_points, n_params)` whose columns have shape `(..., n_points)`.

    Points are neighbours in memory, as a fit wants them, which sums over points.
    """
    xp = columns[0].__array_namespace__()
    return xp.moveaxis(xp.stack(columns, axis=-2), -2, -1)


def nothing_settled(x: Floats, y: Floats) -> dict[str, float]:
    """Returns no values: every parameter is left to the fit."""
    return {}


def nothing_derived(params: Floats) -> dict[str, Floats]:
    """Returns no numbers: the law derives none from its parameters."""
    return {}


class Law(NamedTuple):
    """A positive function of positive inputs, as a fit needs to see it.

    A fit works on coordinates `theta`, shape `(..., n_params)`: the parameters in the order of
    `params`, those named in `logs` replaced by their natural logarithm. Leading axes are a batch
    (starts, bootstrap replicates). `log_x` has shape `(n_points, n_inputs)`.

    `log_predict` and `jacobian` take their array library from `theta.__array_namespace__()`, so
    that the same law runs on NumPy here and under `jax.vmap` elsewhere.

    Attributes:
        name: Name of the law, a Python identifier.
        formula: The equation, in plain text.
        inputs: Names of the input variables, one for each column of `log_x`.
        params: Names of the parameters, in the order of `theta`.
        logs: Names of the parameters that are positive and fitted as natural logarithms.
        lower: Lower bounds of `theta`. A change of units must leave bounds as they are, so they
            are 0, infinite, or belong to a parameter without units.
        upper: Upper bounds of `theta`; the same rule.
        log_predict: `(theta, log_x) -> log y`, shape `(..., n_points)`.
        jacobian: `(theta, log_x) -> d log y / d theta`, shape `(..., n_points, n_params)`.
        starts: `(log_x, log_y) -> theta`, shape `(n_starts, n_params)`: where to begin, for data
            that are centred (the means of `log_x` and `log_y` are 0).
        rescale: `(theta, log_x_scale, log_y_scale) -> theta`: the coordinates of the same curve
            once every input is multiplied by `exp(log_x_scale)`, shape `(n_inputs,)`, and y by
            `exp(log_y_scale)`. Affine in `theta`.
        linear: Names of the parameters in which y (not log y) is linear, all others fixed. With
            one of them set to 1 and the rest to 0, y is the curve that it multiplies.
        unscaled: Names of the inputs that have no units, and whose absolute value counts; a fit
            does not centre their logarithms, and `rescale` may take their scale to be 0.
        derived: `params -> name -> values`: numbers that follow from the parameters, such as the
            exponents of compute-optimal growth; from shape `(..., n_params)` to `(...)`.
        output: Name of y, and so of the column that holds it: "loss", or a metric such as
            "accuracy" for the laws that take a loss (`analysis.laws.task_metric`).
        starts_at: Parameters, in the units of x and y, that fits start from in place of `starts`;
            empty where nobody gave any (`starting_at`).
        settle: `(x, y) -> name -> value`: parameters that rows settle before the fit, which holds
            them (`analysis.fitting.highest_floor`); from shapes `(n_rows, n_inputs)`, `(n_rows,)`.
    """

    name: str
    formula: str
    inputs: tuple[str, ...]
    params: tuple[str, ...]
    logs: frozenset[str]
    lower: tuple[float, ...]
    upper: tuple[float, ...]
    log_predict: Callable[[ArrayLike, ArrayLike], ArrayLike]
    jacobian: Callable[[ArrayLike, ArrayLike], ArrayLike]
    starts: Callable[[Floats, Floats], Floats]
    rescale: Callable[[Floats, Floats, float], Floats]
    linear: tuple[str, ...] = ()
    unscaled: tuple[str, ...] = ()
    derived: Callable[[Floats], dict[str, Floats]] = nothing_derived
    output: str = "loss"
    starts_at: tuple[tuple[float, ...], ...] = ()
    settle: Callable[[Floats, Floats], dict[str, float]] = nothing_settled

    def starting_at(self, params: ArrayLike) -> "Law":
        """This law with other starts for its fits.

        A factor of y brings each start to the level of the rows first. Under squared error of logs
        the parameters of `linear` take their best values for the others: starts that differ in
        these alone are one. Where a fit holds a parameter, its value replaces that of the start.

        Args:
            params: Parameters to start from, in the order of `params` and the units of x and y,
                shape `(n_starts, n_params)`.

        Raises:
            ValueError: Another shape, or a value that no start can have.
        """
        starts = np.asarray(params, dtype=np.float64)
        if starts.ndim != 2 or starts.shape[1] != len(self.params) or not len(starts):
            raise ValueError(
                f"starts has shape {starts.shape}, but {self.name} has {len(self.params)} "
                f"parameters. Give one row for each start, with {', '.join(self.params)}."
            )
        wrong = ~np.isfinite(starts) | ((starts <= 0) & self.is_log)
        if np.any(wrong):
            row, column = np.argwhere(wrong)[0]
            raise ValueError(
                f"starts[{row}] has {self.params[column]} = {starts[row, column]}, but a start is "
                f"finite, and {', '.join(sorted(self.logs))} > 0. Leave the start out."
            )
        return self._replace(starts_at=tuple(map(tuple, starts.tolist())))

    def to_params(self, theta: Floats) -> Floats:
        """Parameters, shape `(..., n_params)`, of the coordinates `theta` of the same shape."""
        return np.where(self.is_log, np.exp(np.where(self.is_log, theta, 0.0)), theta)

    def to_theta(self, params: Floats) -> Floats:
        """Coordinates, shape `(..., n_params)`, of the parameters `params` of the same shape."""
        return np.where(self.is_log, np.log(np.where(self.is_log, params, 1.0)), params)

    @property
    def is_log(self) -> NDArray[np.bool_]:
        """Which coordinates are logarithms, shape `(n_params,)`."""
        return np.array([name in self.logs for name in self.params])

    @property
    def is_linear(self) -> NDArray[np.bool_]:
        """Which coordinates belong to parameters in which y is linear, shape `(n_params,)`."""
        return np.array([name in self.linear for name in self.params])
