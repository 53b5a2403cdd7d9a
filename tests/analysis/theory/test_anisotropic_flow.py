"""Gradient flow on any spectrum: both ends of training, one scale, fast features, simulation."""

import numpy as np
import pytest

from analysis.theory import (
    gradient_flow_excess_risk,
    gradient_flow_test_risk,
    kernel_ridge_risk,
    many_scales_test_risk,
)


@pytest.mark.parametrize("gamma", [0.4, 0.9, 1.0, 2.5])
def test_one_scale_is_the_integral_over_marchenko_and_pastur(gamma):
    n, p = 200, int(200 * gamma)
    times = np.array([0.0, 0.3, 5.0, 100.0, 2000.0])
    risk = gradient_flow_test_risk(times, np.ones(p), np.full(p, 1.2 / p), n, noise_variance=0.3)
    isotropic = gradient_flow_excess_risk(times, gamma, noise_variance=0.3, signal_power=1.2)
    np.testing.assert_allclose(risk, isotropic + 0.3, rtol=1e-8)


@pytest.mark.parametrize("n", [40, 65, 81, 500])
def test_training_ends_at_ridgeless_regression(n):
    rng = np.random.default_rng(n)
    eigs, power = 10 ** rng.uniform(-3, 1, 80), rng.exponential(size=80)
    begin, end = gradient_flow_test_risk([0, 1e9], eigs, power, n, noise_variance=0.0)
    assert begin == pytest.approx(power.sum(), rel=1e-12)
    ridgeless = kernel_ridge_risk(eigs, power, n, ridge=0.0, noise_variance=0.0).test_risk
    assert end == pytest.approx(float(ridgeless), rel=1e-6, abs=1e-9)
    long = 1e7 if n < 80 else 1e10  # at n = 81 the smallest sample eigenvalue is about 1e-8
    noisy = gradient_flow_test_risk(long, eigs, power, n, noise_variance=0.5)
    ridgeless = kernel_ridge_risk(eigs, power, n, ridge=0.0, noise_variance=0.5).test_risk
    assert float(noisy) == pytest.approx(float(ridgeless), rel=1e-3)


def test_many_samples_give_every_scale_its_own_curve():
    scales, target, n, t = np.array([1.0, 0.02, 0.3]), np.array([1.0, 20.0, -2.0]), 1e7, [3.0, 1e3]
    risk = gradient_flow_test_risk(t, scales**2, (scales * target) ** 2, n, noise_variance=0.1 * n)
    step = 1e-5
    curves = many_scales_test_risk(
        np.array(t) / step, step_size=step, scales=scales, target=target, n_samples=n,
        noise_variance=0.1 * n,
    )  # fmt: skip
    np.testing.assert_allclose(risk - 0.1 * n, curves - 0.1 * n, rtol=1e-4)


@pytest.mark.parametrize("n", [60, 130])
def test_simulation_follows_over_all_of_training(n):
    rng, p, s2, n_runs = np.random.default_rng(n), 100, 0.2, 40
    eigs = np.where(np.arange(p) < 70, 1.0, 1e-4)
    power, times = np.full(p, 1 / p), np.array([1.0, 30.0, 1e3, 1e5, 1e7])
    risks = np.empty((n_runs, len(times)))
    beta = np.sqrt(power / eigs)
    for run in range(n_runs):
        x = rng.standard_normal((n, p)) * np.sqrt(eigs)
        y = x @ beta + np.sqrt(s2) * rng.standard_normal(n)
        left, s, right = np.linalg.svd(x, full_matrices=False)
        reached = -np.expm1(-np.multiply.outer(times, s**2 / n)) / s
        off = (reached * (left.T @ y)) @ right - beta
        risks[run] = off**2 @ eigs + s2
    theory = gradient_flow_test_risk(times, eigs, power, n, noise_variance=s2)
    error = risks.std(axis=0) / np.sqrt(n_runs)
    np.testing.assert_array_less(np.abs(risks.mean(axis=0) - theory), 3 * error + 0.02 * theory)


def test_wrong_spectra_are_refused():
    with pytest.raises(ValueError, match="give as many of both"):
        gradient_flow_test_risk(1.0, [1.0, 2.0], [1.0], 10, noise_variance=0.1)
    with pytest.raises(ValueError, match=r"time = -1.0, but it must be finite and at least 0"):
        gradient_flow_test_risk(-1.0, [1.0], [1.0], 10, noise_variance=0.1)
