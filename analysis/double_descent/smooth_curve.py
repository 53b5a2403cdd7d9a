"""A smooth curve through noisy points, as smooth as the points themselves show, and draws of it.

    y = m(t) + e,   m(t) = b_0 + b_1 t + tau Z(t),   e ~ N(0, sigma^2 V),   t = log size in [0, 1]

Z is Brownian motion integrated twice, the prior whose posterior mean is a quintic smoothing spline
(Wahba 1978, J. R. Stat. Soc. B 40, 364). How rough the curve is, how much the points scatter about
it and how that scatter changes over the sizes are weighed by their restricted likelihood. Draws
from the posterior show what the points leave open: such intervals cover on average over the curve
(Nychka 1988, J. Am. Stat. Assoc. 83, 1134).
"""

from typing import NamedTuple

import numpy as np

from analysis.estimate import Floats

ROUGHNESS = 10.0 ** np.arange(1.0, 10.6, 0.8)
"""tau^2 over the mean variance of a point: from a straight line to a curve through every point."""
SLOPES = np.log([0.5, 1.0, 2.0, 4.0, 8.0])
"""Logarithm of the noise at the smallest size over that at the largest, of one curve."""
_EXACT = 1e-9
"""Scatter over the largest value, below which points lie on the curve but for rounding."""
_BEND = 0.02
"""Variance of the curvature at the smallest size, over tau^2."""


class Noise(NamedTuple):
    """What is known of the noise of the points.

    Attributes:
        covariances: Shapes that it may have: covariances of the points up to a factor, shape
            (n_shapes, n, n).
        df: Degrees of freedom of that factor where it is about 1, as from seeds; None where only
            the scatter about the curve shows it.
    """

    covariances: Floats
    df: float | None


class Smoother(NamedTuple):
    """Every curve that points at given sizes may lie on: a member for each roughness and noise.

    Attributes:
        projections: P = K^-1 - K^-1 T (T'K^-1 T)^-1 T'K^-1 of each member, K its covariance and T
            the straight lines, shape (n_members, n, n).
        constants: Part of the restricted log likelihood that does not depend on the points, shape
            (n_members,).
        noise: V of each member, shape (n_members, n, n).
        to_curve: Maps points to the curve along a fine grid, shape (n_members, m, n).
        covariances: Of that curve over sigma^2, shape (n_members, m, m).
        df: As in `Noise`.
    """

    projections: Floats
    constants: Floats
    noise: Floats
    to_curve: Floats
    covariances: Floats
    df: float | None

    def squares(self, curves: Floats) -> Floats:
        """Returns y'Py of each curve and member, shape (n_curves, n_members).

        What rounding leaves of a curve that every member fits exactly, such as a constant, is
        not taken for scatter.

        Args:
            curves: Points at the sizes, shape (n_curves, n).
        """
        found = np.einsum("ci,kij,cj->ck", curves, self.projections, curves, optimize=True)
        return np.maximum(found, rounding(curves)[:, np.newaxis])

    def draws(self, points: Floats, n_draws: int, seed: int) -> Floats:
        """Draws curves from the posterior.

        Args:
            points: Values at the sizes, shape (n,).
            n_draws: How many curves.
            seed: Seed of the draws.

        Returns:
            The mean curve along the fine grid, then the draws, shape (1 + n_draws, m).
        """
        squares = self.squares(points[np.newaxis])[0]
        freedom = len(points) - 2.0 if self.df is None else self.df
        if self.df is None:
            logs = self.constants - 0.5 * freedom * np.log(squares)
        else:
            logs = self.constants - 0.5 * squares
        chances = np.exp(logs - logs.max())
        chances /= chances.sum()
        rng = np.random.default_rng([seed, 2])
        counts = rng.multinomial(n_draws, chances)
        drawn = [np.einsum("k,kmn,n->m", chances, self.to_curve, points)[np.newaxis]]
        for member in np.flatnonzero(counts):
            total = squares[member] if self.df is None else freedom
            scale = np.sqrt(total / rng.chisquare(freedom, (counts[member], 1)))
            root = _root(self.covariances[member])
            wiggles = rng.standard_normal((counts[member], len(root)))
            drawn.append(self.to_curve[member] @ points + scale * (wiggles @ root.T))
        return np.concatenate(drawn)


def rounding(curves: Floats) -> Floats:
    """Least sum of squares that counts as scatter, shape (n_curves,), of curves (n_curves, n)."""
    return np.maximum((_EXACT * np.abs(curves).max(axis=1)) ** 2, np.finfo(np.float64).tiny)


def seeds_noise(error: Floats, correlation: float, df: float) -> Noise:
    """Returns the noise of centres over seeds.

    Args:
        error: Standard error of each centre, shape (n,).
        correlation: Of runs of one seed, between sizes.
        df: Degrees of freedom of the errors' level.
    """
    shared = correlation + (1 - correlation) * np.eye(len(error))
    return Noise((np.outer(error, error) * shared)[np.newaxis], df)


def one_curve_noise(log_size: Floats, weights: Floats) -> Noise:
    """Returns the noise of one curve: independent, its level changing evenly over the sizes.

    Args:
        log_size: Ascending, shape (n,).
        weights: How many points each value is the mean of, shape (n,).
    """
    t = _on_unit(log_size, log_size)
    spread = np.exp(SLOPES[:, np.newaxis] * (0.5 - t)) / np.sqrt(weights)
    return Noise(np.stack([np.diag(each**2) for each in spread]), None)


def smoother(log_size: Floats, noise: Noise, along: Floats) -> Smoother:
    """Returns the curves on which points at these sizes may lie.

    Args:
        log_size: Ascending log sizes, shape (n,), n >= 4.
        noise: Noise of the points.
        along: The fine grid: log sizes within the others, shape (m,).
    """
    t, u = (_on_unit(each, log_size) for each in (log_size, along))
    lines, lines_along = (np.stack([np.ones_like(x), x], axis=1) for x in (t, u))
    of_points, across, of_curve = _wiggle(t, t), _wiggle(u, t), _wiggle(u, u)
    members = []
    for v in noise.covariances:
        for ratio in ROUGHNESS * float(np.mean(np.diag(v))):
            inverse = np.linalg.inv(v + ratio * of_points)
            weighted = inverse @ lines
            of_lines = lines.T @ weighted
            to_line = np.linalg.solve(of_lines, weighted.T)
            projection = inverse - weighted @ to_line
            constant = 0.5 * (np.linalg.slogdet(inverse)[1] - np.linalg.slogdet(of_lines)[1])
            left = lines_along - ratio * across @ weighted
            covariance = ratio * of_curve - ratio**2 * across @ inverse @ across.T
            covariance += left @ np.linalg.solve(of_lines, left.T)
            to_curve = lines_along @ to_line + ratio * across @ projection
            members.append((projection, constant, v, to_curve, covariance))
    projections, constants, shapes, to_curves, spread = map(np.stack, zip(*members, strict=True))
    return Smoother(projections, constants, shapes, to_curves, spread, noise.df)


def _root(covariance: Floats) -> Floats:
    """A root of a covariance, which rounding may have left with eigenvalues below 0."""
    values, vectors = np.linalg.eigh(covariance)
    return vectors * np.sqrt(np.maximum(values, 0))


def _on_unit(log_size: Floats, of: Floats) -> Floats:
    return (log_size - of[0]) / (of[-1] - of[0])


def _wiggle(s: Floats, t: Floats) -> Floats:
    """Covariance of Brownian motion integrated twice, with a curvature at 0."""
    low = np.minimum.outer(s, t)
    apart = np.maximum.outer(s, t) - low
    integrated = low**5 / 5 + apart * low**4 / 2 + apart**2 * low**3 / 3
    return (integrated + _BEND * np.outer(s**2, t**2)) / 4
