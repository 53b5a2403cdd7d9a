"""Phases of power-law random features: continuity, the four terms, exact dynamics, the floor."""

import numpy as np
import pytest

from analysis.theory import (
    compute_optimal_exponents,
    feature_floor,
    one_pass_sgd_risk,
    power_law_problem,
)

PHASES = {
    "Ia": (0.7, 0.3),
    "Ib": (0.4, 0.3),
    "Ic": (0.2, 0.8),
    "II": (0.9, 0.7),
    "III": (0.7, 1.2),
    "IVa": (0.4, 0.9),
    "IVb": (0.27, 0.9),
}


def optimum_of_four_terms(a, b, flops):
    """Log of the best size and of the risk there, by brute force over the four published terms."""
    log_f = np.log(flops)
    log_d = np.linspace(0, log_f, 200_001)
    log_lr = np.minimum((2 * a - 1) * log_d, 0)
    log_g = log_lr + log_f - log_d
    terms = [-(2 * a + 2 * b - 1) / (2 * a) * log_g, (-2 * a + max(0, 1 - 2 * b)) * log_d]
    if a > 0.5 and b > 0.5:
        terms.append(-log_d + (-1 + 1 / (2 * a)) * log_g)
    if a > 0.25:
        terms.append(log_lr + (-2 + 1 / (2 * a)) * log_g)
    risk = np.logaddexp.reduce(terms, axis=0)
    best = np.argmin(risk)
    return log_d[best], risk[best]


@pytest.mark.parametrize(("phase", "point"), PHASES.items())
def test_exponents_are_those_of_the_minimum_of_the_four_terms(phase, point):
    few, many = (optimum_of_four_terms(*point, flops) for flops in (1e60, 1e80))
    xi, eta = np.subtract(many, few) / np.log(1e20)
    found = compute_optimal_exponents(*point)
    assert found.phase == phase
    assert found.loss_exponent == pytest.approx(-eta, rel=0.02)
    assert found.size_exponent == pytest.approx(xi, rel=0.02)


@pytest.mark.parametrize(
    ("inside", "outside", "sizes_too"),
    [
        ((0.5, 0.3), (0.5 - 1e-9, 0.3), True),  # Ia, Ib
        ((0.2, 0.5), (0.2, 0.5 + 1e-9), True),  # Ib, Ic
        ((0.25, 0.9), (0.25 + 1e-9, 0.9), True),  # Ic, IVb
        ((1 - 0.5**0.5 - 1e-9, 0.9), (1 - 0.5**0.5 + 1e-9, 0.9), False),  # IVb, IVa
        ((0.5, 0.9), (0.5 + 1e-9, 0.9), True),  # IVa, III
        ((0.8, 0.8), (0.8, 0.8 + 1e-9), True),  # II, III
        ((0.8, 0.5), (0.8, 0.5 + 1e-9), True),  # Ia, II
    ],
)
def test_exponents_are_continuous_over_the_boundaries(inside, outside, sizes_too):
    here, there = compute_optimal_exponents(*inside), compute_optimal_exponents(*outside)
    assert here.phase != there.phase
    assert here.loss_exponent == pytest.approx(there.loss_exponent, abs=1e-7)
    if sizes_too:
        assert here.size_exponent == pytest.approx(there.size_exponent, abs=1e-7)
    else:
        assert here.size_exponent != pytest.approx(there.size_exponent, abs=1e-2)


def test_exact_dynamics_are_the_mean_of_runs_and_end_at_their_floor():
    rng, (n_modes, d), step = np.random.default_rng(0), (200, 20), 0.1
    a, b, n_steps, n_runs = 0.8, 0.4, 300, 400
    features = rng.normal(size=(n_modes, d)) / np.sqrt(d)
    exact = one_pass_sgd_risk(
        features, [0, n_steps], data_exponent=a, target_exponent=b, step_size=step
    )
    eigs, power = power_law_problem(n_modes, a, b)
    target, weights = np.sqrt(power / eigs), np.zeros((n_runs, d))
    for _ in range(n_steps):
        x = rng.normal(size=(n_runs, n_modes)) * np.sqrt(eigs)
        seen = x @ features
        error = np.sum(seen * weights, axis=1) - x @ target
        weights -= step * error[:, None] * seen
    missed = weights @ features.T - target
    risks = missed**2 @ eigs
    assert exact[0] == pytest.approx(power.sum())
    assert exact[-1] == pytest.approx(risks.mean(), abs=4 * risks.std() / np.sqrt(n_runs))


def test_any_number_of_steps_at_once_is_the_recursion_step_by_step():
    rng, (a, b, s) = np.random.default_rng(4), (0.8, 0.9, 0.2)
    features = rng.normal(size=(80, 12)) / np.sqrt(12)
    eigs, power = power_law_problem(80, a, b)
    left, singular, _ = np.linalg.svd(np.sqrt(eigs)[:, None] * features, full_matrices=False)
    along = left.T @ np.sqrt(power)
    values, distance2 = singular**2, (along / singular) ** 2
    floor = power.sum() - along @ along
    risks = []
    for _ in range(200):
        risks.append(values @ distance2 + floor)
        distance2 = (1 - 2 * s * values + 2 * (s * values) ** 2) * distance2
        distance2 = distance2 + s**2 * values * risks[-1]
    found = one_pass_sgd_risk(
        features, np.arange(200), data_exponent=a, target_exponent=b, step_size=s
    )
    np.testing.assert_allclose(found, risks, rtol=1e-9)


def test_the_floor_is_that_of_the_best_coefficients():
    rng, n_modes, d, a, b = np.random.default_rng(1), 1500, 60, 0.8, 0.4
    eigs, power = power_law_problem(n_modes, a, b)
    floors = []
    for _ in range(8):
        seen = np.sqrt(eigs)[:, None] * rng.normal(size=(n_modes, d))
        left, _ = np.linalg.qr(seen)
        along = left.T @ np.sqrt(power)
        floors.append(power.sum() - along @ along)
    theory = feature_floor(d, data_exponent=a, target_exponent=b, n_modes=n_modes)
    assert np.mean(floors) == pytest.approx(float(theory), rel=0.03)
    assert feature_floor(n_modes, data_exponent=a, target_exponent=b, n_modes=n_modes) == 0


def test_what_cannot_be_is_refused_with_a_remedy():
    with pytest.raises(ValueError, match=r"infinite power. Give a target_exponent above 0.2"):
        compute_optimal_exponents(0.3, 0.1)
    features = np.random.default_rng(0).normal(size=(50, 10))
    with pytest.raises(ValueError, match=r"makes training diverge.*Give a step_size of") as caught:
        one_pass_sgd_risk(features, [0, 200], data_exponent=1, target_exponent=1, step_size=5)
    remedy = float(str(caught.value).rsplit("of ", 1)[1].split(" or")[0])
    risk = one_pass_sgd_risk(
        features, [0, 200], data_exponent=1, target_exponent=1, step_size=remedy
    )
    assert risk[-1] < risk[0]
