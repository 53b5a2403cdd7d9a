"""Bumps of one curve that no single point decides, and their chance on curves without one.

One curve has no spread over seeds. Its noise is the scatter about the smooth curve of
`smooth_curve`, and a bump counts for as much as is left of it when the point that it depends on
most is left out.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Int

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
        out, rows = np.nonzero(member.T == k)
        filled = curves[rows]
        filled[np.arange(len(out)), out] -= projected[k, rows, out] / own[k, out]
        fitted = filled - filled @ projection @ noise
        sigma = np.sqrt(left[k, rows, out] / (n - 3))
        found = _clearest(np.ascontiguousarray(fitted.T), _of_pairs(noise, covariance), out)
        bump[rows, out], rise[rows, out] = found / sigma
    return Standing(bump.min(axis=1), rise.min(axis=1))


def _of_pairs(noise: Floats, covariance: Floats) -> Floats:
    """Standard errors of a fit's differences between two sizes, for noise of one.

    The shape is (n, n, n), and the point that is left out comes last.
    """
    spare = np.maximum(np.diag(noise) - np.diag(covariance), _TINY)
    at = covariance.T
    without = covariance[..., np.newaxis] + at[:, np.newaxis] * at / spare
    own = np.einsum("iij->ij", without)
    return np.sqrt(np.maximum(own[:, np.newaxis] + own - 2 * without, 1e-12))


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


def _clearest(fitted: Floats, errors: Floats, out: Int[np.ndarray, " n_curves"]) -> Floats:
    """Largest bump and rise of curves, shape (2, n_curves), in units of their noise.

    Args:
        fitted: Curves, shape (n, n_curves).
        errors: Standard errors of differences between two sizes, by the point left out.
        out: The point left out of each curve.
    """
    bump, rise = np.full_like(fitted[0], -np.inf), np.zeros_like(fitted[0])
    for i in range(1, len(fitted)):
        above = (fitted[i] - fitted) / errors[i][:, out]
        over_earlier = above[:i].max(axis=0)
        over_later = above[i + 1 :].max(axis=0, initial=-np.inf)
        bump = np.maximum(bump, np.minimum(over_earlier, over_later))
        rise = np.maximum(rise, over_earlier)
    return np.stack([bump, rise])
