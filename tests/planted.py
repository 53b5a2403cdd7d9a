"""Planted truths: parameters that are like published ones, and losses that follow from them."""

import numpy as np
from numpy.typing import ArrayLike

from analysis.estimate import Floats

POWER = (30.0, 0.1)
"""A and alpha of L = A x^-alpha."""

SATURATING = (1.7, 300.0, 0.35)
"""E, A and alpha of L = E + A x^-alpha."""

CHINCHILLA = (1.8, 480.0, 2100.0, 0.35, 0.37)
"""E, A, B, alpha and beta of L = E + A N^-alpha + B D^-beta."""

SIZES, TOKENS = (5e7, 1e10), (1e9, 3e11)
"""Least and largest N and D of planted runs."""


def chinchilla_loss(n: ArrayLike, d: ArrayLike, params: ArrayLike = CHINCHILLA) -> Floats:
    """Losses in nats of N parameters and D tokens, shapes that broadcast."""
    floor, a, b, alpha, beta = np.asarray(params, dtype=np.float64)
    return floor + a * np.asarray(n) ** -alpha + b * np.asarray(d) ** -beta


def runs(n_rows: int, seed: int = 0) -> Floats:
    """N and D of runs drawn evenly in their logarithms, shape `(n_rows, 2)`."""
    low, high = np.log([[SIZES[0], TOKENS[0]], [SIZES[1], TOKENS[1]]])
    return np.exp(np.random.default_rng(seed).uniform(low, high, (n_rows, 2)))
