"""The Chinchilla law with one exponent for parameters and tokens.

| symbol | meaning | unit |
|---|---|---|
| N | parameters | 1 |
| D | training tokens | 1 |
| E | irreducible loss | that of L |
| A, B | reducible loss at N = 1, at D = 1 | that of L, times N^alpha, D^alpha |
| alpha | exponent of both | none |
"""

import numpy as np

from analysis.estimate import Floats
from analysis.laws.chinchilla import CHINCHILLA, growth
from analysis.laws.law import ArrayLike, Law
from analysis.laws.power_terms import power_term_starts

_START_EXPONENTS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0, 1.5)
_FREE = np.array([0, 1, 2, 3, 3])  # column of each parameter of the free law


def _untied(theta: ArrayLike) -> ArrayLike:
    return theta[..., _FREE]


def _log_predict(theta: ArrayLike, log_x: ArrayLike) -> ArrayLike:
    return CHINCHILLA.log_predict(_untied(theta), log_x)


def _jacobian(theta: ArrayLike, log_x: ArrayLike) -> ArrayLike:
    xp = theta.__array_namespace__()
    free = CHINCHILLA.jacobian(_untied(theta), log_x)
    return xp.concat([free[..., :3], (free[..., 3] + free[..., 4])[..., None]], axis=-1)


def _starts(log_x: Floats, log_y: Floats) -> Floats:
    alpha = np.array(_START_EXPONENTS)
    floor, log_a, log_b = power_term_starts(np.stack([alpha, alpha], axis=-1), log_x, log_y)
    return np.stack([floor, log_a, log_b, alpha], axis=-1)


def _rescale(theta: Floats, log_x_scale: Floats, log_y_scale: float) -> Floats:
    return CHINCHILLA.rescale(_untied(theta), log_x_scale, log_y_scale)[..., :4]


def _growth(params: Floats) -> dict[str, Floats]:
    """`growth` of the free law; a = b = 1/2, and D_opt / N_opt = 1 / G^2 whatever the compute."""
    return growth(_untied(params))


CHINCHILLA_TIED = Law(
    name="chinchilla_tied",
    formula="L = E + A N^-alpha + B D^-alpha",
    inputs=("N", "D"),
    params=("E", "A", "B", "alpha"),
    logs=frozenset({"A", "B"}),
    lower=CHINCHILLA.lower[:4],
    upper=CHINCHILLA.upper[:4],
    log_predict=_log_predict,
    jacobian=_jacobian,
    starts=_starts,
    rescale=_rescale,
    linear=("E", "A", "B"),
    derived=_growth,
)
"""L = E + A N^-alpha + B D^-alpha: tokens per parameter that do not change with compute.

Muennighoff et al. 2023, arXiv 2305.16264, use it with alpha = beta = 0.353.
"""
