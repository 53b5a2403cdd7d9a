"""What laws made of power terms A x^-alpha share: their starts, a joined term, linear solves.

- `power_term_starts`: starts for laws of the form E + sum_k A_k x_k^-alpha_k, which are linear in
  everything but their exponents.
- `joined`: two terms joined by an exponent, S = ((A N^-alpha)^(1/g) + (B D^-beta)^(1/g))^g. At
  g = 1 they add; towards g = 0 the larger alone counts; above 1 they count for more than their sum
  where both are large. Where one term is large S is that term, whatever g, so A and B keep their
  meaning.
- `coefficients`, `nonnegative_coefficients`: least squares with few coefficients, for many problems
  at once.
"""

from itertools import product
from typing import NamedTuple

import numpy as np

from analysis.estimate import Floats
from analysis.laws.law import ArrayLike

_LEAST_DAMPING = 1e-14  # keeps the normal equations of dependent columns solvable
_LEAST_TERM = 1e-3  # of the mean y: a term that a start leaves out keeps a foothold


def power_term_starts(exponents: Floats, log_x: Floats, log_y: Floats) -> Floats:
    """Returns the best floor and coefficients for given exponents, relative errors squared.

    The law is linear in them, so that a start needs a guess of the exponents alone.

    Args:
        exponents: An exponent for each input, shape `(n_starts, n_inputs)`.
        log_x: Centred log inputs, shape `(n_points, n_inputs)`.
        log_y: Centred log y, shape `(n_points,)`.

    Returns:
        E and log A_k in rows, shape `(1 + n_inputs, n_starts)`.
    """
    y = np.exp(log_y)
    terms = np.exp(-exponents[:, None, :] * log_x)
    basis = np.concatenate([np.ones((*terms.shape[:-1], 1)), terms], axis=-1)
    # Errors over y itself: nearly those of log y.
    found = nonnegative_coefficients(basis, y, 1.0 / y**2)
    least = _LEAST_TERM * y.mean() / terms.mean(axis=1)
    return np.concatenate([found[:, :1], np.log(np.maximum(found[:, 1:], least))], axis=1).T


class Joined(NamedTuple):
    """The joined term and its derivatives, all of shape `(..., n_points)`.

    Attributes:
        log_sum: log S.
        by_n: d log S / d (log A - alpha log N): the share of the term in N, from 0 to 1.
        by_d: The share of the term in D.
        by_g: d log S / dg: the entropy of the two shares.
    """

    log_sum: ArrayLike
    by_n: ArrayLike
    by_d: ArrayLike
    by_g: ArrayLike


def joined(log_of_n: ArrayLike, log_of_d: ArrayLike, g: ArrayLike) -> Joined:
    """Joins two terms given as logarithms.

    Args:
        log_of_n: log A - alpha log N, shape `(..., n_points)`.
        log_of_d: log B - beta log D, the same shape.
        g: Exponent, positive, shape `(..., 1)`.

    Returns:
        The joined term.
    """
    xp = g.__array_namespace__()
    log_root = xp.logaddexp(log_of_n / g, log_of_d / g)
    log_share_n, log_share_d = log_of_n / g - log_root, log_of_d / g - log_root
    of_n, of_d = xp.exp(log_share_n), xp.exp(log_share_d)
    # The logarithm of a share is what it is exponentiated from: without this, shares near 0 and 1
    # would cancel.
    by_g = -(of_n * log_share_n + of_d * log_share_d)
    return Joined(g * log_root, of_n, of_d, by_g)


def coefficients(basis: Floats, y: Floats, weights: Floats) -> Floats:
    """Returns unbounded minimisers of `sum_i w_i (y_i - sum_k c_k basis_ik)^2`.

    Normal equations of columns scaled to length 1: digits to half the precision of float64
    times the condition number of the scaled columns, enough for an inner step that is checked.

    Args:
        basis: Columns, shape `(..., n_points, n_columns)`.
        y: Values, shape `(..., n_points)`.
        weights: Weights, shape `(..., n_points)`, not negative.

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
    """Returns minimisers of the same sum among coefficients that are not negative.

    The minimum is that of the unbounded problem in the columns it uses, so all subsets of the
    columns are tried: for up to about four columns the shortest way, and the same for every
    problem of a batch.

    Args:
        basis: Columns, shape `(..., n_points, n_columns)`.
        y: Values, shape `(n_points,)`.
        weights: Weights, shape `(n_points,)`, not negative.

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
