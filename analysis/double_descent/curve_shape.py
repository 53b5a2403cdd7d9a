"""Shape of curves over log size: crossings, bumps, rises, and the nearest curves without them.

Every function takes a stack of curves of shape (n_curves, n_sizes), so a bootstrap is one call.
"""

from typing import NamedTuple

import numpy as np
from scipy.optimize import isotonic_regression

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
    """The most prominent interior maximum of each curve.

    Attributes:
        at: Size index of the maximum, shape (n_curves,).
        prominence: Height above the higher of the lowest points on its two sides; at most 0 where
            the curve has no interior maximum.
        where: Log size of the maximum, between its neighbours; open on both sides where there is
            none.
    """

    at: IntArray
    prominence: Floats
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
    fits = np.stack([falling_fit(curve, weights) for curve in curves])
    n_above = np.sum(fits > target, axis=1)
    ends = np.concatenate([[-np.inf], log_size, [np.inf]])
    low, high = ends[n_above], ends[n_above + 1]
    value = np.full(len(fits), np.nan)
    inside = np.flatnonzero((n_above > 0) & (n_above < len(log_size)))
    before, after = fits[inside, n_above[inside] - 1], fits[inside, n_above[inside]]
    fraction = (before - target) / (before - after)
    value[inside] = low[inside] + fraction * (high[inside] - low[inside])
    return Located(value, low, high)


def most_prominent_bump(log_size: Floats, curves: Floats) -> Bump:
    """Finds the most prominent interior maximum of each curve.

    Prominence of size i is m_i - max(min_{j<i} m_j, min_{j>i} m_j), for interior i only.

    Args:
        log_size: Ascending log sizes, shape (n_sizes,), n_sizes >= 3.
        curves: Shape (n_curves, n_sizes).
    """
    lowest_before = np.minimum.accumulate(curves, axis=1)[:, :-2]
    lowest_after = np.minimum.accumulate(curves[:, ::-1], axis=1)[:, ::-1][:, 2:]
    prominences = curves[:, 1:-1] - np.maximum(lowest_before, lowest_after)
    index = np.argmax(prominences, axis=1) + 1
    prominence = np.max(prominences, axis=1)
    exists = prominence > 0
    where = Located(
        np.where(exists, log_size[index], np.nan),
        np.where(exists, log_size[index - 1], -np.inf),
        np.where(exists, log_size[index + 1], np.inf),
    )
    return Bump(index, prominence, where)


def largest_rise(curves: Floats) -> Floats:
    """Returns the largest m_j - m_i over i <= j of each curve, 0 for a falling one."""
    return np.max(curves - np.minimum.accumulate(curves, axis=1), axis=1)


def falling_fit(curve: Floats, weights: Floats) -> Floats:
    """Returns the nearest non-increasing curve (weighted least squares), shape (n_sizes,)."""
    return isotonic_regression(curve, weights=weights, increasing=False).x


def valley_fit(curve: Floats, weights: Floats) -> Floats:
    """Returns the nearest curve without interior maximum: it falls or stays, then rises or stays.

    Exact weighted least squares: every split into a falling and a rising part is tried.
    """
    fits = []
    for split in range(1, len(curve) + 1):
        fall = falling_fit(curve[:split], weights[:split])
        rise = curve[split:]
        if split < len(curve):
            rise = isotonic_regression(rise, weights=weights[split:]).x
        fits.append(np.concatenate([fall, rise]))
    misfit = [np.sum(weights * (fit - curve) ** 2) for fit in fits]
    return fits[int(np.argmin(misfit))]
