"""The Chinchilla law with an exponent on the sum of its two terms.

| symbol | meaning | unit |
|---|---|---|
| N | parameters | 1 |
| D | training tokens | 1 |
| E | irreducible loss | that of L |
| A, alpha | reducible loss at N = 1 and exponent of N, D unlimited | that of L N^alpha; none |
| B, beta | reducible loss at D = 1 and exponent of D, N unlimited | that of L D^beta; none |
| gamma | exponent of the sum | none |
"""

import numpy as np

from analysis.estimate import Floats
from analysis.laws.chinchilla import CHINCHILLA
from analysis.laws.law import ArrayLike, Law, from_columns
from analysis.laws.power_terms import Joined, joined

_START_GAMMAS = (0.5, 1.0, 2.0)
_LEAST_GAMMA, _LARGEST_GAMMA = 0.05, 20.0


def _parts(theta: ArrayLike, log_x: ArrayLike) -> tuple[ArrayLike, ArrayLike, Joined]:
    """E, gamma, and the two terms joined."""
    floor, log_a, log_b, alpha, beta, log_g = (theta[..., column, None] for column in range(6))
    g = theta.__array_namespace__().exp(log_g)
    return floor, g, joined(log_a - alpha * log_x[:, 0], log_b - beta * log_x[:, 1], g)


def _log_predict(theta: ArrayLike, log_x: ArrayLike) -> ArrayLike:
    xp = theta.__array_namespace__()
    floor, _, terms = _parts(theta, log_x)
    return xp.log(floor + xp.exp(terms.log_sum))


def _jacobian(theta: ArrayLike, log_x: ArrayLike) -> ArrayLike:
    xp = theta.__array_namespace__()
    floor, g, terms = _parts(theta, log_x)
    reducible = xp.exp(terms.log_sum)
    inverse = 1.0 / (floor + reducible)
    share = reducible * inverse
    n, d = share * terms.by_n, share * terms.by_d
    columns = [inverse, n, d, -log_x[:, 0] * n, -log_x[:, 1] * d, share * g * terms.by_g]
    return from_columns(columns)


def _starts(log_x: Floats, log_y: Floats) -> Floats:
    added = CHINCHILLA.starts(log_x, log_y)
    log_g = np.repeat(np.log(_START_GAMMAS), len(added))
    return np.concatenate([np.tile(added, (len(_START_GAMMAS), 1)), log_g[:, None]], axis=-1)


def _rescale(theta: Floats, log_x_scale: Floats, log_y_scale: float) -> Floats:
    moved = CHINCHILLA.rescale(theta[..., :5], log_x_scale, log_y_scale)
    return np.concatenate([moved, theta[..., 5:]], axis=-1)


INTERACTION = Law(
    name="interaction",
    formula="L = E + ((A N^-alpha)^(1/gamma) + (B D^-beta)^(1/gamma))^gamma",
    inputs=("N", "D"),
    params=("E", "A", "B", "alpha", "beta", "gamma"),
    logs=frozenset({"A", "B", "gamma"}),
    lower=(*CHINCHILLA.lower, float(np.log(_LEAST_GAMMA))),
    upper=(*CHINCHILLA.upper, float(np.log(_LARGEST_GAMMA))),
    log_predict=_log_predict,
    jacobian=_jacobian,
    starts=_starts,
    rescale=_rescale,
)
"""L = E + ((A N^-alpha)^(1/gamma) + (B D^-beta)^(1/gamma))^gamma, with gamma from 0.05 to 20.

The form E + (A' N^-alpha' + B' D^-beta')^gamma of NX-AI/xlstm_scaling_laws, written so that A,
alpha, B and beta are those of either term alone: A = A'^gamma and alpha = gamma alpha'; likewise B
and beta. gamma = 1 is the Chinchilla law; E = 0 and gamma = beta is Kaplan's.
"""
