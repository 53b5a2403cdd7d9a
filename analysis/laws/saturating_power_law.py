"""The power law in one variable that levels off at an irreducible value.

| symbol | meaning | unit |
|---|---|---|
| x | scale: parameters, tokens, FLOPs, ... | any |
| y | loss or another positive quantity | any |
| E | irreducible value, the limit of y for large x | that of y |
| A | reducible part of y at x = 1 | that of y, times that of x to the alpha |
| alpha | exponent of the reducible part | none |
"""

import numpy as np

from analysis.estimate import Floats
from analysis.laws.power_terms import sum_of_powers

_START_ALPHAS = (0.05, 0.1, 0.2, 0.35, 0.6, 1.0, 2.0)
_START_FLOORS = (0.0, 0.3, 0.6, 0.85, 0.97)  # E as a share of the smallest y


def _starts(log_x: Floats, log_y: Floats) -> Floats:
    # For a given E and alpha the best log A in log(y - E) is a mean.
    floors, alphas = (grid.ravel() for grid in np.meshgrid(_START_FLOORS, _START_ALPHAS))
    floors = floors * np.exp(log_y.min())
    log_reducible = np.log(np.exp(log_y) - floors[:, None])
    log_a = (log_reducible + alphas[:, None] * log_x[:, 0]).mean(axis=-1)
    return np.stack([floors, log_a, alphas], axis=-1)


SATURATING_POWER_LAW = sum_of_powers(
    name="saturating_power_law",
    formula="y = E + A x^-alpha",
    terms={"A": {"x": "-alpha"}},
    exponents={"alpha": _START_ALPHAS},
)._replace(starts=_starts)
"""y = E + A x^-alpha, with E >= 0, A > 0 and 0 <= alpha <= 10.

Henighan et al. 2020, arXiv 2010.14701, equation 1.1.
"""
