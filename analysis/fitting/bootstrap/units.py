"""Variances that ask of the noise only that units err independently, corrected for few units.

A unit is a cluster of rows, such as the checkpoints of a run, or a row by itself. The residuals of
a fit are smaller than the noise, most where a unit has much leverage. Each unit's are multiplied by
`(I - H_ss)^-1`, H_ss its block of the hat matrix: those of a fit that has left the unit out. The
variance that follows is the jackknife's, CV3 or, of single rows, HC3 (MacKinnon and White 1985, J.
Econometrics 29(3), 305; MacKinnon, Nielsen and Webb 2023, J. Applied Econometrics 38(5), 671). It
is itself estimated with the degrees of freedom of Bell and McCaffrey (2002, Survey Methodology
28(2), 169), under the noise of Imbens and Kolesar (2016, Rev. Econ. Stat. 98(4), 701): of one size,
and equally correlated within units.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from analysis.estimate import Floats

_ALONE = 1e-8  # 1 - leverage of a direction that one unit alone determines


class UnitNoise(NamedTuple):
    """What residuals say of the noise, unit by unit.

    Attributes:
        residuals: Corrected residuals, shape `(n_rows,)`.
        variances: Variance of each coordinate, shape `(n_params,)`.
        naive: The same if rows erred independently and alike, `s^2 (J'J)^-1`.
        degrees_of_freedom: Degrees of freedom of `variances`, the same shape.
        spent: Rows' worth of squares that the fit took from the residuals: the number of parameters
            where rows err independently, more where the fit follows what units share.
    """

    residuals: Floats
    variances: Floats
    naive: Floats
    degrees_of_freedom: Floats
    spent: float


def unit_noise(jacobian: Floats, residuals: Floats, units: NDArray[np.intp]) -> UnitNoise:
    """Returns corrected residuals and the variances that follow from them.

    Args:
        jacobian: Derivatives of the curve, of full rank, each row times the root of its weight,
            shape `(n_rows, n_params)`.
        residuals: Residuals, times the same roots, shape `(n_rows,)`.
        units: Number of the unit of each row, from 0 without gaps, shape `(n_rows,)`.
    """
    n_rows, n_params = jacobian.shape
    basis, triangle = np.linalg.qr(jacobian)
    to_params = np.linalg.pinv(triangle)
    sums = _Sums(units)
    # (I - H_ss)^-1 = I + Q_s F_s Q_s', with Q_s'Q_s = V leverage V' and everything n_params wide.
    blocks = sums(basis[:, :, None] * basis[:, None, :])
    leverage, axes = np.linalg.eigh(blocks)
    left = 1 - np.clip(leverage, 0.0, 1.0)
    gains = np.where(left > _ALONE, 1 / np.maximum(left, _ALONE), 0.0)
    gain = (axes * gains[:, None, :]) @ np.swapaxes(axes, 1, 2)
    scores = np.einsum("upq,uq->up", gain, sums(basis * residuals[:, None]))
    corrected = residuals + np.einsum("ip,ip->i", basis, scores[units])
    variances = np.sum((scores @ to_params.T) ** 2, axis=0)
    naive = residuals @ residuals / (n_rows - n_params) * np.sum(to_params**2, axis=1)

    # Covariance of the noise within units, up to a factor: (1 - shared) I + shared 1 1'.
    shared = _shared(residuals, sums)
    ones = sums(basis)
    noise = (1 - shared) * blocks + shared * ones[:, :, None] * ones[:, None, :]
    freedom = np.array([_satterthwaite(blocks, noise, gain @ along) for along in to_params])
    spent = float(np.trace(noise.sum(axis=0)))
    return UnitNoise(corrected, variances, naive, freedom, spent)


class _Sums:
    """Sums over the rows of each unit: `(n_rows, ...) -> (n_units, ...)`."""

    def __init__(self, units: NDArray[np.intp]):
        self._order = np.argsort(units, kind="stable")
        self.sizes = np.bincount(units)
        self._first = np.cumsum(self.sizes) - self.sizes

    def __call__(self, rows: Floats) -> Floats:
        return np.add.reduceat(rows[self._order], self._first, axis=0)


def _shared(residuals: Floats, sums: _Sums) -> float:
    """The correlation of two rows of a unit, from 0 to 1; 0 where units are single rows."""
    squares, n_pairs = residuals @ residuals, np.sum(sums.sizes * (sums.sizes - 1))
    if n_pairs == 0 or squares == 0:
        return 0.0
    products = (np.sum(sums(residuals) ** 2) - squares) / n_pairs
    return float(np.clip(products * len(residuals) / squares, 0.0, 1.0))


def _satterthwaite(blocks: Floats, noise: Floats, weights: Floats) -> float:
    """`tr(M)^2 / tr(M^2)` of a variance that is a sum of squares with the covariance M of units.

    With a_s = Q_s weights_s, `M_st = (a_s' E_s - b_s' Q') noise (E_t' a_t - Q b_t)`: a diagonal and
    a matrix of low rank.
    """
    own = np.einsum("upq,uq->up", blocks, weights)
    across = np.einsum("upq,uq->up", noise, weights)
    diagonal = np.einsum("up,up->u", weights, across)
    identity, factors = np.eye(blocks.shape[-1]), np.concatenate([own, across], axis=1)
    middle = np.block([[noise.sum(axis=0), -identity], [-identity, 0 * identity]])
    low_rank = np.einsum("ui,ij,uj->u", factors, middle, factors)
    inner = middle @ (factors.T @ factors)
    squares = np.sum(diagonal * (diagonal + 2 * low_rank)) + np.trace(inner @ inner)
    total = np.sum(diagonal + low_rank)
    return float(total**2 / squares) if squares > 0 else 1.0
