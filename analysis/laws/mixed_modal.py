"""What two modalities gain by each other: the loss of one model for both, less that of two.

| symbol | meaning | unit |
|---|---|---|
| N | parameters | 1 |
| D | training tokens of both modalities together | 1 |
| excess | L of a model of both less the mean L of one model of each, with N as well | nats |
| C | what they gain by each other where competition has ended | nats |
| A | competition at N = D = 1 | nats N^alpha D^beta |
| alpha, beta | exponents of competition | none |

**The excess is negative where modalities help each other.** So the law is one of y = exp(excess):
fit it to `np.exp(excess)`. The default residual, of log y, is that of the excess itself. Above
`N^alpha D^beta = A / C`, where C > 0, they help each other (the competition barrier).
"""

from itertools import product

import numpy as np

from analysis.estimate import Floats
from analysis.laws.law import ArrayLike, Law, from_columns

_START_EXPONENTS = (0.05, 0.3, 0.8, 1.5)
_FOOTHOLD = 1e-3  # of the spread of the excess, for a competition that a start leaves out


def _competition(theta: ArrayLike, log_x: ArrayLike) -> ArrayLike:
    log_a, alpha, beta = (theta[..., i, None] for i in (1, 2, 3))
    xp = theta.__array_namespace__()
    return xp.exp(log_a - alpha * log_x[:, 0] - beta * log_x[:, 1])


def _log_predict(theta: ArrayLike, log_x: ArrayLike) -> ArrayLike:
    return _competition(theta, log_x) - theta[..., 0, None]


def _jacobian(theta: ArrayLike, log_x: ArrayLike) -> ArrayLike:
    xp = theta.__array_namespace__()
    term = _competition(theta, log_x)
    columns = [-xp.ones_like(term), term, -log_x[:, 0] * term, -log_x[:, 1] * term]
    return from_columns(columns)


def _starts(log_x: Floats, log_y: Floats) -> Floats:
    # Linear in C and A for given exponents.
    least = _FOOTHOLD * max(float(np.ptp(log_y)), 1e-12)
    starts = []
    for alpha, beta in product(_START_EXPONENTS, repeat=2):
        term = np.exp(-log_x @ np.array([alpha, beta]))
        basis = np.stack([-np.ones_like(term), term], axis=-1)
        gain, competition = np.linalg.lstsq(basis, log_y, rcond=None)[0]
        if competition < least:
            gain, competition = -log_y.mean(), least
        starts.append([gain, np.log(competition), alpha, beta])
    return np.array(starts)


def _rescale(theta: Floats, log_x_scale: Floats, log_y_scale: float) -> Floats:
    gain, log_a, alpha, beta = np.moveaxis(np.asarray(theta, np.float64), -1, 0)
    moved = log_a + alpha * log_x_scale[0] + beta * log_x_scale[1]
    return np.stack([gain - log_y_scale, moved, alpha, beta], axis=-1)


MIXED_MODAL = Law(
    name="mixed_modal",
    formula="excess = A N^-alpha D^-beta - C",
    inputs=("N", "D"),
    params=("C", "A", "alpha", "beta"),
    logs=frozenset({"A"}),
    lower=(-np.inf, -np.inf, 0.0, 0.0),
    upper=(np.inf, np.inf, 10.0, 10.0),
    log_predict=_log_predict,
    jacobian=_jacobian,
    starts=_starts,
    rescale=_rescale,
    output="exp_excess",
)
"""The competition and synergy of two modalities, with A > 0 and exponents from 0 to 10.

Aghajanyan et al. 2023, arXiv 2301.03728: L(N, D_i, D_j) = [L(N, D_i) + L(N, D_j)] / 2 - C_ij +
A_ij / (N^alpha_ij (|D_i| + |D_j|)^beta_ij).
"""
