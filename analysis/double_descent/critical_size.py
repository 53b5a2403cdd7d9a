"""Interpolation threshold and peak of a curve over sizes, with intervals over seeds.

Tables have one row a run, with its `size` (width, N/n, ...), `seed` label, a train error and a test
metric. Sizes are compared by their logarithm.

In every resample of the seeds (`analysis.double_descent.seeds.resample`) a location is only known
up to the grid: a threshold lies between the last size above tolerance and the first at or below it,
a peak between the neighbours of the highest size. Its interval runs from the lower quantile of the
lower ends to the upper quantile of the upper ends, stretched for few seeds, so it never claims more
than the grid resolves, however little the seeds differ.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple, final

import numpy as np
from numpy.typing import ArrayLike

from analysis.double_descent.curve_shape import (
    Bump,
    Located,
    clearest_bump,
    falling_crossing,
    valley_fit,
)
from analysis.double_descent.seed_noise import SeedNoise, seed_noise, simulate, size_noise
from analysis.double_descent.seeds import (
    IntArray,
    Replicates,
    Statistic,
    centre,
    group_by_size,
    resample,
    resampled_centre,
    stretch,
)
from analysis.estimate import Bootstrap, Estimate, Floats
from analysis.guards import non_negative

RESAMPLES = Bootstrap(n=2000)
"""Default resampling of the seeds."""


@final
@dataclass(frozen=True)
class Peak:
    """The clearest interior maximum of a test curve.

    Attributes:
        location: Size of the maximum, a measured size, with its interval.
        height: Test metric there.
        prominence: Height above the higher of the lowest points on its two sides, metric units.
        clearness: Height above low points on both sides, in standard errors of the difference.
        p_value: Chance that a curve with no interior maximum (falling, then perhaps rising), with
            the seed noise of these data, shows a bump as clear at any size.
    """

    location: Estimate
    height: Estimate
    prominence: float
    clearness: float
    p_value: float


def interpolation_threshold(
    size: ArrayLike,
    train_error: ArrayLike,
    seed: ArrayLike,
    *,
    tolerance: float,
    bootstrap: Bootstrap = RESAMPLES,
) -> Estimate:
    """Finds the smallest size whose mean train error is at most `tolerance`.

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
        bootstrap: Resampling of the seeds, and level of the interval.

    Returns:
        The threshold in units of size. Never reached: censored "above", `low` a lower bound.
        Reached at the smallest size already: censored "below", `high` an upper bound.

    Raises:
        ValueError: Rows that are not finite, repeated runs, fewer than 2 seeds at some size, or an
            argument out of range.

    Reference: Nakkiran et al., arXiv:1912.02292, definition 1 (effective model complexity).
    """
    sample = sample_seeds(size, seed, bootstrap, train_error=train_error)
    return sample.located(sample.crossings(tolerance))


def peak(
    size: ArrayLike,
    test: ArrayLike,
    seed: ArrayLike,
    *,
    statistic: Statistic = "median",
    bootstrap: Bootstrap = RESAMPLES,
) -> Peak | None:
    """Finds the interior maximum of a test curve that stands out most from the seed noise.

    A bump is compared with the noise of the sizes that it rises above, since a few small networks
    often err several times as much as all others. Its chance is that in runs simulated about the
    nearest curve without a bump, with the noise that these runs show and what runs of a seed share.
    The location is a measured size, with no parabola through its neighbours: the peak of a
    ridgeless fit is a cusp, which a parabola displaces, and the interval reaches to the
    neighbouring sizes anyhow. A resample without an interior maximum leaves the location
    unbounded on both sides. Where every value is positive, heights are compared by their logarithm,
    so that one heavy-tailed size near N = n does not swamp the rest.

    Args:
        size: Size of each run, shape (n_runs,).
        test: Test error or loss of each run, shape (n_runs,).
        seed: Seed label of each run, shape (n_runs,).
        statistic: Centre over seeds; the median, because at N = n the mean may be infinite.
        bootstrap: Resampling of the seeds, and level of the intervals.

    Returns:
        The peak, significant (`p_value`) or not; None where no interior size is a maximum.

    Raises:
        ValueError: As `interpolation_threshold`.
    """
    sample = sample_seeds(size, seed, bootstrap, test=test)
    curves = sample.curves(statistic)
    return sample.peak(curves, sample.bumps(curves), bootstrap.seed)


class MetricCurves(NamedTuple):
    """Centres over seeds and their deviations in the resamples; logarithms if all are positive.

    Attributes:
        full: Centres of the full sample, shape (n_sizes,).
        noise: Centres of the resamples minus `full`, shape (n_replicates, n_sizes).
        of_runs: Noise of single runs.
        statistic: Centre over seeds.
        is_log: Whether all are on the logarithm of the metric.
    """

    full: Floats
    noise: Floats
    of_runs: SeedNoise
    statistic: Statistic
    is_log: bool


class SeedSample(NamedTuple):
    """Runs by size with their resamples, and the factors of intervals.

    Attributes:
        runs: Runs by size.
        draws: Rows taken at each size in each resample, from `resample`.
        log_size: Natural logarithm of the sizes, shape (n_sizes,).
        weights: Runs at each size, shape (n_sizes,).
        factor: Stretch of a deviation at one size.
        bump_factor: Stretch of a difference between two sizes, such as a rise.
        level: Nominal coverage.
    """

    runs: Replicates
    draws: tuple[IntArray, ...]
    log_size: Floats
    weights: Floats
    factor: float
    bump_factor: float
    level: float

    def crossings(self, tolerance: float) -> Located:
        """Returns thresholds of the mean train error: of the full sample, then of the resamples."""
        non_negative("tolerance", tolerance, "give a train error")
        values = self.runs.values["train_error"]
        full, resampled = centre(values, "mean"), resampled_centre(values, self.draws, "mean")
        means = np.vstack([full, resampled])
        return falling_crossing(self.log_size, means, self.weights, tolerance)

    def curves(self, statistic: Statistic) -> MetricCurves:
        """Returns centres of the metric named `test`, in the full sample and the resamples."""
        values = self.runs.values["test"]
        full, resampled = centre(values, statistic), resampled_centre(values, self.draws, statistic)
        is_log = all(np.all(v > 0) for v in values)
        if is_log:
            full, resampled = np.log(full), np.log(resampled)
            values = tuple(np.log(each) for each in values)
        of_runs = seed_noise(self.runs, values)
        return MetricCurves(full, resampled - full, of_runs, statistic, is_log)

    def bumps(self, curves: MetricCurves) -> Bump:
        """Returns the clearest bump: of the full sample, then of the resamples."""
        stack = np.vstack([curves.full, curves.full + curves.noise])
        return clearest_bump(self.log_size, stack, size_noise(curves.of_runs))

    def located(self, where: Located) -> Estimate:
        """Returns an estimate from log locations: of the full sample, then of the resamples."""
        censored = None
        if np.isnan(where.value[0]):
            below = "below" if np.isfinite(where.high[0]) else None
            censored = "above" if np.isfinite(where.low[0]) else below
        value, low, high = np.exp([where.value[0], *self.interval(where.low, where.high)]).tolist()
        return Estimate(value, low, high, self.level, censored)

    def level_at(self, curves: MetricCurves, at: int) -> Estimate:
        """Returns the test metric at one size, by its index."""
        levels = curves.full[at] + np.append(0.0, curves.noise[:, at])
        ends = np.array([levels[0], *self.interval(levels, levels)])
        if curves.is_log:
            with np.errstate(over="ignore"):  # two far-apart seeds may set no upper end
                ends = np.exp(ends)
        value, low, high = ends.tolist()
        return Estimate(value, low, high, self.level)

    def interval(self, low: Floats, high: Floats) -> tuple[float, float]:
        """Returns the stretched percentile interval of a quantity between `low` and `high`.

        Both hold the full sample first, then the resamples, and are infinite where the grid sets no
        end. Neither end of the interval lies inside those of the full sample.
        """
        # Order statistics, not interpolated quantiles: the ends may be infinite.
        n_tail = int((1 - self.level) / 2 * (len(low) - 1))
        below, above = np.sort(low[1:])[n_tail], np.sort(high[1:])[-1 - n_tail]
        lower, upper = low[0], high[0]
        if np.isfinite(lower):
            lower -= self.factor * max(lower - below, 0.0)
        if np.isfinite(upper):
            upper += self.factor * max(above - upper, 0.0)
        return float(lower), float(upper)

    def peak(self, curves: MetricCurves, bumps: Bump, seed: int) -> Peak | None:
        """Returns the peak from `bumps`; None where the full sample has none."""
        if bumps.clearness[0] <= 0:
            return None
        top = int(bumps.at[0])
        metric = np.exp(curves.full) if curves.is_log else curves.full
        without = valley_fit(curves.full, 1 / size_noise(curves.of_runs).error[0] ** 2)
        null = simulate(without, curves.of_runs, curves.statistic, len(curves.noise), seed)
        bump_of_null = clearest_bump(self.log_size, *null)
        return Peak(
            # A measured size, exactly: a logarithm and back would not give it.
            location=replace(self.located(bumps.where), value=float(self.runs.sizes[top])),
            height=self.level_at(curves, top),
            prominence=float(metric[top] - max(metric[:top].min(), metric[top + 1 :].min())),
            clearness=float(bumps.clearness[0]),
            p_value=p_value(bump_of_null.clearness, bumps.clearness[0]),
        )


def sample_seeds(
    size: ArrayLike, seed: ArrayLike, bootstrap: Bootstrap, **metrics: ArrayLike
) -> SeedSample:
    """Groups runs and resamples their seeds; ValueError as `interpolation_threshold`."""
    level = bootstrap.level
    bootstrap.require_kind("clusters", "seeds")
    if not 0.5 <= level < 1:
        raise ValueError(f"bootstrap.level = {level}: give a coverage in [0.5, 1), such as 0.95.")
    if bootstrap.n < 20 / (1 - level):
        raise ValueError(
            f"bootstrap.n = {bootstrap.n} is too few replicates for level {level}: give at least "
            f"{20 / (1 - level):.0f}."
        )
    runs = group_by_size(size, seed, **metrics)
    if len(runs.sizes) < 3:
        raise ValueError(
            f"{len(runs.sizes)} distinct sizes are too few: a curve needs 3. Add sizes."
        )
    lone = runs.sizes[runs.counts < 2]
    if len(lone):
        raise ValueError(
            f"{len(lone)} of {len(runs.sizes)} sizes have a single seed (first: {lone[0]:g}): "
            "the spread over seeds needs 2 runs at every size. Add seeds, or drop those sizes."
        )
    n_seeds = int(runs.counts.min())
    return SeedSample(
        runs=runs,
        draws=resample(runs, bootstrap),
        log_size=np.log(runs.sizes),
        weights=runs.counts.astype(np.float64),
        factor=stretch(n_seeds, level),
        bump_factor=stretch(n_seeds, level, n_sizes=2),
        level=level,
    )


def p_value(null: Floats, observed: float) -> float:
    """Returns the share of a resampled null at or above the observed value, which counts too."""
    return float((1 + np.sum(null >= observed)) / (1 + len(null)))
