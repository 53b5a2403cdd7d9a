"""How fast compute grows over the years: C = C_0 g^(t - t_0)."""

import numpy as np
from numpy.typing import ArrayLike

from analysis.errors import FitError
from analysis.estimate import Bootstrap, Estimate, Floats
from analysis.guards import positive_column
from analysis.planning.allocate import interval_of

_FEWEST = 5


def growth_a_year(
    years: ArrayLike, flops: ArrayLike, bootstrap: Bootstrap = Bootstrap()
) -> Estimate:
    """Returns the factor by which compute grows in a year, with its interval.

    A straight line of log C over time by least squares; the interval is one of percentiles over
    redrawn rows.

    Args:
        years: Dates as numbers of years, shape `(n,)`.
        flops: C, shape `(n,)`.
        bootstrap: Replicates, seed and level.

    Raises:
        ValueError: Columns of other shapes, or values that are not positive and finite.
        FitError: Too few rows, or all of one date.
    """
    t = positive_column("years", years)
    log_c = np.log(positive_column("flops", flops, len(t)))
    if len(t) < _FEWEST or np.ptp(t) == 0:
        raise FitError(
            f"{len(t)} models over {np.ptp(t):.1f} years are too few for a rate of growth: give "
            f"{_FEWEST} or more, of different dates."
        )
    drawn = np.random.default_rng(bootstrap.seed).integers(len(t), size=(bootstrap.n, len(t)))
    slopes = _slopes(t[drawn], log_c[drawn])
    low, high = interval_of(np.exp(slopes), bootstrap.level)
    value = float(np.exp(_slopes(t[None], log_c[None])[0]))
    return Estimate(value, low, high, bootstrap.level)


def _slopes(t: Floats, y: Floats) -> Floats:
    centred = t - t.mean(axis=-1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):  # of one date redrawn again and again
        return np.sum(centred * y, axis=-1) / np.sum(centred**2, axis=-1)
