"""Interpolation threshold, peak and verdict of a double-descent curve, with intervals over seeds.

The tables are long: one row a run, with its `size` (width, N/n, ...), `seed` label, a train error
and a test metric. Sizes are compared by their logarithm.

In every resample of the seeds (`analysis.replicates.resample`) a location is only known up to the
grid: a threshold lies between the last size above tolerance and the first at or below it, a peak
between the neighbours of the highest size. Its interval runs from the lower quantile of the lower
ends to the upper quantile of the upper ends, stretched for few seeds, so it never claims more than
the grid resolves, however little the seeds differ.
"""

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from analysis.curve_shape import (
    Bump,
    Located,
    falling_crossing,
    falling_fit,
    largest_rise,
    most_prominent_bump,
    valley_fit,
)
from analysis.replicates import (
    Estimate,
    FloatArray,
    IntArray,
    Replicates,
    Statistic,
    centre,
    group_by_size,
    interval,
    resample,
    resampled_centre,
    stretch,
)

# Fewer than these cannot show fall, rise and fall, or tell a peak from seed noise.
MIN_SIZES = 5
MIN_SEEDS = 3
# "Monotone" is claimed only where a rise of this fraction of the whole fall would have been seen.
NEGLIGIBLE_RISE = 0.1


class Verdict(Enum):
    """What the curve shows on the measured grid."""

    MONOTONE = "monotone"
    PEAK = "peak"
    SECOND_DESCENT_BELOW = "peak and second descent below the first minimum"
    NOT_RESOLVED = "not resolved"


@dataclass(frozen=True)
class Peak:
    """The most prominent interior maximum of a test curve.

    Attributes:
        location: Size of the maximum, a measured size, with its interval.
        height: Test metric there.
        prominence: Height above the higher of the lowest points on its two sides, metric units.
        p_value: Chance that a curve with no interior maximum (falling, then perhaps rising), with
            the seed spread of these data, shows a bump as prominent at any size.
    """

    location: Estimate
    height: Estimate
    prominence: float
    p_value: float


@dataclass(frozen=True)
class Minimum:
    """The lowest point of one side of the peak: its measured size and the test metric there."""

    size: float
    value: Estimate


@dataclass(frozen=True)
class DoubleDescent:
    """What `descent` measures; the fields that need a peak are None without one.

    Attributes:
        threshold: Interpolation threshold, in units of size.
        peak: Candidate peak, significant or not; None where no interior size is a maximum.
        ratio: Peak location over threshold.
        first_minimum: Lowest point left of the peak.
        final_minimum: Lowest point right of the peak.
        confidence_below: Bootstrap confidence that the final minimum is below the first.
        verdict: One of four.
        reason: One sentence with the numbers behind the verdict.
    """

    threshold: Estimate
    peak: Peak | None
    ratio: Estimate | None
    first_minimum: Minimum | None
    final_minimum: Minimum | None
    confidence_below: float | None
    verdict: Verdict
    reason: str


def interpolation_threshold(
    size: ArrayLike,
    train_error: ArrayLike,
    seed: ArrayLike,
    *,
    tolerance: float,
    level: float = 0.95,
    n_replicates: int = 2000,
    rng_seed: int = 0,
) -> Estimate:
    """Smallest size whose mean train error is at most `tolerance`.

    The mean over seeds is fitted by the best non-increasing function (isotonic regression, weighted
    by the number of runs); its crossing of `tolerance` is interpolated linearly in (log size,
    metric). Linear, not logarithmic, in the metric: errors of exactly zero are ordinary, and where
    the metric collapses within one grid step (0.05 to 1e-25 in a ridgeless solve at N = n) the
    crossing falls, as it should, on the first size below tolerance.

    Args:
        size: Size of each run, shape (n_runs,).
        train_error: Train error or train squared error of each run, shape (n_runs,).
        seed: Seed label of each run, shape (n_runs,).
        tolerance: Error that counts as interpolation, in units of `train_error`.
        level: Nominal coverage of the interval.
        n_replicates: Bootstrap replicates.
        rng_seed: Seed of the bootstrap.

    Returns:
        The threshold in units of size. Never reached: censored "above", `low` a lower bound.
        Reached at the smallest size already: censored "below", `high` an upper bound.

    Raises:
        ValueError: For non-finite rows, repeated runs, fewer than 2 seeds at some size, or limits
            out of range.

    Reference: Nakkiran et al., arXiv:1912.02292, definition 1 (effective model complexity).
    """
    sample = _sample(size, seed, level, n_replicates, rng_seed, train_error=train_error)
    return _location(sample, _crossings(sample, tolerance))


def peak(
    size: ArrayLike,
    test: ArrayLike,
    seed: ArrayLike,
    *,
    statistic: Statistic = "median",
    level: float = 0.95,
    n_replicates: int = 2000,
    rng_seed: int = 0,
) -> Peak | None:
    """Most prominent interior maximum of a test curve.

    The location is a measured size, with no parabola through its neighbours: the peak of a
    ridgeless fit is a cusp, which a parabola displaces, and the interval reaches to the
    neighbouring sizes anyhow. A resample without an interior maximum leaves the location
    unbounded on both sides. Where every value is positive, prominence is compared on the logarithm,
    so that one heavy-tailed size near N = n does not swamp the rest; otherwise on the metric.

    Args:
        size: Size of each run, shape (n_runs,).
        test: Test error or loss of each run, shape (n_runs,).
        seed: Seed label of each run, shape (n_runs,).
        statistic: Centre over seeds; the median, because at N = n the mean may be infinite.
        level: Nominal coverage of the intervals.
        n_replicates: Bootstrap replicates.
        rng_seed: Seed of the bootstrap.

    Returns:
        The peak, significant (`p_value`) or not; None where no interior size is a maximum.

    Raises:
        ValueError: As `interpolation_threshold`.
    """
    sample = _sample(size, seed, level, n_replicates, rng_seed, test=test)
    curves = _curves(sample, statistic)
    return _peak(sample, curves, _bumps(sample, curves))


def descent(
    size: ArrayLike,
    train_error: ArrayLike,
    test: ArrayLike,
    seed: ArrayLike,
    *,
    tolerance: float,
    statistic: Statistic = "median",
    level: float = 0.95,
    n_replicates: int = 2000,
    rng_seed: int = 0,
) -> DoubleDescent:
    """Threshold, peak, their ratio, both minima and a verdict, from one set of resamples.

    Rules of the verdict, with a = 1 - level:

    1. Fewer than 5 sizes or 3 seeds: not resolved.
    2. Peak p-value <= a: a peak. "Second descent below the first minimum" where the final minimum
       is lower with confidence >= level; if it is not, the reason gives the confidence.
    3. Else, largest rise from one size to any larger one has p-value <= a against a non-increasing
       curve: not resolved, for the peak is at the edge of the grid or beyond it.
    4. Else, a rise of 10% of the whole fall would have been seen: monotone (on this grid).
    5. Else: not resolved, for noise could hide such a rise.

    Args:
        size: Size of each run, shape (n_runs,).
        train_error: Train error or train squared error of each run, shape (n_runs,).
        test: Test error or loss of each run, shape (n_runs,).
        seed: Seed label of each run, shape (n_runs,).
        tolerance: Error that counts as interpolation, in units of `train_error`.
        statistic: Centre over seeds of the test metric.
        level: Nominal coverage, and confidence asked of the verdict.
        n_replicates: Bootstrap replicates.
        rng_seed: Seed of the bootstrap.

    Returns:
        The measurements and the verdict.

    Raises:
        ValueError: As `interpolation_threshold`.
    """
    sample = _sample(size, seed, level, n_replicates, rng_seed, train_error=train_error, test=test)
    crossings = _crossings(sample, tolerance)
    threshold = _location(sample, crossings)
    curves = _curves(sample, statistic)
    bumps = _bumps(sample, curves)
    found = _peak(sample, curves, bumps)
    if found is None:
        verdict, reason = _without_peak(sample, curves, None, threshold)
        return DoubleDescent(threshold, None, None, None, None, None, verdict, reason)

    top = int(bumps.at[0])
    first = int(np.argmin(curves.full[:top]))
    final = top + 1 + int(np.argmin(curves.full[top + 1 :]))
    first_minimum, final_minimum = (
        Minimum(float(sample.runs.sizes[at]), _level(sample, curves, at)) for at in (first, final)
    )
    ratio = _location(sample, _ratio(bumps.where, crossings))
    confidence = _confidence_below(sample, curves, first, top)
    if _too_small(sample) or found.p_value > 1 - level:
        verdict, reason = _without_peak(sample, curves, found, threshold)
    else:
        verdict = Verdict.SECOND_DESCENT_BELOW if confidence >= level else Verdict.PEAK
        reason = (
            f"Peak of {found.height} at size {found.location} (p = {found.p_value:.2g}), {ratio} "
            f"times the interpolation threshold; the final minimum {final_minimum.value} is below "
            f"the first {first_minimum.value} with confidence {confidence:.3g}."
        )
    return DoubleDescent(
        threshold, found, ratio, first_minimum, final_minimum, confidence, verdict, reason
    )


class _Sample(NamedTuple):
    """Runs by size, their resamples, and how intervals are made of them."""

    runs: Replicates
    draws: tuple[IntArray, ...]
    log_size: FloatArray
    weights: FloatArray
    factor: float
    bump_factor: float
    level: float


class _Curves(NamedTuple):
    """Centres over seeds, or their logarithms, and their deviations in the resamples."""

    full: FloatArray
    noise: FloatArray
    is_log: bool


def _sample(
    size: ArrayLike,
    seed: ArrayLike,
    level: float,
    n_replicates: int,
    rng_seed: int,
    **metrics: ArrayLike,
) -> _Sample:
    if not 0.5 <= level < 1:
        raise ValueError(f"level is {level}: give a coverage in [0.5, 1), for example 0.95")
    if n_replicates < 20 / (1 - level):
        raise ValueError(
            f"n_replicates is {n_replicates}: level {level} needs at least {20 / (1 - level):.0f}"
        )
    runs = group_by_size(size, seed, **metrics)
    if len(runs.sizes) < 3:
        raise ValueError(f"{len(runs.sizes)} distinct sizes: a curve needs at least 3")
    lone = runs.sizes[runs.counts < 2]
    if len(lone):
        raise ValueError(
            f"{len(lone)} of {len(runs.sizes)} sizes have a single seed (first: {lone[0]:g}): "
            "spread over seeds needs at least 2 runs at every size; add seeds or drop those sizes"
        )
    n_seeds = int(runs.counts.min())
    return _Sample(
        runs=runs,
        draws=resample(runs, n_replicates, rng_seed),
        log_size=np.log(runs.sizes),
        weights=runs.counts.astype(np.float64),
        factor=stretch(n_seeds, level),
        # A prominence compares two sizes: the bump and the higher of its two minima.
        bump_factor=stretch(n_seeds, level, n_sizes=2),
        level=level,
    )


def _crossings(sample: _Sample, tolerance: float) -> Located:
    """Thresholds of the mean train error: full sample first, then the resamples."""
    if not (np.isfinite(tolerance) and tolerance >= 0):
        raise ValueError(f"tolerance is {tolerance}: give a finite train error >= 0")
    values = sample.runs.values["train_error"]
    full, resampled = centre(values, "mean"), resampled_centre(values, sample.draws, "mean")
    means = np.vstack([full, resampled])
    return falling_crossing(sample.log_size, means, sample.weights, tolerance)


def _curves(sample: _Sample, statistic: Statistic) -> _Curves:
    values = sample.runs.values["test"]
    full, resampled = centre(values, statistic), resampled_centre(values, sample.draws, statistic)
    is_log = all(np.all(v > 0) for v in values)
    if is_log:
        full, resampled = np.log(full), np.log(resampled)
    return _Curves(full, resampled - full, is_log)


def _bumps(sample: _Sample, curves: _Curves) -> Bump:
    """Most prominent bump: full sample first, then the resamples."""
    return most_prominent_bump(
        sample.log_size, np.vstack([curves.full, curves.full + curves.noise])
    )


def _ratio(numerator: Located, denominator: Located) -> Located:
    """Log ratio of two locations, over all places the grid allows them."""
    return Located(
        numerator.value - denominator.value,
        numerator.low - denominator.high,
        numerator.high - denominator.low,
    )


def _location(sample: _Sample, where: Located) -> Estimate:
    """Estimate from log locations: full sample first, then the resamples."""
    value, low, high = where.value[0], where.low[0], where.high[0]
    ends = interval(
        low, high, where.low[1:], where.high[1:], factor=sample.factor, level=sample.level
    )
    censored = None
    if np.isnan(value):
        censored = "above" if np.isfinite(low) else "below" if np.isfinite(high) else None
    return Estimate(
        float(np.exp(value)), float(np.exp(ends[0])), float(np.exp(ends[1])), sample.level, censored
    )


def _level(sample: _Sample, curves: _Curves, at: int) -> Estimate:
    """Test metric at one size."""
    value = curves.full[at]
    resampled = value + curves.noise[:, at]
    ends = interval(value, value, resampled, resampled, factor=sample.factor, level=sample.level)
    value, low, high = np.exp([value, *ends]) if curves.is_log else (value, *ends)
    return Estimate(float(value), float(low), float(high), sample.level)


def _peak(sample: _Sample, curves: _Curves, bumps: Bump) -> Peak | None:
    if bumps.prominence[0] <= 0:
        return None
    top = int(bumps.at[0])
    metric = np.exp(curves.full) if curves.is_log else curves.full
    null = valley_fit(curves.full, sample.weights) + sample.bump_factor * curves.noise
    return Peak(
        location=_location(sample, bumps.where),
        height=_level(sample, curves, top),
        prominence=float(metric[top] - max(metric[:top].min(), metric[top + 1 :].min())),
        p_value=_p_value(
            most_prominent_bump(sample.log_size, null).prominence, bumps.prominence[0]
        ),
    )


def _confidence_below(sample: _Sample, curves: _Curves, first: int, top: int) -> float:
    """1 - p-value of the lowest point right of the peak, against none lower than the first minimum.

    The lowest of many noisy sizes is biased low, so the null curve counts every size right of the
    peak as tied with the first minimum if it is within 2 standard errors of the lowest there.
    """
    noise = sample.factor * curves.noise
    right = curves.full[top + 1 :]
    excess = np.maximum(right - right.min() - 2 * noise[:, top + 1 :].std(axis=0), 0)
    depth = noise[:, first] - (excess + noise[:, top + 1 :]).min(axis=1)
    return 1 - _p_value(depth, curves.full[first] - right.min())


def _without_peak(
    sample: _Sample, curves: _Curves, found: Peak | None, threshold: Estimate
) -> tuple[Verdict, str]:
    """Rules 1, 3, 4 and 5 of `descent`."""
    if _too_small(sample):
        return Verdict.NOT_RESOLVED, (
            f"{len(sample.runs.sizes)} sizes with {sample.runs.counts.min()} seeds or more are too "
            f"few: a verdict needs {MIN_SIZES} sizes and {MIN_SEEDS} seeds."
        )
    bump = "No interior maximum"
    if found is not None:
        bump = (
            f"The bump at size {found.location.value:.4g}, {found.prominence:.3g} high, "
            f"is within seed noise (p = {found.p_value:.2g})"
        )
    rise = float(largest_rise(curves.full[None])[0])
    fall = float(curves.full[0] - curves.full[-1])
    null = largest_rise(
        falling_fit(curves.full, sample.weights) + sample.bump_factor * curves.noise
    )
    p_value = _p_value(null, rise)
    if p_value <= 1 - sample.level:
        return Verdict.NOT_RESOLVED, (
            f"{bump}; but the curve rises (p = {p_value:.2g}) and does not fall again on this "
            f"grid, up to size {sample.runs.sizes[-1]:.4g}: a peak lies at its edge or beyond."
        )
    visible = (rise + float(np.quantile(null, sample.level))) / fall if fall > 0 else np.inf
    if visible > NEGLIGIBLE_RISE:
        return Verdict.NOT_RESOLVED, (
            f"{bump}; seed noise could hide a rise of {visible:.2g} of the whole fall, "
            f"more than {NEGLIGIBLE_RISE:g}: add seeds."
        )
    return Verdict.MONOTONE, (
        f"{bump}; a rise of more than {visible:.2g} of the whole fall is excluded between sizes "
        f"{sample.runs.sizes[0]:.4g} and {sample.runs.sizes[-1]:.4g} "
        f"(interpolation threshold {threshold})."
    )


def _too_small(sample: _Sample) -> bool:
    return len(sample.runs.sizes) < MIN_SIZES or sample.runs.counts.min() < MIN_SEEDS


def _p_value(null: FloatArray, observed: float) -> float:
    return float((1 + np.sum(null >= observed)) / (1 + len(null)))
