"""A number with its interval, and the one alias for arrays of numbers."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
"""A float64 NumPy array."""


@dataclass(frozen=True)
class Estimate:
    """A number with its interval.

    Attributes:
        value: Point estimate; NaN where `censored`.
        low: Lower end of the interval; 0 where the grid of sizes sets no lower end.
        high: Upper end; infinite where the grid sets no upper end.
        level: Nominal coverage of [low, high].
        censored: "above" or "below" where the quantity lies beyond that end of the grid.
    """

    value: float
    low: float
    high: float
    level: float
    censored: Literal["above", "below"] | None = None

    def __str__(self) -> str:
        if self.censored == "above":
            return f"> {self.low:.4g}"
        if self.censored == "below":
            return f"<= {self.high:.4g}"
        return f"{self.value:.4g} [{self.low:.4g}, {self.high:.4g}]"
