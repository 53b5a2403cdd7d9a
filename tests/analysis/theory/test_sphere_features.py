"""Mei and Montanari's risk against their fixed point, its limits, random features, simulation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.theory import RELU, Activation, random_feature_risk, sphere_features_excess_risk

POWERS = {"linear_power": 1.0, "nonlinear_power": 0.3, "noise_variance": 0.2}


def fixed_point_excess_risk(p, q, ridge, activation=RELU):
    """Definitions 1 and 2 of arXiv:1908.05355 as printed, complex, from large |xi| downwards."""
    z = activation.linear / np.sqrt(activation.residual)
    target = np.sqrt(p * q * ridge / activation.residual)
    nu1, nu2 = 1j * p / (1e3 * target), 1j * q / (1e3 * target)
    for scale in np.r_[np.logspace(3, 0, 60), np.ones(60)]:
        xi = 1j * target * scale
        for _ in range(300):
            new1 = p / (-xi - nu2 - z**2 * nu2 / (1 - z**2 * nu1 * nu2))
            new2 = q / (-xi - nu1 - z**2 * nu1 / (1 - z**2 * nu1 * nu2))
            nu1, nu2 = (nu1 + new1) / 2, (nu2 + new2) / 2
    c, z2 = nu1 * nu2, z**2
    e0 = (
        -(c**5) * z2**3
        + 3 * c**4 * z2**2
        + (p * q - q - p + 1) * c**3 * z2**3
        - 2 * c**3 * z2**2
        - 3 * c**3 * z2
        + (p + q - 3 * p * q + 1) * c**2 * z2**2
        + 2 * c**2 * z2
        + c**2
        + 3 * p * q * c * z2
        - p * q
    )
    e1 = q * c**3 * z2**2 - q * c**2 * z2 + p * q * c * z2 - p * q
    e2 = (
        c**5 * z2**3
        - 3 * c**4 * z2**2
        + (p - 1) * c**3 * z2**3
        + 2 * c**3 * z2**2
        + 3 * c**3 * z2
        + (-p - 1) * c**2 * z2**2
        - 2 * c**2 * z2
        - c**2
    )
    signal, rest = POWERS["linear_power"], POWERS["nonlinear_power"]
    return signal * (e1 / e0).real + (POWERS["noise_variance"] + rest) * (e2 / e0).real + rest


@settings(deadline=None, max_examples=8)
@given(
    p=st.floats(0.2, 8.0), q=st.floats(0.2, 8.0), ridge=st.floats(1e-2, 3.0), z=st.floats(0.5, 3)
)
def test_equals_the_published_fixed_point(p, q, ridge, z):
    activation = Activation(linear=z, residual=1.0)
    risk = sphere_features_excess_risk(p, q, ridge=ridge, activation=activation, **POWERS)
    assert risk == pytest.approx(fixed_point_excess_risk(p, q, ridge, activation), rel=1e-6)


def test_nothing_is_learnt_in_the_three_limits():
    whole = POWERS["linear_power"] + POWERS["nonlinear_power"]
    few_features, few_samples, large_ridge = sphere_features_excess_risk(
        [1e-9, 2, 2], [3, 1e-9, 3], ridge=[0.1, 0.1, 1e12], **POWERS
    )
    assert few_features == pytest.approx(whole, rel=1e-6)
    assert few_samples == pytest.approx(whole, rel=1e-6)
    assert large_ridge == pytest.approx(whole, rel=1e-6)


def test_a_vanishing_ridge_approaches_the_ridgeless_limit_and_peaks_at_the_threshold():
    psi1 = np.array([0.5, 2.9, 3.0, 3.1, 30.0])
    tiny = sphere_features_excess_risk(psi1, 3.0, ridge=1e-18, **POWERS)
    none = sphere_features_excess_risk(psi1, 3.0, ridge=0.0, **POWERS)
    np.testing.assert_allclose(tiny[psi1 != 3], none[psi1 != 3], rtol=1e-6)
    assert none[2] == np.inf and tiny[2] > 1e6
    assert none[1] > none[0] and none[3] > none[4]


def test_equals_random_features_of_a_spectrum_of_two_levels():
    # What is not linear in the features acts as a great many modes of next to no power each.
    d, psi1, psi2, ridge, n_rest = 300, 2.0, 3.0, 0.05, 300_000
    eigs = np.r_[np.full(d, RELU.linear**2 / d), np.full(n_rest, RELU.residual / n_rest)]
    power = np.r_[np.full(d, 1 / d), np.zeros(n_rest)]
    risk = random_feature_risk(
        eigs, power, psi2 * d, psi1 * d, ridge=psi2 * ridge, noise_variance=0.5
    )
    excess = sphere_features_excess_risk(psi1, psi2, ridge=ridge, **POWERS)
    assert risk.test_risk - 0.2 == pytest.approx(excess, rel=2e-3)


@pytest.mark.parametrize("psi1", [1.0, 3.0, 6.0])
def test_simulation_follows(psi1):
    rng, d, psi2, ridge = np.random.default_rng(7), 80, 3.0, 1e-3
    n, k, n_test = int(psi2 * d), int(psi1 * d), 1500
    beta = np.r_[1.0, np.zeros(d - 1)]

    def sphere(rows):
        x = rng.normal(size=(rows, d))
        return x * np.sqrt(d) / np.linalg.norm(x, axis=1, keepdims=True)

    def target(x):  # linear, and a quadratic form of power F*^2 that no linear function sees
        quadratic = (x[:, 1] ** 2 - x[:, 2] ** 2) / 2
        return x @ beta + np.sqrt(0.3) * quadratic

    risks = []
    for _ in range(12):
        theta, x, x_test = sphere(k), sphere(n), sphere(n_test)
        features, tested = (
            np.maximum(points @ theta.T / np.sqrt(d), 0) - 1 / np.sqrt(2 * np.pi)
            for points in (x, x_test)
        )
        y = target(x) + np.sqrt(0.2) * rng.normal(size=n)
        normal = features.T @ features / n + psi1 * ridge * np.eye(k)
        predicted = tested @ np.linalg.solve(normal, features.T @ y / n)
        risks.append(np.mean((predicted - target(x_test)) ** 2))
    theory = sphere_features_excess_risk(psi1, psi2, ridge=ridge, **POWERS)
    assert np.mean(risks) == pytest.approx(theory, rel=0.08)


def test_an_activation_that_the_theory_cannot_take_is_refused():
    with pytest.raises(ValueError, match=r"residual = 0.0.*not linear"):
        Activation(linear=1.0, residual=0.0)
