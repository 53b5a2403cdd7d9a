"""Bands that hold a new run: textbook, scale, reproducible, and counted on planted data sets."""

from collections.abc import Callable

import numpy as np
import planted
import pytest
from many_fits import fits
from scipy import stats

from analysis.estimate import Bootstrap, Floats, Redrawn
from analysis.fitting.engine.loss import Loss
from analysis.fitting.fit import fit
from analysis.fitting.result import FitResult
from analysis.laws import CHINCHILLA, POWER_LAW, SATURATING_POWER_LAW, Law

X = np.geomspace(1e6, 1e9, 12)
NEW = np.geomspace(1e6, 1e10, 5)


def noisy(sigma: float = 0.05, x: Floats = X, seed: int = 0) -> Floats:
    return 30 * x**-0.1 * np.exp(sigma * np.random.default_rng(seed).standard_normal(len(x)))


def test_of_a_line_it_is_students():
    x = np.geomspace(1e6, 1e9, 15)
    y = noisy(x=x)
    result = fit(POWER_LAW, x, y, bootstrap=Bootstrap(n=40_000, kind="parametric"))
    columns = np.stack([np.ones(15), np.log(x)], axis=1)
    estimate, rss = np.linalg.lstsq(columns, np.log(y), rcond=None)[:2]
    at = np.stack([np.ones(5), np.log(NEW)], axis=1)
    leverage = np.einsum("ij,jk,ik->i", at, np.linalg.inv(columns.T @ columns), at)
    half = stats.t.ppf(0.975, 13) * np.sqrt(rss / 13 * (1 + leverage))
    low, high = result.prediction_interval(NEW)
    np.testing.assert_allclose(np.log(low), at @ estimate - half, atol=0.04 * half.min())
    np.testing.assert_allclose(np.log(high), at @ estimate + half, atol=0.04 * half.min())
    assert result.noise == pytest.approx(np.sqrt(rss[0] / 13))


def test_it_is_wider_than_the_band_of_the_curve_and_widens_with_level():
    result = fit(SATURATING_POWER_LAW, X, noisy())
    low, high = result.prediction_interval(NEW)
    inner_low, inner_high = result.predict_interval(NEW)
    assert np.all((low < inner_low) & (inner_high < high))
    narrow_low, narrow_high = result.prediction_interval(NEW, level=0.5)
    assert np.all((low < narrow_low) & (narrow_high < high))


def test_the_same_fit_gives_the_same_band_whatever_else_is_asked():
    result = fit(SATURATING_POWER_LAW, X, noisy())
    bands = np.array(result.prediction_interval(NEW))
    np.testing.assert_array_equal(result.prediction_interval(NEW), bands)
    restored = FitResult.from_json(result.to_json())
    np.testing.assert_array_equal(restored.prediction_interval(NEW), bands)
    np.testing.assert_allclose(result.prediction_interval(NEW[3:]), bands[:, 3:], rtol=1e-12)


def test_on_the_linear_scale_noise_is_added():
    loss, how = Loss(scale="linear"), Bootstrap(kind="residuals")
    result = fit(POWER_LAW, X, noisy(0.3), loss=loss, bootstrap=how)
    far = np.array([1e80])
    low, high = result.prediction_interval(far)
    # No curve is left there, and the noise about it is the same as everywhere.
    half = stats.t.ppf(0.975, 10) * result.noise
    np.testing.assert_allclose([low[0], high[0]], [-half, half], rtol=0.1)
    expected = np.sqrt(np.sum(result.residuals**2) / 10)
    assert result.noise == pytest.approx(expected)


def test_units_and_a_factor_of_all_weights_move_nothing_else():
    y = noisy()
    here = np.array(fit(POWER_LAW, X, y).prediction_interval(NEW))
    weighted = fit(POWER_LAW, X, y, weights=np.full(12, 7.0))
    np.testing.assert_allclose(weighted.prediction_interval(NEW), here, rtol=1e-7)
    scaled = fit(POWER_LAW, 1e-6 * X, 5 * y)
    np.testing.assert_allclose(scaled.prediction_interval(1e-6 * NEW), 5 * here, rtol=1e-7)


def test_a_curve_that_seeks_the_floor_predicts_no_run():
    result = fit(POWER_LAW, X, noisy(), loss=Loss(above=0.1))
    with pytest.raises(ValueError, match=r"above = 0.1.*above=1"):
        result.prediction_interval(NEW)
    with pytest.raises(ValueError, match=r"x\[0\] = 0.0"):
        fit(POWER_LAW, X, noisy()).prediction_interval(np.zeros(1))


TRUTH = {
    "power_law": planted.POWER,
    "saturating_power_law": planted.SATURATING,
    "chinchilla": planted.CHINCHILLA,
}


def inputs(law: Law, n_points: int) -> tuple[Floats, Floats]:
    """Inputs to fit, and new ones: the last two lie beyond the first."""
    if law is CHINCHILLA:
        return planted.runs(n_points), np.array(
            [[1e8, 1e10], [1e9, 5e10], [3e9, 1e10], [3e10, 1e12], [1e11, 3e12]]
        )
    x = np.geomspace(1e6, 1e9, n_points)
    return x[:, None], np.array([1e6, 4e7, 9e8, 5e9, 1e10])[:, None]


def held(
    law: Law,
    n_points: int,
    n_sets: int,
    noise: Callable[..., Floats],
    loss: Loss,
    kind: Redrawn | None = None,
) -> tuple[float, float]:
    """Shares of new runs that the band holds: among the fitted inputs, and beyond them."""
    theta = law.to_theta(np.array(TRUTH[law.name]))
    x, new = inputs(law, n_points)
    is_log = loss.scale == "log"

    def observed(at: Floats, rng: np.random.Generator) -> Floats:
        curve, error = law.log_predict(theta, np.log(at)), noise(rng, len(at))
        return np.exp(curve + 0.02 * error) if is_log else np.exp(curve) + 0.03 * error

    streams = [np.random.default_rng(data_set) for data_set in range(n_sets)]
    sets = [(x, observed(x, rng), None) for rng in streams]
    inside = np.zeros(len(new))
    for result, rng in zip(
        fits(law, TRUTH[law.name], sets, loss=loss, kind=kind), streams, strict=True
    ):
        runs = observed(new, rng)
        low, high = result.prediction_interval(new)
        inside += (low <= runs) & (runs <= high)
    shares = inside / n_sets
    return float(shares[:-2].mean()), float(shares[-2:].mean())


def normal(rng: np.random.Generator, n: int) -> Floats:
    return rng.standard_normal(n)


def skewed(rng: np.random.Generator, n: int) -> Floats:
    return rng.exponential(size=n) - 1


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["residuals", "rows", "parametric"])
@pytest.mark.parametrize(
    ("law", "n_points", "noise", "delta"),
    [
        (POWER_LAW, 8, normal, None),
        (SATURATING_POWER_LAW, 12, normal, None),
        (SATURATING_POWER_LAW, 30, skewed, None),
        (SATURATING_POWER_LAW, 20, normal, 0.02),
        (CHINCHILLA, 40, normal, None),
    ],
)
def test_93_to_97_percent_of_new_runs_lie_within(
    law: Law, n_points: int, noise, delta: float | None, kind: Redrawn
):
    within, beyond = held(law, n_points, 500, noise, Loss(delta), kind)
    assert 0.93 <= within <= 0.97
    assert 0.93 <= beyond <= 0.97


@pytest.mark.slow
@pytest.mark.parametrize(("law", "n_points"), [(POWER_LAW, 8), (SATURATING_POWER_LAW, 30)])
def test_93_to_97_percent_of_new_runs_lie_within_on_the_linear_scale(law: Law, n_points: int):
    within, beyond = held(law, n_points, 500, normal, Loss(scale="linear"))
    assert 0.93 <= within <= 0.97
    assert 0.93 <= beyond <= 0.97
