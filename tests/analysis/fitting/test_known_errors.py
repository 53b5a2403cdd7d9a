"""Known errors of rows: their weights on both scales, and the chi-square they leave."""

import numpy as np
import pytest

from analysis.estimate import Bootstrap
from analysis.fitting.engine.loss import Loss, Scale
from analysis.fitting.fit import fit
from analysis.fitting.known_errors import goodness_of_fit, weights_of
from analysis.laws import POWER_LAW

X = np.geomspace(1e6, 1e9, 60)
ERRORS = 0.02 * np.geomspace(1, 5, 60)


@pytest.mark.parametrize("scale", ["log", "linear"])
@pytest.mark.parametrize("factor", [1.0, 3.0])
def test_scatter_beyond_the_errors_is_told_from_scatter_within(scale: Scale, factor: float):
    y = 30 * X**-0.1 + factor * ERRORS * np.random.default_rng(0).standard_normal(60)
    weights = weights_of(ERRORS, y, scale)
    result = fit(
        POWER_LAW, X, y, weights=weights, loss=Loss(scale=scale), bootstrap=Bootstrap(n=200)
    )
    found = goodness_of_fit(result)
    assert found.degrees_of_freedom == 58
    assert found.chi_square == pytest.approx(58 * factor**2, rel=0.45)
    assert found.is_excess == (factor > 1)
    assert ("scatter" in str(found)) == found.is_excess
