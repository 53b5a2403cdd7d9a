"""Where smooth curves turn: first minimum, bump and second minimum along training.

A curve over the steps of one run, and the mean of such curves over seeds, is smooth: it turns where
it turns, and needs no test against noise between its points. Seeds show how well the places are
known.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from analysis.estimate import Bootstrap, Estimate, Floats
from analysis.guards import finite, positive_column


class Turn(NamedTuple):
    """A turning point: where it is, and the level of the curve there, with intervals over seeds."""

    at: Estimate
    level: Estimate


class TurningPoints(NamedTuple):
    """The turning points of a mean curve.

    Attributes:
        first_minimum: The lowest point before the bump.
        bump: The highest interior maximum.
        second_minimum: The lowest point after it; the last point where the curve still falls there.
        share: Share of the resampled mean curves that have a bump.
    """

    first_minimum: Turn
    bump: Turn
    second_minimum: Turn
    share: float


def turning_points(
    x: ArrayLike, curves: ArrayLike, bootstrap: Bootstrap = Bootstrap(n=400)
) -> TurningPoints | None:
    """Finds the turning points of the mean of smooth curves, one a seed.

    Between the points of the grid each turn is placed by the parabola through three of them, in
    log x. Intervals are percentiles over resampled seeds.

    Args:
        x: Steps, epochs or times, ascending, shape (n_points,).
        curves: One curve a seed, shape (n_seeds, n_points).
        bootstrap: Resamples of the seeds and the level of the intervals.

    Returns:
        The turning points; None where the mean curve has no bump.

    Raises:
        ValueError: Fewer than 3 points or 2 seeds, x that do not ascend, or a value not finite.
    """
    bootstrap.require_kind("clusters", "seeds")
    at = positive_column("x", x)
    values = finite("curves", curves)
    if values.ndim != 2 or values.shape[1:] != at.shape or len(values) < 2 or len(at) < 3:
        raise ValueError(
            f"curves has shape {values.shape} and x {at.shape}: give one curve a seed, shape "
            "(n_seeds, n_points), of 2 seeds and 3 points or more."
        )
    if np.any(np.diff(at) <= 0):
        raise ValueError("x does not ascend: sort the points, each once.")
    log_x = np.log(at)
    point = _turns(log_x, values.mean(axis=0))
    if point is None:
        return None
    rng = np.random.default_rng(bootstrap.seed)
    drawn = rng.integers(len(values), size=(bootstrap.n, len(values)))
    found = [_turns(log_x, values[rows].mean(axis=0)) for rows in drawn]
    kept = np.array([turns for turns in found if turns is not None])
    tail = 100 * (1 - bootstrap.level) / 2
    low, high = np.percentile(kept, [tail, 100 - tail], axis=0)
    turns = [
        Turn(
            *(
                Estimate(value, min(value, a), max(value, b), bootstrap.level)
                for value, a, b in zip(*of_turn, strict=True)
            )
        )
        for of_turn in zip(point, low, high, strict=True)
    ]
    return TurningPoints(*turns, share=len(kept) / bootstrap.n)


def _turns(log_x: Floats, curve: Floats) -> Float[np.ndarray, "3 2"] | None:
    """Place and level of first minimum, bump and second minimum; None without a bump."""
    inner = np.arange(1, len(curve) - 1)
    tops = inner[(curve[inner] > curve[inner - 1]) & (curve[inner] >= curve[inner + 1])]
    # A maximum is a bump only if the curve falls before it too.
    tops = [top for top in tops if curve[:top].min() < min(curve[top], curve[0])]
    if not tops:
        return None
    top = max(tops, key=lambda i: curve[i])
    before, after = int(np.argmin(curve[:top])), top + int(np.argmin(curve[top:]))
    return np.array([_refined(log_x, curve, i) for i in (before, top, after)])


def _refined(log_x: Floats, curve: Floats, i: int) -> tuple[float, float]:
    """Vertex of the parabola through a point and its neighbours; the point itself at an end."""
    if not 0 < i < len(curve) - 1:
        return float(np.exp(log_x[i])), float(curve[i])
    x, y = log_x[i - 1 : i + 2] - log_x[i], curve[i - 1 : i + 2] - curve[i]
    a, b = np.linalg.solve([[x[0] ** 2, x[0]], [x[2] ** 2, x[2]]], [y[0], y[2]])
    if a == 0:
        return float(np.exp(log_x[i])), float(curve[i])
    return float(np.exp(log_x[i] - b / (2 * a))), float(curve[i] - b**2 / (4 * a))
