"""A curve judged: what it shows, and what judging by seeds and by smoothness have in common.

The peak is located on the smooth curve through the points, between sizes; where the peak is
narrower than the grid, its interval reaches to the neighbouring sizes.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple, final

import numpy as np

from analysis.double_descent.drawn_shape import DrawnShape, interval
from analysis.double_descent.verdict import Verdict
from analysis.estimate import Estimate, Floats

_PER_STEP = 6
_MOST_ALONG = 240
_KEPT = 0.25
"""Share of a peak that a neighbour of its highest size keeps, where the grid resolves it."""


@final
@dataclass(frozen=True)
class Hill:
    """The peak.

    Attributes:
        location: Size of the maximum.
        height: Metric there.
        width: Ratio of the sizes between which the metric is above half the prominence.
        prominence: Height above the higher of the two minima.
        p_value: Chance of as clear a bump on a curve without one.
        resolved: Whether a neighbour of the highest size keeps a quarter of the peak.
    """

    location: Estimate
    height: Estimate
    width: Estimate
    prominence: float
    p_value: float
    resolved: bool


@final
@dataclass(frozen=True)
class LowPoint:
    """The lowest point on one side of the peak: its size and the metric there."""

    size: Estimate
    value: Estimate


@dataclass(frozen=True)
class EarlyStopping:
    """The final minimum against the best of early stopping.

    Attributes:
        best: Lowest metric over sizes, each run stopped early.
        excess: Final minimum minus it, metric units; negative where the second descent wins.
        beats: Whether the second descent beats it; None where the interval holds 0.
    """

    best: float
    excess: Estimate
    beats: bool | None


class SmoothLine(NamedTuple):
    """The smooth curve with its pointwise band: sizes, middle, low and high, shape (m,) each."""

    sizes: Floats
    middle: Floats
    low: Floats
    high: Floats


@dataclass(frozen=True, eq=False)
class Judgement:
    """What a curve shows. Without a peak candidate its fields are None.

    Attributes:
        basis: Where the intervals come from: "seeds", "smoothness" of one curve, or "none".
        n_sizes: Sizes.
        n_seeds: Fewest runs at a size.
        threshold: Interpolation threshold; None without a train metric.
        peak: Candidate peak, significant or not.
        first: Lowest point left of it.
        final: Lowest point right of it.
        second: Final minus first minimum, metric units.
        confidence_below: Confidence that the final minimum is below the first.
        confidence_above: Confidence that it is above.
        still_falls: Whether the curve still falls at the largest size.
        early: Comparison with early stopping; None where no column says so.
        verdict: The verdict.
        reason: The numbers behind it, in sentences.
        smooth: The smooth curve; None where there is no interval.
    """

    basis: Literal["seeds", "smoothness", "none"]
    n_sizes: int
    n_seeds: int
    verdict: Verdict
    reason: str
    threshold: Estimate | None = None
    peak: Hill | None = None
    first: LowPoint | None = None
    final: LowPoint | None = None
    second: Estimate | None = None
    confidence_below: float | None = None
    confidence_above: float | None = None
    still_falls: bool = False
    early: EarlyStopping | None = None
    smooth: SmoothLine | None = None


def about_peak(judged: Judgement) -> str:
    """Says where and how high a significant peak is, and how the second descent ends."""
    hill, first, final = judged.peak, judged.first, judged.final
    assert hill is not None and first is not None and final is not None
    below, above = judged.confidence_below, judged.confidence_above
    says = {
        Verdict.SECOND_DESCENT_BELOW: f"is below the first (confidence {below:.3g})",
        Verdict.SECOND_DESCENT_ABOVE: f"is above the first (confidence {above:.3g})",
    }.get(judged.verdict, f"is not shown to be below the first (confidence {below:.3g})")
    horizon = ""
    if judged.still_falls and judged.verdict is not Verdict.SECOND_DESCENT_BELOW:
        horizon = (
            " The curve still falls at its largest size: where the second descent ends is not "
            "resolved at this horizon."
        )
    return (
        f"The peak is {hill.height} at size {hill.location} (p = {hill.p_value:.2g}). The final "
        f"minimum, {final.value}, {says}, {first.value}.{horizon}"
    )


def fine_grid(log_size: Floats) -> Floats:
    """Returns a grid of log sizes that holds those given, several to a step, shape (m,)."""
    per_step = int(np.clip(_MOST_ALONG // (len(log_size) - 1), 1, _PER_STEP))
    at = np.arange(per_step * (len(log_size) - 1) + 1) / per_step
    return np.interp(at, np.arange(len(log_size)), log_size)


def hill_of(drawn: DrawnShape, sizes: Floats, metric: Floats, level: float, chance: float) -> Hill:
    """Returns the peak of draws; `metric` holds the points at the sizes, in its own units."""
    location = interval(np.exp(drawn.location), level)
    near = int(np.clip(np.argmin(np.abs(np.log(sizes / location.value))), 1, len(sizes) - 2))
    top = int(np.clip(near - 1 + np.argmax(metric[near - 1 : near + 2]), 1, len(sizes) - 2))
    base = max(float(metric[:top].min()), float(metric[top + 1 :].min()))
    kept = max(metric[top - 1], metric[top + 1]) - base
    resolved = bool(kept >= _KEPT * (metric[top] - base))
    if not resolved:
        low, high = min(location.low, sizes[top - 1]), max(location.high, sizes[top + 1])
        location = Estimate(float(sizes[top]), float(low), float(high), level)
    return Hill(
        location=location,
        height=interval(drawn.height, level),
        width=interval(np.exp(drawn.width), level),
        prominence=float(drawn.height[0] - max(drawn.first[0], drawn.final[0])),
        p_value=chance,
        resolved=resolved,
    )


def smooth_line(along: Floats, draws: Floats, is_log: bool, level: float) -> SmoothLine:
    """Returns the smooth curve, in units of the metric, with its pointwise band."""
    ends = np.quantile(draws[1:], [(1 - level) / 2, (1 + level) / 2], axis=0)
    lines = [draws[0], *ends]
    shown = [np.exp(np.clip(each, -600, 600)) if is_log else each for each in lines]
    return SmoothLine(np.exp(along), *shown)


def still_falls(drawn: DrawnShape, level: float) -> bool:
    """Returns whether the curve falls at its largest size, with the confidence of the level."""
    return bool(np.mean(drawn.end_slope[1:] < 0) >= level)


def beats(excess: Estimate) -> bool | None:
    """Returns whether the second descent beats early stopping; None where 0 is inside."""
    return True if excess.high < 0 else False if excess.low > 0 else None
