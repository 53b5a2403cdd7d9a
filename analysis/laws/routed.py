"""The law of routed language models: loss from dense parameters and the number of experts.

| symbol | meaning | unit |
|---|---|---|
| N | parameters that one token uses, the dense model's | 1 |
| X | experts | 1 |
| Xh | experts that count, from X_start at X = 1 to X_max | 1 |
| a | exponent of N at Xh = 1 | none |
| b | exponent of Xh at N = 1 | none |
| c | by how much either exponent changes with the other's log10 | none |
| d | log10 L at N = Xh = 1 | log10 of that of L |
| k | offset with which experts begin to count, 1 / (1/X_start - 1/X_max) | 1 |
| X_max | where more experts stop to help | 1 |

The paper fits X_start, which has to stay below X_max; k is above 0 wherever X_start is, so that
bounds can keep it. X_start is derived. All logarithms in the formula are to base 10, as published.
"""

from typing import NamedTuple

import numpy as np

from analysis.estimate import Floats
from analysis.laws.law import ArrayLike, Law
from analysis.laws.softplus import softplus

_LOG_10 = float(np.log(10.0))
_LEAST_K, _LARGEST_K = 0.01, 1e3
_LEAST_X_MAX, _LARGEST_X_MAX = 1.0, 1e6
_START_KS = (0.5, 2.0, 8.0)
_START_X_MAXES = (20.0, 300.0, 1e4)


class _Experts(NamedTuple):
    """log10 Xh and its derivatives over log k and log X_max, shape `(..., n_points)`."""

    log10: ArrayLike
    by_k: ArrayLike
    by_max: ArrayLike


def _experts(log_k: ArrayLike, log_max: ArrayLike, log_x: ArrayLike) -> _Experts:
    """1 / Xh = 1 / (X - 1 + k) + 1 / X_max; fewer experts than 1 are 1."""
    xp = log_k.__array_namespace__()
    more = xp.expm1(xp.maximum(log_x, xp.zeros_like(log_x)))
    log_before = xp.log(more + xp.exp(log_k))
    # Xh over X - 1 + k: the share that saturation leaves.
    log_left = -softplus(log_before - log_max)
    left, of_k = xp.exp(log_left), xp.exp(log_k - log_before)
    return _Experts(
        log10=(log_before + log_left) / _LOG_10,
        by_k=left * of_k / _LOG_10,
        by_max=-xp.expm1(log_left) / _LOG_10,
    )


def _parts(theta: ArrayLike, log_x: ArrayLike) -> tuple[ArrayLike, _Experts]:
    return log_x[:, 0] / _LOG_10, _experts(theta[..., 4, None], theta[..., 5, None], log_x[:, 1])


def _log_predict(theta: ArrayLike, log_x: ArrayLike) -> ArrayLike:
    a, b, c, d = (theta[..., column, None] for column in range(4))
    n, experts = _parts(theta, log_x)
    return _LOG_10 * (a * n + (b + c * n) * experts.log10 + d)


def _jacobian(theta: ArrayLike, log_x: ArrayLike) -> ArrayLike:
    xp = theta.__array_namespace__()
    b, c = theta[..., 1, None], theta[..., 2, None]
    n, experts = _parts(theta, log_x)
    ones, slope = xp.ones_like(experts.log10), b + c * n
    columns = [
        n * ones,
        experts.log10,
        n * experts.log10,
        ones,
        slope * experts.by_k,
        slope * experts.by_max,
    ]
    return _LOG_10 * xp.stack(columns, axis=-1)


def _starts(log_x: Floats, log_y: Floats) -> Floats:
    # For given k and X_max log L is linear in the rest.
    n, found = log_x[:, 0] / _LOG_10, []
    for k in np.log(_START_KS):
        for most in np.log(_START_X_MAXES):
            counted = _experts(np.array(k), np.array(most), log_x[:, 1]).log10
            basis = np.stack([n, counted, n * counted, np.ones_like(n)], axis=-1)
            found.append([*np.linalg.lstsq(basis, log_y / _LOG_10, rcond=1e-6)[0], k, most])
    return np.array(found)


def _rescale(theta: Floats, log_x_scale: Floats, log_y_scale: float) -> Floats:
    # X is counted: its scale is 0.
    a, b, c, d, log_k, log_max = np.moveaxis(theta, -1, 0)
    n_scale = log_x_scale[0] / _LOG_10
    level = d + log_y_scale / _LOG_10 - a * n_scale
    return np.stack([a, b - c * n_scale, c, level, log_k, log_max], axis=-1)


def effective_parameters(params: Floats, n: Floats | float, experts: Floats | float) -> Floats:
    """Returns parameters of the dense model that is as good as a routed one.

    The law at X = 1 and at (N, X) give the same loss where

        (a + c x1) log10 N_eff = (a + c x) log10 N + b (x - x1),

    with x = log10 Xh(X) and x1 = log10 X_start: the effective parameter count of Clark et al.

    Args:
        params: a, b, c, d, k, X_max, shape `(..., 6)`.
        n: N, a shape that broadcasts with `(...)`.
        experts: X, 1 or more, likewise.

    Returns:
        N_eff, of the broadcast shape; not a number where the dense model does not improve with N.
    """
    a, b, c, _, k, most = np.moveaxis(np.asarray(params, dtype=np.float64), -1, 0)
    log_n = np.log10(np.asarray(n, dtype=np.float64))
    log_k, log_max = np.log(k), np.log(most)
    counted = _experts(log_k, log_max, np.log(np.asarray(experts, dtype=np.float64))).log10
    alone = _experts(log_k, log_max, np.zeros(())).log10
    dense = a + c * alone
    with np.errstate(over="ignore", under="ignore", divide="ignore", invalid="ignore"):
        log_effective = ((a + c * counted) * log_n + b * (counted - alone)) / dense
        return np.where(dense < 0, 10.0**log_effective, np.nan)


def _derived(params: Floats) -> dict[str, Floats]:
    """X_start, the exponent of the dense model, and N_cutoff, above which experts do not help.

    L falls with N as N^-alpha_dense where X = 1. The exponent of Xh is b + c log10 N: negative, so
    that experts help, below N = 10^(-b / c), and N_cutoff is not a number where that is no end.
    """
    a, b, c, _, k, most = np.moveaxis(np.asarray(params, dtype=np.float64), -1, 0)
    first = 1.0 / (1.0 / k + 1.0 / most)
    with np.errstate(over="ignore", under="ignore", divide="ignore", invalid="ignore"):
        cutoff = np.where((b < 0) & (c > 0), 10.0 ** (-b / c), np.nan)
    return {"X_start": first, "alpha_dense": -(a + c * np.log10(first)), "N_cutoff": cutoff}


ROUTED = Law(
    name="routed",
    formula="log10 L = a log10 N + b log10 Xh + c log10 N log10 Xh + d, "
    "1/Xh = 1/(X - 1 + k) + 1/X_max",
    inputs=("N", "X"),
    params=("a", "b", "c", "d", "k", "X_max"),
    logs=frozenset({"k", "X_max"}),
    lower=(*[-np.inf] * 4, float(np.log(_LEAST_K)), float(np.log(_LEAST_X_MAX))),
    upper=(*[np.inf] * 4, float(np.log(_LARGEST_K)), float(np.log(_LARGEST_X_MAX))),
    log_predict=_log_predict,
    jacobian=_jacobian,
    starts=_starts,
    rescale=_rescale,
    unscaled=("X",),
    derived=_derived,
)
"""log10 L = a log10 N + b log10 Xh + c log10 N log10 Xh + d, with Xh between X_start and X_max.

Clark et al. 2022, arXiv 2202.01169, equation 1. There is no irreducible loss in it: it holds
over the sizes that it was fitted to. X_max on its upper bound means that no saturation shows.
"""
