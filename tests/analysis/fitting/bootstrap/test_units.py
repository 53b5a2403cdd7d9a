"""Variances by units against the jackknife, brute force and closed forms."""

import numpy as np
import pytest

from analysis.estimate import Bootstrap
from analysis.fitting.bootstrap.units import unit_noise
from analysis.fitting.fit import fit
from analysis.fitting.profile import profile_likelihood
from analysis.laws import POWER_LAW

UNLIKE = np.repeat(np.arange(7), [1, 2, 3, 4, 5, 6, 7])


def line(units: np.ndarray, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    columns = np.stack([np.ones(len(units)), rng.standard_normal(len(units))], axis=1)
    y = rng.standard_normal(units.max() + 1)[units] + rng.standard_normal(len(units))
    return columns, y, y - columns @ np.linalg.lstsq(columns, y, rcond=None)[0]


@pytest.mark.parametrize("units", [UNLIKE, np.tile(np.arange(6), 4), np.arange(20)])
def test_it_is_the_jackknife_over_units(units: np.ndarray):
    columns, y, residuals = line(units)
    found = unit_noise(columns, residuals, units)
    estimate = np.linalg.lstsq(columns, y, rcond=None)[0]
    squares = np.zeros(2)
    for unit in range(units.max() + 1):
        own = units == unit
        without = np.linalg.lstsq(columns[~own], y[~own], rcond=None)[0]
        squares += (without - estimate) ** 2
        np.testing.assert_allclose(found.residuals[own], y[own] - columns[own] @ without)
    np.testing.assert_allclose(found.variances, squares)


@pytest.mark.parametrize("units", [UNLIKE, np.arange(20)])
def test_degrees_of_freedom_are_those_of_the_quadratic_form(units: np.ndarray):
    columns, _, residuals = line(units)
    found = unit_noise(columns, residuals, units)
    n_rows, same = len(units), units[:, None] == units
    pairs = same & ~np.eye(n_rows, dtype=bool)
    products = np.outer(residuals, residuals)
    shared = products[pairs].mean() / np.mean(residuals**2) if pairs.any() else 0.0
    noise = np.where(np.eye(n_rows) > 0, 1.0, same * max(shared, 0.0))
    hat = columns @ np.linalg.pinv(columns)
    left = np.linalg.inv(np.where(same, np.eye(n_rows) - hat, 0.0))
    for k, along in enumerate(np.linalg.pinv(columns)):
        form = np.zeros((n_rows, n_rows))
        for unit in range(units.max() + 1):
            form += np.outer(*[(np.eye(n_rows) - hat) @ left @ (along * (units == unit))] * 2)
        product = form @ noise
        expected = np.trace(product) ** 2 / np.trace(product @ product)
        assert found.degrees_of_freedom[k] == pytest.approx(expected)
    assert found.spent == pytest.approx(np.trace(hat @ noise))


def test_of_equal_units_the_mean_has_students_degrees_of_freedom():
    units = np.repeat(np.arange(9), 4)
    found = unit_noise(np.ones((36, 1)), line(units)[2], units)
    assert found.degrees_of_freedom[0] == pytest.approx(8)


def test_a_direction_that_one_unit_alone_determines_is_finite():
    units = np.repeat(np.arange(6), 3)
    columns = np.stack([np.ones(18), units == 0], axis=1).astype(float)
    y = np.random.default_rng(0).standard_normal(18)
    residuals = y - columns @ np.linalg.lstsq(columns, y, rcond=None)[0]
    found = unit_noise(columns, residuals, units)
    for values in (found.residuals, found.variances, found.degrees_of_freedom):
        assert np.all(np.isfinite(values))


def test_labels_and_the_order_of_rows_change_nothing():
    x = np.repeat(np.geomspace(1e6, 1e9, 8), 6)
    run = np.tile(np.arange(6), 8)
    rng = np.random.default_rng(0)
    y = 30 * x**-0.1 * np.exp(0.05 * rng.standard_normal(6)[run] + 0.02 * rng.standard_normal(48))
    here = fit(POWER_LAW, x, y, clusters=run, bootstrap=Bootstrap(n=200))
    order, names = rng.permutation(48), np.array([*"fbdace"])
    there = fit(
        POWER_LAW, x[order], y[order], clusters=names[run[order]], bootstrap=Bootstrap(n=200)
    )
    for name, profile in profile_likelihood(here).items():
        assert profile.allows_for == "clusters"
        other = profile_likelihood(there)[name]
        np.testing.assert_allclose(other.interval, profile.interval, rtol=1e-9)
    assert there.noise == pytest.approx(here.noise)


def test_a_profile_under_clusters_is_that_of_the_means_where_a_run_has_one_error():
    """Of a level alone, G runs say as much as their G means: Student's t on G - 1."""
    x, run = np.tile(np.geomspace(1e6, 1e9, 5), 10), np.repeat(np.arange(10), 5)
    shift = 0.1 * np.random.default_rng(1).standard_normal(10)
    y = 30 * x**-0.1 * np.exp(shift[run])
    result = fit(POWER_LAW, x, y, clusters=run, fixed={"alpha": 0.1}, bootstrap=Bootstrap(n=200))
    low, high = np.log(profile_likelihood(result)["A"].interval)
    # The jackknife's variance is G / (G - 1) times that of a mean.
    half = 2.2621571628 * np.std(shift, ddof=1) / np.sqrt(10) * np.sqrt(10 / 9)
    # The deviance is log(1 + squares), a little other than a square.
    assert (high - low) / 2 == pytest.approx(half, rel=0.02)
    assert (high + low) / 2 == pytest.approx(np.log(30) + shift.mean(), abs=1e-6)
    assert result.noise == pytest.approx(np.std(shift, ddof=1), rel=0.01)
