"""The Chinchilla law with a penalty for repeated data, which can outgrow what training gains.

| symbol | meaning | unit |
|---|---|---|
| N | parameters | 1 |
| D | training tokens, repeats counted | 1 |
| epochs | D over the unique tokens | 1 |
| E, A, B, alpha, beta | as in the Chinchilla law | |
| r | repeats, epochs - 1, at least 0 | 1 |
| U | unique tokens seen, D / max(epochs, 1) | 1 |
| P | penalty at one repeat and N = U | that of L |
| p, q | exponents of repeats and of parameters per unique token | none |

In `data_constrained` a repeated token is worth little, at worst nothing, so that more of them never
raise the loss. Here they do, once the penalty grows faster than B D^-beta falls.
"""

from functools import reduce
from itertools import product
from operator import add

import numpy as np

from analysis.estimate import Floats
from analysis.laws.chinchilla import CHINCHILLA, growth
from analysis.laws.law import ArrayLike, Law, from_columns
from analysis.laws.power_terms import nonnegative_coefficients

_START_EXPONENTS = (0.15, 0.4, 0.8)  # of alpha and beta
_START_GROWTHS = (0.5, 1.0, 1.5)  # of p
_START_SHARES = (0.3, 1.0)  # of q
_FOOTHOLD = 1e-3  # of the mean y, for a term that a start leaves out


def _logs(log_x: ArrayLike) -> tuple[ArrayLike, ArrayLike]:
    """Log of the repeats, 0 where there are none, and log of N / U."""
    xp = log_x.__array_namespace__()
    zero = xp.zeros_like(log_x[:, 2])
    log_epochs = xp.maximum(log_x[:, 2], zero)
    repeats = xp.expm1(log_epochs)
    log_repeats = xp.log(xp.where(repeats > 0, repeats, xp.ones_like(repeats)))
    return log_repeats, log_x[:, 0] - log_x[:, 1] + log_epochs


def _summands(theta: ArrayLike, log_x: ArrayLike) -> list[ArrayLike]:
    """E, the terms in N and D, and the penalty; that of E ends in 1."""
    xp = theta.__array_namespace__()
    floor, log_a, log_b, log_p, alpha, beta, p, q = (theta[..., i, None] for i in range(8))
    log_repeats, log_share = _logs(log_x)
    penalty = xp.exp(log_p + p * log_repeats + q * log_share)
    return [
        floor,
        xp.exp(log_a - alpha * log_x[:, 0]),
        xp.exp(log_b - beta * log_x[:, 1]),
        xp.where(log_x[:, 2] > 0, penalty, xp.zeros_like(penalty)),
    ]


def _log_predict(theta: ArrayLike, log_x: ArrayLike) -> ArrayLike:
    return theta.__array_namespace__().log(reduce(add, _summands(theta, log_x)))


def _jacobian(theta: ArrayLike, log_x: ArrayLike) -> ArrayLike:
    summands = _summands(theta, log_x)
    inverse = 1.0 / reduce(add, summands)
    n, d, penalty = (term * inverse for term in summands[1:])
    log_repeats, log_share = _logs(log_x)
    columns = [inverse, n, d, penalty, -log_x[:, 0] * n, -log_x[:, 1] * d]
    columns += [log_repeats * penalty, log_share * penalty]
    return from_columns(columns)


def _starts(log_x: Floats, log_y: Floats) -> Floats:
    # Linear in all but the exponents: for given ones the best of the others are found at once.
    grid = (_START_EXPONENTS, _START_EXPONENTS, _START_GROWTHS, _START_SHARES)
    theta = np.pad(np.array(list(product(*grid))), ((0, 0), (4, 0)))
    y, terms = np.exp(log_y), np.stack(_summands(theta, log_x)[1:], axis=-1)
    basis = np.concatenate([np.ones((*terms.shape[:-1], 1)), terms], axis=-1)
    found = nonnegative_coefficients(basis, y, 1.0 / y**2)
    # Without repeats the penalty is nowhere, and any coefficient will do.
    least = _FOOTHOLD * y.mean() / np.maximum(terms.mean(axis=1), np.finfo(np.float64).tiny)
    theta[:, 0] = found[:, 0]
    theta[:, 1:4] = np.log(np.maximum(found[:, 1:], np.minimum(least, 1.0)))
    return theta


def _rescale(theta: Floats, log_x_scale: Floats, log_y_scale: float) -> Floats:
    plain, log_p, exponents, growths = np.split(np.asarray(theta, np.float64), [3, 4, 6], axis=-1)
    moved = CHINCHILLA.rescale(
        np.concatenate([plain, exponents], axis=-1), log_x_scale[:2], log_y_scale
    )
    log_p = log_p + log_y_scale - growths[..., 1:] * (log_x_scale[0] - log_x_scale[1])
    return np.concatenate([moved[..., :3], log_p, exponents, growths], axis=-1)


def _growth(params: Floats) -> dict[str, Floats]:
    """`growth` with tokens that are all new."""
    return growth(params[..., [0, 1, 2, 4, 5]])


OVERFITTING = Law(
    name="overfitting",
    formula="L = E + A N^-alpha + B D^-beta + P r^p (N/U)^q",
    inputs=("N", "D", "epochs"),
    params=("E", "A", "B", "P", "alpha", "beta", "p", "q"),
    logs=frozenset({"A", "B", "P"}),
    lower=(*CHINCHILLA.lower[:3], -np.inf, *[0.0] * 4),
    upper=(*CHINCHILLA.upper[:3], np.inf, *[10.0] * 4),
    log_predict=_log_predict,
    jacobian=_jacobian,
    starts=_starts,
    rescale=_rescale,
    linear=("E", "A", "B", "P"),
    unscaled=("epochs",),
    derived=_growth,
)
"""L = E + A N^-alpha + B D^-beta + P r^p (N/U)^q; without repeats it is the Chinchilla law.

That the excess loss under repetition is an additive penalty is what Lovelace et al. 2026 (arXiv
2605.01640) find. The power form in r and N / U is this project's: theirs has one parameter.
"""
