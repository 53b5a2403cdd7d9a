"""Scatter beyond the stated errors: is it estimated, and do intervals hold the truth with it?"""

import numpy as np
import pytest
from scipy import stats

from analysis.compute_optimal.growth import fit_trend
from analysis.compute_optimal.isoflop import isoflop
from analysis.compute_optimal.points import SeedNoise
from analysis.compute_optimal.random_effects import (
    noise_line,
    random_effects_line,
    student_over_normal,
    widened,
)
from analysis.estimate import Bootstrap

WITHIN = 0.02


def trend(n, ratio, number, n_replicates=400, uneven=False):
    """A planted exponent of 0.5 through n budgets whose scatter is `ratio` times their errors."""
    rng = np.random.default_rng(number)
    x = 1e18 * 4.0 ** np.arange(n)
    errors = WITHIN * (np.geomspace(0.5, 2, n) if uneven else np.ones(n))
    kicks = errors * rng.standard_normal(n) + ratio * WITHIN * rng.standard_normal(n)
    values = 0.5 * np.log(x) + kicks
    replicates = values[:, None] + errors[:, None] * rng.standard_normal((n, n_replicates))
    return fit_trend(x, values, replicates, errors, 0.95)


def held(n_sets, *case, **options):
    """Data sets whose interval holds the exponent, and that hold the height at the last budget."""
    hits = np.zeros(2)
    n = case[0]
    last = 1e18 * 4.0 ** (n - 1)
    for number in range(n_sets):
        found = trend(*case, number, **options)
        height = found.at(last)
        hits += [
            found.exponent.low <= 0.5 <= found.exponent.high,
            height.low <= np.sqrt(last) <= height.high,
        ]
    return hits


CASES = [(8, 3.0), (8, 0.0), (8, 1.0), (5, 3.0), (5, 0.0), (20, 3.0), (20, 0.0), (20, 1.0)]


@pytest.mark.parametrize("case", [(8, 3.0), (5, 1.0)], ids=str)
def test_intervals_hold_the_truth(case):
    hits = held(150, *case)
    assert np.all(hits >= stats.binom.ppf(1e-3, 150, 0.93))


@pytest.mark.slow
@pytest.mark.parametrize("uneven", [False, True], ids=["even", "uneven"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_intervals_cover_93_to_97_percent(case, uneven):
    hits = held(1000, *case, uneven=uneven)
    assert np.all(hits >= stats.binom.ppf(0.01, 1000, 0.93))
    assert np.all(hits <= stats.binom.ppf(0.99, 1000, 0.97))


def test_without_excess_half_of_the_intervals_are_those_of_the_noise_alone():
    found = [trend(8, 0.0, number) for number in range(100)]
    alike = [each.tau == 0 for each in found]
    assert 35 < sum(alike) < 75
    widths = [np.ptp([each.exponent.low, each.exponent.high]) for each in found]
    known = [np.ptp([each.by_noise.exponent.low, each.by_noise.exponent.high]) for each in found]
    assert np.median(np.divide(widths, known)) < 1.1


def minima(number, kick=3.0, n=8):
    """Exponents of eight budgets of parabolas whose vertices are kicked beyond their errors."""
    rng = np.random.default_rng(number)
    offsets, sd = np.linspace(-1.2, 1.2, 7), 0.002
    error = sd / (2 * 0.1 * np.sqrt(np.sum(offsets**2)))
    flops, offset = (g.ravel() for g in np.meshgrid(1e18 * 4.0 ** np.arange(n), offsets))
    moved = np.tile(kick * error * rng.standard_normal(n), len(offsets))
    loss = 3 + 0.1 * (offset - moved) ** 2 + sd * rng.standard_normal(len(offset))
    bootstrap = Bootstrap(n=200, seed=number)
    size = 1e8 * np.sqrt(flops / 1e20) * np.exp(offset)
    return isoflop(size, loss, flops=flops, noise=SeedNoise(sd), bootstrap=bootstrap)


@pytest.mark.slow
def test_minima_kicked_by_three_times_their_noise_are_covered():
    hits = np.zeros(2)
    for number in range(500):
        a = minima(number).trends.params
        hits += [each.exponent.low <= 0.5 <= each.exponent.high for each in (a, a.by_noise)]
    assert stats.binom.ppf(0.01, 500, 0.93) <= hits[0] <= stats.binom.ppf(0.99, 500, 0.97)
    assert hits[1] < 300  # noise alone leaves the truth out of half the intervals


def test_the_excess_is_that_planted_and_is_printed():
    result = minima(3, kick=30.0, n=40)
    error = 0.002 / (0.2 * np.sqrt(np.sum(np.linspace(-1.2, 1.2, 7) ** 2)))
    for trend in (result.trends.params, result.trends.tokens):
        assert trend.tau == pytest.approx(30 * error, rel=0.25)
    assert "tau 0.1" in result.summary()
    assert result.to_dict()["trends"]["params"]["tau"] == pytest.approx(trend.tau, rel=1e-6)
    # C = 6 N D in every run: the two laws mirror each other.
    size, data = result.trends.params.exponent, result.trends.tokens.exponent
    assert (1 - size.high, 1 - size.low) == pytest.approx((data.low, data.high), abs=1e-9)


def test_equal_errors_give_the_closed_form():
    """With equal errors tau^2 is s^2 - v, and the interval that of least squares."""
    x, y = np.arange(6.0), np.array([0.0, 1.3, 1.8, 3.4, 3.7, 5.2])
    line = random_effects_line(x, y, np.full(6, 0.1), 0.01 * np.eye(6))
    fitted = stats.linregress(x, y)
    s2 = np.sum((y - fitted.intercept - fitted.slope * x) ** 2) / 4
    assert line.tau**2 == pytest.approx(s2 - 0.01, rel=1e-9)
    assert line.to_line[1] @ y == pytest.approx(fitted.slope, rel=1e-12)
    noise = 0.1 * np.random.default_rng(0).standard_normal((4000, 6))
    lines = widened((y + noise) @ line.to_line.T, line, 0.01 * np.eye(6), 0.95)
    stretch = student_over_normal(4, 0.95)
    assert stretch == pytest.approx(stats.t.ppf(0.975, 4) / stats.norm.ppf(0.975), rel=1e-12)
    assert lines[:, 1].std() == pytest.approx(stretch * fitted.stderr, rel=0.05)


@pytest.mark.parametrize("shift", [1e-3, 1.0, 1e3])
def test_units_scale_tau(shift):
    rng = np.random.default_rng(1)
    x, y, errors = np.arange(7.0), rng.standard_normal(7), rng.uniform(0.1, 0.5, 7)
    one = random_effects_line(x, y, errors, np.diag(errors**2))
    other = random_effects_line(x, shift * y, shift * errors, np.diag((shift * errors) ** 2))
    assert other.tau == pytest.approx(shift * one.tau, rel=1e-7) and one.tau > 0


def test_points_on_a_line_and_two_points_have_no_excess():
    x, errors = np.arange(5.0), np.full(5, 0.1)
    exact = random_effects_line(x, 2 * x, errors, np.diag(errors**2))
    assert exact.tau == 0
    np.testing.assert_allclose(exact.to_line, noise_line(x, errors).to_line)
    assert np.isnan(random_effects_line(x[:2], x[:2], errors[:2], np.eye(2)).tau)
