"""A number with its interval, the bootstrap that made it, and the one alias for float arrays."""

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
"""A float64 NumPy array."""

Redrawn = Literal[
    "clusters", "within_x", "residuals", "wild", "parametric", "rows", "sandwich", "curve"
]
"""What a fit redraws for its replicates; `analysis.fitting.bootstrap.resampling` defines each."""

FEW_REPLICATES = 200
"""Replicates where intervals are not looked at: as few as a level of 95 % allows."""


@dataclass(frozen=True, kw_only=True)
class Bootstrap:
    """How the intervals of an analysis are made.

    Attributes:
        n: Replicates.
        seed: Seed of the draws: the same rows and seed give the same intervals.
        level: Nominal coverage of the intervals.
        kind: What a fit redraws; None for the best that the rows allow. Analyses that know one
            way of drawing refuse any other.
    """

    n: int = 1000
    seed: int = 0
    level: float = 0.95
    kind: Redrawn | None = None

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise ValueError(
                f"seed = {self.seed}, but a seed is an integer of at least 0. Give e.g. 0."
            )

    def require_kind(self, known: Redrawn | None, redrawn: str) -> None:
        """Refuses any kind but the one that an analysis knows.

        Args:
            known: That kind; None where it has no name.
            redrawn: What the analysis redraws, in words.

        Raises:
            ValueError: `kind` is another.
        """
        if self.kind not in (None, known):
            remedy = f"give {known!r}, or leave it out" if known else "leave it out"
            raise ValueError(
                f"bootstrap.kind = {self.kind!r}, but this analysis redraws {redrawn}: {remedy}."
            )


def shown(value: float, form: str = ".4g") -> str:
    """Returns a number as text; "--" where it is not finite."""
    return format(value, form) if math.isfinite(value) else "--"


def interval_text(low: float, high: float, form: str = ".4g") -> str:
    """Returns an interval as text: an infinite end is "no limit", one that is NaN "--"."""
    ends = ("no limit" if math.isinf(end) else shown(end, form) for end in (low, high))
    return f"[{', '.join(ends)}]"


def factor_text(factor: float) -> str:
    """Returns a factor in three digits; one beyond the range of float64 as "more than 1e308"."""
    return f"{factor:.3g}" if math.isfinite(factor) else "more than 1e308"


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
        return f"{shown(self.value)} {interval_text(self.low, self.high)}"
