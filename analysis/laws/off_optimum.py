"""What the Chinchilla law says of leaving its compute optimum: the cost, and when it pays.

| symbol | meaning | unit |
|---|---|---|
| N, D | parameters, training tokens; at the optimum N_opt, D_opt | 1 |
| C | training compute, 6 N D | FLOPs |
| T | tokens served at inference, 2 N FLOPs each | 1 |
| E, A, B, alpha, beta | see `analysis.laws.chinchilla` | |
| a, b | exponents of compute-optimal N and D, beta and alpha over their sum | none |

At the optimum the term of N is a share a, and that of D a share b, of the reducible loss L - E.
All that follows needs those shares and the two exponents; A and B only set N_opt and D_opt.
"""

import math

import numpy as np
from scipy.optimize import elementwise

from analysis.laws.chinchilla import FLOPS_PER_PARAMETER_AND_TOKEN, compute_optimal, growth
from analysis.laws.law import Floats

INFERENCE_FLOPS_PER_PARAMETER_AND_TOKEN = 2.0
"""A forward pass alone: a multiply-add for each parameter."""


def excess_of(params: Floats, factor: float) -> Floats:
    """Share by which reducible loss grows at `factor` times the optimal size and equal compute.

    The terms a and b of the optimum become `a factor^-alpha + b factor^beta`, at any compute.

    Args:
        params: E, A, B, alpha, beta, shape `(..., 5)`; exponents above 0.
        factor: N / N_opt = D_opt / D, positive.

    Returns:
        0 or more, shape `(...)`.
    """
    optimal, step = growth(params), math.log(factor)
    of_n, of_d = np.expm1(-params[..., 3] * step), np.expm1(params[..., 4] * step)
    return optimal["a"] * of_n + optimal["b"] * of_d


def compute_ratio_of(params: Floats, factor: float) -> Floats:
    """Compute spent at `factor` times the optimal size over what the optimum needs for its loss.

    The optimum's reducible loss falls as C^-(alpha beta / (alpha + beta)), so that the ratio is
    `1 + excess_of` to the power 1/alpha + 1/beta: the same at any compute.

    Args:
        params: E, A, B, alpha, beta, shape `(..., 5)`; exponents above 0.
        factor: N / N_opt = D_opt / D, positive.

    Returns:
        1 or more, shape `(...)`.
    """
    power = 1 / params[..., 3] + 1 / params[..., 4]
    return np.exp(power * np.log1p(excess_of(params, factor)))


def over_trained(params: Floats, flops: float, inference_tokens: float) -> tuple[Floats, Floats]:
    """The model of least `6 N D + 2 N T` among those as good as the compute-optimal one.

    Of N = N_opt u and D = D_opt v with `a u^-alpha + b v^-beta = 1` the cost is, up to a factor,
    `u v + u t` with `t = T / (3 D_opt)`. Let q be the ratio of what a step in log N and one in
    log D gain, `alpha A N^-alpha / (beta B D^-beta)`: 1 at the compute optimum. Equal loss makes

        u = ((1 + a (q - 1)) / q)^(1/alpha),    v = (1 + a (q - 1))^(1/beta),

    and the cost is least where `(q - 1) v = t`. Its left side grows with q, so that the root is
    the only one, and lies between q = 1 and q = 1 + t. Sardana et al. 2024, arXiv 2401.00448,
    pose the problem.

    Args:
        params: E, A, B, alpha, beta, shape `(n, 5)`; exponents above 0.
        flops: C, the compute of the optimum whose loss is to be reached.
        inference_tokens: T, 0 or more.

    Returns:
        N and D, each of shape `(n,)`.
    """
    best = compute_optimal(params, flops)
    if inference_tokens == 0:
        return best.parameters, best.tokens
    alpha, beta = params[:, 3], params[:, 4]
    share = growth(params)["a"]
    per_token = INFERENCE_FLOPS_PER_PARAMETER_AND_TOKEN / FLOPS_PER_PARAMETER_AND_TOKEN
    log_load = math.log(per_token) + math.log(inference_tokens) - np.log(best.tokens)

    def log_v(log_more: Floats, share: Floats, beta: Floats) -> Floats:
        return np.log1p(share * np.exp(log_more)) / beta

    def imbalance(log_more: Floats, share: Floats, beta: Floats, log_load: Floats) -> Floats:
        return log_more + log_v(log_more, share, beta) - log_load

    # Over log(q - 1). v at the upper end bounds the lower end, which a margin keeps from rounding.
    lower = log_load - log_v(log_load, share, beta) - 1e-6
    found = elementwise.find_root(imbalance, (lower, log_load), args=(share, beta, log_load))
    more = np.exp(found.x)
    u = np.exp((np.log1p(share * more) - np.log1p(more)) / alpha)
    return best.parameters * u, best.tokens * np.exp(log_v(found.x, share, beta))
