"""Refits settle: rows that differ in their last digits have the same intervals."""

import numpy as np
import pytest

from analysis.estimate import Bootstrap, Floats
from analysis.fitting.engine.loss import Loss
from analysis.fitting.fit import fit
from analysis.fitting.result import FitResult
from analysis.laws import CHINCHILLA

LEVEL_OF_DIGITS = 1e-9
TRUTH = np.array([1.8, 480.0, 2100.0, 0.35, 0.37])


def rows() -> tuple[Floats, Floats]:
    """N and D in columns, and losses with 0.5 % of heavy-tailed noise."""
    rng = np.random.default_rng(1)
    x = np.exp(rng.uniform(np.log([5e7, 1e9]), np.log([1.6e10, 3e11]), (120, 2)))
    curve = np.exp(CHINCHILLA.log_predict(CHINCHILLA.to_theta(TRUTH), np.log(x)))
    return x, curve * np.exp(0.005 * rng.standard_t(2, len(x)))


def fitted(y: Floats, x: Floats, delta: float) -> FitResult:
    law = CHINCHILLA.starting_at(TRUTH[None])  # of interest is where the replicates end
    return fit(law, x, y, loss=Loss(delta), bootstrap=Bootstrap(kind="rows", n=400))


@pytest.mark.medium
@pytest.mark.parametrize("delta", [1e-3, 1e-4, 1e-5])
def test_intervals_do_not_depend_on_the_last_digits_of_the_rows(delta: float):
    x, y = rows()
    rng = np.random.default_rng(2)
    moved = y * (1 + LEVEL_OF_DIGITS * rng.uniform(-1, 1, len(y)))
    first, second = fitted(y, x, delta), fitted(moved, x, delta)
    for name, (low, high) in first.intervals.items():
        off = np.abs(np.subtract(second.intervals[name], (low, high)))
        assert np.all(off <= 1e-3 * (high - low)), name
