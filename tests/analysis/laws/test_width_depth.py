"""The laws of shape, and what rows of one aspect ratio do not show."""

import numpy as np
import pytest

from analysis.estimate import Bootstrap, Floats
from analysis.fitting.engine.loss import Loss
from analysis.fitting.fit import fit
from analysis.fitting.result import FitResult
from analysis.fitting.verdict import Verdict
from analysis.laws import WIDTH_DEPTH, WIDTH_DEPTH_N, Law

# Every width at every depth, with seven token counts dealt out in turn.
WIDTHS, DEPTHS = np.geomspace(64.0, 4096.0, 10), np.geomspace(2.0, 96.0, 6)
TOKENS = np.resize(np.geomspace(1e8, 3e11, 7), 60)
SHAPES = np.column_stack([np.repeat(WIDTHS, 6), np.tile(DEPTHS, 10), TOKENS])
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


def fits_of_two_grids(params: tuple[float, ...], noise: Floats | float) -> list[FitResult]:
    """Fits to every width at every depth, and to the same widths at one aspect ratio."""
    narrow = np.column_stack([SHAPES[:, 0], SHAPES[:, 0] / 64, SHAPES[:, 2]])
    return [
        fit(WIDTH_DEPTH, x, curve(WIDTH_DEPTH, params, x) * noise, bootstrap=Bootstrap(n=200))
        for x in (SHAPES, narrow)
    ]


@pytest.mark.parametrize("seed", range(4))
def test_one_aspect_ratio_does_not_separate_width_and_depth(seed):
    noise = np.exp(0.003 * np.random.default_rng(seed).standard_normal(60))
    free, tied = fits_of_two_grids(SHAPE, noise)
    assert free.verdict is Verdict.CONVERGED
    assert tied.verdict is not Verdict.CONVERGED
    assert tied.standard_errors["alpha"] > 5 * free.standard_errors["alpha"]


def test_terms_of_width_and_depth_with_one_exponent_are_one_term_at_one_aspect_ratio():
    free, tied = fits_of_two_grids((*SHAPE[:5], SHAPE[4], SHAPE[6]), 1.0)
    assert free.verdict is Verdict.CONVERGED
    assert tied.verdict is Verdict.ILL_CONDITIONED
    assert tied.condition_number > 1e4 * free.condition_number


@pytest.mark.parametrize("delta", [None, 1e-3])
def test_planted_parameters_are_recovered_on_the_linear_scale(delta):
    y = curve(WIDTH_DEPTH, SHAPE, SHAPES)
    loss, few = Loss(delta, scale="linear"), Bootstrap(n=200)
    result = fit(WIDTH_DEPTH, SHAPES, y, loss=loss, bootstrap=few)
    np.testing.assert_allclose(list(result.params.values()), SHAPE, rtol=1e-4)
