"""Kaplan's laws: loss from parameters, tokens or compute alone, and from parameters and tokens.

| symbol | meaning | unit |
|---|---|---|
| N | parameters | 1 |
| D | training tokens | 1 |
| C | training compute | that of x, e.g. PF-days |
| A, B | loss at N (or C) = 1, at D = 1, where it alone limits | that of L N^alpha, L D^beta |
| alpha, beta | Kaplan's alpha_N, alpha_D; of L(D) and L(C): alpha | none |
| N_c, D_c, C_c | scale at which the law would reach a loss of 1 | that of N, D, C |

(N_c / N)^alpha is A N^-alpha with A = N_c^alpha. The fit is to A, for log N_c = log A / alpha is
known far worse than either.
"""

from functools import partial

import numpy as np

from analysis.estimate import Floats
from analysis.laws.law import ArrayLike, Law, from_columns
from analysis.laws.power_law import POWER_LAW
from analysis.laws.power_terms import joined

_START_EXPONENTS = (0.05, 0.1, 0.2, 0.4, 0.8)
_LEAST_BETA = 1e-3  # at 0 the tokens have no effect and the exponent alpha / beta no meaning


def _scale_of(symbol: str) -> Law:
    """The power law L = (S_c / S)^alpha in a scale S of the given symbol."""
    return POWER_LAW._replace(
        name=f"kaplan_{symbol.lower()}",
        formula=f"L = ({symbol}_c / {symbol})^alpha = A {symbol}^-alpha",
        inputs=(symbol,),
        derived=partial(_critical_scale, symbol),
    )


def _critical_scale(symbol: str, params: Floats) -> dict[str, Floats]:
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return {f"{symbol}_c": np.exp(np.log(params[..., 0]) / params[..., 1])}


def _terms(theta: ArrayLike, log_x: ArrayLike) -> tuple[ArrayLike, ArrayLike, ArrayLike]:
    log_a, log_b, alpha, beta = (theta[..., column, None] for column in range(4))
    return log_a - alpha * log_x[:, 0], log_b - beta * log_x[:, 1], beta


def _log_predict(theta: ArrayLike, log_x: ArrayLike) -> ArrayLike:
    return joined(*_terms(theta, log_x)).log_sum


def _jacobian(theta: ArrayLike, log_x: ArrayLike) -> ArrayLike:
    terms = joined(*_terms(theta, log_x))
    n, d = terms.by_n, terms.by_d
    columns = [n, d, -log_x[:, 0] * n, -log_x[:, 1] * d + terms.by_g]
    return from_columns(columns)


def _starts(log_x: Floats, log_y: Floats) -> Floats:
    # Either term is given half the loss of the mean row, in the root that is summed.
    alpha, beta = (grid.ravel() for grid in np.meshgrid(_START_EXPONENTS, _START_EXPONENTS))
    level = log_y.mean() - beta * np.log(2.0)
    return np.stack([level, level, alpha, beta], axis=-1)


def _rescale(theta: Floats, log_x_scale: Floats, log_y_scale: float) -> Floats:
    log_a, log_b, alpha, beta = np.moveaxis(theta, -1, 0)
    log_a = log_a + log_y_scale + alpha * log_x_scale[0]
    log_b = log_b + log_y_scale + beta * log_x_scale[1]
    return np.stack([log_a, log_b, alpha, beta], axis=-1)


def _derived(params: Floats) -> dict[str, Floats]:
    """N_c and D_c, and the exponents of compute-optimal growth at C = 6 N D.

    The optimum minimises the sum in the bracket, (N_c / N)^(alpha / beta) + D_c / D: the Chinchilla
    law with exponents alpha / beta and 1, whose `growth` is a = 1 / (1 + alpha / beta).
    """
    a_term, b_term, alpha, beta = np.moveaxis(np.asarray(params, dtype=np.float64), -1, 0)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return {
            "N_c": np.exp(np.log(a_term) / alpha),
            "D_c": np.exp(np.log(b_term) / beta),
            "a": beta / (alpha + beta),
            "b": alpha / (alpha + beta),
        }


KAPLAN_N, KAPLAN_D, KAPLAN_C = _scale_of("N"), _scale_of("D"), _scale_of("C")
"""L(N), L(D), L(C). Kaplan et al. 2020, arXiv 2001.08361, equations 1.1 to 1.3."""

KAPLAN = Law(
    name="kaplan",
    formula="L = ((A N^-alpha)^(1/beta) + B^(1/beta) / D)^beta",
    inputs=("N", "D"),
    params=("A", "B", "alpha", "beta"),
    logs=frozenset({"A", "B"}),
    lower=(-np.inf, -np.inf, 0.0, _LEAST_BETA),
    upper=(np.inf, np.inf, 10.0, 10.0),
    log_predict=_log_predict,
    jacobian=_jacobian,
    starts=_starts,
    rescale=_rescale,
    derived=_derived,
)
"""L(N, D) = ((N_c / N)^(alpha / beta) + D_c / D)^beta, with A = N_c^alpha and B = D_c^beta.

Kaplan et al. 2020, arXiv 2001.08361, equation 1.5.
"""
