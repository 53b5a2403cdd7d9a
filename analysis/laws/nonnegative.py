"""Least squares with few coefficients, none of them negative, for many problems at once."""

from itertools import product

import numpy as np

from analysis.laws.law import Floats

_LEAST_DAMPING = 1e-14  # keeps the normal equations of dependent columns solvable


def coefficients(basis: Floats, y: Floats, weights: Floats) -> Floats:
    """Unbounded minimisers of `sum_i w_i (y_i - sum_k c_k basis_ik)^2`.

    Normal equations of columns scaled to length 1: digits to half the precision of float64
    times the condition number of the scaled columns, enough for an inner step that is checked.

    Args:
        basis: Shape `(..., n_points, n_columns)`.
        y: Shape `(..., n_points)`.
        weights: Shape `(..., n_points)`, not negative.

    Returns:
        Coefficients, shape `(..., n_columns)`; 0 for a column of zeros.
    """
    weighted = basis * weights[..., None]
    gram = np.swapaxes(weighted, -1, -2) @ basis
    lengths = np.sqrt(np.diagonal(gram, axis1=-2, axis2=-1))
    scale = np.divide(1.0, lengths, out=np.zeros_like(lengths), where=lengths > 0)
    identity = np.eye(basis.shape[-1])
    correlation = gram * scale[..., :, None] * scale[..., None, :]
    correlation = np.where(identity > 0, 1.0 + _LEAST_DAMPING, correlation)
    right = (np.swapaxes(weighted, -1, -2) @ y[..., None]) * scale[..., None]
    return np.asarray(np.linalg.solve(correlation, right)[..., 0] * scale, dtype=np.float64)


def nonnegative_coefficients(basis: Floats, y: Floats, weights: Floats) -> Floats:
    """Minimisers of the same sum among coefficients that are not negative.

    The minimum is that of the unbounded problem in the columns it uses, so all subsets of the
    columns are tried: for up to about four columns the shortest way, and the same for every
    problem of a batch.

    Args:
        basis: Shape `(..., n_points, n_columns)`.
        y: Shape `(n_points,)`.
        weights: Shape `(n_points,)`, not negative.

    Returns:
        Coefficients, shape `(..., n_columns)`.
    """
    best = np.zeros((*basis.shape[:-2], basis.shape[-1]))
    lowest = np.broadcast_to(weights @ y**2, best.shape[:-1])
    for used in product([False, True], repeat=basis.shape[-1]):
        if not any(used):
            continue
        tried = coefficients(basis * np.array(used), np.broadcast_to(y, basis.shape[:-1]), weights)
        sums = (y - (basis @ tried[..., None])[..., 0]) ** 2 @ weights
        better = np.all(tried >= 0, axis=-1) & (sums < lowest)
        best, lowest = np.where(better[..., None], tried, best), np.where(better, sums, lowest)
    return best
