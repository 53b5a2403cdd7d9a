"""Anybody's curve judged: threshold, peak with its width, minima, second descent, early stopping.

With seeds, the test of a bump, heights and confidences are those of `verdict`. With one curve they
come from its smoothness (`smooth_curve`, `lone_point`). Either way the peak is located on the
smooth curve through the points, between sizes; where the peak is narrower than the grid, its
interval reaches to the neighbouring sizes.
"""

from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np

from analysis.double_descent.critical_size import (
    RESAMPLES,
    MetricCurves,
    SeedSample,
    p_value,
    sample_seeds,
)
from analysis.double_descent.curve_shape import falling_crossing, falling_fit
from analysis.double_descent.drawn_shape import DrawnShape, drawn_shape, interval
from analysis.double_descent.lone_point import likeliest, simulated, standing
from analysis.double_descent.rows import Curve
from analysis.double_descent.seeds import Statistic, centre, resampled_centre, stretch
from analysis.double_descent.smooth_curve import one_curve_noise, seeds_noise, smoother
from analysis.double_descent.verdict import NEGLIGIBLE_RISE, Verdict, shape_of
from analysis.estimate import Bootstrap, Estimate, Floats

MIN_POINTS = 8
"""Fewest sizes of one curve: fewer leave too little scatter to judge by."""
_FLAT = 1e-6
"""Change over the largest value, up to which a curve is flat."""
_PER_STEP = 6
_MOST_ALONG = 240
_MEDIAN = float(np.sqrt(np.pi / 2))
"""Standard error of a median over that of a mean, of normal noise."""
_KEPT = 0.25
"""Share of a peak that a neighbour of its highest size keeps, where the grid resolves it."""


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


def judge(
    curve: Curve,
    *,
    tolerance: float | None = None,
    statistic: Statistic = "median",
    bootstrap: Bootstrap = RESAMPLES,
) -> Judgement:
    """Judges a curve by its seeds, or by its smoothness where it has none.

    Args:
        curve: The runs, from `analysis.double_descent.rows`.
        tolerance: Train metric that counts as interpolation; needed where the curve has one.
        statistic: Centre over seeds.
        bootstrap: Number of resamples or draws, their seed, and the level of intervals.

    Raises:
        ValueError: A train metric without tolerance, or as `analysis.double_descent.verdict`.
    """
    if curve.train is not None and tolerance is None:
        raise ValueError("tolerance = None, but a train metric needs one: give e.g. 0.01")
    n_sizes, fewest = len(np.unique(curve.size)), curve.fewest_seeds
    if curve.n_seeds == 1:
        if n_sizes >= MIN_POINTS:
            return _by_smoothness(curve, tolerance, bootstrap)
        needs = f"One curve of {n_sizes} sizes is too short for an interval: give {MIN_POINTS}"
    elif fewest >= 2 and n_sizes >= 4:
        return _by_seeds(curve, tolerance, statistic, bootstrap)
    elif fewest < 2:
        lone = curve.size_of_fewest
        needs = f"Size {lone:.4g} has a single seed; an interval needs 2 at every size, a verdict 3"
    else:
        needs = f"{n_sizes} sizes are too few: a verdict needs 5"
    reason = f"{needs}. The curve is drawn without intervals. Add runs, or take sizes out."
    return Judgement("none", n_sizes, fewest, Verdict.NOT_RESOLVED, reason)


def _by_seeds(
    curve: Curve, tolerance: float | None, statistic: Statistic, bootstrap: Bootstrap
) -> Judgement:
    columns = {"test": curve.test, "train_error": curve.train, "best": curve.best}
    given = {name: each for name, each in columns.items() if each is not None}
    sample = sample_seeds(curve.size, curve.seed, bootstrap, **given)
    curves = sample.curves(statistic)
    bumps = sample.bumps(curves)
    shape = shape_of(sample, curves, bumps, bootstrap.seed)
    threshold = None
    if tolerance is not None and curve.train is not None:
        threshold = sample.located(sample.crossings(tolerance))
    along = fine_grid(sample.log_size)
    noise = seeds_noise(
        _errors(sample, curves), curves.of_runs.correlation, float(np.sum(sample.runs.counts - 1))
    )
    smooth = smoother(sample.log_size, noise, along)
    draws = smooth.draws(curves.full, bootstrap.n, bootstrap.seed)
    drawn = drawn_shape(along, draws, curves.is_log)
    judged = Judgement(
        basis="seeds",
        n_sizes=len(sample.runs.sizes),
        n_seeds=int(sample.runs.counts.min()),
        verdict=shape.verdict,
        reason=shape.reason,
        threshold=threshold,
        smooth=_line(along, draws, curves.is_log, bootstrap.level),
    )
    found, low, high = shape.peak, shape.first_minimum, shape.final_minimum
    if found is None or low is None or high is None:
        return judged
    metric = _metric(curves)
    hill = _hill(drawn, sample.runs.sizes, metric[0], bootstrap.level, found.p_value)
    sizes = _exponential(drawn.first_at), _exponential(drawn.final_at)
    first, final = (
        LowPoint(interval(at, bootstrap.level, value=each.size), each.value)
        for at, each in zip(sizes, (low, high), strict=True)
    )
    ends = tuple(int(np.searchsorted(sample.runs.sizes, each.size)) for each in (low, high))
    judged = replace(
        judged,
        peak=replace(hill, height=found.height, prominence=found.prominence),
        first=first,
        final=final,
        second=_difference(sample, metric, ends),
        confidence_below=shape.confidence_below,
        confidence_above=shape.confidence_above,
        still_falls=_still_falls(drawn, bootstrap.level),
    )
    early = None if curve.best is None else _early(sample, curves, ends[1])
    reason = _about_peak(judged) if shape.verdict.has_peak else shape.reason
    return replace(judged, early=early, reason=reason)


def _by_smoothness(curve: Curve, tolerance: float | None, bootstrap: Bootstrap) -> Judgement:
    order = np.argsort(curve.size)
    log_size, test = np.log(curve.size[order]), curve.test[order]
    is_log = bool(np.all(test > 0))
    points = np.log(test) if is_log else test
    along = fine_grid(log_size)
    smooth = smoother(log_size, one_curve_noise(log_size, curve.weight[order]), along)
    draws = smooth.draws(points, bootstrap.n, bootstrap.seed)
    drawn = drawn_shape(along, draws, is_log)
    best = likeliest(smooth, points)
    stands = standing(smooth, points[np.newaxis])
    n_simulated = max(bootstrap.n // 2 - 1, 199)
    p_bump = p_rise = 1.0
    varies = np.ptp(points) > _FLAT * np.abs(points).max()
    if varies and stands.bump[0] > 0:
        null = standing(smooth, simulated(best, n_simulated, bootstrap.seed, bump=True))
        p_bump = p_value(null.bump, stands.bump[0])
    if varies and stands.rise[0] > 0 and p_bump > 1 - bootstrap.level:
        null = standing(smooth, simulated(best, n_simulated, bootstrap.seed, bump=False))
        p_rise = p_value(null.rise, stands.rise[0])
    threshold = None
    if curve.train is not None and tolerance is not None:
        threshold = _one_crossing(log_size, curve.train[order], tolerance, bootstrap.level)
    judged = Judgement(
        basis="smoothness",
        n_sizes=len(log_size),
        n_seeds=1,
        verdict=Verdict.NOT_RESOLVED,
        reason="",
        threshold=threshold,
        smooth=_line(along, draws, is_log, bootstrap.level),
    )
    if not np.isnan(drawn.location[0]):
        hill = _hill(drawn, np.exp(log_size), test, bootstrap.level, p_bump)
        judged = _with_peak(judged, drawn, hill, bootstrap.level)
        if curve.best is not None:
            spread = float(np.sqrt(np.mean(np.diag(best.covariance))))
            early = _early_of_one(judged, curve.best, spread, is_log, bootstrap.level)
            judged = replace(judged, early=early)
    verdict, reason = _verdict_of_one(judged, draws, p_rise, bootstrap.level)
    return replace(judged, verdict=verdict, reason=reason)


def _errors(sample: SeedSample, curves: MetricCurves) -> Floats:
    """Standard errors of the centres, their variance averaged with those of the neighbours.

    `seed_noise` takes the larger of the two, which a test may; an interval would be too wide.
    """
    values = sample.runs.values["test"]
    values = tuple(np.log(each) for each in values) if curves.is_log else values
    raw = np.array([each.var(ddof=1) for each in values])
    padded = np.pad(raw, 1, mode="edge")
    smooth = (padded[:-2] + 2 * padded[1:-1] + padded[2:]) / 4
    floor = (1e-9 * max(float(np.abs(curves.full).max()), 1e-300)) ** 2
    errors = np.sqrt(np.maximum(smooth, floor) / sample.runs.counts)
    return errors * (_MEDIAN if curves.statistic == "median" else 1.0)


def _with_peak(judged: Judgement, drawn: DrawnShape, hill: Hill, level: float) -> Judgement:
    """Adds peak, minima and their difference, all from the draws."""
    change = drawn.final - drawn.first
    known = change[1:][np.isfinite(change[1:])]
    return replace(
        judged,
        peak=hill,
        first=LowPoint(interval(_exponential(drawn.first_at), level), interval(drawn.first, level)),
        final=LowPoint(interval(_exponential(drawn.final_at), level), interval(drawn.final, level)),
        second=interval(change, level),
        confidence_below=float(np.mean(known < 0)),
        confidence_above=float(np.mean(known > 0)),
        still_falls=_still_falls(drawn, level),
    )


def _verdict_of_one(
    judged: Judgement, draws: Floats, p_rise: float, level: float
) -> tuple[Verdict, str]:
    """Returns the verdict on one curve, by the rules of `verdict.descent`, and its reason."""
    hill, below, above = judged.peak, judged.confidence_below or 0.0, judged.confidence_above or 0.0
    if hill is not None:
        if hill.p_value <= 1 - level:
            verdict = Verdict.PEAK
            if below >= level:
                verdict = Verdict.SECOND_DESCENT_BELOW
            elif above >= level:
                verdict = Verdict.SECOND_DESCENT_ABOVE
            return verdict, _about_peak(replace(judged, verdict=verdict))
        bump = (
            f"The maximum at size {hill.location.value:.4g} is within the scatter of the points, "
            f"or rests on one of them alone (p = {hill.p_value:.2g})."
        )
    else:
        bump = "The smooth curve has no interior maximum."
    if p_rise <= 1 - level:
        return Verdict.NOT_AT_THIS_HORIZON, (
            f"{bump} But the curve rises (p = {p_rise:.2g}) and is not shown to fall again: a peak "
            "lies near the largest size or beyond. Add larger sizes."
        )
    rises = np.max(draws[1:] - np.minimum.accumulate(draws[1:], axis=1), axis=1)
    fall = float(draws[0, 0] - draws[0, -1])
    if fall <= _FLAT * float(np.abs(draws[0]).max()):
        return Verdict.NOT_RESOLVED, (
            f"{bump} The curve does not fall from its smallest size to its largest. Add sizes."
        )
    visible = float(np.quantile(rises, level)) / fall
    if visible > NEGLIGIBLE_RISE:
        return Verdict.NOT_RESOLVED, (
            f"{bump} The scatter of the points could hide a rise of {visible:.2g} of the total "
            f"fall, more than {NEGLIGIBLE_RISE:g}. Add seeds or sizes."
        )
    return Verdict.MONOTONE, (
        f"{bump} The points exclude a rise of more than {visible:.2g} of the total fall."
    )


def _about_peak(judged: Judgement) -> str:
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


def _hill(drawn: DrawnShape, sizes: Floats, metric: Floats, level: float, chance: float) -> Hill:
    """Returns the peak of draws; `metric` holds the points at the sizes, in its own units."""
    location = interval(_exponential(drawn.location), level)
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
        width=interval(_exponential(drawn.width), level),
        prominence=float(drawn.height[0] - max(drawn.first[0], drawn.final[0])),
        p_value=chance,
        resolved=resolved,
    )


def _line(along: Floats, draws: Floats, is_log: bool, level: float) -> SmoothLine:
    ends = np.quantile(draws[1:], [(1 - level) / 2, (1 + level) / 2], axis=0)
    lines = [draws[0], *ends]
    shown = [np.exp(np.clip(each, -600, 600)) if is_log else each for each in lines]
    return SmoothLine(np.exp(along), *shown)


def _still_falls(drawn: DrawnShape, level: float) -> bool:
    return bool(np.mean(drawn.end_slope[1:] < 0) >= level)


def _one_crossing(log_size: Floats, train: Floats, tolerance: float, level: float) -> Estimate:
    """Returns the threshold of one curve: the crossing of its non-increasing fit.

    Its interval is the grid step of the crossing and, where the train metric is noisy, every size
    at which the fit lies within its scatter of the tolerance.
    """
    weights = np.ones(len(train))
    fit = falling_fit(train[np.newaxis], weights)[0]
    scatter = 2 * float(np.sqrt(np.mean((train - fit) ** 2)))
    targets = np.array([tolerance, tolerance + scatter, max(tolerance - scatter, 0.0)])
    crossings = [falling_crossing(log_size, train[np.newaxis], weights, each) for each in targets]
    value = float(np.exp(crossings[0].value[0]))
    low = float(np.exp(min(crossings[0].low[0], crossings[1].low[0])))
    high = float(np.exp(max(crossings[0].high[0], crossings[2].high[0])))
    if np.isnan(value):
        reached = np.isfinite(crossings[0].high[0])
        return Estimate(value, low, high, level, "below" if reached else "above")
    return Estimate(value, low, high, level)


def _metric(curves: MetricCurves) -> tuple[Floats, Floats]:
    """Centres and resampled centres in the metric's own units."""
    resampled = curves.full + curves.noise
    if curves.is_log:
        with np.errstate(over="ignore"):
            return np.exp(curves.full), np.exp(resampled)
    return curves.full, resampled


def _difference(
    sample: SeedSample, metric: tuple[Floats, Floats], ends: tuple[int, ...]
) -> Estimate:
    """Returns the metric at the second size less that at the first, paired over seeds."""
    full, resampled = metric
    first, final = ends
    return _stretched(sample, full[final] - full[first], resampled[:, final] - resampled[:, first])


def _stretched(sample: SeedSample, value: float, resampled: Floats) -> Estimate:
    wide = stretch(int(sample.runs.counts.min()), sample.level, n_sizes=2)
    low, high = np.quantile(resampled - value, [(1 - sample.level) / 2, (1 + sample.level) / 2])
    ends = value + wide * min(float(low), 0.0), value + wide * max(float(high), 0.0)
    return Estimate(float(value), *ends, sample.level)


def _early(sample: SeedSample, curves: MetricCurves, final: int) -> EarlyStopping:
    """Returns the final minimum against the best of early stopping, paired over seeds."""
    values = sample.runs.values["best"]
    best = centre(values, curves.statistic)
    at = int(np.argmin(best))
    resampled = resampled_centre(values, sample.draws, curves.statistic)[:, at]
    full, of_final = _metric(curves)
    excess = _stretched(sample, float(full[final] - best[at]), of_final[:, final] - resampled)
    return EarlyStopping(float(best[at]), excess, _sign(excess))


def _early_of_one(
    judged: Judgement, best: Floats, spread: float, is_log: bool, level: float
) -> EarlyStopping:
    """Returns the same of one curve; both values scatter as its points do about the curve."""
    assert judged.final is not None
    final, lowest = judged.final.value, float(best.min())
    scatter = 1.96 * spread * (lowest if is_log else 1.0)
    below = np.hypot(final.value - final.low, scatter)
    above = np.hypot(final.high - final.value, scatter)
    value = final.value - lowest
    excess = Estimate(value, float(value - below), float(value + above), level)
    return EarlyStopping(lowest, excess, _sign(excess))


def _sign(excess: Estimate) -> bool | None:
    return True if excess.high < 0 else False if excess.low > 0 else None


def _exponential(logs: Floats) -> Floats:
    return np.exp(logs)
