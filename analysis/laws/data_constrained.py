"""The data-constrained law: tokens that are repeated, and parameters in excess, lose value.

| symbol | meaning | unit |
|---|---|---|
| N | parameters | 1 |
| D | training tokens, repeats counted | 1 |
| epochs | D over the unique tokens | 1 |
| E, A, B, alpha, beta | as in the Chinchilla law | |
| R_D | repeats after which more of them add little | 1 |
| R_N | excess parameters, in multiples of U_N, after which more add little | 1 |
| U_D | unique tokens seen, D / max(epochs, 1) | 1 |
| U_N | parameters that U_D tokens are optimal for, at most N | 1 |
"""

from typing import NamedTuple

import numpy as np

from analysis.estimate import Floats
from analysis.laws.chinchilla import CHINCHILLA, growth
from analysis.laws.law import ArrayLike, Law, from_columns

_LEAST_EXPONENT = 0.01  # at 0 no number of parameters is optimal
_SMALLEST, _LARGEST = 0.01, 1e4  # of R_D and R_N: no value at all, and full value, in practice
_START_LIMITS = (3.0, 15.0)  # of R_D and R_N alike


class _Worth(NamedTuple):
    """Log of what a quantity is worth, and its derivatives over log unique and log limit."""

    log_worth: ArrayLike
    by_unique: ArrayLike
    by_limit: ArrayLike


def _worth(log_unique: ArrayLike, log_excess: ArrayLike, limit: ArrayLike) -> _Worth:
    """U + U R (1 - e^(-r / R)) for r = e^log_excess - 1 times U in excess of U, the total fixed."""
    xp = log_unique.__array_namespace__()
    ratio = xp.expm1(log_excess) / limit
    left = xp.exp(-ratio)
    height = 1.0 - limit * xp.expm1(-ratio)
    by_unique = 1.0 - xp.exp(log_excess) * left / height
    by_limit = limit * (-xp.expm1(-ratio) - ratio * left) / height
    return _Worth(log_unique + xp.log(height), by_unique, by_limit)


class _Parts(NamedTuple):
    parameters: _Worth
    tokens: _Worth
    log_unique_d: ArrayLike
    log_optimal: ArrayLike
    is_excess: ArrayLike


def _parts(theta: ArrayLike, log_x: ArrayLike) -> _Parts:
    """Returns what N and D are worth.

    The N that U tokens are optimal for is where `alpha A N^-alpha = beta B U^-beta`
    (`analysis.laws.chinchilla.growth`): log N = (log(alpha A / (beta B)) + beta log U) / alpha.
    """
    xp = theta.__array_namespace__()
    _, log_a, log_b, alpha, beta, log_rd, log_rn = (theta[..., column, None] for column in range(7))
    log_n, log_d = log_x[:, 0], log_x[:, 1]
    log_repeats = xp.maximum(log_x[:, 2], xp.zeros_like(log_x[:, 2]))
    log_unique_d = log_d - log_repeats
    spread = log_repeats + 0.0 * alpha
    tokens = _worth(log_unique_d + 0.0 * alpha, spread, xp.exp(log_rd))
    log_optimal = (xp.log(alpha / beta) + log_a - log_b + beta * log_unique_d) / alpha
    is_excess = log_n > log_optimal
    log_unique_n = xp.where(is_excess, log_optimal, log_n)
    # Beyond e^50 times the optimum the worth is at its limit long since.
    excess = xp.minimum(log_n - log_unique_n, 50.0 * xp.ones_like(log_unique_n))
    parameters = _worth(log_unique_n, excess, xp.exp(log_rn))
    return _Parts(parameters, tokens, log_unique_d, log_optimal, is_excess)


def _worths(parts: _Parts, theta: ArrayLike) -> tuple[ArrayLike, ArrayLike, ArrayLike]:
    xp = theta.__array_namespace__()
    floor, log_a, log_b, alpha, beta = (theta[..., column, None] for column in range(5))
    of_n = xp.exp(log_a - alpha * parts.parameters.log_worth)
    of_d = xp.exp(log_b - beta * parts.tokens.log_worth)
    return floor, of_n, of_d


def _log_predict(theta: ArrayLike, log_x: ArrayLike) -> ArrayLike:
    floor, of_n, of_d = _worths(_parts(theta, log_x), theta)
    return theta.__array_namespace__().log(floor + of_n + of_d)


def _jacobian(theta: ArrayLike, log_x: ArrayLike) -> ArrayLike:
    xp = theta.__array_namespace__()
    parts = _parts(theta, log_x)
    floor, of_n, of_d = _worths(parts, theta)
    alpha, beta = theta[..., 3, None], theta[..., 4, None]
    inverse = 1.0 / (floor + of_n + of_d)
    n, d = of_n * inverse, of_d * inverse
    # Through the optimum for the unique tokens, where parameters are in excess of it.
    by_optimum = xp.where(parts.is_excess, -n * parts.parameters.by_unique, xp.zeros_like(n))
    by_alpha = -n * parts.parameters.log_worth + by_optimum * (1 / alpha - parts.log_optimal)
    by_beta = -d * parts.tokens.log_worth + by_optimum * (parts.log_unique_d - 1 / beta)
    columns = [
        inverse,
        n + by_optimum,
        d - by_optimum,
        by_alpha,
        by_beta,
        -beta * d * parts.tokens.by_limit,
        -alpha * n * parts.parameters.by_limit,
    ]
    return from_columns(columns)


def _starts(log_x: Floats, log_y: Floats) -> Floats:
    # First as if repeats were new, then as if they were worth nothing.
    unique = log_x[:, :2] - [0.0, 1.0] * np.maximum(log_x[:, 2:], 0.0)
    found = []
    for inputs in (log_x[:, :2], unique):
        plain = CHINCHILLA.starts(inputs, log_y)
        for limit in _START_LIMITS:
            limits = np.full((len(plain), 2), np.log(limit))
            found.append(np.concatenate([plain, limits], axis=1))
    return np.clip(np.concatenate(found), _LOWER, _UPPER)


def _rescale(theta: Floats, log_x_scale: Floats, log_y_scale: float) -> Floats:
    moved = CHINCHILLA.rescale(theta[..., :5], log_x_scale[:2], log_y_scale)
    return np.concatenate([moved, theta[..., 5:]], axis=-1)


def _growth(params: Floats) -> dict[str, Floats]:
    """`growth` with tokens that are all new."""
    return growth(params[..., :5])


_LOWER = (*CHINCHILLA.lower[:3], *[_LEAST_EXPONENT] * 2, *[float(np.log(_SMALLEST))] * 2)
_UPPER = (*CHINCHILLA.upper, *[float(np.log(_LARGEST))] * 2)

DATA_CONSTRAINED = Law(
    name="data_constrained",
    formula="L = E + A / (U_N + U_N R_N (1 - e^(-r_N/R_N)))^alpha"
    " + B / (U_D + U_D R_D (1 - e^(-r_D/R_D)))^beta",
    inputs=("N", "D", "epochs"),
    params=("E", "A", "B", "alpha", "beta", "R_D", "R_N"),
    logs=frozenset({"A", "B", "R_D", "R_N"}),
    lower=_LOWER,
    upper=_UPPER,
    log_predict=_log_predict,
    jacobian=_jacobian,
    starts=_starts,
    rescale=_rescale,
    derived=_growth,
    unscaled=("epochs",),
)
"""The Chinchilla law in what parameters and tokens are worth, r_D = epochs - 1, r_N = N / U_N - 1.

Muennighoff et al. 2023, arXiv 2305.16264, equation 6. Without repeats and excess it is the
Chinchilla law.
"""
