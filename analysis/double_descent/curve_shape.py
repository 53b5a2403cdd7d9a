"""Shape of curves over log size: crossings, bumps, rises, and the nearest curves without them.

A stack of curves has the shape (n_curves, n_sizes), so that a bootstrap is one call.
"""

from typing import NamedTuple

import numpy as np

from analysis.double_descent.seed_noise import SizeNoise
from analysis.double_descent.seeds import IntArray
from analysis.estimate import Floats


class Located(NamedTuple):
    """Log sizes known up to the grid, each of shape (n_curves,).

    Attributes:
        value: Best guess; NaN where the grid does not contain the location.
        low: Greatest lower bound that the grid gives; -inf where it gives none.
        high: Least upper bound that the grid gives; inf where it gives none.
    """

    value: Floats
    low: Floats
    high: Floats


class Bump(NamedTuple):
    """The clearest interior maximum of each curve.

    Attributes:
        at: Size index of the maximum, shape (n_curves,).
        clearness: Height above low points on both its sides, in standard errors of the difference;
            at most 0 where the curve has no interior maximum.
        where: Log size of the maximum, between its neighbours; open on both sides where there is
            none.
    """

    at: IntArray
    clearness: Floats
    where: Located


def falling_crossing(log_size: Floats, curves: Floats, weights: Floats, target: float) -> Located:
    """Finds where the best non-increasing fit of each curve first reaches `target`.

    The value is interpolated linearly in (log size, metric); the bounds are the last size above the
    target and the first at or below it.

    Args:
        log_size: Ascending log sizes, shape (n_sizes,).
        curves: Shape (n_curves, n_sizes).
        weights: Weight of each size in the isotonic regression, shape (n_sizes,).
        target: Level to cross, in units of the curves.

    Returns:
        The crossings; open above where never reached, below where reached at the first size.
    """
    fits = falling_fit(curves, weights)
    n_above = np.sum(fits > target, axis=1)
    ends = np.concatenate([[-np.inf], log_size, [np.inf]])
    low, high = ends[n_above], ends[n_above + 1]
    value = np.full(len(fits), np.nan)
    inside = np.flatnonzero((n_above > 0) & (n_above < len(log_size)))
    before, after = fits[inside, n_above[inside] - 1], fits[inside, n_above[inside]]
    fraction = (before - target) / (before - after)
    value[inside] = low[inside] + fraction * (high[inside] - low[inside])
    return Located(value, low, high)


def clearest_bump(log_size: Floats, curves: Floats, noise: SizeNoise) -> Bump:
    """Finds the interior maximum of each curve that stands out most from its noise.

    How far size i stands out is its height above both sides, in standard errors:

        min( max_{j<i} (m_i - m_j) / e_ij,  max_{j>i} (m_i - m_j) / e_ij )

    with e_ij the standard error of the difference. In units of the metric, noise at one size would
    drown a bump among others that hardly err. The maximum is then the highest point between the
    two low ones.

    Args:
        log_size: Ascending log sizes, shape (n_sizes,), n_sizes >= 3.
        curves: Shape (n_curves, n_sizes).
        noise: Their noise; of one curve, it serves all.
    """
    n_curves, n_sizes = curves.shape
    # Sizes first, so that each operation runs along the curves.
    height, error = np.ascontiguousarray(curves.T), np.ascontiguousarray(noise.error.T)

    def above(here: Floats, its_error: Floats, others: slice = slice(None)) -> Floats:
        e = noise.of_difference(its_error, error[others])
        return (here - height[others]) / np.maximum(e, 1e-300)

    before, after = np.full((2, n_sizes, n_curves), -np.inf)
    for at in range(n_sizes - 1):
        of_later = above(height[at], error[at], slice(at + 1, None))
        after[at] = of_later.max(axis=0)
        before[at + 1 :] = np.maximum(before[at + 1 :], -of_later)
    stands_out = np.minimum(before, after)
    top = stands_out.argmax(axis=0)[np.newaxis]
    clearness = np.take_along_axis(stands_out, top, axis=0)[0]
    # The low points that it is measured from.
    sizes = np.arange(n_sizes)[:, np.newaxis]
    its_error = error if error.shape[1] == n_curves else np.broadcast_to(error, height.shape)
    tops, top_errors = (np.take_along_axis(each, top, axis=0) for each in (height, its_error))
    of_top = above(tops, top_errors)
    low = np.where(sizes < top, of_top, -np.inf).argmax(axis=0)
    high = np.where(sizes > top, of_top, -np.inf).argmax(axis=0)
    between = (sizes > low) & (sizes < high)
    index = np.where(between, height, -np.inf).argmax(axis=0)
    exists = clearness > 0
    index = np.where(exists, index, 1)
    where = Located(
        np.where(exists, log_size[index], np.nan),
        np.where(exists, log_size[index - 1], -np.inf),
        np.where(exists, log_size[index + 1], np.inf),
    )
    return Bump(index, clearness, where)


def largest_rise(curves: Floats) -> Floats:
    """Returns the largest m_j - m_i over i <= j of each curve, 0 for a falling one."""
    return np.max(curves - np.minimum.accumulate(curves, axis=1), axis=1)


def falling_fit(curves: Floats, weights: Floats) -> Floats:
    """Returns the nearest non-increasing curve (weighted least squares) to each of a stack.

    At size i it is the least over a <= i of the largest over b >= i of the mean from a to b
    (Robertson, Wright & Dykstra 1988, Order Restricted Statistical Inference, theorem 1.4.4).

    Args:
        curves: Shape (n_curves, n_sizes).
        weights: Weight of each size, positive, shape (n_sizes,).
    """
    # Sizes first, so that each operation runs along the curves.
    points = np.ascontiguousarray(curves.T)
    found, weighted = np.full(points.shape, np.inf), points * weights[:, np.newaxis]
    for first in range(len(points)):
        means = np.cumsum(weighted[first:], axis=0) / np.cumsum(weights[first:])[:, np.newaxis]
        means[0] = points[first]  # not even rounding moves what falls already
        largest = np.maximum.accumulate(means[::-1])[::-1]
        found[first:] = np.minimum(found[first:], largest)
    return np.ascontiguousarray(found.T)


def valley_fit(curve: Floats, weights: Floats) -> Floats:
    """Returns the nearest curve without interior maximum: it falls or stays, then rises or stays.

    Exact weighted least squares: every split into a falling and a rising part is tried, each part
    fitted as in `falling_fit`.
    """
    n_sizes = len(curve)
    is_mean = np.triu(np.ones((n_sizes, n_sizes), dtype=bool))
    means = np.zeros((n_sizes, n_sizes))  # [a, b]: from a to b
    for first in range(n_sizes):
        means[first, first:] = np.cumsum((curve * weights)[first:]) / np.cumsum(weights[first:])
    np.fill_diagonal(means, curve)
    low, high = np.where(is_mean, means, -np.inf), np.where(is_mean, means, np.inf)
    smallest = np.minimum.accumulate(high[:, ::-1], axis=1)[:, ::-1]
    smallest = np.where(is_mean, smallest, -np.inf)
    fits = np.tile(curve, (n_sizes, 1))
    for split in range(1, n_sizes + 1):
        largest = np.maximum.accumulate(low[:split, split - 1 :: -1], axis=1)[:, ::-1]
        largest = np.where(is_mean[:split, :split], largest, np.inf)
        fits[split - 1, :split] = largest.min(axis=0)
        if split < n_sizes:
            fits[split - 1, split:] = smallest[split:, split:].max(axis=0)
    misfit = np.sum(weights * (fits - curve) ** 2, axis=1)
    return fits[np.argmin(misfit)]
