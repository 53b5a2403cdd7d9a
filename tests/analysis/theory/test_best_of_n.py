"""Best of n and the tilt against brute force and simulation."""

import numpy as np
import pytest

from analysis import theory


def test_divergence_is_that_of_the_largest_rank():
    assert theory.best_of_n_kl(32) == pytest.approx(2.497, abs=1e-3)
    found = [theory.best_of_n_kl_discrete(32, k) for k in (4, 16, 10**6)]
    np.testing.assert_allclose(found, [1.385, 2.344, 2.497], atol=1e-3)


def test_maxima_and_a_gaussian_proxy_are_those_of_simulation():
    rng = np.random.default_rng(0)
    gold = rng.standard_normal((20_000, 32))
    proxy = gold + 0.7 * rng.standard_normal(gold.shape)
    assert theory.expected_maximum(32) == pytest.approx(gold.max(axis=1).mean(), abs=0.02)
    assert theory.expected_maximum(1) == pytest.approx(0, abs=1e-9)
    kept = np.take_along_axis(gold, proxy.argmax(axis=1)[:, None], axis=1)
    assert theory.gaussian_proxy_gold(32, 0.7) == pytest.approx(kept.mean(), abs=0.02)


def test_heavy_tails_turn_gold_over():
    """The figures of the design, and a simulation at n = 128."""
    n = [2, 8, 32, 128, 512, 2048, 8192]
    found = theory.heavy_proxy_gold(n, noise=0.5, freedom=3)
    np.testing.assert_allclose(found, [0.46, 1.12, 1.45, 1.40, 1.01, 0.59, 0.35], atol=0.03)
    rng = np.random.default_rng(0)
    gold = rng.standard_normal((4000, 128))
    best = (gold + 0.5 * rng.standard_t(3, gold.shape)).argmax(axis=1)
    kept = np.take_along_axis(gold, best[:, None], axis=1)
    assert found[3] == pytest.approx(kept.mean(), abs=4 * kept.std() / 4000**0.5)


def test_light_tails_are_those_of_a_gaussian():
    n = [2, 100, 10_000]
    found = theory.heavy_proxy_gold(n, noise=0.5, freedom=1e4)
    np.testing.assert_allclose(found, theory.gaussian_proxy_gold(n, 0.5), rtol=5e-3)


def test_the_tilt_of_a_gaussian_shifts_it():
    """Of N(0, 1) by strength b: N(b, 1), at a divergence of b^2 / 2."""
    proxy = np.random.default_rng(0).standard_normal(200_000)
    kl, mean, gold = theory.tilted(proxy, -2 * proxy, 1.2)
    assert (kl, mean) == pytest.approx((0.72, 1.2), abs=0.03)
    assert gold == pytest.approx(-2 * mean)
    assert theory.tilted(proxy, proxy, 1e4).kl == pytest.approx(np.log(200_000))


def test_a_gaussian_policy_has_the_form_of_best_of_n():
    """Gold averaged over samples of N(theta, I), theta along the proxy."""
    rng = np.random.default_rng(0)
    angle, penalty, d = 0.5, 0.1, 1.3
    a = np.array([2.0, 0.0])
    theta = np.sqrt(2) * d * np.array([np.cos(angle), np.sin(angle)])
    x = rng.standard_normal((200_000, 2))
    start, moved = ((y @ a - penalty * (y**2).sum(axis=1)).mean() for y in (x, x + theta))
    exact = theory.gaussian_policy_gold(d, gain=2.0, angle=angle, penalty=penalty)
    assert moved - start == pytest.approx(float(exact), abs=0.01)


def test_the_divergence_of_reinforce_is_that_of_simulation():
    """Batches so small that the noise of gradients counts: without it, half of it is missing."""
    rng = np.random.default_rng(0)
    rate, penalty, dimension, batch, trials = 0.3, 0.5, 3, 4, 4000
    proxy = np.eye(dimension)[0]
    theta = np.zeros((trials, dimension))
    settings = {"rate": rate, "penalty": penalty, "dimension": dimension, "batch": batch}
    for step in range(1, 6):
        noise = rng.standard_normal((trials, batch, dimension))
        x = theta[:, None] + noise
        log_ratio = np.sum(theta[:, None] * x, axis=2) - np.sum(theta**2, axis=1)[:, None] / 2
        told = x @ proxy - penalty * log_ratio
        advantage = (told - told.mean(axis=1, keepdims=True)) * batch / (batch - 1)
        theta = theta + rate * np.mean(advantage[:, :, None] * noise, axis=1)
        kl = np.sum(theta**2, axis=1) / 2
        exact = theory.reinforced_kl(step, **settings)
        assert exact == pytest.approx(kl.mean(), abs=4 * kl.std() / trials**0.5)
    assert theory.reinforced_kl(500, **settings) == pytest.approx(1 / (2 * penalty**2))
