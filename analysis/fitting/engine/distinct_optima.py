"""Counting the separate minima that are as low as the best one."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from analysis.estimate import Floats

_MOST = 20
_SAME_PLACE = 1e-5  # coordinates that round to one multiple of it are the same
_BETWEEN = (0.14, 0.37, 0.5, 0.71)  # of the way from one end to another
_SAME_CURVE = 0.03  # of the root mean square residual


class Optima(NamedTuple):
    """Numbers of places, and of curves, with an objective as low as the least.

    Attributes:
        n_places: How many there are, that of the least included, with higher ground between any
            two; no more than 20 are counted.
        n_curves: How many curves they are: 1 where terms of a law may change places.
    """

    n_places: int
    n_curves: int


def count_optima(
    theta: Floats,
    ends: Floats,
    objective_at: Callable[[Floats], Floats],
    curve_at: Callable[[Floats], Floats],
    is_point: Callable[[Floats], bool],
    *,
    barrier: float,
    noise: float,
) -> Optima:
    """Counts the places where starts came to rest at one and the same objective.

    Two ends belong to one place where the objective between them is no higher. Ends that lie in a
    valley with a flat floor are not counted: a valley may bend, and higher ground between two of
    its ends separates nothing. The condition number reports valleys.

    Args:
        theta: Coordinates at the least objective, shape `(n_params,)`.
        ends: Coordinates with an objective as low, shape `(n_ends, n_params)`.
        objective_at: `(n, n_params) -> (n,)`.
        curve_at: `(n, n_params) -> (n, n_points)`.
        is_point: `(n_params,) -> bool`: whether the objective rises in all directions.
        barrier: An objective above it, on the way, parts two places.
        noise: Root mean square residual.
    """
    if not is_point(theta):
        return Optima(1, 1)
    _, first = np.unique(np.round(ends / _SAME_PLACE), axis=0, return_index=True)
    left, places, here = ends[np.sort(first)], [theta], theta
    while True:
        between = [objective_at(here + share * (left - here)) for share in _BETWEEN]
        left = left[np.max(between, axis=0) > barrier]
        if not len(left) or len(places) == _MOST:
            break
        here = left[0]
        places += [here] if is_point(here) else []
    curves = [*curve_at(np.stack(places))]
    distinct = curves[:1]
    for curve in curves[1:]:
        off = [np.sqrt(np.mean((curve - other) ** 2)) for other in distinct]
        distinct += [curve] if min(off) > _SAME_CURVE * noise else []
    return Optima(len(places), len(distinct))
