"""Risk along training: moments of Marchenko and Pastur, both ends of training, simulation."""

import numpy as np
import pytest

from analysis.theory import (
    gradient_descent_excess_risk,
    gradient_flow_excess_risk,
    many_scales_test_risk,
    marchenko_pastur_mean,
    marchenko_pastur_stieltjes,
    ridgeless_excess_risk,
)

POWERS = {"noise_variance": 0.3, "signal_power": 1.0}


@pytest.mark.parametrize("gamma", [0.2, 0.999, 1.0, 1.001, 4.0])
def test_moments_of_marchenko_and_pastur(gamma):
    moments = [marchenko_pastur_mean(lambda x, k=k: x**k, gamma) for k in range(3)]
    assert moments == pytest.approx([1, 1, 1 + gamma], rel=1e-9)
    resolvent = marchenko_pastur_mean(lambda x: 1 / (x + 0.1), gamma)
    assert resolvent == pytest.approx(float(marchenko_pastur_stieltjes(gamma, 0.1)), rel=1e-8)


@pytest.mark.parametrize("gamma", [0.5, 0.9, 1.1, 2.0])
def test_the_flow_begins_at_the_signal_and_ends_at_the_ridgeless_risk(gamma):
    begin, end = gradient_flow_excess_risk([0.0, 1e8], gamma, **POWERS)
    assert begin == pytest.approx(1.0, rel=1e-9)
    assert end == pytest.approx(float(ridgeless_excess_risk(gamma, **POWERS)), rel=1e-6)


def test_overtraining_is_worst_at_the_threshold_and_early_stopping_has_no_peak():
    times, gammas = np.logspace(-1, 4, 60)[:, None], np.linspace(0.2, 3, 29)
    risks = gradient_flow_excess_risk(times, gammas, **POWERS)
    overtrained = risks[-1] - risks.min(axis=0)
    assert gammas[np.argmax(overtrained)] == pytest.approx(1.0)
    assert np.all(np.diff(risks.min(axis=0)) > 0)


def test_small_steps_of_descent_are_the_flow():
    flow = gradient_flow_excess_risk([1.0, 10.0, 1000.0], [[0.5], [2.0]], **POWERS)
    descent = gradient_descent_excess_risk(
        [1e4, 1e5, 1e7], [[0.5], [2.0]], step_size=1e-4, **POWERS
    )
    np.testing.assert_allclose(descent, flow, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(("gamma", "n"), [(0.5, 200), (1.0, 400), (2.0, 200)])
def test_simulation_of_descent_follows(gamma, n):
    rng, eta, n_runs = np.random.default_rng(3), 0.3, 30
    p, steps = int(gamma * n), np.array([1, 10, 100, 1000])
    risks = np.empty((n_runs, len(steps)))
    for run in range(n_runs):
        x, beta = rng.normal(size=(n, p)), rng.normal(size=p)
        beta /= np.linalg.norm(beta)
        y = x @ beta + np.sqrt(0.3) * rng.normal(size=n)
        left, singular, right = np.linalg.svd(x, full_matrices=False)
        solution, along = left.T @ y / singular, right @ beta
        for i, t in enumerate(steps):
            reached = solution * (1 - (1 - eta * singular**2 / n) ** t)
            risks[run, i] = np.sum((reached - along) ** 2) + 1 - along @ along
    theory = gradient_descent_excess_risk(steps, gamma, step_size=eta, **POWERS)
    # n is finite: by 1 / n where the risk is least squares', by more at the threshold.
    error = risks.std(axis=0) / np.sqrt(n_runs)
    np.testing.assert_array_less(np.abs(risks.mean(axis=0) - theory), 3 * error + 0.02 * theory)


def test_two_scales_give_two_minima_over_steps_and_one_scale_one():
    steps = np.unique(np.logspace(0, 7, 400).round())

    def minima(scales):
        risk = many_scales_test_risk(
            steps,
            step_size=0.05,
            scales=scales,
            target=np.where(scales < 1, 30.0, 0.3),
            n_samples=200,
            noise_variance=4.0,
        )
        return int(np.sum((risk[1:-1] < risk[:-2]) & (risk[1:-1] < risk[2:])))

    assert minima(np.repeat([1.0, 0.01], 50)) == 2
    assert minima(np.ones(100)) == 1


def test_many_scales_equal_a_loop_over_features():
    scales, target, t = np.array([1.0, 0.3, 5.0]), np.array([1.0, -2.0, 0.1]), 7
    expected = 0.5
    for s, th in zip(scales, target, strict=True):
        a = 1 - 0.06 * s**2
        expected += s**2 * th**2 * a ** (2 * t) + 0.5 / 50 * (1 - a**t) ** 2
    risk = many_scales_test_risk(
        t, step_size=0.06, scales=scales, target=target, n_samples=50, noise_variance=0.5
    )
    assert risk == pytest.approx(expected, rel=1e-12)


def test_steps_that_diverge_are_refused_with_the_largest_that_do_not():
    with pytest.raises(ValueError, match=r"step_size = 1, .* diverges from 0.5 on"):
        gradient_descent_excess_risk(10, 1.0, step_size=1.0, **POWERS)
    with pytest.raises(ValueError, match=r"scale of 2 descent diverges from 0.5 on"):
        many_scales_test_risk(
            1, step_size=0.5, scales=[1, 2], target=[1, 1], n_samples=9, noise_variance=1
        )
    with pytest.raises(
        ValueError, match=r"target has shape \(1,\) and scales \(2,\): give as many"
    ):
        many_scales_test_risk(
            1, step_size=0.1, scales=[1, 2], target=[1], n_samples=9, noise_variance=1
        )
