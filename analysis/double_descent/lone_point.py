"""Bumps of one curve that no single point decides, and their chance on curves without one.

One curve has no spread over seeds. Its noise is the scatter about the smooth curve of
`smooth_curve`, and a bump counts for as much as is left of it when the point that it depends on
most is left out.
"""

from typing import NamedTuple

import numpy as np

from analysis.double_descent.curve_shape import falling_fit, valley_fit
from analysis.double_descent.smooth_curve import Smoother, rounding
from analysis.estimate import Floats


class Standing(NamedTuple):
    """How clearly curves stand out, in standard errors, whichever point is left out.

    Attributes:
        bump: Height of the clearest interior maximum above both sides, shape (n_curves,).
        rise: Largest rise from one size to any larger one, shape (n_curves,).
    """

    bump: Floats
    rise: Floats


class Best(NamedTuple):
    """The likeliest member for one curve, with its fit and noise."""

    fitted: Floats
    covariance: Floats


def likeliest(known: Smoother, points: Floats) -> Best:
    """Returns the fit of the likeliest member at the sizes, and the covariance of the noise."""
    squares = known.squares(points[np.newaxis])[0]
    freedom = len(points) - 2
    member = int(np.argmax(known.constants - 0.5 * freedom * np.log(squares)))
    noise = known.noise[member]
    fitted = points - noise @ known.projections[member] @ points
    return Best(fitted, noise * squares[member] / freedom)


def standing(known: Smoother, curves: Floats) -> Standing:
    """Returns how clearly each of a stack of curves has a bump, and a rise.

    A point is left out by putting its prediction from the others in its place:
    y_j - (P y)_j / P_jj.

    Args:
        known: The smoother of the sizes.
        curves: Points at the sizes, shape (n_curves, n), n >= 5.
    """
    n_curves, n = curves.shape
    projected = np.einsum("kij,cj->kci", known.projections, curves)
    squares = np.einsum("kci,ci->kc", projected, curves)
    own = np.einsum("kjj->kj", known.projections)
    scatter = squares[..., np.newaxis] - projected**2 / own[:, np.newaxis]
    left = np.maximum(scatter, rounding(curves)[:, np.newaxis])
    logs = (known.constants[:, np.newaxis] + 0.5 * np.log(own))[:, np.newaxis]
    member = np.argmax(logs - 0.5 * (n - 3) * np.log(left), axis=0)
    bump, rise = np.full((2, n_curves, n), np.inf)
    for k in np.unique(member):
        noise, projection = known.noise[k], known.projections[k]
        covariance = noise - noise @ projection @ noise
        for j in np.flatnonzero(np.any(member == k, axis=0)):
            rows = np.flatnonzero(member[:, j] == k)
            filled = curves[rows].copy()
            filled[:, j] -= projected[k, rows, j] / own[k, j]
            fitted = filled - filled @ projection @ noise
            spare = max(float(noise[j, j] - covariance[j, j]), _TINY)
            without = covariance + np.outer(covariance[j], covariance[j]) / spare
            variance = np.diag(without)[:, np.newaxis] + np.diag(without) - 2 * without
            sigma = np.sqrt(left[k, rows, j] / (n - 3))
            error = sigma[:, np.newaxis, np.newaxis] * np.sqrt(np.maximum(variance, 1e-12))
            above = (fitted[:, :, np.newaxis] - fitted[:, np.newaxis]) / error
            bump[rows, j], rise[rows, j] = _clearest(above)
    return Standing(bump.min(axis=1), rise.min(axis=1))


def simulated(best: Best, n_curves: int, seed: int, *, bump: bool) -> Floats:
    """Draws points about the nearest curve without a bump (or without a rise).

    Args:
        best: Fit and noise of the points.
        n_curves: How many curves.
        seed: Seed of the draws.
        bump: Without a bump, else without a rise.

    Returns:
        Points, shape (n_curves, n).
    """
    variance = np.diag(best.covariance)
    weights = 1 / variance
    if bump:
        nearest = valley_fit(best.fitted, weights)
    else:
        nearest = falling_fit(best.fitted[np.newaxis], weights)[0]
    noise = np.random.default_rng([seed, 3]).standard_normal((n_curves, len(nearest)))
    return nearest + np.sqrt(variance) * noise


_TINY = 1e-300


def _clearest(above: Floats) -> tuple[Floats, Floats]:
    """Largest bump and rise of curves from heights of i above j, shape (n_curves, n, n)."""
    n = above.shape[1]
    earlier = np.tril(np.ones((n, n), dtype=bool), -1)
    over_earlier = np.where(earlier, above, -np.inf).max(axis=2)
    over_later = np.where(earlier.T, above, -np.inf).max(axis=2)
    stands_out = np.minimum(over_earlier, over_later)[:, 1:-1]
    return stands_out.max(axis=1), np.maximum(over_earlier.max(axis=1), 0)
