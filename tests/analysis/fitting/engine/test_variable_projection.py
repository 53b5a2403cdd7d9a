"""The linear inner step: coefficients, bounds, and the same minimum by fewer steps."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import nnls

from analysis.fitting.engine.least_squares import Points, projection, solve
from analysis.laws import CHINCHILLA, SATURATING_POWER_LAW
from analysis.laws.power_terms import coefficients, nonnegative_coefficients
from analysis.laws.scales import linear_basis, on_linear_scale

RNG = np.random.default_rng(0)
LOG_X = RNG.uniform(-2, 2, (40, 2))
THETA = np.array([0.7, -1.9, -2.0, 0.4, 0.5])


def test_coefficients_are_those_of_weighted_least_squares():
    basis, y, weights = RNG.normal(size=(6, 30, 3)), RNG.normal(size=(6, 30)), RNG.random((6, 30))
    found = coefficients(basis, y, weights)
    for problem in range(6):
        root = np.sqrt(weights[problem])
        expected = np.linalg.lstsq(basis[problem] * root[:, None], y[problem] * root, rcond=None)[0]
        np.testing.assert_allclose(found[problem], expected, rtol=1e-9)


def test_a_column_of_zeros_gets_nothing():
    basis = np.stack([np.ones(5), np.zeros(5)], axis=1)
    np.testing.assert_allclose(coefficients(basis, np.full(5, 3.0), np.ones(5)), [3.0, 0.0])


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 10_000))
def test_nonnegative_coefficients_are_those_of_scipy(seed: int):
    rng = np.random.default_rng(seed)
    basis, y, weights = rng.normal(size=(4, 20, 3)), rng.normal(size=20), rng.random(20)
    found = nonnegative_coefficients(basis, y, weights)
    for problem in range(4):
        root = np.sqrt(weights)
        expected, _ = nnls(basis[problem] * root[:, None], y * root)
        np.testing.assert_allclose(found[problem], expected, atol=1e-9)


def test_basis_curves_times_coefficients_are_the_law():
    basis = linear_basis(CHINCHILLA, THETA, LOG_X)
    floor, a, b = THETA[0], *np.exp(THETA[1:3])
    expected = np.exp(CHINCHILLA.log_predict(THETA, LOG_X))
    np.testing.assert_allclose(basis @ np.array([floor, a, b]), expected, rtol=1e-13)


def test_projection_is_the_best_for_its_exponents_and_respects_bounds():
    y = np.exp(CHINCHILLA.log_predict(THETA, LOG_X)) + 0.01 * RNG.normal(size=40)
    weights = np.ones((2, 40))
    project = projection(CHINCHILLA)
    start = np.tile(np.array([0.1, 0.0, 0.0, 0.4, 0.5]), (2, 1))
    # The second target wants a negative floor.
    targets = np.stack([y, y - 2.0])
    projected = project(start, LOG_X, targets, weights)
    basis = linear_basis(CHINCHILLA, start[0], LOG_X)
    expected = np.linalg.lstsq(basis, y, rcond=None)[0]
    np.testing.assert_allclose(projected[0, 0], expected[0], rtol=1e-9)
    np.testing.assert_allclose(np.exp(projected[0, 1:3]), expected[1:], rtol=1e-9)
    np.testing.assert_array_equal(projected[:, 3:], start[:, 3:])
    np.testing.assert_array_equal(projected[1], start[1])


def test_the_reduced_problem_has_the_same_minimum():
    view = on_linear_scale(CHINCHILLA)
    y = np.exp(CHINCHILLA.log_predict(THETA, LOG_X)) + 0.01 * RNG.normal(size=(8, 40))
    points, start = Points(LOG_X, np.ones(40)), np.tile(THETA, (8, 1)) + 0.1
    full = solve(view, points, y, start)
    reduced = solve(view, points, y, start, project=projection(CHINCHILLA))
    assert np.all(reduced.converged)
    np.testing.assert_allclose(reduced.objective, full.objective, rtol=1e-10)
    np.testing.assert_allclose(reduced.theta, full.theta, rtol=1e-4, atol=1e-5)


def test_a_floor_on_its_bound_is_found_all_the_same():
    log_x = np.linspace(-2.0, 2.0, 12)[:, None]
    y = np.exp(-0.4 * log_x[:, 0] - 0.05 * log_x[:, 0] ** 2)  # no floor can help
    law = SATURATING_POWER_LAW
    starts = law.starts(log_x, np.log(y))
    found = solve(
        on_linear_scale(law),
        Points(log_x, np.ones(12)),
        np.tile(y, (len(starts), 1)),
        starts,
        project=projection(law),
    )
    best = found.theta[np.argmin(found.objective)]
    assert best[0] == 0.0
    np.testing.assert_allclose(found.objective, found.objective.min(), rtol=1e-9)
