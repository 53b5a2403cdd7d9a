"""A published number, and whether a refit agrees with it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from experiments.experiment import Measured

if TYPE_CHECKING:
    from analysis.fitting.result import FitResult


@dataclass(frozen=True, kw_only=True)
class Published:
    """A number that a paper, or its code, gives.

    A refit agrees if it lies within `tolerance` of the value; without one, if it lies in
    [low, high], of which an end that is None is open. Where `covered`, it agrees if the refit's own
    interval holds the value.
    """

    name: str
    says: str
    source: str
    value: float
    tolerance: float | None = None
    low: float | None = None
    high: float | None = None
    covered: bool = False


def accepted(published: Published) -> tuple[float | None, float | None]:
    """Least and largest refit that agrees; None for an open end."""
    if published.tolerance is None:
        return published.low, published.high
    return published.value - published.tolerance, published.value + published.tolerance


def agrees(published: Published, refitted: Measured) -> bool:
    """Whether a refit agrees with what was published."""
    if refitted.value is None or not math.isfinite(refitted.value):
        return False
    if published.covered:
        low, high, held = refitted.low, refitted.high, published.value
        return low is not None and high is not None and low <= held <= high
    low, high = accepted(published)
    return (low is None or refitted.value >= low) and (high is None or refitted.value <= high)


def without_replicates(result: FitResult) -> dict[str, Any]:
    """A fit as plain JSON values, but for its arrays over replicates and rows."""
    values = result.to_dict()
    return {name: values[name] for name in values if name not in ("replicates", "residuals")}
