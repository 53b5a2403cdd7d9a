"""The trend of the noise: found where it is planted, seldom where there is none."""

import json

import numpy as np
import planted
import pytest

from analysis.estimate import Bootstrap
from analysis.fitting.fit import fit
from analysis.fitting.profile import profile_likelihood
from analysis.fitting.result import FitResult
from analysis.laws import CHINCHILLA, POWER_LAW

FEW = Bootstrap(n=200)


def noisy(power: float, seed: int = 0, n_rows: int = 64, sigma: float = 0.01) -> FitResult:
    x = planted.runs(n_rows)
    noise = np.random.default_rng(seed).standard_normal(n_rows)
    spread = sigma * (x[:, 0] / 1e9) ** power
    y = planted.chinchilla_loss(*x.T) * np.exp(spread * noise)
    return fit(CHINCHILLA.starting_at([planted.CHINCHILLA]), x, y, bootstrap=FEW)


def test_a_planted_trend_is_found_and_allowed_for():
    result = noisy(-0.4, n_rows=90)
    trend = result.noise_trend
    assert trend is not None and trend.is_unequal
    assert trend.slopes["N"] == pytest.approx(-0.4, abs=0.15)
    assert trend.slopes["D"] == pytest.approx(0.0, abs=0.15)
    at = np.log([[1e9, 1e11]])
    assert trend.at(at)[0] == pytest.approx(0.01, rel=0.3)
    assert result.bootstrap.resampling == "wild"
    assert {each.allows_for for each in profile_likelihood(result).values()} == {"unequal noise"}
    assert "the noise changes as N^-0." in result.summary()
    back = FitResult.from_dict(json.loads(result.to_json()))
    assert back.noise_trend == trend


def test_bands_of_new_runs_follow_the_noise():
    result = noisy(-0.4)
    small, large = np.array([[6e7, 1e11]]), np.array([[9e9, 1e11]])

    def half(x: np.ndarray) -> float:
        low, high = result.prediction_interval(x)
        return float(np.log(high / low)[0] / 2)

    assert half(small) > 3 * half(large)
    assert half(np.array([[1e12, 1e11]])) > 0


@pytest.mark.medium
def test_noise_of_one_size_is_refuted_as_often_as_the_level_says():
    found = [noisy(0.0, seed).noise_trend for seed in range(100)]
    count = sum(trend is not None and trend.is_unequal for trend in found)
    assert count <= 12  # of 100 at 5 %: beyond it with a probability of 0.1 %


def test_units_of_x_and_y_and_a_factor_of_weights_move_nothing_else():
    x = np.geomspace(1e6, 1e9, 40)
    noise = np.random.default_rng(0).standard_normal(40) * np.geomspace(0.1, 0.01, 40)
    y = 30 * x**-0.1 * np.exp(noise)
    here = fit(POWER_LAW, x, y, bootstrap=FEW).noise_trend
    there = fit(POWER_LAW, 1e-6 * x, 7 * y, bootstrap=FEW).noise_trend
    weighted = fit(POWER_LAW, x, y, weights=np.full(40, 4.0), bootstrap=FEW).noise_trend
    assert here is not None and there is not None and weighted is not None
    assert there.p_value == pytest.approx(here.p_value, rel=1e-6)
    assert weighted.p_value == pytest.approx(here.p_value, rel=1e-6)
    at = np.log(x[:, None])
    np.testing.assert_allclose(there.at(at - np.log(1e6)), here.at(at), rtol=1e-6)


def test_few_rows_and_exact_rows_show_none():
    x = np.geomspace(1e6, 1e9, 19)
    assert (
        fit(POWER_LAW, x, 30 * x**-0.1 * (1 + 0.01 * np.cos(x)), bootstrap=FEW).noise_trend is None
    )
    x = np.geomspace(1e6, 1e9, 40)
    assert fit(POWER_LAW, x, 30 * x**-0.1, bootstrap=FEW).noise_trend is None
