"""Random features with ridge: limits to kernels, to least squares and to the floor; simulation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.theory import (
    feature_floor,
    kernel_ridge_risk,
    power_law_problem,
    power_law_spectrum,
    random_feature_risk,
)

quick = settings(deadline=None, max_examples=40)
SPECTRUM = power_law_spectrum(300, 0.5), power_law_spectrum(300, 1.0)


def published_forms(eigenvalues, target_power, n, k, *, joint, kappa, noise_variance):
    """The two equations and the test risk as printed: Simon et al., arXiv:2311.14646."""
    learned = eigenvalues / (eigenvalues + joint)
    z, q = learned.sum(), np.sum(learned**2)
    lost = joint / (eigenvalues + joint) - kappa * eigenvalues / (eigenvalues + joint) ** 2 * k / (
        k - q
    )
    test = (lost @ target_power + noise_variance) / (1 - (q * (k - 2 * z) + z**2) / (n * (k - q)))
    return z, test


@quick
@given(
    n=st.integers(2, 400),
    k=st.integers(2, 400),
    ridge=st.floats(1e-4, 1e2),
    s2=st.floats(0.0, 2.0),
)
def test_the_published_equations_hold(n, k, ridge, s2):
    risk = random_feature_risk(*SPECTRUM, n, k, ridge=ridge, noise_variance=s2)
    z, test = published_forms(
        *SPECTRUM, n, k, joint=risk.joint_ridge, kappa=risk.kappa, noise_variance=s2
    )
    assert z + ridge / risk.kappa == pytest.approx(n, rel=1e-9)
    assert z + k * risk.kappa / risk.joint_ridge == pytest.approx(k, rel=1e-9)
    assert risk.test_risk == pytest.approx(test, rel=1e-6)
    assert risk.train_risk == pytest.approx((ridge / (n * risk.kappa)) ** 2 * test, rel=1e-6)


@pytest.mark.parametrize("ridge", [0.0, 1e-2, 10.0])
def test_many_features_are_the_kernel(ridge):
    n = np.array([10, 100, 250])
    many = random_feature_risk(*SPECTRUM, n, 1e8, ridge=ridge, noise_variance=0.1)
    kernel = kernel_ridge_risk(*SPECTRUM, n, ridge=ridge, noise_variance=0.1)
    np.testing.assert_allclose(many.test_risk, kernel.test_risk, rtol=1e-4)
    np.testing.assert_allclose(many.train_risk, kernel.train_risk, rtol=1e-4)


def test_many_samples_leave_the_floor_of_the_features():
    problem = power_law_problem(3000, 0.8, 0.4)
    k = np.array([20, 100, 500])
    many = random_feature_risk(*problem, 1e9, k, ridge=0.0, noise_variance=0.2)
    floor = feature_floor(k, data_exponent=0.8, target_exponent=0.4, n_modes=3000)
    np.testing.assert_allclose(many.test_risk, floor + 0.2, rtol=1e-4)


@pytest.mark.parametrize(("n", "k"), [(100, 40), (40, 100), (60, 60), (280, 500), (500, 280)])
def test_a_vanishing_ridge_approaches_the_ridgeless_limit(n, k):
    tiny = random_feature_risk(*SPECTRUM, n, k, ridge=1e-40, noise_variance=0.1)
    none = random_feature_risk(*SPECTRUM, n, k, ridge=0.0, noise_variance=0.1)
    if n == k:
        assert none.test_risk == np.inf and tiny.test_risk > 1e10
    else:
        assert tiny.test_risk == pytest.approx(none.test_risk, rel=1e-4)
        assert tiny.train_risk == pytest.approx(none.train_risk, rel=1e-4, abs=1e-20)


@pytest.mark.parametrize("n", [40, 41])
def test_ridgeless_limits_in_closed_form(n):
    # n > k: z = k and test = [ sum_i v_i G / (l_i + G) + s2 ] / (1 - k/n).
    k, (eigs, v) = 25, SPECTRUM
    risk = random_feature_risk(eigs, v, n, k, ridge=0.0, noise_variance=0.1)
    lost = v @ (risk.joint_ridge / (eigs + risk.joint_ridge))
    assert risk.n_learned == pytest.approx(k) and risk.kappa == 0
    assert risk.test_risk == pytest.approx((lost + 0.1) / (1 - k / n), rel=1e-9)
    # n < k: z = n and kappa = G (k - n) / k; the fit interpolates.
    over = random_feature_risk(eigs, v, k, n, ridge=0.0, noise_variance=0.1)
    assert over.n_learned == pytest.approx(k) and over.train_risk == 0
    assert over.kappa == pytest.approx(over.joint_ridge * (n - k) / n, rel=1e-9)


def test_fewer_modes_than_samples_and_features_is_least_squares():
    eigs, v = np.ones(10), np.ones(10)
    risk = random_feature_risk(eigs, v, 40, [11, 40, 400], ridge=0.0, noise_variance=0.3)
    np.testing.assert_allclose(risk.test_risk, 0.3 * 40 / 30)
    # A mode that no feature shows is noise to the fit, and lost.
    blind = random_feature_risk(np.r_[eigs, 0], np.r_[v, 0.7], 40, 80, ridge=0, noise_variance=0.3)
    assert blind.test_risk == pytest.approx(40 / 30)


def test_an_infinite_ridge_predicts_nothing():
    risk = random_feature_risk(*SPECTRUM, 50, [20, 200], ridge=1e12, noise_variance=0.1)
    np.testing.assert_allclose(risk.test_risk, SPECTRUM[1].sum() + 0.1, rtol=1e-6)


@pytest.mark.parametrize("k", [50, 150, 200, 400, 800])
def test_simulation_follows(k):
    rng, n, ridge, s2 = np.random.default_rng(k), 200, 1e-3, 0.09
    eigs, v = power_law_spectrum(1000, 0.5), power_law_spectrum(1000, 1.0)
    beta = np.sqrt(v / eigs)
    risks = []
    for _ in range(10):
        x = rng.normal(size=(n, 1000)) * np.sqrt(eigs)
        features = rng.normal(size=(1000, k)) / np.sqrt(k)
        y, phi = x @ beta + np.sqrt(s2) * rng.normal(size=n), x @ features
        fitted = features @ (phi.T @ np.linalg.solve(phi @ phi.T + ridge * np.eye(n), y))
        risks.append(eigs @ (fitted - beta) ** 2 + s2)
    theory = random_feature_risk(eigs, v, n, k, ridge=ridge, noise_variance=s2).test_risk
    assert np.mean(risks) == pytest.approx(theory, rel=0.08)


def test_arguments_out_of_range_are_refused():
    with pytest.raises(ValueError, match=r"n_features = 0.0.*positive"):
        random_feature_risk(*SPECTRUM, 10, 0, ridge=0.0, noise_variance=0.0)
    with pytest.raises(ValueError, match="target_power has 2 modes and eigenvalues 3"):
        random_feature_risk([1, 1, 1], [1, 1], 10, 5, ridge=0.0, noise_variance=0.0)
