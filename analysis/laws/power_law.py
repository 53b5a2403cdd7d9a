"""The power law in one variable.

| symbol | meaning | unit |
|---|---|---|
| x | scale: parameters, tokens, FLOPs, ... | any |
| y | loss or another positive quantity | any |
| A | value of y at x = 1 | that of y, times that of x to the alpha |
| alpha | exponent; positive where y falls with x | none |
"""

import numpy as np

from analysis.estimate import Floats
from analysis.laws.law import ArrayLike, Law


def _log_predict(theta: ArrayLike, log_x: ArrayLike) -> ArrayLike:
    log_a, alpha = theta[..., 0, None], theta[..., 1, None]
    return log_a - alpha * log_x[:, 0]


def _jacobian(theta: ArrayLike, log_x: ArrayLike) -> ArrayLike:
    xp = theta.__array_namespace__()
    columns = xp.stack([xp.ones_like(log_x[:, 0]), -log_x[:, 0]], axis=-1)
    return xp.broadcast_to(columns, (*theta.shape[:-1], *columns.shape))


def _starts(log_x: Floats, log_y: Floats) -> Floats:
    # The problem is linear in theta: under squared error every start ends in the same place, and
    # under Huber's the objective is convex.
    return np.stack([np.full(5, log_y.mean()), np.linspace(-1.0, 1.0, 5)], axis=-1)


def _rescale(theta: Floats, log_x_scale: Floats, log_y_scale: float) -> Floats:
    log_a, alpha = theta[..., 0], theta[..., 1]
    return np.stack([log_a + log_y_scale + alpha * log_x_scale[0], alpha], axis=-1)


POWER_LAW = Law(
    name="power_law",
    formula="y = A x^-alpha",
    inputs=("x",),
    params=("A", "alpha"),
    logs=frozenset({"A"}),
    lower=(-np.inf, -np.inf),
    upper=(np.inf, np.inf),
    log_predict=_log_predict,
    jacobian=_jacobian,
    starts=_starts,
    rescale=_rescale,
    linear=("A",),
)
"""y = A x^-alpha, with A > 0 and alpha of either sign.

Kaplan et al. 2020, arXiv 2001.08361, equation 1.1.
"""
