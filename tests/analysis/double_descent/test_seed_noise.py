"""Noise of runs: planted spread and correlation come out, and simulated curves have them."""

import numpy as np
import pytest

from analysis.double_descent.seed_noise import SeedNoise, seed_noise, simulate, size_noise
from analysis.double_descent.seeds import group_by_size


def planted(correlation, *, n_sizes=8, n_seeds=200, rng=None):
    rng = rng or np.random.default_rng(0)
    shared = rng.standard_normal(n_seeds)
    own = rng.standard_normal((n_sizes, n_seeds))
    spread = np.geomspace(0.5, 0.1, n_sizes)
    values = spread[:, None] * (np.sqrt(correlation) * shared + np.sqrt(1 - correlation) * own)
    size, seed = np.repeat(np.arange(1, n_sizes + 1), n_seeds), np.tile(np.arange(n_seeds), n_sizes)
    return group_by_size(size, seed, test=values.ravel()), spread


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.9])
def test_planted_spread_and_correlation_come_out(correlation):
    runs, spread = planted(correlation)
    noise = seed_noise(runs, runs.values["test"])
    assert noise.correlation == pytest.approx(correlation, abs=0.12)
    np.testing.assert_allclose(noise.spread, spread, rtol=0.2)


def test_simulated_curves_err_as_their_noise_says():
    runs, _ = planted(0.6, n_seeds=6)
    noise = SeedNoise(np.geomspace(0.5, 0.1, 8), 0.6, runs.seeds)
    curve = np.linspace(2, 1, 8)
    centres, shown = simulate(curve, noise, "mean", 20_000, seed=0)
    expected = size_noise(noise)
    np.testing.assert_allclose(centres.mean(axis=0), curve, atol=0.01)
    np.testing.assert_allclose(centres.std(axis=0), expected.error[0], rtol=0.03)
    for at in (0, 3, 7):
        spread = (centres[:, [at]] - centres).std(axis=0)
        others = np.arange(8) != at
        error = expected.of_difference(expected.error[0, at], expected.error[0])
        np.testing.assert_allclose(spread[others], error[others], rtol=0.03)
    # Few seeds show the correlation without much of a bias; the error is the larger of two,
    # each with a median below its mean.
    assert shown.correlation.mean() == pytest.approx(0.6, abs=0.1)
    larger = np.median(shown.error, axis=0) / expected.error[0]
    assert np.all((larger > 0.9) & (larger < 1.4)), larger


def test_seeds_used_at_one_size_alone_share_nothing():
    rng = np.random.default_rng(1)
    runs = group_by_size(np.repeat([1, 2, 3], 4), np.arange(12), test=rng.normal(size=12))
    assert seed_noise(runs, runs.values["test"]).correlation == 0.0


def test_equal_runs_leave_a_noise_above_zero():
    runs = group_by_size(np.repeat([1, 2, 3], 2), np.tile([0, 1], 3), test=[3, 3, 1, 1, 2, 2])
    noise = size_noise(seed_noise(runs, runs.values["test"]))
    assert np.all(noise.error > 0) and np.all(noise.error < 1e-9)
    assert np.all(noise.of_difference(noise.error[0, 1], noise.error[0, [0, 2]]) > 0)
