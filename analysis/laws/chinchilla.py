"""The Chinchilla law: loss from parameters and tokens, and the compute-optimal growth of both.

| symbol | meaning | unit |
|---|---|---|
| N | parameters | 1 |
| D | training tokens | 1 |
| C | training compute, 6 N D | FLOPs |
| E | irreducible loss | that of L |
| A, B | reducible loss at N = 1, at D = 1 | that of L, times N^alpha, D^beta |
| alpha, beta | exponents | none |
| G | see `growth` | N^(alpha/(alpha+beta)) / D^(beta/(alpha+beta)) |
| a, b | exponents of compute-optimal N and D | none |
"""

from typing import NamedTuple

import numpy as np

from analysis.estimate import Floats
from analysis.laws.power_terms import sum_of_powers

FLOPS_PER_PARAMETER_AND_TOKEN = 6.0
"""C = 6 N D: a multiply-add counts two, the backward pass twice the forward one.

Kaplan et al., arXiv:2001.08361, section 2.1.
"""


def growth(params: Floats) -> dict[str, Floats]:
    """Returns exponents and coefficient of compute-optimal growth.

    At a fixed C the tokens are D = C / (6 N), so the loss is E + A N^-alpha + B (C/6)^-beta N^beta.
    Its derivative over log N is 0 where `alpha A N^-alpha = beta B D^-beta`: a step along the
    budget then loses in one term what it gains in the other. With D = (C/6) / N that is

        N^(alpha+beta) = (alpha A / (beta B)) (C/6)^beta,

    so that `N_opt = G (C/6)^a` and `D_opt = (C/6)^b / G` with `G = (alpha A / (beta B))^(1 /
    (alpha + beta))`, `a = beta / (alpha + beta)` and `b = alpha / (alpha + beta)`. The second
    derivative, alpha^2 A N^-alpha + beta^2 B D^-beta, is positive: a minimum.

    Hoffmann et al. 2022, arXiv 2203.15556, equation 4.

    Args:
        params: E, A, B, alpha, beta, shape `(..., 5)`; alpha + beta > 0.

    Returns:
        "a", "b" and "G", each of shape `(...)`; not a number where an exponent is 0 and no
        optimum exists.
    """
    _, a_term, b_term, alpha, beta = np.moveaxis(np.asarray(params, dtype=np.float64), -1, 0)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        total = np.where((alpha > 0) & (beta > 0), alpha + beta, np.nan)
        g = np.exp((np.log(alpha * a_term) - np.log(beta * b_term)) / total)
        return {"a": beta / total, "b": alpha / total, "G": g}


class ComputeOptimal(NamedTuple):
    """The best model for a budget.

    Attributes:
        parameters: N_opt.
        tokens: D_opt.
        loss: L(N_opt, D_opt), in the unit of L.
    """

    parameters: Floats
    tokens: Floats
    loss: Floats


def compute_optimal(params: Floats, flops: Floats | float) -> ComputeOptimal:
    """Returns the model of least loss at a compute of `flops` = 6 N D (derived in `growth`).

    Args:
        params: E, A, B, alpha, beta in the units of N and D = 1, shape `(..., 5)`.
        flops: C, a shape that broadcasts with `(...)`.

    Returns:
        The optimum, each entry of the broadcast shape.
    """
    params = np.asarray(params, dtype=np.float64)
    optimal = growth(params)
    product = np.asarray(flops, dtype=np.float64) / FLOPS_PER_PARAMETER_AND_TOKEN
    n = optimal["G"] * product ** optimal["a"]
    d = product ** optimal["b"] / optimal["G"]
    floor, a_term, b_term, alpha, beta = np.moveaxis(params, -1, 0)
    return ComputeOptimal(n, d, floor + a_term * n**-alpha + b_term * d**-beta)


CHINCHILLA = sum_of_powers(
    name="chinchilla",
    formula="L = E + A N^-alpha + B D^-beta",
    terms={"A": {"N": "-alpha"}, "B": {"D": "-beta"}},
    exponents=dict.fromkeys(("alpha", "beta"), (0.05, 0.15, 0.3, 0.5, 0.8, 1.2)),
    derived=growth,
)
"""L = E + A N^-alpha + B D^-beta, with E >= 0, A, B > 0 and exponents from 0 to 10.

log L is the log-sum-exp of log E, log A - alpha log N and log B - beta log D.
Hoffmann et al. 2022, arXiv 2203.15556, equation 2.
"""
