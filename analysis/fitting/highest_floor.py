"""The floor of a learning curve as the authors of M4 settle it: the highest minimum.

Given a floor e, `log(y - e)` of M2 and M4 is linear in the logs of their other terms. The squared
error of `log(y - e)`, least over those, has several minima in e; Alabdulmohsin et al. 2022 (arXiv
2209.06640) descend from just below the least loss and so end in the highest. Least squared error
of log y, the way of all other fits here, often has none but e = 0.
"""

from typing import NamedTuple

import numpy as np
from scipy.optimize import elementwise, nnls

from analysis.errors import FitError
from analysis.estimate import Floats
from analysis.fitting.engine.loss import Loss
from analysis.fitting.engine.observations import checked_rows, observe
from analysis.fitting.engine.optimum import find_optimum
from analysis.fitting.engine.problem import pose
from analysis.laws.law import Law

_N_FLOORS = 2001
_BELOW = 1e-3  # of the least y: so far below it the search begins
WITH_FLOOR = ("saturating_power_law", "m4")
"""Names of the laws whose floor may be settled so."""


class Floor(NamedTuple):
    """A floor, and what goes with it: `(y - e) / (ceiling - y)^bend = b x^-exponent`."""

    floor: float
    log_b: float
    exponent: float
    bend: float


def highest_floor(
    x: Floats, y: Floats, *, ceiling: float | None = None, below: float | None = None
) -> Floor | None:
    """Returns the highest minimum in e of the squared error of log(y - e).

    Args:
        x: Scale, shape `(n,)`.
        y: Loss, the same shape.
        ceiling: Loss for small x, above every y; None for a law without a ceiling.
        below: How far below the least y the highest floor tried lies; a thousandth of it unless
            given.

    Returns:
        The floor; None where the error has no minimum above 0.
    """
    columns = [np.ones_like(x), -np.log(x)]
    columns += [] if ceiling is None else [np.log(ceiling - y)]
    design = np.stack(columns, axis=1)
    gap = _BELOW * float(y.min()) if below is None else below
    floors = np.linspace(0, y.min() - gap, _N_FLOORS)

    def error(floor: float) -> float:
        return float(nnls(design, np.log(y - floor))[1] ** 2)

    errors = np.array([error(floor) for floor in floors])
    inner = np.flatnonzero((errors[1:-1] < errors[:-2]) & (errors[1:-1] <= errors[2:])) + 1
    if not len(inner):
        return None
    bracket = tuple(floors[inner[-1] - 1 : inner[-1] + 2])
    floor = float(elementwise.find_minimum(np.vectorize(error), bracket).x)
    log_b, exponent, *bend = nnls(design, np.log(y - floor))[0].tolist()
    return Floor(floor, log_b, exponent, bend[0] if bend else 0.0)


def at_highest_floor(law: Law) -> Law:
    """Returns a law of `WITH_FLOOR` whose fits hold E at the highest floor; any other as it is.

    The ceiling of M4 is that of its fit by least squared error of log y, and so are the parameters
    that are not held.
    """
    if law.name not in WITH_FLOOR:
        return law

    def settle(x: Floats, y: Floats) -> dict[str, float]:
        found = highest_floor(x[:, 0], y, ceiling=_ceiling(law, x, y))
        return {} if found is None else {"E": found.floor}

    return law._replace(settle=settle)


def _ceiling(law: Law, x: Floats, y: Floats) -> float | None:
    """E + R of the fit by least error; None of a law without R, or of rows that do not show it."""
    if "R" not in law.params:
        return None
    rows = observe(law, checked_rows(law, x, y))
    try:
        problem = pose(law, rows, Loss())
        raw = law.to_params(problem.to_raw(find_optimum(problem).theta))
    except FitError:
        return None
    ceiling = float(raw[law.params.index("E")] + raw[law.params.index("R")])
    return ceiling if y.max() < ceiling < np.inf else None
