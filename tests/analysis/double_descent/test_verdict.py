"""Planted thresholds and peaks, coverage, false alarms, and symmetries."""

import math
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from analysis.double_descent.critical_size import interpolation_threshold, peak, sample_seeds
from analysis.double_descent.verdict import MIN_SEEDS, Verdict, descent, shape_of
from analysis.estimate import Bootstrap

TOLERANCE = 0.1
THRESHOLD = 37.0  # between grid sizes, where `train_curve` is at TOLERANCE


def train_curve(size):
    return np.maximum(TOLERANCE - 0.2 * np.log(size / THRESHOLD), 0.0)


def falling(size):
    return 0.3 + 2 * size**-0.5


def peaked(size, centre=40.0, height=0.6):
    return falling(size) + height * np.exp(-(np.log(size / centre) ** 2) / (2 * 0.3**2))


def make_table(curve, *, n_sizes=16, n_seeds=8, noise=0.03, seed=0, shared=True, ends=(4, 256)):
    """Columns size, train error, test, seed: multiplicative test noise, additive train noise."""
    rng = np.random.default_rng(seed)
    size = np.repeat(np.geomspace(ends[0], ends[1], n_sizes), n_seeds)
    labels = np.tile(np.arange(n_seeds), n_sizes) if shared else np.arange(len(size))
    # Half of the noise is common to all runs of a seed, as a shared data set makes it.
    common = np.tile(rng.standard_normal(n_seeds), n_sizes) if shared else 0.0
    eps = (rng.standard_normal(len(size)) + common) / math.sqrt(2)
    train = train_curve(size) + 0.02 * rng.standard_normal(len(size))
    return size, train, curve(size) * np.exp(noise * eps), labels


def test_planted_curve_is_recovered_with_its_verdict():
    size, train, test, seed = make_table(peaked)
    found = descent(size, train, test, seed, tolerance=TOLERANCE)
    grid = np.unique(size)
    step = grid[1] / grid[0]

    assert found.threshold.censored is None
    assert found.threshold.low <= THRESHOLD <= found.threshold.high
    assert found.threshold.value == pytest.approx(THRESHOLD, rel=0.1)

    assert found.peak is not None and found.ratio is not None
    fine = np.geomspace(20, 100, 10_001)
    true_peak = fine[np.argmax(peaked(fine))]
    assert found.peak.location.value in grid
    assert found.peak.location.low <= true_peak <= found.peak.location.high
    assert found.peak.location.low <= found.peak.location.value / step * (1 + 1e-12)
    assert found.peak.p_value < 0.01
    assert found.ratio.value == pytest.approx(found.peak.location.value / found.threshold.value)
    assert found.ratio.low <= true_peak / THRESHOLD <= found.ratio.high

    assert found.first_minimum is not None and found.final_minimum is not None
    assert found.first_minimum.size < found.peak.location.value < found.final_minimum.size
    assert found.confidence_below is not None and found.confidence_below >= 0.95
    assert found.verdict is Verdict.SECOND_DESCENT_BELOW
    for number in (found.peak.location.value, found.final_minimum.value.value):
        assert f"{number:.4g}" in found.reason


def test_second_descent_that_stays_above_the_first_minimum_is_said_to():
    def curve(size):
        return np.where(size < 60, peaked(size), peaked(size) + 0.5)

    size, train, test, seed = make_table(curve)
    found = descent(size, train, test, seed, tolerance=TOLERANCE)
    assert found.verdict is Verdict.SECOND_DESCENT_ABOVE
    assert found.confidence_below is not None and found.confidence_below < 0.05
    assert found.confidence_above is not None and found.confidence_above >= 0.95


def test_prominence_is_measured_from_the_higher_minimum():
    # Exact curve, no noise: minima 1 (left) and 2 (right), peak 5, edge 9.
    size = np.repeat([1.0, 2.0, 4.0, 8.0, 16.0, 32.0], 3)
    test = np.repeat([9.0, 1.0, 3.0, 5.0, 2.0, 2.5], 3)
    found = peak(size, test, np.tile([0, 1, 2], 6))
    assert found is not None
    assert found.prominence == pytest.approx(3.0)
    assert found.height.value == pytest.approx(5.0)
    assert (found.location.value, found.location.low, found.location.high) == pytest.approx(
        (8.0, 4.0, 16.0)
    )


def test_threshold_of_an_exact_step_in_log_size_is_interpolated():
    size = np.repeat([1.0, 10.0, 100.0, 1000.0], 2)
    train = np.repeat([0.9, 0.3, 0.1, 0.0], 2)
    found = interpolation_threshold(size, train, np.tile([0, 1], 4), tolerance=0.2)
    assert found.value == pytest.approx(10**1.5)
    assert (found.low, found.high) == pytest.approx((10.0, 100.0))


def test_isotonic_fit_pools_a_reversal():
    # 0.1 then 0.5 pool to 0.3: the first dip below tolerance is not the threshold.
    size = np.repeat([1.0, 2.0, 4.0, 8.0], 2)
    train = np.repeat([0.9, 0.1, 0.5, 0.0], 2)
    found = interpolation_threshold(size, train, np.tile([0, 1], 4), tolerance=0.15)
    assert found.value == pytest.approx(math.exp(math.log(4) + 0.5 * math.log(2)))


@pytest.mark.parametrize("tolerance", [1e-2, 1e-6, 1e-12, 1e-20])
def test_collapse_to_rounding_error_puts_the_threshold_on_the_first_size_below(tolerance):
    rng = np.random.default_rng(1)
    ratio = np.array([0.5, 0.8, 0.95, 1.0, 1.05, 1.5, 4.0])
    level = np.array([0.5, 0.2, 0.05, 1e-23, 1e-25, 1e-27, 1e-28])
    size = np.repeat(400 * ratio, 5)
    train = np.repeat(level, 5) * np.exp(0.3 * rng.standard_normal(len(size)))
    found = interpolation_threshold(size, train, np.tile(np.arange(5), 7), tolerance=tolerance)
    assert 390 < found.value <= 400 * (1 + 1e-12)
    assert found.low <= 380 * (1 + 1e-12) and found.high == pytest.approx(400)


def test_threshold_outside_the_grid_is_censored_not_a_number():
    size, train, _, seed = make_table(falling)
    above = interpolation_threshold(size, train + 1, seed, tolerance=TOLERANCE)
    assert above.censored == "above" and math.isnan(above.value)
    assert above.low == pytest.approx(256) and above.high == math.inf and str(above) == "> 256"
    below = interpolation_threshold(size, train * 0, seed, tolerance=TOLERANCE)
    assert below.censored == "below" and math.isnan(below.value)
    assert below.low == 0 and below.high == pytest.approx(4) and str(below) == "<= 4"


def test_ratio_to_a_censored_threshold_is_a_bound():
    size, train, test, seed = make_table(peaked)
    found = descent(size, train + 1, test, seed, tolerance=TOLERANCE)
    assert found.ratio is not None and found.peak is not None
    assert found.ratio.censored == "below" and found.ratio.low == 0
    assert found.ratio.high == pytest.approx(found.peak.location.high / 256)


def test_peak_at_the_edge_is_not_resolved():
    size, train, test, seed = make_table(peaked, ends=(4, 40))
    found = descent(size, train, test, seed, tolerance=TOLERANCE)
    assert found.verdict is Verdict.NOT_AT_THIS_HORIZON
    assert "a peak lies there or beyond" in found.reason


def test_monotone_curve_is_monotone_and_its_noise_hides_it():
    size, train, test, seed = make_table(falling, noise=0.01)
    assert descent(size, train, test, seed, tolerance=TOLERANCE).verdict is Verdict.MONOTONE
    size, train, test, seed = make_table(falling, noise=0.3)
    found = descent(size, train, test, seed, tolerance=TOLERANCE)
    assert found.verdict is Verdict.NOT_RESOLVED and "noise" in found.reason


def test_strictly_falling_curve_has_no_peak():
    size = np.repeat([1.0, 2.0, 4.0, 8.0, 16.0], 3)
    test = np.repeat([5.0, 4.0, 3.0, 2.0, 1.0], 3)
    seed = np.tile(np.arange(3), 5)
    assert peak(size, test, seed) is None
    found = descent(size, test, test, seed, tolerance=2.5)
    assert found.verdict is Verdict.MONOTONE
    assert found.peak is found.ratio is found.first_minimum is found.confidence_below is None


@pytest.mark.parametrize(("n_sizes", "n_seeds"), [(4, 8), (16, MIN_SEEDS - 1)])
def test_too_little_data_is_not_resolved(n_sizes, n_seeds):
    size, train, test, seed = make_table(peaked, n_sizes=n_sizes, n_seeds=n_seeds)
    found = descent(size, train, test, seed, tolerance=TOLERANCE)
    assert found.verdict is Verdict.NOT_RESOLVED
    assert f"{n_sizes} sizes with at least {n_seeds} seeds" in found.reason


def test_heavy_tailed_peak_is_found_whichever_the_statistic():
    # Log-normal spread of a factor e^1.5 at the peak, as at N = n; 5 seeds.
    rng = np.random.default_rng(3)
    ratio = np.array([0.25, 0.5, 0.8, 0.95, 1.0, 1.05, 1.25, 2.0, 5.0])
    level = np.array([1.6, 1.3, 2.2, 12.0, 800.0, 12.0, 2.0, 1.0, 0.8])
    spread = np.array([0.02, 0.02, 0.05, 0.3, 1.5, 0.3, 0.05, 0.02, 0.02])
    size, seed = np.repeat(ratio, 5), np.tile(np.arange(5), 9)
    test = np.repeat(level, 5) * np.exp(np.repeat(spread, 5) * rng.standard_normal(45))
    for statistic in ("median", "mean"):
        found = descent(
            size, np.maximum(1 - size, 0), test, seed, tolerance=1e-6, statistic=statistic
        )
        assert found.verdict is Verdict.SECOND_DESCENT_BELOW
        assert found.peak is not None and found.peak.location.value == 1.0
        assert found.ratio is not None and found.ratio.value == pytest.approx(1.0, rel=1e-5)


def test_metric_with_zeros_or_negative_values_is_compared_linearly():
    size, train, test, seed = make_table(peaked, noise=0.01)
    found = descent(size, train, test - test.min(), seed, tolerance=TOLERANCE)
    assert found.peak is not None and found.peak.location.low < 40 < found.peak.location.high
    assert found.verdict is Verdict.SECOND_DESCENT_BELOW


def test_dropped_runs_and_uneven_seeds_are_accepted():
    size, train, test, seed = make_table(peaked)
    keep = np.random.default_rng(0).random(len(size)) > 0.15
    found = descent(size[keep], train[keep], test[keep], seed[keep], tolerance=TOLERANCE)
    assert found.verdict is Verdict.SECOND_DESCENT_BELOW
    assert found.threshold.low <= THRESHOLD <= found.threshold.high


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"test": [np.nan, np.inf]}, r"test\[0\] = nan \(and 1 more\), but it must be finite"),
        ({"train_error": [np.nan]}, r"train_error\[0\] = nan, but it must be finite"),
        ({"size": [0.0]}, r"size\[0\] = 0.0, but it must be positive"),
        ({"seed": [1]}, "size 4 with seed 1 occurs more than once"),
        ({"size": [3.0]}, "1 of 17 sizes have a single seed"),
    ],
)
def test_bad_rows_are_refused_with_their_number(change, message):
    size, train_error, test, seed = make_table(peaked)
    table = {"size": size, "train_error": train_error, "test": test, "seed": seed}
    for name, values in change.items():
        table[name][: len(values)] = values
    with pytest.raises(ValueError, match=message):
        descent(**table, tolerance=TOLERANCE)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tolerance": -1.0}, "tolerance = -1"),
        ({"bootstrap": Bootstrap(level=1.0)}, "level = 1.0"),
        ({"bootstrap": Bootstrap(n=10)}, "n = 10 is too few"),
        ({"bootstrap": Bootstrap(kind="residuals")}, "redraws seeds"),
        ({"statistic": "mode"}, "choose one of mean, median"),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    size, train, test, seed = make_table(peaked)
    with pytest.raises(ValueError, match=message):
        descent(size, train, test, seed, **({"tolerance": TOLERANCE} | options))


def test_columns_of_unequal_length_and_too_few_sizes_are_refused():
    with pytest.raises(ValueError, match="columns have shapes"):
        peak([1, 2, 3], [1, 2], [0, 0, 0])
    with pytest.raises(ValueError, match="2 distinct sizes"):
        peak([1, 1, 2, 2], [1, 2, 3, 4], [0, 1, 0, 1])


@settings(deadline=None, max_examples=15)
@given(
    row_seed=st.integers(0, 2**32 - 1),
    metric_scale=st.floats(1e-3, 1e3),
    size_scale=st.floats(1e-3, 1e3),
    offset=st.integers(-(10**6), 10**6),
)
def test_symmetries(row_seed, metric_scale, size_scale, offset):
    """Row order and order-keeping seed names change nothing; scales carry through."""
    size, train, test, seed = make_table(peaked, n_sizes=9, n_seeds=4)
    reference = descent(size, train, test, seed, tolerance=TOLERANCE, bootstrap=Bootstrap(n=400))
    order = np.random.default_rng(row_seed).permutation(len(size))
    found = descent(
        size_scale * size[order],
        train[order],
        metric_scale * test[order],
        seed[order] + offset,
        tolerance=TOLERANCE,
        bootstrap=Bootstrap(n=400),
    )
    assert reference.peak is not None and found.peak is not None
    assert reference.ratio is not None and found.ratio is not None
    for before, after, scale in (
        (reference.threshold, found.threshold, size_scale),
        (reference.peak.location, found.peak.location, size_scale),
        (reference.peak.height, found.peak.height, metric_scale),
        (reference.ratio, found.ratio, 1.0),
    ):
        np.testing.assert_allclose(
            [after.value, after.low, after.high],
            np.multiply(scale, [before.value, before.low, before.high]),
            rtol=1e-9,
        )
    assert found.verdict is reference.verdict
    assert found.peak.p_value == pytest.approx(reference.peak.p_value, abs=0.01)


@pytest.mark.medium
@settings(deadline=None, max_examples=10)
@given(permutation=st.permutations(range(6)))
def test_renaming_the_seeds_moves_point_estimates_nowhere(permutation):
    size, train, test, seed = make_table(peaked, n_seeds=6)
    reference = descent(size, train, test, seed, tolerance=TOLERANCE)
    names = np.array([f"seed-{k}" for k in permutation])
    found = descent(size, train, test, names[seed], tolerance=TOLERANCE)
    assert reference.peak is not None and found.peak is not None
    assert found.threshold.value == pytest.approx(reference.threshold.value, rel=1e-12)
    assert found.peak.location.value == reference.peak.location.value
    assert found.peak.height.value == reference.peak.height.value
    assert found.verdict is reference.verdict


def coverage(n_tables, n_seeds, shared, first=0):
    """How often threshold, peak location and ratio lie in their intervals; truth off the grid."""
    hits = np.zeros(3, dtype=int)
    fine = np.geomspace(25, 100, 20_001)  # the peak, not the fall before it
    for k in range(first, first + n_tables):
        shift = np.random.default_rng(10_000 + k).uniform(0.8, 1.25)
        size, _, test, seed = make_table(
            lambda x, c=40 * shift: peaked(x, c, 0.3),
            n_seeds=n_seeds,
            shared=shared,
            seed=k,
            noise=0.1,
        )
        rng = np.random.default_rng(20_000 + k)
        train = train_curve(size / shift) + 0.1 * rng.standard_normal(len(size))
        found = descent(size, train, test, seed, tolerance=TOLERANCE, bootstrap=Bootstrap(n=400))
        true_peak = fine[np.argmax(peaked(fine, 40 * shift, 0.3))]
        if found.peak is None or found.ratio is None:
            continue
        truths = (THRESHOLD * shift, true_peak, true_peak / (THRESHOLD * shift))
        estimates = (found.threshold, found.peak.location, found.ratio)
        hits += [e.low <= t <= e.high for e, t in zip(estimates, truths, strict=True)]
    return hits


def assert_covers(hits, n_tables):
    # Fails if the hits would be too few (probability 1e-3) under the nominal 95%.
    assert np.all(hits >= stats.binom.ppf(1e-3, n_tables, 0.95)), hits / n_tables


@pytest.mark.parametrize("shared", [True, False])
def test_intervals_cover(shared):
    assert_covers(coverage(40, 5, shared), 40)


@pytest.mark.slow
@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("n_seeds", [3, 5, 20])
def test_intervals_cover_at_length(n_seeds, shared):
    assert_covers(coverage(150, n_seeds, shared), 150)


def verdict_of(size, test, seed):
    """The verdict of `descent` alone, which does not depend on the threshold."""
    how = Bootstrap(n=400)
    sample = sample_seeds(size, seed, how, test=test)
    curves = sample.curves("median")
    return shape_of(sample, curves, sample.bumps(curves), how.seed).verdict


def false_peaks(curve, n_tables, n_seeds, shared):
    count = 0
    for k in range(n_tables):
        size, _, test, seed = make_table(
            curve, n_sizes=12, n_seeds=n_seeds, noise=0.1, shared=shared, seed=k
        )
        count += verdict_of(size, test, seed).has_peak
    return count


def assert_few(count, n_tables):
    # Fails if the count would be too high (probability 1e-3) at a true rate of 5%.
    assert count <= stats.binom.ppf(1 - 1e-3, n_tables, 0.05), count / n_tables


@pytest.mark.slow
@pytest.mark.parametrize("shared", [True, False])
def test_noise_about_a_monotone_curve_is_seldom_called_a_peak(shared):
    assert_few(false_peaks(falling, 100, 5, shared), 100)


@pytest.mark.slow
@pytest.mark.parametrize(
    "curve", [falling, np.ones_like, lambda x: 0.5 + 0.1 * np.log(x / 20) ** 2]
)
@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("n_seeds", [3, 5, 20])
def test_noise_about_curves_without_a_peak_is_seldom_called_one(curve, n_seeds, shared):
    assert_few(false_peaks(curve, 150, n_seeds, shared), 150)


def unequal(curve, *, n_seeds, shared, seed):
    """A table whose smallest sizes err five times as much as the largest, as networks do."""
    size, train, test, labels = make_table(curve, n_sizes=14, n_seeds=n_seeds, noise=0)
    rng, n_sizes = np.random.default_rng(seed), 14
    common = rng.standard_normal(n_seeds) if shared else 0.0
    eps = (rng.standard_normal((n_sizes, n_seeds)) + common) / math.sqrt(1 + shared)
    return (
        size,
        train,
        test * np.exp(np.geomspace(0.1, 0.02, n_sizes)[:, None] * eps).ravel(),
        labels,
    )


@pytest.mark.slow
@pytest.mark.parametrize("curve", [falling, np.ones_like, lambda x: falling(np.minimum(x, 20))])
@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("n_seeds", [3, 5])
def test_unequal_noise_is_seldom_called_a_peak(curve, n_seeds, shared):
    count = 0
    for k in range(150):
        size, _, test, seed = unequal(curve, n_seeds=n_seeds, shared=shared, seed=k)
        found = peak(size, test, seed, statistic="mean", bootstrap=Bootstrap(n=400))
        count += found is not None and found.p_value <= 0.05
    assert_few(count, 150)


def test_noise_at_small_sizes_does_not_drown_a_bump_among_large_ones():
    found = 0
    for k in range(20):
        size, _, test, seed = unequal(
            lambda x: peaked(x, 100.0, 0.15), n_seeds=5, shared=False, seed=k
        )
        bump = peak(size, test, seed, statistic="mean", bootstrap=Bootstrap(n=400))
        found += bump is not None and bump.p_value <= 0.05 and 60 < bump.location.value < 160
    assert found >= 16


def test_the_error_of_a_network_on_noisy_labels_has_a_peak_and_a_second_descent():
    # The 70 runs of `scaling run double_descent_mlp --budget cpu`: the smallest widths err five
    # times as much as the largest.
    columns = np.loadtxt(Path(__file__).with_name("mnist1d_mlp.csv"), delimiter=",", skiprows=1).T
    width, seed, train, error, _ = columns
    found = descent(width, train, error, seed, tolerance=0.01, statistic="mean")
    assert found.verdict is Verdict.SECOND_DESCENT_BELOW
    assert found.peak is not None and found.confidence_below is not None
    assert found.peak.p_value < 0.02 and found.confidence_below > 0.99
    assert 16 < found.peak.location.value < 40


@pytest.mark.slow
@pytest.mark.parametrize("n_seeds", [3, 20])
def test_equal_minima_are_seldom_called_a_second_descent_below(n_seeds):
    def level_again(size):
        return np.where((size > 15) & (size < 30), 1.8, np.where(size < 9, 1.0 + 1 / size, 1.0))

    def equal(size):  # One size at the bottom on the left, many on the right.
        return np.where(np.isclose(size, size[size < 15].max()), 1.0, level_again(size))

    count = 0
    for k in range(300):
        size, _, test, seed = make_table(equal, n_seeds=n_seeds, noise=0.05, seed=k)
        count += verdict_of(size, test, seed) is Verdict.SECOND_DESCENT_BELOW
    assert_few(count, 300)


@pytest.mark.slow
def test_bootstrap_is_vectorised():
    size, train, test, seed = make_table(peaked, n_sizes=25, n_seeds=20)
    descent(size, train, test, seed, tolerance=TOLERANCE)
    start = time.perf_counter()
    descent(size, train, test, seed, tolerance=TOLERANCE)
    assert time.perf_counter() - start < 1.5  # about 0.1 s on an idle core
