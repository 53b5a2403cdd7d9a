"""The nearest falling curves, against the algorithm of SciPy."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import isotonic_regression

from analysis.double_descent.curve_shape import falling_fit


@settings(deadline=None, max_examples=50)
@given(seed=st.integers(0, 2**32 - 1), n_sizes=st.integers(1, 20), repeated=st.booleans())
def test_falling_fits_are_those_of_pooling(seed, n_sizes, repeated):
    rng = np.random.default_rng(seed)
    curves = rng.standard_normal((5, n_sizes))
    curves = np.round(curves) if repeated else curves
    weights = rng.uniform(0.1, 9.0, n_sizes)
    fits = falling_fit(curves, weights)
    assert np.all(np.diff(fits, axis=1) <= 0)
    for fit, curve in zip(fits, curves, strict=True):
        pooled = isotonic_regression(curve, weights=weights, increasing=False).x
        np.testing.assert_allclose(fit, pooled, atol=1e-12)


def test_a_curve_that_falls_is_its_own_fit():
    falling = -np.sort(-np.random.default_rng(0).uniform(size=(3, 12)), axis=1)
    np.testing.assert_array_equal(falling_fit(falling, np.linspace(0.1, 0.7, 12)), falling)
