"""Effective parameters of a smoother: how many a prediction uses, whatever the model has.

A smoother predicts `S y` from training targets y: regression on fixed features, kernels, nearest
neighbours, averages of trees. Its parameters in effect at a set of inputs are n times the mean
squared norm of the rows of S there. On the training examples of least squares S is a projection,
and they are its number of features.

Reference: Curth, Jeffares & van der Schaar, arXiv:2310.18988, section 4.
"""

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from analysis.guards import finite, non_negative


def effective_parameters(smoother: ArrayLike) -> float:
    """Returns `n mean_j |s_j|^2` over the rows s_j of a smoother.

    Args:
        smoother: Weights of the training targets in each prediction, shape (inputs, n).

    Raises:
        ValueError: Another shape, or a value that is not finite.
    """
    rows = finite("smoother", smoother)
    if rows.ndim != 2 or not rows.size:
        raise ValueError(
            f"smoother has shape {rows.shape}: give the weights of the n training targets in each "
            "prediction, shape (inputs, n)."
        )
    return float(rows.shape[1] * np.mean(np.sum(rows**2, axis=1)))


def linear_smoother(
    features: ArrayLike, held_out: ArrayLike, *, ridge: float = 0.0
) -> Float[np.ndarray, "inputs n"]:
    """Returns the smoother of regression on features: `Phi' (X'X/n + ridge)^-1 X'/n`.

    Args:
        features: X, features of the training examples, shape (n, p).
        held_out: Phi', features of the inputs to predict at, shape (inputs, p).
        ridge: At least 0; without one, the solution of least norm.

    Raises:
        ValueError: Shapes that do not fit, or values out of range.
    """
    x, at = finite("features", features), finite("held_out", held_out)
    lam = float(non_negative("ridge", ridge))
    if x.ndim != 2 or at.ndim != 2 or x.shape[1] != at.shape[1]:
        raise ValueError(
            f"features has shape {x.shape} and held_out {at.shape}: give (n, p) and (inputs, p)."
        )
    if lam == 0:
        return at @ np.linalg.pinv(x)
    n, p = x.shape
    if p <= n:
        return at @ np.linalg.solve(x.T @ x + n * lam * np.eye(p), x.T)
    return (at @ x.T) @ np.linalg.inv(x @ x.T + n * lam * np.eye(n))
