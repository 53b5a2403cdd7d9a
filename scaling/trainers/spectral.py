"""Singular values of feature matrices, as cheaply as accuracy allows, and shared between runs.

The eigenvalues of a Gram matrix give singular values at a fraction of the price of a decomposition
of the features, but their condition is squared. So they are used where even the smallest singular
value keeps ten digits, and a decomposition elsewhere, above all at the interpolation threshold.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import scipy.linalg
from jaxtyping import Float

ACCURATE = 1e-3
"""Ratio of the smallest to the largest singular value from which eigenvalues of a Gram matrix give
it: their relative error is float64 epsilon over its square."""

Matrix = Float[np.ndarray, "_ _"]


class Spectrum(NamedTuple):
    """Features as U diag(s) V', or as much of that as a solution needs.

    Attributes:
        s: Singular values, falling.
        left: U; None where it was not computed, and V was.
        right: V; None where it was not computed, and U was.
    """

    s: Float[np.ndarray, " k"]
    left: Float[np.ndarray, "n k"] | None
    right: Float[np.ndarray, "p k"] | None


def eigenvalues(gram: Matrix) -> tuple[Float[np.ndarray, " k"], Float[np.ndarray, "k k"]]:
    """Eigenvalues of a Gram matrix, falling and never below 0, with its eigenvectors."""
    values, vectors = scipy.linalg.eigh(gram, driver="evd", check_finite=False)
    return np.maximum(values[::-1], 0), vectors[:, ::-1]


def spectrum_of(features: Matrix, gram: Matrix, penalty: float) -> Spectrum:
    """Singular values of features, by their Gram matrix where it gives them accurately enough.

    Args:
        features: Shape (n, p).
        gram: Products of the features along their longer side.
        penalty: What every estimator adds to squared singular values, at least.
    """
    values, vectors = eigenvalues(gram)
    if values[-1] + penalty < ACCURATE**2 * values[0]:
        left, s, right = scipy.linalg.svd(features, full_matrices=False, check_finite=False)
        return Spectrum(s, left, right.T)
    is_wide = features.shape[0] <= features.shape[1]
    return Spectrum(np.sqrt(values), *((vectors, None) if is_wide else (None, vectors)))


def nested_grams(rows: Matrix, n: int, sizes: Sequence[int]) -> Iterator[Matrix]:
    """Gram matrices of the first p columns, for each of several ascending sizes p.

    Fewer columns than examples share one product, of which each size has the corner; from there on
    each size adds its new columns.

    Args:
        rows: Features of n training examples, and of others below them.
        n: Number of training examples.
        sizes: Numbers of columns, ascending.

    Yields:
        For p < n the products of columns over the training examples, (p, p). Else those of all rows
        with training examples, (rows, n).
    """
    widest = max((p for p in sizes if p < n), default=0)
    corner = rows[:n, :widest].T @ rows[:n, :widest]
    grown, before = np.zeros((len(rows), n)), 0
    for p in sizes:
        if p < n:
            yield corner[:p, :p]
        else:
            grown += rows[:, before:p] @ rows[:n, before:p].T
            before = p
            yield grown
