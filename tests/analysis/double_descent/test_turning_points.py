"""Turning points of smooth curves: planted places, intervals over seeds, curves without a bump."""

import numpy as np
import pytest

from analysis.double_descent.turning_points import turning_points

X = np.geomspace(1, 1e6, 121)


def curve(shift=0.0, height=1.0):
    """Minima at 100 and 10,000 and a maximum at 1,000, in log x, times 10^shift."""
    z = np.log10(X) - 3 - shift
    return height * ((z**2 - 1) ** 2 + 0.1 * z)


def test_planted_turns_are_found_between_the_points_of_the_grid():
    shifts = np.random.default_rng(0).normal(0, 0.1, 400)
    curves = np.array([curve(s) for s in shifts])
    exact = turning_points(X, np.array([curve(0.013)] * 2))
    assert exact is not None and exact.share == 1
    found = [turn.at.value for turn in exact[:3]]
    roots = np.sort(np.roots([4, 0, -4, 0.1]).real)
    assert found == pytest.approx(10 ** (3.013 + roots), rel=3e-3)
    spread = turning_points(X, curves)
    assert spread is not None and spread.bump.at.low < 1e3 * 10 ** roots[1] < spread.bump.at.high
    assert spread.bump.at.low <= spread.bump.at.value <= spread.bump.at.high


@pytest.mark.slow
def test_intervals_over_seeds_cover():
    rng, held = np.random.default_rng(1), 0
    truth = turning_points(
        X, np.mean([curve(s) for s in rng.normal(0, 0.2, 4000)], axis=0)[None][[0, 0]]
    )
    for _ in range(60):
        sample = np.array([curve(s) for s in rng.normal(0, 0.2, 20)])
        found = turning_points(X, sample)
        held += found.bump.at.low <= truth.bump.at.value <= found.bump.at.high
    assert held >= 50  # 95 % nominal, a little less of 20 seeds


def test_a_falling_curve_and_a_u_have_no_bump():
    falling, valley = 1 / X, (np.log10(X) - 3) ** 2
    hill = -((np.log10(X) - 3) ** 2)
    for shape in (falling, valley, hill):
        assert turning_points(X, np.array([shape, shape])) is None


def test_wrong_tables_are_refused():
    with pytest.raises(ValueError, match="one curve a seed"):
        turning_points(X, curve())
    with pytest.raises(ValueError, match="x does not ascend"):
        turning_points(X[::-1], np.array([curve(), curve()]))
