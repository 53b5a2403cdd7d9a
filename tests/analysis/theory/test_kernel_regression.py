"""Eigenlearning against two independent published forms, its limits and direct simulation."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq

from analysis.theory import (
    effective_ridge,
    kernel_ridge_risk,
    learnability,
    power_law_exponent,
    power_law_spectrum,
    ridge_excess_risk,
)

Spectrum = tuple[np.ndarray, np.ndarray]
quick = settings(deadline=None, max_examples=50)
powers = st.floats(0.0, 5.0)
ridges = st.floats(1e-6, 1e3)
sample_counts = st.integers(2, 60)


@st.composite
def spectra(draw: st.DrawFn) -> Spectrum:
    """Eigenvalues over six decades and a target that need not align with them."""
    n_modes = draw(st.integers(1, 80))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return 10 ** rng.uniform(-4, 2, n_modes), rng.exponential(size=n_modes)


def root(function: Callable[[float], float], lower: float, upper: float) -> float:
    solution: Any = brentq(function, lower, upper, xtol=1e-14)
    return float(solution)


def bordelon_excess_risk(eigenvalues, target_power, n, *, ridge, noise_variance):
    """Bordelon, Canatar & Pehlevan, arXiv:2002.02561, in its own variables."""

    def gap(log_kappa):
        k = np.exp(log_kappa)
        return ridge + k * np.sum(eigenvalues / (n * eigenvalues + k)) - k

    k = np.exp(root(gap, np.log(ridge) - 1, np.log(ridge + eigenvalues.sum()) + 1))
    g = n * np.sum(eigenvalues**2 / (n * eigenvalues + k) ** 2)
    bias = np.sum(target_power * k**2 / (n * eigenvalues + k) ** 2)
    return (bias + noise_variance * g) / (1 - g), k


def hastie_excess_risk(eigenvalues, target_power, n, *, noise_variance):
    """Ridgeless risk for p > n: Hastie et al., arXiv:1903.08560, theorem 2."""
    gamma = eigenvalues.size / n

    def gap(log_c):
        return np.mean(1 / (1 + np.exp(log_c) * gamma * eigenvalues)) - (1 - 1 / gamma)

    c = np.exp(root(gap, -60.0, 60.0))
    damped = (1 + c * gamma * eigenvalues) ** 2
    a = np.mean(eigenvalues**2 / damped) / np.mean(eigenvalues / damped)
    bias = (1 + gamma * c * a) * np.sum(target_power / damped)
    return bias + noise_variance * gamma * c * a


# Independent published forms


@quick
@given(spectrum=spectra(), n=sample_counts, ridge=ridges, s2=powers)
def test_equals_the_form_of_bordelon_canatar_pehlevan(spectrum: Spectrum, n, ridge, s2):
    risk = kernel_ridge_risk(*spectrum, n, ridge=ridge, noise_variance=s2)
    excess, kappa = bordelon_excess_risk(*spectrum, n, ridge=ridge, noise_variance=s2)
    assert risk.test_risk == pytest.approx(excess + s2, rel=1e-6)
    assert n * risk.kappa == pytest.approx(kappa, rel=1e-9)


@quick
@given(spectrum=spectra(), share=st.floats(0.05, 0.95), s2=powers)
def test_ridgeless_interpolation_equals_hastie_theorem_2(spectrum: Spectrum, share, s2):
    n = share * spectrum[0].size
    excess = hastie_excess_risk(*spectrum, n, noise_variance=s2)
    risk = kernel_ridge_risk(*spectrum, n, ridge=0.0, noise_variance=s2)
    assert risk.test_risk == pytest.approx(excess + s2, rel=1e-6)
    assert risk.train_risk == 0.0


@quick
@given(
    n=st.integers(2, 80),
    p=st.integers(1, 80),
    ridge=st.floats(1e-4, 1e2),
    s2=powers,
    r2=st.floats(0.01, 5.0),
)
def test_isotropic_spectrum_equals_marchenko_pastur_ridge(n, p, ridge, s2, r2):
    risk = kernel_ridge_risk(
        np.ones(p), np.full(p, r2 / p), n, ridge=n * ridge, noise_variance=s2
    ).test_risk
    excess = ridge_excess_risk(p / n, ridge, noise_variance=s2, signal_power=r2)
    assert risk == pytest.approx(excess + s2, rel=1e-11)


# Limits


@quick
@given(spectrum=spectra(), excess_samples=st.floats(0.5, 50.0), s2=powers)
def test_ridgeless_with_more_samples_than_modes_is_least_squares(
    spectrum: Spectrum, excess_samples, s2
):
    p = spectrum[0].size
    n = p + excess_samples
    risk = kernel_ridge_risk(*spectrum, n, ridge=0.0, noise_variance=s2)
    assert risk.kappa == 0.0
    assert risk.test_risk == pytest.approx(s2 / (1 - p / n), rel=1e-12)
    assert risk.train_risk == pytest.approx(s2 * (1 - p / n), rel=1e-12)


@pytest.mark.parametrize("n", [5.0, 19.0, 21.0, 200.0])
def test_a_vanishing_ridge_approaches_the_ridgeless_limit(n):
    spectrum = power_law_spectrum(20, 0.5), power_law_spectrum(20, 1.0)
    tiny = kernel_ridge_risk(*spectrum, n, ridge=[1e-12, 1e-100, 1e-300], noise_variance=0.3)
    none = kernel_ridge_risk(*spectrum, n, ridge=0.0, noise_variance=0.3)
    np.testing.assert_allclose(tiny.test_risk, none.test_risk, rtol=1e-6)
    np.testing.assert_allclose(tiny.train_risk, none.train_risk, rtol=1e-6, atol=1e-12)
    np.testing.assert_allclose(tiny.kappa, none.kappa, rtol=1e-6, atol=1e-8)


def test_as_many_modes_as_samples():
    spectrum = power_law_spectrum(20, 0.5), power_law_spectrum(20, 1.0)
    noisy = kernel_ridge_risk(*spectrum, 20, ridge=0.0, noise_variance=0.1)
    assert np.isinf(noisy.test_risk) and noisy.train_risk == 0.0
    clean = kernel_ridge_risk(*spectrum, 20, ridge=0.0, noise_variance=0.0)
    assert clean.test_risk == 0.0
    # The approach: kappa = sqrt(ridge / sum 1/l), E0 = n / (2 sqrt(ridge sum 1/l)).
    reciprocal = np.sum(1 / spectrum[0])
    near = kernel_ridge_risk(*spectrum, 20, ridge=1e-20, noise_variance=0.1)
    assert near.kappa == pytest.approx(np.sqrt(1e-20 / reciprocal), rel=1e-6)
    assert near.overfitting == pytest.approx(10 / np.sqrt(1e-20 * reciprocal), rel=1e-6)


@quick
@given(spectrum=spectra(), n=sample_counts, s2=powers)
def test_an_infinite_ridge_predicts_nothing(spectrum: Spectrum, n, s2):
    risk = kernel_ridge_risk(*spectrum, n, ridge=1e15, noise_variance=s2)
    assert risk.test_risk == pytest.approx(spectrum[1].sum() + s2, rel=1e-8)
    assert risk.train_risk == pytest.approx(risk.test_risk, rel=1e-8)


def test_modes_the_kernel_cannot_express_act_as_noise():
    eigenvalues, target = np.array([2.0, 0.0, 1.0]), np.array([1.0, 0.7, 1.0])
    with_dead_mode = kernel_ridge_risk(eigenvalues, target, 10, ridge=[0, 0.5], noise_variance=0.2)
    as_noise = kernel_ridge_risk(
        eigenvalues[[0, 2]], target[[0, 2]], 10, ridge=[0, 0.5], noise_variance=0.9
    )
    np.testing.assert_allclose(with_dead_mode.test_risk, as_noise.test_risk, rtol=1e-14)
    null = kernel_ridge_risk([0.0], [0.7], 10, ridge=0.0, noise_variance=0.2)
    assert null.test_risk == pytest.approx(0.9)
    assert null.train_risk == pytest.approx(0.9)


# Identities


@quick
@given(spectrum=spectra(), n=sample_counts, ridge=ridges | st.just(0.0), s2=powers)
def test_learnability_is_conserved(spectrum: Spectrum, n, ridge, s2):
    risk = kernel_ridge_risk(*spectrum, n, ridge=ridge, noise_variance=s2)
    shares = learnability(spectrum[0], risk.kappa)
    assert np.all((shares > 0) & (shares <= 1))
    assert shares.sum() == pytest.approx(risk.n_learned, rel=1e-13)
    if ridge > 0:
        assert shares.sum() == pytest.approx(n - ridge / risk.kappa, rel=1e-9)
    else:
        assert shares.sum() == pytest.approx(min(n, shares.size), rel=1e-9)


@quick
@given(spectrum=spectra(), n=sample_counts, ridge=ridges, s2=powers, scale=st.floats(1e-3, 1e3))
def test_kernel_units_drop_out(spectrum: Spectrum, n, ridge, s2, scale):
    risk = kernel_ridge_risk(*spectrum, n, ridge=ridge, noise_variance=s2)
    rescaled = kernel_ridge_risk(
        scale * spectrum[0], spectrum[1], n, ridge=scale * ridge, noise_variance=s2
    )
    assert rescaled.kappa == pytest.approx(scale * risk.kappa, rel=1e-11)
    assert rescaled.test_risk == pytest.approx(risk.test_risk, rel=1e-9)
    assert rescaled.train_risk == pytest.approx(risk.train_risk, rel=1e-9)


def test_points_broadcast_and_match_single_calls():
    spectrum = power_law_spectrum(50, 1.0), power_law_spectrum(50, 0.5)
    n, ridge = np.array([[5], [60]]), np.array([0.0, 0.1, 1.0])
    table = kernel_ridge_risk(*spectrum, n, ridge=ridge, noise_variance=0.1)
    alone = kernel_ridge_risk(*spectrum, 60, ridge=0.1, noise_variance=0.1)
    assert table.test_risk.shape == table.kappa.shape == (2, 3)
    assert table.test_risk[1, 1] == alone.test_risk
    np.testing.assert_array_equal(effective_ridge(spectrum[0], n, ridge=ridge), table.kappa)
    assert learnability(spectrum[0], table.kappa).shape == (2, 3, 50)


# Power laws


@pytest.mark.parametrize(("a", "b"), [(1.0, 1.5), (1.5, 1.0), (1.0, 8.0)])
def test_exponent_is_the_slope_of_the_learning_curve(a, b):
    n = np.array([500, 1000])
    spectrum = power_law_spectrum(200_000, a), power_law_spectrum(200_000, b)
    risk = kernel_ridge_risk(*spectrum, n, ridge=0.0, noise_variance=0.0).test_risk
    slope = -np.diff(np.log(risk))[0] / np.log(2)
    exponent = power_law_exponent(eigenvalue_exponent=a, target_exponent=b)
    assert slope == pytest.approx(float(exponent), rel=0.02)


def test_power_law_spectrum_by_hand():
    np.testing.assert_allclose(power_law_spectrum(3, 1.0), [1, 1 / 4, 1 / 9], rtol=1e-15)
    with pytest.raises(ValueError, match="n_modes must be at least 1"):
        power_law_spectrum(0, 1.0)


# Simulation


@pytest.mark.parametrize(("ridge", "noise_variance"), [(0.0, 0.0), (0.05, 0.0), (0.5, 0.1)])
def test_gaussian_features_follow_the_theory(ridge, noise_variance):
    rng, n, p, repeats, n_targets = np.random.default_rng(4), 150, 1500, 6, 32
    eigenvalues, target_power = power_law_spectrum(p, 1.0), power_law_spectrum(p, 1.0)
    test, train = [], []
    for _ in range(repeats):
        modes = rng.standard_normal((n, p))
        signs = rng.choice([-1.0, 1.0], (p, n_targets))
        coefficients = np.sqrt(target_power)[:, None] * signs
        noise = np.sqrt(noise_variance) * rng.standard_normal((n, n_targets))
        labels = modes @ coefficients + noise
        kernel = (modes * eigenvalues) @ modes.T
        dual = np.linalg.solve(kernel + ridge * np.eye(n), labels)
        fitted = eigenvalues[:, None] * (modes.T @ dual)
        test.append(np.mean(np.sum((fitted - coefficients) ** 2, axis=0)) + noise_variance)
        train.append(np.mean((kernel @ dual - labels) ** 2))
    theory = kernel_ridge_risk(
        eigenvalues, target_power, n, ridge=ridge, noise_variance=noise_variance
    )
    assert np.mean(test) == pytest.approx(theory.test_risk, rel=0.03)
    assert np.mean(train) == pytest.approx(theory.train_risk, rel=0.03, abs=1e-15)


# Arguments


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: effective_ridge([1.0, -1.0], 5, ridge=0), r"eigenvalues\[1\] = -1.0"),
        (lambda: effective_ridge([[1.0]], 5, ridge=0), r"one-dimensional, but has shape \(1, 1\)"),
        (lambda: effective_ridge([1.0], 0, ridge=0), "n_samples"),
        (lambda: effective_ridge([1.0], 5, ridge=-1), "ridge"),
        (
            lambda: kernel_ridge_risk([1.0, 2.0], [1.0], 5, ridge=0, noise_variance=0),
            "target_power has 1 modes and eigenvalues 2",
        ),
        (lambda: power_law_exponent(eigenvalue_exponent=0, target_exponent=1), "eigenvalue_exp"),
    ],
)
def test_refusals_name_the_argument(call, message):
    with pytest.raises(ValueError, match=message):
        call()
