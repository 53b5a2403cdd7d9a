"""Starts for laws of the form E + sum_k A_k x_k^-alpha_k."""

import numpy as np

from analysis.laws.law import Floats
from analysis.laws.nonnegative import nonnegative_coefficients

_LEAST_TERM = 1e-3  # of the mean y: a term that a start leaves out keeps a foothold


def power_term_starts(exponents: Floats, log_x: Floats, log_y: Floats) -> Floats:
    """The best floor and coefficients for given exponents, relative errors squared.

    The law is linear in them, so that a start needs a guess of the exponents alone.

    Args:
        exponents: One for each input, shape `(n_starts, n_inputs)`.
        log_x: Centred, shape `(n_points, n_inputs)`.
        log_y: Centred, shape `(n_points,)`.

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
