"""Regression in a prompt: exact errors against simulation and closed forms."""

import numpy as np
import pytest
from scipy import special

from analysis import theory


def prompts(n, length, dimension, noise, tasks=None):
    """Inputs and targets of prompts whose tasks are standard normal, or some of `tasks`."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((n, length, dimension))
    w = rng.standard_normal((n, dimension)) if tasks is None else tasks[rng.integers(2, size=n)]
    return x, np.einsum("nkd,nd->nk", x, w) + noise * rng.standard_normal((n, length))


def check(answers, y, exact):
    """Every mean squared error lies within 3.5 standard errors of the exact one."""
    errors = (answers - y) ** 2
    away = (errors.mean(axis=0) - exact) / (errors.std(axis=0) / len(y) ** 0.5)
    assert np.abs(away).max() < 3.5


@pytest.mark.parametrize("dimension", [1, 3, 4])
def test_ridge_errs_as_simulated(dimension):
    length = 2 * dimension + 3
    x, y = prompts(5000, length, dimension, 0.5)
    exact = [
        theory.ridge_in_context(k, dimension=dimension, noise_variance=0.25) for k in range(length)
    ]
    check(theory.ridge_answers(x, y, 0.25), y, exact)


def test_ridge_has_the_closed_forms_of_its_limits():
    """One example of two dimensions or two of one; no noise; no examples; orthogonal rows."""
    half = 0.15
    one = half * np.exp(half) * special.exp1(half)
    found = theory.ridge_in_context(2, dimension=1, noise_variance=0.3)
    assert found == pytest.approx(0.3 + one, rel=1e-12)
    found = theory.ridge_in_context(1, dimension=2, noise_variance=0.3)
    assert found == pytest.approx(1.3 + one, rel=1e-12)
    assert theory.ridge_in_context(0, dimension=5, noise_variance=0.3) == 5.3
    for k, dimension in ((8, 4), (30, 9)):
        exact = 1e-7 * theory.least_squares_in_context(k, dimension=dimension, noise_variance=1.0)
        found = theory.ridge_in_context(k, dimension=dimension, noise_variance=1e-7)
        assert found == pytest.approx(exact, rel=1e-5)
    never_below = [
        theory.ridge_in_context(k, dimension=16, noise_variance=1.0) for k in (0, 8, 15, 40)
    ]
    assert np.all(np.diff(never_below) < 0) and never_below[-1] > 1


def test_least_squares_errs_as_simulated_and_diverges_at_as_many_examples_as_dimensions():
    x, y = prompts(4000, 10, 4, 0.5)
    exact = np.array(
        [theory.least_squares_in_context(k, dimension=4, noise_variance=0.25) for k in range(10)]
    )
    assert np.array_equal(np.flatnonzero(np.isinf(exact)), [3, 4, 5])
    answers = theory.least_squares_answers(x, y)
    tame = [0, 1, 8, 9]  # elsewhere the squares have no variance
    check(answers[:, tame], y[:, tame], exact[tame])
    errors = np.mean((answers - y) ** 2, axis=0)
    assert errors.argmax() == 4 and errors[4] > 10 * errors[0]


def test_two_tasks_are_told_apart_as_simulated():
    tasks = np.array([[1.0, 0.0], [0.0, 0.5]])
    x, y = prompts(20_000, 6, 2, 0.5, tasks)
    distance = float(np.linalg.norm(tasks[0] - tasks[1]))
    exact = [
        theory.two_tasks_in_context(k, distance=distance, noise_variance=0.25) for k in range(6)
    ]
    assert exact[0] == pytest.approx(0.25 + distance**2 / 4)
    check(theory.discrete_answers(x, y, tasks, 0.25), y, exact)


def test_the_estimate_for_many_tasks_nears_ridge_and_the_right_one_is_free():
    x, y = prompts(100, 6, 2, 0.5)
    many = np.random.default_rng(1).standard_normal((2000, 2))
    ridge, discrete = theory.ridge_answers(x, y, 0.25), theory.discrete_answers(x, y, many, 0.25)
    assert np.mean((ridge - discrete) ** 2) < 0.02
    only = theory.discrete_answers(x, y, np.array([[1.0, 2.0]]), 0.25)
    np.testing.assert_allclose(only, x @ [1.0, 2.0], rtol=1e-12)


def test_what_the_exact_error_cannot_take_is_refused():
    for change in ({"dimension": 17}, {"examples": -1}, {"noise_variance": 0.0}):
        given = {"examples": 3, "dimension": 4, "noise_variance": 0.25} | change
        with pytest.raises(ValueError, match="give 1 to 16 dimensions, 0 or more examples"):
            theory.ridge_in_context(**given)
