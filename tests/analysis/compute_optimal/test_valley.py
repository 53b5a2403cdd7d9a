"""Minima over a grid of sizes are those of independent code."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.interpolate import Akima1DInterpolator

from analysis.compute_optimal.valley import akima_minima, parabola_minima, parabola_projection

noise_columns = st.integers(0, 2**32 - 1).map(lambda seed: np.random.default_rng(seed))


@settings(deadline=None, max_examples=60)
@given(rng=noise_columns, n_sizes=st.integers(4, 9))
@example(rng=np.random.default_rng(39459), n_sizes=4)  # lowest at its left end, two bends inside
def test_akima_minima_are_those_of_a_dense_scan(rng, n_sizes):
    log_n = np.sort(rng.uniform(0, 5, n_sizes)) + 0.01 * np.arange(n_sizes)
    losses = rng.normal(size=(n_sizes, 7))
    found = akima_minima(log_n, losses)
    curve = Akima1DInterpolator(log_n, losses)
    scan = curve(np.linspace(log_n[:-1], log_n[1:], 2001).ravel())
    assert np.all(found.loss <= scan.min(axis=0) + 1e-12)
    np.testing.assert_allclose(found.loss, scan.min(axis=0), atol=1e-5)
    np.testing.assert_allclose(np.diagonal(curve(found.log_x)), found.loss, atol=1e-9)
    np.testing.assert_array_equal(
        found.inside, (found.log_x > log_n[0]) & (found.log_x < log_n[-1])
    )


@settings(deadline=None, max_examples=60)
@given(rng=noise_columns, n_sizes=st.integers(4, 9))
def test_parabola_minima_are_those_of_weighted_polyfit(rng, n_sizes):
    log_n = 15 + np.sort(rng.uniform(0, 5, n_sizes)) + 0.05 * np.arange(n_sizes)
    weights, loss = rng.uniform(0.3, 3, n_sizes), rng.normal(size=n_sizes)
    projection = parabola_projection(log_n, weights)[1]
    found = parabola_minima(log_n, loss[:, None], projection)
    bend, slope, start = np.polyfit(log_n - 15, loss, 2, w=np.sqrt(weights))
    vertex = 15 - slope / (2 * bend)
    inside = bend > 0 and log_n[0] < vertex < log_n[-1]
    assert found.inside[0] == inside
    ends = min((np.polyval([bend, slope, start], at - 15), at) for at in log_n[[0, -1]])[1]
    assert found.log_x[0] == pytest.approx(vertex if inside else ends, abs=1e-6)
    at = found.log_x[0] - 15
    assert found.loss[0] == pytest.approx(np.polyval([bend, slope, start], at), abs=1e-6)
