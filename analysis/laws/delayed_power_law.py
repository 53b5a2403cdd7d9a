"""M3 of Alabdulmohsin et al.: a power law with a scale that saturates.

| symbol | meaning | unit |
|---|---|---|
| x | scale: examples, tokens, ... | any |
| y | loss or another positive quantity | any |
| A | value of y at x = 1, were g = 0 | that of y, times that of x to the alpha |
| alpha | exponent; their -c | none |
| g | inverse of the scale at which more of x stops to help | that of 1 / x |
"""

import numpy as np

from analysis.estimate import Floats
from analysis.laws.law import ArrayLike, Law
from analysis.laws.softplus import log_sum

_START_EXPONENTS = (0.05, 0.15, 0.3, 0.6, 1.0, 2.0)
_START_SCALES = (0.02, 0.2, 1.0)  # g as a share of 1 over the largest x


def _log_sum(theta: ArrayLike, log_x: ArrayLike) -> ArrayLike:
    return log_sum(-log_x[:, 0], theta[..., 2, None])


def _log_predict(theta: ArrayLike, log_x: ArrayLike) -> ArrayLike:
    return theta[..., 0, None] + theta[..., 1, None] * _log_sum(theta, log_x)


def _jacobian(theta: ArrayLike, log_x: ArrayLike) -> ArrayLike:
    xp = theta.__array_namespace__()
    log_sum = _log_sum(theta, log_x)
    share = xp.exp(theta[..., 2, None] - log_sum)
    return xp.stack([xp.ones_like(log_sum), log_sum, theta[..., 1, None] * share], axis=-1)


def _starts(log_x: Floats, log_y: Floats) -> Floats:
    alpha, share = (grid.ravel() for grid in np.meshgrid(_START_EXPONENTS, _START_SCALES))
    log_g = np.log(share) - log_x.max()
    log_sum = np.logaddexp(-log_x[:, 0], log_g[:, None])
    log_a = (log_y - alpha[:, None] * log_sum).mean(axis=-1)
    return np.stack([log_a, alpha, log_g], axis=-1)


def _rescale(theta: Floats, log_x_scale: Floats, log_y_scale: float) -> Floats:
    log_a, alpha, log_g = np.moveaxis(theta, -1, 0)
    shift = log_x_scale[0]
    return np.stack([log_a + log_y_scale + alpha * shift, alpha, log_g - shift], axis=-1)


DELAYED_POWER_LAW = Law(
    name="m3",
    formula="y = A (1/x + g)^alpha",
    inputs=("x",),
    params=("A", "alpha", "g"),
    logs=frozenset({"A", "g"}),
    lower=(-np.inf, 0.0, -np.inf),
    upper=(np.inf, 10.0, np.inf),
    log_predict=_log_predict,
    jacobian=_jacobian,
    starts=_starts,
    rescale=_rescale,
)
"""y = A (1/x + g)^alpha, which levels off at A g^alpha.

M3 of Alabdulmohsin et al. 2022, arXiv 2209.06640, with c = -alpha. M1 is the power law, M2 the
saturating one.
"""
