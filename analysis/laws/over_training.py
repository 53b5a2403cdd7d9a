"""The over-training law: loss from compute and tokens per parameter.

| symbol | meaning | unit |
|---|---|---|
| C | training compute | FLOPs |
| M | tokens per parameter, D / N | 1 |
| E | irreducible loss | that of L |
| a, b | terms that grow and fall with M, at C = M = 1 | that of L C^alpha |
| alpha | exponent of the reducible loss in compute, the same at every M | none |
| eta | exponent of both terms in M | none |
| M_opt | M of least loss, whatever the compute | 1 |
| lambda | reducible loss at C = 1 and M = M_opt | that of L C^alpha |

The law is even in log(M / M_opt):

    a M^eta + b M^-eta = lambda cosh(eta log(M / M_opt)),
    M_opt = (b / a)^(1 / (2 eta)),    lambda = 2 sqrt(a b).

So eta and -eta with a and b exchanged have one curve, and eta >= 0 picks one of the two. Rows on
one side of M_opt show it only by the bend of the curve: alpha is then known as well as otherwise,
M_opt many times worse. At eta = 0 there is no M_opt, and a and b are not identifiable.
"""

import numpy as np

from analysis.estimate import Floats
from analysis.laws.law import ArrayLike, Law
from analysis.laws.power_terms import nonnegative_coefficients

_START_ALPHAS = (0.05, 0.12, 0.25, 0.5)
_START_ETAS = (0.05, 0.15, 0.35, 0.8)
_LEAST_TERM = 1e-3  # of the mean y: a term that a start leaves out keeps a foothold


def _terms(theta: ArrayLike, log_x: ArrayLike) -> tuple[ArrayLike, ArrayLike, ArrayLike]:
    xp = theta.__array_namespace__()
    floor, log_a, log_b, alpha, eta = (theta[..., column, None] for column in range(5))
    by_compute, by_ratio = alpha * log_x[:, 0], eta * log_x[:, 1]
    return floor, xp.exp(log_a + by_ratio - by_compute), xp.exp(log_b - by_ratio - by_compute)


def _log_predict(theta: ArrayLike, log_x: ArrayLike) -> ArrayLike:
    floor, growing, falling = _terms(theta, log_x)
    return theta.__array_namespace__().log(floor + growing + falling)


def _jacobian(theta: ArrayLike, log_x: ArrayLike) -> ArrayLike:
    floor, growing, falling = _terms(theta, log_x)
    inverse = 1.0 / (floor + growing + falling)
    a, b = growing * inverse, falling * inverse
    columns = [inverse, a, b, -log_x[:, 0] * (a + b), log_x[:, 1] * (a - b)]
    return theta.__array_namespace__().stack(columns, axis=-1)


def _starts(log_x: Floats, log_y: Floats) -> Floats:
    # For given exponents the best floor and terms are those of a linear problem.
    alpha, eta = (grid.ravel() for grid in np.meshgrid(_START_ALPHAS, _START_ETAS))
    y = np.exp(log_y)
    by_compute, by_ratio = alpha[:, None] * log_x[:, 0], eta[:, None] * log_x[:, 1]
    terms = np.exp(np.stack([by_ratio - by_compute, -by_ratio - by_compute], axis=-1))
    basis = np.concatenate([np.ones((*terms.shape[:-1], 1)), terms], axis=-1)
    found = nonnegative_coefficients(basis, y, 1.0 / y**2)
    least = _LEAST_TERM * y.mean() / terms.mean(axis=1)
    log_a, log_b = np.log(np.maximum(found[:, 1:], least)).T
    return np.stack([found[:, 0], log_a, log_b, alpha, eta], axis=-1)


def _rescale(theta: Floats, log_x_scale: Floats, log_y_scale: float) -> Floats:
    floor, log_a, log_b, alpha, eta = np.moveaxis(theta, -1, 0)
    level = log_y_scale + alpha * log_x_scale[0]
    return np.stack(
        [
            floor * np.exp(log_y_scale),
            log_a + level - eta * log_x_scale[1],
            log_b + level + eta * log_x_scale[1],
            alpha,
            eta,
        ],
        axis=-1,
    )


def _derived(params: Floats) -> dict[str, Floats]:
    """M_opt, where `a M^eta = b M^-eta`, and lambda; M_opt is not a number at eta = 0."""
    _, a, b, _, eta = np.moveaxis(np.asarray(params, dtype=np.float64), -1, 0)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore", under="ignore"):
        optimal = np.exp((np.log(b) - np.log(a)) / np.where(eta > 0, 2 * eta, np.nan))
        return {"M_opt": optimal, "lambda": 2 * np.sqrt(a) * np.sqrt(b)}


OVER_TRAINING = Law(
    name="over_training",
    formula="L = E + (a M^eta + b M^-eta) C^-alpha",
    inputs=("C", "M"),
    params=("E", "a", "b", "alpha", "eta"),
    logs=frozenset({"a", "b"}),
    lower=(0.0, -np.inf, -np.inf, 0.0, 0.0),
    upper=(np.inf, np.inf, np.inf, 10.0, 10.0),
    log_predict=_log_predict,
    jacobian=_jacobian,
    starts=_starts,
    rescale=_rescale,
    linear=("E", "a", "b"),
    derived=_derived,
)
"""L = E + (a M^eta + b M^-eta) C^-alpha, with E >= 0, a, b > 0 and exponents from 0 to 10.

Gadre et al. 2024, arXiv 2403.08540. With eta = alpha and C = 6 N D it is the Chinchilla law with
both exponents 2 alpha, A = a 6^-alpha and B = b 6^-alpha, which is what their code fits
(mlfoundations/scaling@a003c49, `powlaw_ours`).
"""
