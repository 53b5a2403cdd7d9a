"""The closed forms of linear regression against their limits, each other and direct simulation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.theory import (
    kernel_ridge_risk,
    latent_space_problem,
    marchenko_pastur_stieltjes,
    misspecified_excess_risk,
    misspecified_excess_risk_exact,
    optimal_ridge,
    optimal_ridge_excess_risk,
    ridge_excess_risk,
    ridgeless_excess_risk,
    ridgeless_excess_risk_exact,
    second_descent_minimum,
)

below = st.floats(0.05, 0.9)
above = st.floats(1.1, 20.0)
aspect_ratios = below | above
powers = st.floats(0.01, 10.0)
ridges = st.floats(1e-3, 1e3)
quick = settings(deadline=None, max_examples=60)


def marchenko_pastur_rule(gamma, n_nodes=20_000):
    """Nodes and weights of the continuous part; the substitution removes the edge singularities."""
    a, b = (1 - np.sqrt(gamma)) ** 2, (1 + np.sqrt(gamma)) ** 2
    angle = np.pi * (np.arange(n_nodes) + 0.5) / (2 * n_nodes)
    x = a + (b - a) * np.sin(angle) ** 2
    jacobian = (b - a) * np.sin(2 * angle) * np.pi / (2 * n_nodes)
    return x, np.sqrt((b - x) * (x - a)) / (2 * np.pi * gamma * x) * jacobian


def simulated_excess_risk(rng, n, p, *, noise_variance, signal_power, ridge, repeats):
    """Mean and standard error of the excess risk over training sets, by direct solution."""
    features = rng.standard_normal((repeats, n, p))
    beta = rng.standard_normal((repeats, p, 1))
    beta *= np.sqrt(signal_power) / np.linalg.norm(beta, axis=1, keepdims=True)
    noise = np.sqrt(noise_variance) * rng.standard_normal((repeats, n, 1))
    labels = features @ beta + noise
    transposed = features.transpose(0, 2, 1)
    if p > n:
        gram = features @ transposed + n * ridge * np.eye(n)
        estimate = transposed @ np.linalg.solve(gram, labels)
    else:
        gram = transposed @ features + n * ridge * np.eye(p)
        estimate = np.linalg.solve(gram, transposed @ labels)
    risks = np.sum((estimate - beta) ** 2, axis=(1, 2))
    return risks.mean(), risks.std(ddof=1) / np.sqrt(repeats)


# Ridgeless


def test_ridgeless_at_hand_computed_points():
    risk = ridgeless_excess_risk([0.5, 2.0, 5.0], noise_variance=0.5, signal_power=4.0)
    np.testing.assert_allclose(risk, [0.5, 2.5, 3.325], rtol=1e-15)


@pytest.mark.parametrize("n_features", [8, 28])
def test_exact_form_is_the_mean_over_gaussian_training_sets(n_features):
    problem = {"noise_variance": 1.0, "signal_power": 3.0}
    mean, error = simulated_excess_risk(
        np.random.default_rng(0), 20, n_features, **problem, ridge=0.0, repeats=8000
    )
    exact = ridgeless_excess_risk_exact(20, n_features, **problem)
    # So small a problem that the asymptotic form fails: the test can tell the two apart.
    asymptotic = ridgeless_excess_risk(n_features / 20, **problem)
    assert abs(exact - asymptotic) > 8 * error
    assert abs(mean - exact) < 4 * error


@pytest.mark.parametrize("aspect_ratio", [0.5, 2.0])
def test_asymptotic_form_at_a_realistic_size(aspect_ratio):
    problem = {"noise_variance": 0.5, "signal_power": 1.0}
    n = 200
    mean, _ = simulated_excess_risk(
        np.random.default_rng(1), n, int(aspect_ratio * n), **problem, ridge=0.0, repeats=40
    )
    assert mean == pytest.approx(ridgeless_excess_risk(aspect_ratio, **problem), rel=0.05)


@quick
@given(gamma=aspect_ratios, s2=powers, r2=powers)
def test_exact_form_tends_to_the_asymptotic_one(gamma, s2, r2):
    n = 10_000_000
    exact = ridgeless_excess_risk_exact(n, gamma * n, noise_variance=s2, signal_power=r2)
    limit = ridgeless_excess_risk(gamma, noise_variance=s2, signal_power=r2)
    assert exact == pytest.approx(limit, rel=1e-5)


def test_noise_makes_the_threshold_infinite_and_only_there():
    n_features = np.array([98, 99, 100, 101, 102])
    risk = ridgeless_excess_risk_exact(100, n_features, noise_variance=0.1, signal_power=1.0)
    np.testing.assert_array_equal(np.isinf(risk), [False, True, True, True, False])
    assert np.isinf(ridgeless_excess_risk(1.0, noise_variance=0.1, signal_power=1.0))


def test_without_noise_only_the_bias_remains_at_the_threshold():
    n_features = np.array([99, 100, 101])
    risk = ridgeless_excess_risk_exact(100, n_features, noise_variance=0.0, signal_power=2.0)
    np.testing.assert_allclose(risk, [0.0, 0.0, 2 / 101], rtol=1e-12)
    assert ridgeless_excess_risk(1.0, noise_variance=0.0, signal_power=2.0) == 0.0


@quick
@given(snr=st.floats(1.5, 50.0))
def test_second_minimum_sits_where_the_derivative_vanishes(snr):
    best = np.sqrt(snr) / (np.sqrt(snr) - 1)
    gamma = np.linspace(1 + (best - 1) / 5, 3 * best, 20_001)
    risk = ridgeless_excess_risk(gamma, noise_variance=1.0, signal_power=snr)
    assert gamma[np.argmin(risk)] == pytest.approx(best, abs=2 * (gamma[1] - gamma[0]))


@quick
@given(snr=st.floats(0.01, 1.0))
def test_right_branch_falls_to_the_null_risk_when_noise_dominates(snr):
    gamma = np.geomspace(1.01, 1e6, 500)
    risk = ridgeless_excess_risk(gamma, noise_variance=1.0, signal_power=snr)
    assert np.all(np.diff(risk) < 0)
    assert np.all(risk > snr * (1 - 1e-12) - 1e-12)
    assert risk[-1] == pytest.approx(snr, abs=2e-6)


# Misspecified


@quick
@given(gamma=aspect_ratios, s2=powers, r2=powers)
def test_misspecified_ends(gamma, s2, r2):
    def risk(share):
        return misspecified_excess_risk(
            gamma, noise_variance=s2, signal_power=r2, observed_share=share
        )

    full = ridgeless_excess_risk(gamma, noise_variance=s2, signal_power=r2)
    blind = ridgeless_excess_risk(gamma, noise_variance=s2 + r2, signal_power=0.0)
    assert risk(1.0) == pytest.approx(full, rel=1e-13)
    assert risk(0.0) == pytest.approx(r2 + blind, rel=1e-13)


@pytest.mark.parametrize("n_seen", [8, 28])
def test_misspecified_exact_form_is_the_mean_over_training_sets(n_seen):
    rng, n, n_all, repeats = np.random.default_rng(2), 20, 40, 5000
    features = rng.standard_normal((repeats, n, n_all))
    beta = np.full(n_all, 1 / np.sqrt(n_all))
    labels = features @ beta + 0.5 * rng.standard_normal((repeats, n))
    estimate = np.linalg.pinv(features[:, :, :n_seen]) @ labels[..., np.newaxis]
    errors = np.tile(beta, (repeats, 1))
    errors[:, :n_seen] -= estimate[..., 0]
    risks = np.sum(errors**2, axis=1)
    exact = misspecified_excess_risk_exact(
        n, n_seen, noise_variance=0.25, signal_power=1.0, observed_share=n_seen / n_all
    )
    assert abs(risks.mean() - exact) < 4 * risks.std() / np.sqrt(repeats)
    assert risks.std() / np.sqrt(repeats) < 0.02 * exact


# Marchenko-Pastur and ridge


@quick
@given(gamma=aspect_ratios | st.just(1.0), ridge=st.floats(1e-2, 1e2))
def test_stieltjes_transform_is_the_integral_over_the_density(gamma, ridge):
    x, weights = marchenko_pastur_rule(gamma)
    atom = max(1 - 1 / gamma, 0.0)
    assert weights.sum() + atom == pytest.approx(1, abs=1e-6)
    assert weights @ x == pytest.approx(1, rel=1e-6)
    assert weights @ x**2 == pytest.approx(1 + gamma, rel=1e-6)
    transform = marchenko_pastur_stieltjes(gamma, ridge)
    assert transform == pytest.approx(weights @ (1 / (x + ridge)) + atom / ridge, rel=1e-6)


@quick
@given(gamma=aspect_ratios | st.just(1.0), ridge=ridges, s2=powers, r2=powers)
def test_ridge_risk_is_the_published_form(gamma, ridge, s2, r2):
    m = marchenko_pastur_stieltjes(gamma, ridge)
    slope = -(gamma * m**2 + m) / (-2 * gamma * ridge * m - (1 - gamma + ridge))
    published = r2 * ridge**2 * slope + s2 * gamma * (m - ridge * slope)
    risk = ridge_excess_risk(gamma, ridge, noise_variance=s2, signal_power=r2)
    assert risk == pytest.approx(published, rel=1e-9)


@quick
@given(gamma=aspect_ratios, s2=powers, r2=powers)
def test_ridge_risk_tends_to_the_ridgeless_and_the_null_risk(gamma, s2, r2):
    def risk(ridge):
        return ridge_excess_risk(gamma, ridge, noise_variance=s2, signal_power=r2)

    ridgeless = ridgeless_excess_risk(gamma, noise_variance=s2, signal_power=r2)
    assert risk(0.0) == pytest.approx(ridgeless, rel=1e-15)
    assert risk(1e-12) == pytest.approx(ridgeless, rel=1e-7)
    assert risk(1e12) == pytest.approx(r2, rel=1e-7)


@pytest.mark.parametrize("ridge", [1e-6, 1e-10, 1e-14])
def test_ridge_sets_the_height_of_the_peak(ridge):
    variance = ridge_excess_risk(1.0, ridge, noise_variance=1.0, signal_power=0.0)
    bias = ridge_excess_risk(1.0, ridge, noise_variance=0.0, signal_power=1.0)
    assert variance == pytest.approx(1 / (2 * np.sqrt(ridge)), rel=2 * np.sqrt(ridge))
    assert bias == pytest.approx(np.sqrt(ridge) / 2, rel=2 * np.sqrt(ridge))


@pytest.mark.parametrize("aspect_ratio", [0.5, 1.0, 2.0])
def test_ridge_risk_at_a_realistic_size(aspect_ratio):
    problem = {"noise_variance": 0.5, "signal_power": 1.0, "ridge": 0.1}
    n = 200
    mean, _ = simulated_excess_risk(
        np.random.default_rng(3), n, int(aspect_ratio * n), **problem, repeats=40
    )
    assert mean == pytest.approx(ridge_excess_risk(aspect_ratio, **problem), rel=0.05)


@quick
@given(gamma=aspect_ratios | st.just(1.0), s2=powers, r2=powers, factor=st.floats(0.1, 10.0))
def test_no_ridge_beats_the_optimal_one(gamma, s2, r2, factor):
    ridge = optimal_ridge(gamma, noise_variance=s2, signal_power=r2)
    best = optimal_ridge_excess_risk(gamma, noise_variance=s2, signal_power=r2)
    other = ridge_excess_risk(gamma, factor * ridge, noise_variance=s2, signal_power=r2)
    assert best <= other * (1 + 1e-12)
    # Published value of the optimum: the whole excess is s2 gamma m.
    assert best == pytest.approx(s2 * gamma * marchenko_pastur_stieltjes(gamma, ridge), rel=1e-10)


@quick
@given(gamma=aspect_ratios | st.just(1.0), s2=powers, r2=powers)
def test_optimal_ridge_is_stationary(gamma, s2, r2):
    ridge = optimal_ridge(gamma, noise_variance=s2, signal_power=r2)
    step = 1e-3
    around = ridge * np.exp(step * np.array([-1, 0, 1]))
    left, centre, right = ridge_excess_risk(gamma, around, noise_variance=s2, signal_power=r2)
    # A first-order change would be of order `step`; what remains is of order `step**2`.
    assert abs(right - left) < 1e-4 * step * centre


@quick
@given(s2=powers, r2=powers)
def test_optimal_ridge_removes_the_peak(s2, r2):
    gamma = np.linspace(0.05, 5.0, 400)
    risk = optimal_ridge_excess_risk(gamma, noise_variance=s2, signal_power=r2)
    assert np.all(np.diff(risk) > 0)
    assert np.all(risk < r2)


def test_optimal_ridge_of_nakkiran_figure_1():
    # d = 500, sigma = 0.5, |beta| = 1: 125 in the normalisation |Xb - y|^2 + Lam |b|^2, at any n.
    n = np.array([100, 500, 2000])
    ridge = optimal_ridge(500 / n, noise_variance=0.25, signal_power=1.0)
    np.testing.assert_allclose(n * ridge, 125.0, rtol=1e-14)


# Arguments


def test_arguments_broadcast():
    risk = ridge_excess_risk(
        np.array([[0.5], [2.0]]), [0.0, 0.1, 1.0], noise_variance=0.5, signal_power=1.0
    )
    alone = ridge_excess_risk(2.0, 0.1, noise_variance=0.5, signal_power=1.0)
    assert risk.shape == (2, 3)
    assert risk[1, 1] == alone


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ridgeless_excess_risk(0.0, noise_variance=1, signal_power=1), "aspect_ratio"),
        (lambda: ridgeless_excess_risk(1.0, noise_variance=-1, signal_power=1), "noise_variance"),
        (lambda: ridge_excess_risk(1, np.nan, noise_variance=1, signal_power=1), "ridge"),
        (lambda: optimal_ridge(1.0, noise_variance=1, signal_power=0), "signal_power"),
        (
            lambda: misspecified_excess_risk(
                2.0, noise_variance=1, signal_power=1, observed_share=1.5
            ),
            "observed_share = 1.5, but it must be a share between 0 and 1",
        ),
    ],
)
def test_refusals_name_the_argument(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# Beyond the threshold


def test_the_second_minimum_is_where_the_curve_turns():
    for snr in (1.5, 5.0, 50.0):
        gamma = float(second_descent_minimum(snr))
        around = gamma * np.array([0.999, 1.0, 1.001])
        risk = ridgeless_excess_risk(around, noise_variance=1 / snr, signal_power=1.0)
        assert risk[1] < risk[0] and risk[1] < risk[2]
    assert second_descent_minimum(5.0) == pytest.approx(1.809, abs=5e-4)
    np.testing.assert_array_equal(second_descent_minimum([0.5, 1.0]), np.inf)


@pytest.mark.slow
@pytest.mark.parametrize("p", [80, 240, 480])
def test_a_latent_space_follows_simulation(p):
    rng, n, latents, s2 = np.random.default_rng(11), 160, 20, 0.1
    theta = rng.normal(size=latents) / np.sqrt(latents)
    told, seen = [], []
    for _ in range(40):
        w = rng.normal(size=(p, latents)) / np.sqrt(latents)
        z = rng.normal(size=(n, latents))
        x = z @ w.T + rng.normal(size=(n, p))
        fitted = np.linalg.lstsq(x, z @ theta + np.sqrt(s2) * rng.normal(size=n), rcond=None)[0]
        # E (theta'z + noise - fitted'x)^2 with x = W z + u, exactly.
        seen.append(np.sum((theta - w.T @ fitted) ** 2) + fitted @ fitted + s2)
        problem = latent_space_problem(w, theta, noise_variance=s2)
        told.append(
            kernel_ridge_risk(
                problem.eigenvalues,
                problem.target_power,
                n,
                ridge=0.0,
                noise_variance=problem.noise_variance,
            ).test_risk
        )
    assert np.mean(seen) == pytest.approx(np.mean(told), rel=0.05)
