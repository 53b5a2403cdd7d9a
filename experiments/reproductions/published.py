"""A published result: its data, its numbers, and whether a refit agrees with them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from experiments.experiment import Findings, Measured
from experiments.reproductions.data import Dataset

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from analysis.fitting.result import FitResult


@dataclass(frozen=True, kw_only=True)
class Published:
    """A number that a paper, or its code, gives.

    A refit agrees if it lies within `tolerance` of the value; without a tolerance, if it lies in
    [low, high], where an end that is None is open. Where `covered`, it agrees if its own interval
    holds the value.
    """

    name: str
    says: str
    source: str
    value: float
    tolerance: float | None = None
    low: float | None = None
    high: float | None = None
    covered: bool = False


@dataclass(frozen=True, kw_only=True)
class Reproduction:
    """What the file of a paper declares.

    Attributes:
        name: The name of the file, with hyphens.
        card: Its docstring.
        data: The data of the paper.
        published: Its numbers.
        refit: Finds them anew in the table of the data.
        figure: Draws the findings.
    """

    name: str
    card: str
    data: Dataset
    published: Sequence[Published]
    refit: Callable[[pd.DataFrame], Findings[Any]]
    figure: Callable[[Findings[Any]], Figure]


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
    """Returns a fit as plain JSON values, without its arrays over replicates and rows."""
    values = result.to_dict()
    return {name: values[name] for name in values if name not in ("replicates", "residuals")}
