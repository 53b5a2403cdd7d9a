"""Effective complexity from tables, the critical band, and what became of changed labels."""

import numpy as np
import pytest

from analysis.double_descent.complexity import critical_band, effective_complexity
from analysis.double_descent.label_memory import memorisation

GRID, SEEDS = np.array([10.0, 20, 40, 80, 160]), np.arange(4)


def table(edge, spread=0.0):
    """Errors that leave 0 at an edge, which differs over seeds."""
    n, seed = (each.ravel() for each in np.meshgrid(GRID, SEEDS))
    error = np.clip(np.log(n / (edge * np.exp(spread * (seed - 1.5)))), 0, 1)
    return n, error, seed


def test_the_most_examples_that_are_fitted_are_found_between_the_grid():
    found = effective_complexity(*table(40), tolerance=1e-9)
    assert found.low == pytest.approx(40) and found.high == pytest.approx(80)
    assert found.low <= found.value <= found.high
    spread = effective_complexity(*table(40, spread=0.8), tolerance=0.05)
    assert spread.low < found.low


def test_what_the_grid_does_not_hold_is_censored_on_the_right_side():
    assert effective_complexity(*table(1000), tolerance=0.01).censored == "above"
    assert effective_complexity(*table(1), tolerance=0.01).censored == "below"
    all_fit = effective_complexity(*table(1000), tolerance=0.01)
    assert all_fit.low == pytest.approx(160) and np.isinf(all_fit.high)


def test_the_band_of_a_linear_model_is_a_factor_about_n():
    p = np.array([10, 30, 100, 300, 1000])
    band = critical_band(p, p, 200, factor=2)
    assert (band.low, band.high) == pytest.approx((100, 400))
    assert band.holds(200) and not band.holds(90)
    power = critical_band(p, 0.01 * p**2.0, 200, factor=2)
    assert power.low == pytest.approx(100) and power.high == pytest.approx(200)


def test_a_band_may_reach_beyond_the_grid():
    p = np.array([10.0, 30, 100])
    assert critical_band(p, p, 100).high == np.inf
    assert critical_band(p, p, 10).low == 0
    assert critical_band(p[::-1], p[::-1], 30, factor=1.2) == critical_band(p, p, 30, factor=1.2)
    with pytest.raises(ValueError, match="one size has no band"):
        critical_band([3], [3], 3)
    with pytest.raises(ValueError, match=r"factor = 1.0, but it must be above 1"):
        critical_band(p, p, 30, factor=1.0)


def test_memorised_and_corrected_labels_are_told_apart():
    rng, n, classes = np.random.default_rng(0), 1000, 10
    clean = rng.integers(classes, size=n)
    noisy = np.where(rng.random(n) < 0.2, (clean + 1) % classes, clean)
    changed = np.mean(noisy != clean)
    for guess, expected in ((noisy, 1.0), (clean, -1.0), ((clean + 5) % classes, 0.0)):
        errors = np.mean(guess != noisy), np.mean(guess != clean)
        assert memorisation(*errors, changed) == pytest.approx(expected)
    assert np.isnan(memorisation(0.1, 0.1, 0.0))
    with pytest.raises(ValueError, match=r"differ by 0.4, more than the 0.2"):
        memorisation(0.0, 0.4, 0.2)
    with pytest.raises(ValueError, match="a share between 0 and 1"):
        memorisation(12.0, 0.4, 0.2)
