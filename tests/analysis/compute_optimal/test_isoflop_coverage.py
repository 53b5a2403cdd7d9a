"""Do 95 % intervals of minima and exponents hold the truth 95 % of the time?

The short test judges few data sets by the binomial distribution: it fails where the count would
be rare were the true coverage as low as 93 % or as high as 97 %. The slow one judges the rate.
`isoflop` gives the minima and the growth of `valleys`, and the growth of tokens beside it.
"""

import numpy as np
import pytest
from scipy import stats

from analysis.compute_optimal.points import SeedNoise
from analysis.compute_optimal.valley import Curve
from analysis.compute_optimal.valleys import valleys
from analysis.estimate import Bootstrap

BUDGETS = 1e18 * 4.0 ** np.arange(5)
OFFSETS = np.linspace(-1.2, 1.2, 5)
SD = 0.01


def lowest_loss(flops):
    return 2 + 1.5 * (flops / 1e18) ** -0.1


def optimum(flops):
    return 1e8 * (flops / 1e20) ** 0.5


def planted(data_set, seeds):
    """n_params, loss, flops of five runs at each of five budgets, times the seeds."""
    flops, offset = (grid.ravel() for grid in np.meshgrid(BUDGETS, np.repeat(OFFSETS, seeds)))
    noise = SD * np.random.default_rng(data_set).standard_normal(len(flops))
    loss = lowest_loss(flops) + 0.1 * offset**2 + noise
    return optimum(flops) * np.exp(offset), loss, flops


def intervals_covered(n_sets, seeds=1, method="parabola", noise=None):
    """Hits and trials of N*, L*, the exponent by noise alone, and the exponent, over data sets."""
    hits, trials = np.zeros(4), np.zeros(4)
    for data_set in range(n_sets):
        size, loss, flops = planted(data_set, seeds)
        found = valleys(
            size,
            loss,
            flops,
            curve=Curve(method),
            noise=None if noise is None else SeedNoise(noise),
            bootstrap=Bootstrap(n=400, seed=data_set),
        )
        for valley in found.valleys:
            truths = (optimum(valley.group), lowest_loss(valley.group))
            estimates = (valley.optimum, valley.lowest_loss)
            for k, (estimate, truth) in enumerate(zip(estimates, truths, strict=True)):
                hits[k] += estimate.low <= truth <= estimate.high
                trials[k] += 1
        law = found.growth
        for k, exponent in enumerate((law.by_noise.exponent, law.exponent)):
            hits[2 + k] += exponent.low <= 0.5 <= exponent.high
            trials[2 + k] += 1
    return hits, trials


USE_CASES = [
    pytest.param({}, id="residuals"),
    pytest.param({"noise": 0.01}, id="given"),
    pytest.param({"seeds": 3}, id="repeats"),
    pytest.param({"method": "akima", "noise": 0.01}, id="akima"),
]


@pytest.mark.medium
@pytest.mark.parametrize("options", USE_CASES)
def test_intervals_cover(options):
    hits, trials = intervals_covered(100, **options)
    # Budgets share the noise estimate, so data sets are what counts as independent.
    rate = hits / trials
    assert np.all(rate >= stats.binom.ppf(1e-3, 100, 0.93) / 100)
    assert np.all(rate[:2] <= stats.binom.ppf(1 - 1e-3, 500, 0.97) / 500)


@pytest.mark.slow
@pytest.mark.parametrize("options", USE_CASES[:3])
def test_intervals_cover_between_93_and_97_percent(options):
    hits, trials = intervals_covered(1000, **options)
    rates = hits / trials
    assert np.all((0.93 <= rates[:3]) & (rates[:3] <= 0.97))
    # Nothing scatters beyond its noise here. Five budgets seem to in 2 of 5 sets, whose intervals
    # are wider than need be: 96.9 % are expected.
    assert stats.binom.ppf(1e-3, 1000, 0.969) <= hits[3] <= stats.binom.ppf(1 - 1e-3, 1000, 0.969)
