"""A published result: its data, its numbers, and whether a refit agrees with them."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from analysis.estimate import Floats
from analysis.fitting.result import FitResult
from analysis.laws.law import Law
from analysis.plots import style
from experiments.experiment import Findings, Measured
from experiments.reproductions.data import Dataset

Judgement = Literal["pass", "finding", "fail"]


@dataclass(frozen=True, kw_only=True)
class Published:
    """A number that a paper, or its code, gives.

    A refit agrees if it lies within `tolerance` of the value; without a tolerance, if it lies in
    [low, high], where an end that is None is open. Where `covered`, it agrees if its own interval,
    widened by the tolerance, holds the value.

    A number with a `finding` does not follow from what the paper says it follows from; the finding
    says why.
    """

    name: str
    says: str
    source: str
    value: float
    tolerance: float | None = None
    low: float | None = None
    high: float | None = None
    covered: bool = False
    finding: str = ""


@dataclass(frozen=True, kw_only=True)
class Reproduction:
    """What the file of a paper declares.

    Attributes:
        name: The name of the file, with hyphens.
        card: Its docstring.
        data: The data of the paper; where none is to be had, the printed numbers from which
            others follow, in words.
        published: Its numbers.
        refit: Finds them anew in the table of the data, or from the printed numbers alone.
        figure: Draws the findings.
    """

    name: str
    card: str
    data: Dataset | str
    published: Sequence[Published]
    refit: Callable[..., Findings[Any]]
    figure: Callable[[Findings[Any]], Figure]


def near(name: str, says: str, value: float, tolerance: float, source: str) -> Published:
    """A number with which a refit agrees within a tolerance."""
    return Published(name=name, says=says, value=value, tolerance=tolerance, source=source)


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
        room = published.tolerance or 0.0
        return low is not None and high is not None and low - room <= held <= high + room
    low, high = accepted(published)
    return (low is None or refitted.value >= low) and (high is None or refitted.value <= high)


def judged(published: Published, refitted: Measured) -> Judgement:
    """Whether a number comes out as it should: a finding has to differ, any other to agree."""
    if refitted.value is None or not math.isfinite(refitted.value):
        return "fail"
    agreed = agrees(published, refitted)
    if published.finding:
        return "fail" if agreed else "finding"
    return "pass" if agreed else "fail"


def judgements(
    published: Sequence[Published], measured: Mapping[str, Measured]
) -> tuple[Judgement, ...]:
    """How each published number comes out, in their order."""
    return tuple(judged(each, measured[each.name]) for each in published)


def in_order(law: Law, params: Mapping[str, float]) -> Floats:
    """Values of parameters in the order of the law."""
    return np.array([params[name] for name in law.params])


def log_predict(law: Law, params: Mapping[str, float], x: Floats) -> Floats:
    """Returns the logarithm of a law at inputs `x`, shape `(n, n_inputs)`."""
    return law.log_predict(law.to_theta(in_order(law, params)), np.log(x))


def draw_points(ax: Axes, x: ArrayLike, y: ArrayLike, look: style.Series, label: str = "") -> None:
    """Draws many small points, through which others show."""
    ax.plot(
        np.asarray(x), np.asarray(y), color=look.color, marker=look.marker, markersize=2.5,
        markeredgewidth=0, alpha=0.7, linestyle="none", label=label,
    )  # fmt: skip


def without_replicates(result: FitResult) -> dict[str, Any]:
    """Returns a fit as plain JSON values, without its arrays over replicates and rows."""
    values = result.to_dict()
    return {name: values[name] for name in values if name not in ("replicates", "residuals")}
