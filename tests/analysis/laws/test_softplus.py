"""`analysis.laws.softplus` and the root of M4 against NumPy's own, to rounding."""

import numpy as np

from analysis.laws.m4 import M4
from analysis.laws.softplus import log_sum, softplus


def test_sums_are_numpys_to_rounding():
    u = np.concatenate([np.linspace(-800, 800, 4001), np.geomspace(1e-300, 1, 50)])
    np.testing.assert_allclose(softplus(u), np.logaddexp(u, 0), rtol=4e-16, atol=1e-323)
    a, b = np.meshgrid(u[::40], u[::37])
    np.testing.assert_allclose(log_sum(a, b), np.logaddexp(a, b), rtol=1e-15, atol=1e-15)


def test_the_root_of_m4_is_one_everywhere():
    """The equation that defines y, over all targets and every delta within bounds."""
    delta = np.exp(np.linspace(M4.lower[4], M4.upper[4], 101))
    theta = np.stack([0 * delta, 0 * delta, 0 * delta, 0 * delta + 1, np.log(delta)], axis=-1)
    log_x = np.linspace(-30, 600, 1201)[:, None]
    log_y = M4.log_predict(theta, log_x)  # E = 0, R = 1: y is p
    inside = log_y < -1e-3  # nearer to the ceiling 1 - p has few digits
    below = np.where(inside, log_y, -1.0)
    left = below - delta[:, None] * np.log(-np.expm1(below))
    miss = np.abs(left + log_x[:, 0]) / np.maximum(1, np.abs(left))
    assert inside.mean() > 0.9
    assert (miss <= 1e-11)[inside].all()
