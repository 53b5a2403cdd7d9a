"""Regression behind a graph convolution: published prototype, limits, continuity, simulation."""

import numpy as np
import pytest

from analysis.theory import graph_convolution_risk, kernel_ridge_risk

SIGNALS = {"graph_signal": 2.0, "feature_signal": 1.0, "train_share": 0.5}


def test_the_closed_form_has_the_derived_numbers():
    risk = graph_convolution_risk([0.1, 0.25, 0.5, 0.8, 0.95], **SIGNALS)
    np.testing.assert_allclose(risk.train_risk, [0.652, 0.397, 0.192, 0.061, 0.014], atol=5e-4)
    np.testing.assert_allclose(risk.test_risk, [0.805, 0.706, 0.769, 1.522, 5.592], atol=5e-4)
    np.testing.assert_allclose(risk.accuracy, [0.699, 0.765, 0.783, 0.720, 0.621], atol=1e-3)


def test_the_threshold_has_no_finite_risk_and_guesses_and_both_sides_near_it_agree():
    at = graph_convolution_risk(1.0, **SIGNALS)
    assert (at.test_risk, at.train_risk, at.accuracy) == (np.inf, 0, 0.5)
    near = graph_convolution_risk([1 - 1e-6, 1 + 1e-6], **SIGNALS)
    assert near.accuracy == pytest.approx([0.5, 0.5], abs=2e-3)
    assert near.test_risk[0] > 1e5 and near.test_risk[1] > 1e5


@pytest.mark.parametrize(("kappa", "mu"), [(1.2, 1.0), (1.2, 30.0), (2.0, 0.0), (3.9, 1.0)])
def test_above_the_threshold_it_is_ridgeless_regression_on_the_spectrum_of_the_features(kappa, mu):
    """One draw of X gives the covariance of the rows; eigenlearning on it, the asymptotic risk."""
    lam, tau, n_nodes = 1.5, 0.5, 600
    n = int(tau * n_nodes)
    size, rng = round(kappa * n), np.random.default_rng(1)
    y = np.where(np.arange(n_nodes) % 2, 1.0, -1.0)
    x = rng.normal(size=(n_nodes, size)) / size**0.5
    x[:, 0] += np.sqrt(mu / n_nodes) * y
    m = lam / n_nodes * y @ x
    eigs, axes = np.linalg.eigh(x.T @ x / n_nodes + np.outer(m, m))
    along = axes.T @ m
    kept = eigs > 1e-10
    power = np.where(kept, along**2 / np.where(kept, eigs, 1), 0.0)
    risk = kernel_ridge_risk(
        np.maximum(eigs, 0), power, n, ridge=0.0, noise_variance=1 - power.sum()
    ).test_risk
    closed = graph_convolution_risk(kappa, graph_signal=lam, feature_signal=mu, train_share=tau)
    assert float(closed.test_risk) == pytest.approx(float(risk), rel=0.03)


def test_without_signal_in_the_graph_nothing_is_learnt():
    none = graph_convolution_risk([0.5, 3.0], graph_signal=0.0, feature_signal=1.0, train_share=0.5)
    assert none.accuracy == pytest.approx([0.5, 0.5])
    assert none.test_risk[0] == pytest.approx(2.0)


@pytest.mark.parametrize("kappa", [0.25, 0.8, 1.3, 3.0])
def test_simulation_follows_on_both_sides(kappa):
    n_nodes, n, n_runs = 300, 150, 24
    size, rng = round(kappa * n), np.random.default_rng(2)
    y = np.where(np.arange(n_nodes) % 4 < 2, 1.0, -1.0)  # half of each in both sets
    found = []
    for _ in range(n_runs):
        y = rng.permutation(y)
        x = rng.normal(size=(n_nodes, size)) / size**0.5
        x[:, 0] += y / n_nodes**0.5
        graph = 2 / n_nodes * np.outer(y, y) + rng.normal(size=(n_nodes, n_nodes)) / n_nodes**0.5
        seen = graph @ x
        out = seen @ np.linalg.lstsq(seen[:n], y[:n], rcond=None)[0]
        found.append([np.mean((out - y)[n:] ** 2), np.mean((out * y)[n:] > 0)])
    risk = graph_convolution_risk(kappa, **SIGNALS)
    mean, error = np.mean(found, axis=0), np.std(found, axis=0) / n_runs**0.5
    theory = np.array([risk.test_risk, risk.accuracy])
    np.testing.assert_array_less(np.abs(mean - theory), 3 * error + [0.04 * theory[0], 0.01])


def test_what_leaves_nothing_to_test_on_is_refused():
    with pytest.raises(ValueError, match="train_share = 1 leaves no node to test on"):
        graph_convolution_risk(0.5, graph_signal=1, feature_signal=1, train_share=1)
    with pytest.raises(ValueError, match=r"size = 0.0, but it must be positive"):
        graph_convolution_risk(0, **SIGNALS)
