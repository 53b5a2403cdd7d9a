"""How far each point lies from a smooth surface through the others: robust local regression.

At every point a quadratic is fitted to its neighbours, without the point itself, with tricube
weights that fall with distance (Cleveland and Devlin, J. Am. Stat. Assoc. 83, 1988) and bisquare
weights that leave out outliers. Several outliers in a corner hide one another from such a fit, so
the weights start from a least-trimmed-squares fit of one quadratic to three quarters of the points
(Rousseeuw and Van Driessen, Data Min. Knowl. Disc. 12, 2006). Where two spans disagree, the
surface is uncertain, and the distance counts less.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from analysis.estimate import Floats

SPANS = (0.5, 1 / 3)
"""Shares of the points in the neighbourhoods; the first is the surface, the second tests it."""
MAX_REFERENCE = 2000
"""Points that the surface is fitted to; a fixed random choice where there are more."""
_BISQUARE = 4.685
_TRIMMED = 0.75
_N_STARTS = 200
_N_ROUNDS = 4
_SPAN_WEIGHT = 2.0
_BLOCK = 50  # points fitted at once


class Deviations(NamedTuple):
    """Distances of points from the surface.

    Attributes:
        residual: y minus the surface, shape `(n,)`.
        score: The residual over its own robust standard deviation, shape `(n,)`.
        scale: Robust standard deviation of a single y about the surface.
    """

    residual: Floats
    score: Floats
    scale: float


def n_needed(n_inputs: int) -> int:
    """Returns the fewest points for a surface: three for each coefficient of a quadratic."""
    return 3 * (1 + n_inputs + n_inputs * (n_inputs + 1) // 2)


def deviations(x: Floats, y: Floats) -> Deviations | None:
    """Returns the distance of each point from a smooth surface through the others.

    Args:
        x: Inputs, shape `(n, n_inputs)`, in which y is smooth: logarithms of sizes.
        y: Values, shape `(n,)`: logarithms of losses.

    Returns:
        The distances; None where the points are too few, or all at one place.
    """
    # 1. Few points, or many: at most MAX_REFERENCE carry the surface.
    z = _principal(x) if len(y) else x[:, :0]
    if z.shape[1] == 0 or len(y) < n_needed(z.shape[1]):
        return None
    chosen = np.arange(len(y))
    if len(y) > MAX_REFERENCE:
        chosen = np.sort(np.random.default_rng(0).choice(len(y), MAX_REFERENCE, replace=False))
    # 2. The surface, refitted with weights that its own outliers lose.
    reference, values = z[chosen], y[chosen]
    weight = _first_weights(reference, values)
    n, p = len(chosen), n_needed(z.shape[1]) // 3
    wide, narrow = (
        min(n - 1, max(least, int(span * n)))
        for span, least in zip(SPANS, (3 * p, 2 * p), strict=True)
    )
    around = _nearest(reference, wide)
    surface = _fit_without_self(reference, values, weight, around)
    for _ in range(_N_ROUNDS):
        scaled = (values - surface.value[:, 0]) / np.sqrt(1 + surface.variance)
        weight = _bisquare(scaled / _scale(scaled))
        surface = _fit_without_self(reference, values, weight, around)
    # 3. A second span shows how well the surface is known.
    check = _fit_without_self(reference, values, weight, around.first(narrow))
    scale = _scale((values - surface.value[:, 0]) / np.sqrt(1 + surface.variance))
    # 4. Every point against the surface about the nearest point that carries it.
    near = np.array(KDTree(reference).query(z)[1])
    near[chosen] = np.arange(n)
    offset = z - reference[near]
    residual = y - _evaluate(surface.value[near], offset)
    gap = (surface.value[:, 0] - check.value[:, 0])[near]
    spread = np.sqrt(scale**2 * (1 + surface.variance[near]) + _SPAN_WEIGHT * gap**2)
    return Deviations(residual, residual / spread, scale)


class _Neighbours(NamedTuple):
    """The nearest points of every point, itself included, nearest first."""

    distance: Floats  # (n, n_nearest)
    number: NDArray[np.intp]  # the same shape

    def first(self, count: int) -> "_Neighbours":
        """The `count` nearest besides itself."""
        return _Neighbours(self.distance[:, : count + 1], self.number[:, : count + 1])


class _Fits(NamedTuple):
    """Quadratics about every point."""

    value: Floats  # coefficients of the quadratic about each point, (n, p)
    variance: Floats  # of the value at the point, in units of the variance of y, (n,)


def _principal(x: Floats) -> Floats:
    """Inputs as uncorrelated columns of unit variance, without directions that hardly vary."""
    centred = x - x.mean(axis=0)
    size, axes = np.linalg.eigh(centred.T @ centred / len(x))
    keep = size > 1e-6 * max(size[-1], 1e-12)
    return (centred @ axes[:, keep]) / np.sqrt(size[keep])


def _quadratic(z: Floats) -> Floats:
    """Monomials up to the second degree, `(..., n_inputs) -> (..., p)`."""
    d = z.shape[-1]
    squares = [z[..., i] * z[..., j] for i in range(d) for j in range(i, d)]
    return np.stack([np.ones(z.shape[:-1]), *np.moveaxis(z, -1, 0), *squares], axis=-1)


def _evaluate(coefficients: Floats, offset: Floats) -> Floats:
    """Values of quadratics at offsets from their centres, shape `(n,)`."""
    return np.einsum("np,np->n", _quadratic(offset), coefficients)


def _first_weights(z: Floats, y: Floats) -> Floats:
    """Bisquare weights about one quadratic fitted to the three quarters that it fits best."""
    design = _quadratic(z)
    n, p = design.shape
    rng = np.random.default_rng(0)
    subset = np.argpartition(rng.random((_N_STARTS, n)), p + 1, axis=1)[:, : p + 2]
    kept = int(_TRIMMED * n)
    squares = np.zeros((_N_STARTS, n))
    for _ in range(10):
        rows = design[subset]
        across = np.swapaxes(rows, 1, 2)
        normal = across @ rows + 1e-9 * np.eye(p)
        theta = np.linalg.solve(normal, across @ y[subset][..., None])[..., 0]
        squares = (y - theta @ design.T) ** 2
        subset = np.argpartition(squares, kept - 1, axis=1)[:, :kept]
    best = np.take_along_axis(squares, subset, axis=1).sum(axis=1).argmin()
    residual = np.sqrt(squares[best])
    return _bisquare(residual / _scale(residual))


def _nearest(z: Floats, count: int) -> _Neighbours:
    """The `count` nearest points of every point besides itself."""
    distance, number = KDTree(z).query(z, count + 1)
    return _Neighbours(np.asarray(distance), np.asarray(number))


def _fit_without_self(z: Floats, y: Floats, weight: Floats, around: _Neighbours) -> _Fits:
    """A quadratic about every point, fitted to its neighbours without itself."""
    n, p = len(z), n_needed(z.shape[1]) // 3
    value, variance = np.empty((n, p)), np.empty(n)
    for start in range(0, n, _BLOCK):
        here = np.arange(start, min(n, start + _BLOCK))
        distance, near = around.distance[here], around.number[here]
        reach = distance[:, -1:] * 1.0001 + 1e-12
        w = (1 - (distance / reach) ** 3) ** 3 * weight[near]
        w[near == here[:, None]] = 0.0
        offset = (z[near] - z[here, None]) / reach[..., None]
        rows = _quadratic(offset)
        weighted = np.swapaxes(rows * w[..., None], 1, 2)
        normal = weighted @ rows
        ridge = 1e-6 * np.trace(normal, axis1=1, axis2=2) / p + 1e-12
        inverse = np.linalg.inv(normal + ridge[:, None, None] * np.eye(p))
        fitted = (inverse @ (weighted @ y[near][..., None]))[..., 0]
        value[here] = fitted / _quadratic(np.broadcast_to(reach, offset[:, 0].shape))
        # The value at the point is the sum of these shares of the neighbours' y.
        shares = (inverse[:, :1] @ weighted)[:, 0]
        variance[here] = np.vecdot(shares, shares)
    return _Fits(value, variance)


def _scale(residual: Floats) -> float:
    """Standard deviation of normal residuals by their median size; never 0."""
    return max(1.4826 * float(np.median(np.abs(residual))), 1e-9)


def _bisquare(u: Floats) -> Floats:
    """Tukey's weights of scaled residuals: 1 at 0, 0 beyond the cut-off."""
    return np.clip(1 - (u / _BISQUARE) ** 2, 0, None) ** 2
