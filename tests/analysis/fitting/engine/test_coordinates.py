"""A law seen through several views at once is the law through each of them."""

import numpy as np

from analysis.fitting.engine.coordinates import Affine, seen_through, seen_through_each
from analysis.laws import CHINCHILLA


def test_each_problem_is_read_by_the_view_that_its_last_coordinate_numbers():
    rng, n_params = np.random.default_rng(0), len(CHINCHILLA.params)
    matrices = np.eye(n_params) + 0.1 * rng.standard_normal((3, n_params, n_params))
    views = [Affine(matrix, 0.1 * rng.standard_normal(n_params)) for matrix in matrices]
    log_x = rng.standard_normal((7, 2))
    theta = np.array([1.0, 0.2, 0.3, 0.4, 0.5]) + 0.01 * rng.standard_normal((5, n_params))
    which = [0, 2, 1, 2, 0]
    together = seen_through_each(CHINCHILLA, views)
    numbered = np.column_stack([theta, which])
    curves, slopes = together.log_predict(numbered, log_x), together.jacobian(numbered, log_x)
    for at, number in enumerate(which):
        alone = seen_through(CHINCHILLA, views[number], CHINCHILLA.params)
        np.testing.assert_allclose(curves[at], alone.log_predict(theta[at], log_x), rtol=1e-12)
        expected = alone.jacobian(theta[at], log_x)
        np.testing.assert_allclose(slopes[at, :, :-1], expected, rtol=1e-12, atol=1e-15)
    assert not np.any(slopes[..., -1])
