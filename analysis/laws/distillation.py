"""Loss of a student that is trained on the predictions of a teacher.

| symbol | meaning | unit |
|---|---|---|
| L_T | loss of the teacher | nats |
| L_own | loss of the student trained on the text instead, with as many tokens | nats |
| N, D | parameters of the student and tokens that it is distilled on | 1 |
| e | unit of L_T over that of L; hold it at 1 where both are of one text | that of L / L_T |
| A, alpha | excess at N = 1 and exponent of N, D unlimited | that of L N^alpha; none |
| B, beta | excess at D = 1 and exponent of D, N unlimited | that of L D^beta; none |
| gamma | exponent that joins both terms | none |
| c0 | exponent of L_T in the excess, for a teacher that the student could match | none |
| c1, d1, f1 | change of that exponent, the L_T / L_own of the change, and its width | none |

The excess over the teacher falls and rises with its loss: a teacher far better than its student
teaches it less well.
"""

from itertools import product
from typing import NamedTuple

import numpy as np

from analysis.estimate import Floats
from analysis.laws.law import ArrayLike, Law, from_columns
from analysis.laws.power_terms import Joined, joined, nonnegative_coefficients
from analysis.laws.softplus import log_sum, softplus

_START_EXPONENTS = (0.2, 0.5)  # of alpha and beta
_START_GAMMAS = (0.6, 1.3)
_START_BREAKS = ((0.5, 1.0), (1.5, 1.0), (1.0, 0.3))  # of c1 and f1; c0 is 0 and d1 is 1
_FOOTHOLD = 1e-2  # of the mean y, for a term that a start leaves out
_PARAMS = ("e", "A", "B", "c0", "c1", "d1", "f1", "alpha", "beta", "gamma")


class _Parts(NamedTuple):
    """log(e L_T), the log of the excess, and what its derivatives are made of.

    Attributes:
        terms: The terms in N and D, joined.
        bend: log(1 + (L_T / (d1 L_own))^(1 / f1)).
        place: log of L_T / (d1 L_own), over f1.
    """

    log_teacher: ArrayLike
    log_excess: ArrayLike
    terms: Joined
    bend: ArrayLike
    place: ArrayLike


def _parts(theta: ArrayLike, log_x: ArrayLike) -> _Parts:
    xp = theta.__array_namespace__()
    log_e, log_a, log_b, c0, c1, log_d1, log_f1, alpha, beta, log_g = (
        theta[..., i, None] for i in range(len(_PARAMS))
    )
    log_t, log_own, log_n, log_d = (log_x[:, i] for i in range(4))
    terms = joined(log_a - alpha * log_n, log_b - beta * log_d, xp.exp(log_g))
    width = xp.exp(log_f1)
    place = (log_t - log_own - log_d1) / width
    bend = softplus(place)
    return _Parts(log_e + log_t, terms.log_sum - c0 * log_t - c1 * width * bend, terms, bend, place)


def _log_predict(theta: ArrayLike, log_x: ArrayLike) -> ArrayLike:
    parts = _parts(theta, log_x)
    return log_sum(parts.log_teacher, parts.log_excess)


def _jacobian(theta: ArrayLike, log_x: ArrayLike) -> ArrayLike:
    xp = theta.__array_namespace__()
    parts, c1 = _parts(theta, log_x), theta[..., 4, None]
    width, g = xp.exp(theta[..., 6, None]), xp.exp(theta[..., 9, None])
    share = xp.exp(parts.log_excess - log_sum(parts.log_teacher, parts.log_excess))
    n, d = share * parts.terms.by_n, share * parts.terms.by_d
    beyond = xp.exp(parts.place - parts.bend)
    columns = [
        1.0 - share,
        n,
        d,
        -log_x[:, 0] * share,
        -width * parts.bend * share,
        c1 * beyond * share,
        -c1 * width * (parts.bend - parts.place * beyond) * share,
        -log_x[:, 2] * n,
        -log_x[:, 3] * d,
        share * g * parts.terms.by_g,
    ]
    return from_columns(columns)


def _starts(log_x: Floats, log_y: Floats) -> Floats:
    # With both terms added the best e, A and B for given others are those of a linear problem.
    y, zero = np.exp(log_y), 0.0
    rows = [
        (zero, zero, zero, zero, c1, zero, np.log(f1), alpha, beta, zero)
        for (c1, f1), alpha, beta in product(_START_BREAKS, _START_EXPONENTS, _START_EXPONENTS)
    ]
    theta = np.array(rows)
    parts = _parts(theta, log_x)
    bent = -theta[:, 4, None] * np.exp(theta[:, 6, None]) * parts.bend
    basis = np.stack(
        [
            np.exp(parts.log_teacher),
            np.exp(bent - theta[:, 7, None] * log_x[:, 2]),
            np.exp(bent - theta[:, 8, None] * log_x[:, 3]),
        ],
        axis=-1,
    )
    found = nonnegative_coefficients(basis, y, 1.0 / y**2)
    theta[:, :3] = np.log(np.maximum(found, _FOOTHOLD * y.mean() / basis.mean(axis=1)))
    return np.concatenate([theta + np.log(g) * np.eye(len(_PARAMS))[9] for g in _START_GAMMAS])


def _rescale(theta: Floats, log_x_scale: Floats, log_y_scale: float) -> Floats:
    of_t, of_own, of_n, of_d = log_x_scale
    moved = np.array(theta, dtype=np.float64)
    c0, alpha, beta = moved[..., 3], moved[..., 7], moved[..., 8]
    moved[..., 0] += log_y_scale - of_t
    moved[..., 1] += log_y_scale + c0 * of_t + alpha * of_n
    moved[..., 2] += log_y_scale + c0 * of_t + beta * of_d
    moved[..., 5] += of_t - of_own
    return moved


DISTILLATION = Law(
    name="distillation",
    formula="L = e L_T + L_T^-c0 (1 + (L_T / (d1 L_own))^(1/f1))^(-c1 f1)"
    " ((A N^-alpha)^(1/gamma) + (B D^-beta)^(1/gamma))^gamma",
    inputs=("L_T", "L_own", "N", "D"),
    params=_PARAMS,
    logs=frozenset({"e", "A", "B", "d1", "f1", "gamma"}),
    lower=(-np.inf,) * 3 + (-10.0, -10.0, -np.inf, np.log(0.01), 0.0, 0.0, np.log(0.05)),
    upper=(np.inf,) * 3 + (10.0, 10.0, np.inf, np.log(100.0), 10.0, 10.0, np.log(20.0)),
    log_predict=_log_predict,
    jacobian=_jacobian,
    starts=_starts,
    rescale=_rescale,
)
"""L_S = L_T + L_T^-c0 (1 + (L_T / (d1 L_own))^(1/f1))^(-c1 f1) (A' N^-a' + B' D^-b')^g'.

Busbridge et al. 2025, arXiv 2502.08606, equation 8. Written so that A, alpha, B and beta are those
of either term alone: A = A'^g', alpha = g' a'; likewise B and beta.
"""
