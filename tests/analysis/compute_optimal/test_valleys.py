"""Minima of loss over any x, by group: iso-FLOP curves are one case."""

import numpy as np
import pytest

from analysis.compute_optimal.isoflop import isoflop
from analysis.compute_optimal.points import SeedNoise
from analysis.compute_optimal.valleys import valleys
from analysis.errors import FitError
from analysis.estimate import Bootstrap

QUICK = Bootstrap(n=200)


def rates(exponent=-0.8, sd=0.002):
    """Learning rate, loss and width of runs whose best rate is a power of the width."""
    width, octave = (grid.ravel() for grid in np.meshgrid([32, 64, 128, 256], range(-3, 4)))
    rate = 0.02 * (width / 64.0) ** exponent * 2.0**octave
    noise = sd * np.random.default_rng(0).standard_normal(len(rate))
    return rate, 2 + 0.03 * (octave - 0.3) ** 2 + noise, width.astype(float)


def test_the_best_rate_and_its_growth_with_width_are_those_planted():
    found = valleys(*rates(), bootstrap=QUICK)
    for valley in found.valleys:
        truth = 0.02 * (valley.group / 64) ** -0.8 * 2**0.3
        assert valley.optimum.low < truth < valley.optimum.high
        assert valley.other is None and valley.optimal_other is None
    assert found.growth.exponent.low < -0.8 < found.growth.exponent.high


def test_the_minima_of_budgets_are_those_of_any_other_group():
    rate, loss, width = rates()
    noise = SeedNoise(0.002, 20)
    found = valleys(rate, loss, width, noise=noise, bootstrap=QUICK)
    budgets = isoflop(rate, loss, flops=width, noise=noise, bootstrap=QUICK)
    assert [v.optimum for v in found.valleys] == [v.optimal_params for v in budgets.valleys]
    np.testing.assert_array_equal(found.growth.replicates, budgets.trends.params.replicates)


def test_a_refusal_says_why_in_a_line_and_has_the_detail_beside_it():
    rate, loss, width = rates()
    low = rate < 0.01
    with pytest.raises(FitError) as refused:
        valleys(rate[low], loss[low], width[low], bootstrap=QUICK)
    assert len(refused.value.reason) < 100 and "values" in refused.value.detail
