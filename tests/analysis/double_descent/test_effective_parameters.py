"""Effective parameters of smoothers against projections, closed forms and the solver."""

import numpy as np
import pytest

from analysis.double_descent.effective_parameters import effective_parameters, linear_smoother


@pytest.mark.parametrize("p", [1, 5, 19, 20, 33])
def test_least_squares_uses_its_features_or_its_examples(p):
    x = np.random.default_rng(p).standard_normal((20, p))
    assert effective_parameters(linear_smoother(x, x)) == pytest.approx(min(p, 20), rel=1e-9)


@pytest.mark.parametrize("p", [5, 33])
def test_a_ridge_shrinks_each_direction(p):
    x = np.random.default_rng(p).standard_normal((20, p))
    s2 = np.linalg.svd(x, compute_uv=False) ** 2
    found = effective_parameters(linear_smoother(x, x, ridge=0.3))
    assert found == pytest.approx(np.sum((s2 / (s2 + 20 * 0.3)) ** 2), rel=1e-9)
    vanishing = effective_parameters(linear_smoother(x, x, ridge=1e-12))
    assert vanishing == pytest.approx(min(p, 20), rel=1e-6)


def test_averages_of_neighbours_use_examples_over_neighbours():
    """Curth et al., section 4: k nearest neighbours have n / k parameters in effect."""
    n, k = 12, 3
    smoother = np.kron(np.eye(n // k), np.full((1, k), 1 / k))
    assert effective_parameters(smoother) == pytest.approx(n / k)


def test_inputs_that_are_no_smoother_are_refused():
    with pytest.raises(ValueError, match=r"shape \(3,\)"):
        effective_parameters([1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match=r"shape \(4, 3\) and held_out \(2, 2\)"):
        linear_smoother(np.ones((4, 3)), np.ones((2, 2)))
    with pytest.raises(ValueError, match=r"ridge = -1"):
        linear_smoother(np.ones((4, 3)), np.ones((2, 3)), ridge=-1)
