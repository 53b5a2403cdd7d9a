"""The loss of a residual: squared error or Huber's, with rows above the curve weighed differently.

A factor of rows above the curve other than 1 asks for another curve than the middle of the rows:
below 1 the curve settles towards their floor, where the runs with the best settings lie. Rows above
at a tenth are the asymmetric absolute error of kyo-takano/chinchilla (`asymmetric_mae`, there ten
times as much below) and, in Huber's form, that of OLMo's model ladder (allenai/OLMo-core); under
squared error the fit is an expectile (Newey and Powell 1987, Econometrica 55(4), 819).
"""

from dataclasses import dataclass, replace
from typing import Literal, TypeAlias, get_args

import numpy as np

from analysis.estimate import Floats

Scale: TypeAlias = Literal["log", "linear"]
"""Whether residuals are `log y - log f(x)` or `y - f(x)`."""

_MOST = 1e100  # of a threshold, whose square stays within float64
_TAIL_CURVATURE = 0.03  # of Huber's loss; 0.01 to 0.1 converge alike, 1 several times slower


@dataclass(frozen=True)
class Loss:
    """The loss of a residual; a fit minimises its weighted sum over rows.

    Residuals are positive for rows above the curve. The methods take and return any shape.

    Attributes:
        delta: Huber's threshold: the residual, in units of log y or on the linear scale of y,
            beyond which the loss grows linearly. None for squared error.
        above: Factor of the loss of rows above the curve.
        scale: "log" for residuals `log y - log f(x)`, "linear" for `y - f(x)`.

    Raises:
        ValueError: A threshold or a factor that is not positive, or another scale.
    """

    delta: float | None = None
    above: float = 1.0
    scale: Scale = "log"

    def __post_init__(self) -> None:
        if self.delta is not None and not 0 < self.delta <= _MOST:
            raise ValueError(
                f"delta = {self.delta}, but Huber's threshold is a positive residual of at most "
                f"{_MOST:g}, in units of log y or, on the linear scale, of y. Give "
                "e.g. 1e-3, or None for squared error."
            )
        if not 0 < self.above < np.inf:
            raise ValueError(
                f"above = {self.above}, but the factor of the loss of rows above the curve is "
                "positive and finite. Give e.g. 0.1 to fit the floor of the rows, or 1."
            )
        if self.scale not in get_args(Scale):
            raise ValueError(
                f"scale = {self.scale!r}, but it is one of {', '.join(get_args(Scale))}. Give one."
            )

    def __str__(self) -> str:
        kind = "squared error" if self.delta is None else f"Huber {self.delta:g}"
        return kind if self.above == 1 else f"{kind}, rows above times {self.above:g}"

    @property
    def is_squared(self) -> bool:
        """Whether the loss is plain squared error, on either scale."""
        return self.delta is None and self.above == 1

    def squared(self) -> "Loss":
        """The same loss without Huber's threshold."""
        return replace(self, delta=None)

    def over(self, unit: float) -> "Loss":
        """The loss of residuals that have been divided by `unit`."""
        return self if self.delta is None else replace(self, delta=self.delta / unit)

    def value(self, residuals: Floats) -> Floats:
        """Half the squared residual or, beyond `delta`, Huber's `delta (|r| - delta / 2)`."""
        squared = 0.5 * residuals**2
        if self.delta is not None:
            size = np.abs(residuals)
            squared = np.where(size <= self.delta, squared, self.delta * (size - 0.5 * self.delta))
        return self._by_side(squared, residuals)

    def influence(self, residuals: Floats) -> Floats:
        """Derivative of `value` over the residual: 1, or `delta / |r|` beyond `delta`."""
        return self._by_side(self._weights(residuals), residuals)

    def curvature(self, residuals: Floats) -> Floats:
        """Second derivative of `value`; beyond `delta`, where it is 0, a little of `influence`.

        The little keeps normal equations solvable where all residuals are beyond `delta`.
        """
        weights = self._weights(residuals)
        inner = np.where(weights < 1.0, _TAIL_CURVATURE * weights, 1.0)
        return self._by_side(inner, residuals)

    def _weights(self, residuals: Floats) -> Floats:
        if self.delta is None:
            return np.ones_like(residuals)
        return self.delta / np.maximum(np.abs(residuals), self.delta)

    def _by_side(self, values: Floats, residuals: Floats) -> Floats:
        return values if self.above == 1 else values * np.where(residuals > 0, self.above, 1.0)
