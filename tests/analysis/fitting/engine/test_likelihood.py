"""The density of Huber's noise against quadrature."""

from itertools import pairwise

import numpy as np
import pytest
from scipy import integrate

from analysis.fitting.engine.likelihood import integral, likeliest_scale, size_quantile
from analysis.fitting.engine.loss import Loss

SCALES = [0.05, 0.7, 1.5, 30.0]


def mass(low: float, high: float, scale: float) -> float:
    def density(r: float) -> float:
        return float(np.exp(-Loss(1.0).value(np.array(r)) / scale**2))

    ends = sorted({low, min(max(1.0, low), high), high})
    return sum(integrate.quad(density, a, b, epsabs=0, epsrel=1e-11)[0] for a, b in pairwise(ends))


@pytest.mark.parametrize("scale", SCALES)
def test_integral_and_its_slope(scale: float):
    whole, slope = integral(np.array(scale))
    assert whole == pytest.approx(2 * mass(0.0, np.inf, scale), rel=1e-9)
    ends = [integral(np.array(scale * (1 + sign * 1e-6)))[0] for sign in (1, -1)]
    assert slope == pytest.approx((ends[0] - ends[1]) / (2e-6 * scale), rel=1e-6)


@pytest.mark.parametrize("scale", SCALES)
def test_quantiles_leave_their_probability_below(scale: float):
    half = mass(0.0, np.inf, scale)
    for probability in (0.01, 0.5, 0.95, 0.999):
        size = float(size_quantile(np.array(probability), scale))
        assert mass(0.0, size, scale) / half == pytest.approx(probability, rel=1e-8)
    assert size_quantile(np.array(0.0), scale) == 0.0


@pytest.mark.parametrize("mean_loss", [1e-4, 0.3, 5.0, 1e3])
def test_likeliest_scale_is_the_maximum(mean_loss: float):
    def surprise(scale: float) -> float:
        return mean_loss / scale**2 + float(np.log(integral(np.array(scale))[0]))

    best = float(likeliest_scale(np.array(mean_loss)))
    assert surprise(best) < min(surprise(1.001 * best), surprise(best / 1.001))
