"""Verdict on a double-descent curve, from its threshold, its peak and its minima on both sides."""

from dataclasses import dataclass, replace
from enum import Enum

import numpy as np
from numpy.typing import ArrayLike

from analysis.double_descent.critical_size import (
    RESAMPLES,
    MetricCurves,
    Peak,
    SeedSample,
    p_value,
    sample_seeds,
)
from analysis.double_descent.curve_shape import Bump, Located, falling_fit, largest_rise
from analysis.double_descent.seeds import Statistic
from analysis.estimate import Bootstrap, Estimate, Floats

# Fewer cannot show fall, rise and fall, or distinguish a peak from seed noise.
MIN_SIZES = 5
MIN_SEEDS = 3
# "Monotone" requires that a rise of this fraction of the total fall would have been seen.
NEGLIGIBLE_RISE = 0.1


class Verdict(Enum):
    """What the curve shows on the measured grid."""

    MONOTONE = "monotone"
    """The curve falls throughout; a rise of a tenth of the fall would have been seen."""

    PEAK = "peak"
    """The curve has a significant interior maximum."""

    SECOND_DESCENT_BELOW = "peak and second descent below the first minimum"
    """The curve has such a maximum, and its minimum to the right is below the one to the left."""

    SECOND_DESCENT_ABOVE = "peak and second descent above the first minimum"
    """The curve has such a maximum, and its minimum to the right is above the one to the left."""

    NOT_AT_THIS_HORIZON = "not resolved at this horizon"
    """The curve rises up to its last sizes: a peak lies at the edge of the grid or beyond."""

    NOT_RESOLVED = "not resolved"
    """The data are too few or too noisy."""

    @property
    def has_peak(self) -> bool:
        """Whether the curve has a significant interior maximum."""
        return self in (Verdict.PEAK, Verdict.SECOND_DESCENT_BELOW, Verdict.SECOND_DESCENT_ABOVE)


@dataclass(frozen=True)
class Minimum:
    """The lowest point on one side of the peak: its measured size and the test metric there."""

    size: float
    value: Estimate


@dataclass(frozen=True)
class CurveShape:
    """Peak, minima and verdict of a test curve over seeds; without a peak, its fields are None.

    Attributes:
        peak: Candidate peak, significant or not; None where no interior size is a maximum.
        first_minimum: Lowest point left of the peak.
        final_minimum: Lowest point right of the peak.
        confidence_below: 1 - p-value of a final minimum this far below the first, under the null
            that no size right of the peak is below it. A value near 0 does not prove the opposite.
        confidence_above: Likewise of a first minimum this far below the final one.
        verdict: Verdict by the rules of `descent`.
        reason: The numbers behind the verdict, in sentences.
    """

    peak: Peak | None
    first_minimum: Minimum | None
    final_minimum: Minimum | None
    confidence_below: float | None
    confidence_above: float | None
    verdict: Verdict
    reason: str


@dataclass(frozen=True)
class DoubleDescent(CurveShape):
    """Threshold and shape of a curve over seeds, from `descent`.

    Attributes:
        threshold: Interpolation threshold, in units of size.
        ratio: Peak location over threshold; None without a peak.
    """

    threshold: Estimate
    ratio: Estimate | None


def descent(
    size: ArrayLike,
    train_error: ArrayLike,
    test: ArrayLike,
    seed: ArrayLike,
    *,
    tolerance: float,
    statistic: Statistic = "median",
    bootstrap: Bootstrap = RESAMPLES,
) -> DoubleDescent:
    """Measures threshold, peak, their ratio and both minima on one set of resamples, and judges.

    Rules of the verdict, with a = 1 - level:

    1. Fewer than 5 sizes or 3 seeds: not resolved.
    2. Peak p-value <= a: a peak. "Second descent below (above) the first minimum" where the final
       minimum is lower (higher) with confidence >= bootstrap.level; else a peak alone, and the
       reason gives the confidence.
    3. Else, largest rise from one size to any larger one has p-value <= a against a non-increasing
       curve: not resolved at this horizon, because the peak is at the edge of the grid or beyond.
    4. Else, a rise of 10% of the total fall would have been seen: monotone (on this grid).
    5. Else: not resolved, because noise could hide such a rise.

    Rises and falls are of the logarithm where the test metric is positive throughout. p-values are
    those of noise about the nearest curve without a peak (or rise), and so count the search over
    all sizes: simulated noise for the peak, that of the resamples for a rise.

    Args:
        size: Size of each run, shape (n_runs,).
        train_error: Train error or train squared error of each run, shape (n_runs,).
        test: Test error or loss of each run, shape (n_runs,).
        seed: Seed label of each run, shape (n_runs,).
        tolerance: Error that counts as interpolation, in units of `train_error`.
        statistic: Centre over seeds of the test metric.
        bootstrap: Resampling of the seeds; its level is that of the intervals and the confidence
            that the verdict requires.

    Raises:
        ValueError: As `interpolation_threshold`.
    """
    sample = sample_seeds(size, seed, bootstrap, train_error=train_error, test=test)
    crossings = sample.crossings(tolerance)
    threshold = sample.located(crossings)
    curves = sample.curves(statistic)
    bumps = sample.bumps(curves)
    shape = shape_of(sample, curves, bumps, bootstrap.seed)
    ratio = None if shape.peak is None else sample.located(_ratio(bumps.where, crossings))
    where = f"The interpolation threshold is {threshold}"
    where += f"; the peak lies at {ratio} times it." if shape.verdict.has_peak else "."
    facts = vars(replace(shape, reason=f"{shape.reason} {where}"))
    return DoubleDescent(**facts, threshold=threshold, ratio=ratio)


def shape_of(sample: SeedSample, curves: MetricCurves, bumps: Bump, seed: int) -> CurveShape:
    """Finds peak and minima of a test curve over seeds, and judges by the rules of `descent`.

    Args:
        sample: Runs by size with their resamples.
        curves: Centres of the test metric, of `sample.curves`.
        bumps: Their clearest bumps, of `sample.bumps`.
        seed: Seed of the simulated noise.
    """
    found = sample.peak(curves, bumps, seed)
    if found is None:
        verdict, reason = _without_peak(sample, curves, None)
        return CurveShape(None, None, None, None, None, verdict, reason)
    top = int(bumps.at[0])
    first = int(np.argmin(curves.full[:top]))
    final = top + 1 + int(np.argmin(curves.full[top + 1 :]))
    first_minimum, final_minimum = (
        Minimum(float(sample.runs.sizes[at]), sample.level_at(curves, at)) for at in (first, final)
    )
    below = _confidence_below(sample, curves.full, curves.noise, top)
    above = _confidence_below(
        sample, curves.full[::-1], curves.noise[:, ::-1], len(curves.full) - 1 - top
    )
    if _too_small(sample) or found.p_value > 1 - sample.level:
        verdict, reason = _without_peak(sample, curves, found)
    else:
        verdict, reason = Verdict.PEAK, f"is not shown to be below (confidence {below:.3g})"
        if below >= sample.level:
            verdict, reason = Verdict.SECOND_DESCENT_BELOW, f"is below (confidence {below:.3g})"
        elif above >= sample.level:
            verdict, reason = Verdict.SECOND_DESCENT_ABOVE, f"is above (confidence {above:.3g})"
        reason = (
            f"The curve has a peak of {found.height} at size {found.location} "
            f"(p = {found.p_value:.2g}). The final minimum, {final_minimum.value}, {reason} the "
            f"first, {first_minimum.value}."
        )
    return CurveShape(found, first_minimum, final_minimum, below, above, verdict, reason)


def _ratio(numerator: Located, denominator: Located) -> Located:
    """Returns the log ratio of two locations, over all places that the grid allows them."""
    return Located(
        numerator.value - denominator.value,
        numerator.low - denominator.high,
        numerator.high - denominator.low,
    )


def _confidence_below(sample: SeedSample, full: Floats, noise: Floats, top: int) -> float:
    """Returns 1 - p-value of the lowest point right of the peak.

    The null is a curve with no point there below the first minimum.

    The lowest of many noisy sizes is biased low, so the null curve counts every size right of the
    peak as tied with the first minimum if it is within 2 standard errors of the lowest there.
    """
    first, noise = int(np.argmin(full[:top])), sample.factor * noise
    right = full[top + 1 :]
    excess = np.maximum(right - right.min() - 2 * noise[:, top + 1 :].std(axis=0), 0)
    depth = noise[:, first] - (excess + noise[:, top + 1 :]).min(axis=1)
    return 1 - p_value(depth, full[first] - right.min())


def _without_peak(
    sample: SeedSample, curves: MetricCurves, found: Peak | None
) -> tuple[Verdict, str]:
    """Returns the verdict by rules 1, 3, 4 and 5 of `descent`, and its reason."""
    if _too_small(sample):
        n_sizes, n_seeds = len(sample.runs.sizes), sample.runs.counts.min()
        return Verdict.NOT_RESOLVED, (
            f"{n_sizes} sizes with at least {n_seeds} seeds each are too few. A verdict needs "
            f"{MIN_SIZES} sizes with {MIN_SEEDS} seeds."
        )
    bump = "The curve has no interior maximum."
    if found is not None:
        bump = (
            f"The maximum at size {found.location.value:.4g}, {found.prominence:.3g} high, "
            f"is within seed noise (p = {found.p_value:.2g})."
        )
    rise = float(largest_rise(curves.full[None])[0])
    fall = float(curves.full[0] - curves.full[-1])
    null = largest_rise(
        falling_fit(curves.full[None], sample.weights)[0] + sample.bump_factor * curves.noise
    )
    chance = p_value(null, rise)
    if chance <= 1 - sample.level:
        return Verdict.NOT_AT_THIS_HORIZON, (
            f"{bump} But the curve rises (p = {chance:.2g}) and does not fall again up to the "
            f"largest size, {sample.runs.sizes[-1]:.4g}: a peak lies there or beyond. Add larger "
            "sizes."
        )
    visible = (rise + float(np.quantile(null, sample.level))) / fall if fall > 0 else np.inf
    if visible > NEGLIGIBLE_RISE:
        return Verdict.NOT_RESOLVED, (
            f"{bump} Seed noise could hide a rise of {visible:.2g} of the total fall, more than "
            f"{NEGLIGIBLE_RISE:g}. Add seeds."
        )
    return Verdict.MONOTONE, (
        f"{bump} Between sizes {sample.runs.sizes[0]:.4g} and {sample.runs.sizes[-1]:.4g} the data "
        f"exclude a rise of more than {visible:.2g} of the total fall."
    )


def _too_small(sample: SeedSample) -> bool:
    return len(sample.runs.sizes) < MIN_SIZES or sample.runs.counts.min() < MIN_SEEDS
