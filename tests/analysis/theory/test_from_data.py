"""Test error from training data alone: exact cases, both estimates against simulation."""

import numpy as np
import pytest

from analysis.theory import kernel_ridge_risk, measured_modes, predicted_test_risk


def regression(rng, n, p, s2=0.25, decay=0.5):
    eigs = np.arange(1, p + 1) ** -(1 + decay)
    x, beta = rng.normal(size=(n, p)) * np.sqrt(eigs), np.ones(p)
    return x, x @ beta + np.sqrt(s2) * rng.normal(size=n), eigs, beta


@pytest.mark.parametrize(("ridge", "p"), [(0.5, 100), (0.01, 100), (0.0, 800)])
def test_one_fit_predicts_its_test_error(ridge, p):
    rng, n = np.random.default_rng(5), 200
    told, true = [], []
    for _ in range(30):
        x, y, eigs, beta = regression(rng, n, p)
        kernel = x @ x.T
        told.append(predicted_test_risk(kernel, y, ridge=ridge))
        fitted = x.T @ np.linalg.solve(kernel + ridge * np.eye(n), y)
        true.append(eigs @ (fitted - beta) ** 2 + 0.25)
    gap = np.subtract(told, true)
    assert abs(gap.mean()) < 0.02 * np.mean(true) + 3 * gap.std() / np.sqrt(len(gap))


def test_equals_generalised_cross_validation():
    rng, n, ridge = np.random.default_rng(0), 40, 0.3
    x, y, *_ = regression(rng, n, 20)
    kernel = x @ x.T
    hat = kernel @ np.linalg.inv(kernel + ridge * np.eye(n))
    left = y - hat @ y
    gcv = np.mean(left**2) / (1 - np.trace(hat) / n) ** 2
    assert predicted_test_risk(kernel, y, ridge=ridge) == pytest.approx(gcv, rel=1e-9)


def test_a_sample_predicts_the_learning_curve_of_its_parts():
    rng, big, ridge = np.random.default_rng(2), 1500, 0.2
    x, y, *_ = regression(rng, big, 200)
    modes = measured_modes(x @ x.T, y)
    # The labels' power is all there, and the label noise with it.
    assert modes.target_power.sum() == pytest.approx(np.mean(y**2))
    for n in (100, 200):
        errors = []
        for _ in range(60):
            part = rng.choice(big, n)
            fitted = x[part].T @ np.linalg.solve(x[part] @ x[part].T + ridge * np.eye(n), y[part])
            errors.append(np.mean((x @ fitted - y) ** 2))
        theory = kernel_ridge_risk(
            modes.eigenvalues, modes.target_power, n, ridge=ridge, noise_variance=0.0
        )
        assert np.mean(errors) == pytest.approx(float(theory.test_risk), rel=0.05)


def test_what_is_no_kernel_is_refused():
    y = np.ones(3)
    with pytest.raises(ValueError, match=r"\(3, 2\) and labels \(3,\)"):
        measured_modes(np.ones((3, 2)), y)
    with pytest.raises(ValueError, match="not symmetric"):
        measured_modes(np.triu(np.ones((3, 3))), y)
    with pytest.raises(ValueError, match="at least 0"):
        measured_modes(np.diag([1.0, 1.0, -1.0]), y)
    with pytest.raises(ValueError, match="Give a larger ridge"):
        predicted_test_risk(np.ones((3, 3)), y, ridge=0.0)
