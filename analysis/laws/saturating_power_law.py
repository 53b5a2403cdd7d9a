"""The power law in one variable that levels off at an irreducible value.

| symbol | meaning | unit |
|---|---|---|
| x | scale: parameters, tokens, FLOPs, ... | any |
| y | loss or another positive quantity | any |
| E | irreducible value, the limit of y for large x | that of y |
| A | reducible part of y at x = 1 | that of y, times that of x to the alpha |
| alpha | exponent of the reducible part | none |
"""

import numpy as np

from analysis.estimate import Floats
from analysis.laws.law import ArrayLike, Law

_START_ALPHAS = (0.05, 0.1, 0.2, 0.35, 0.6, 1.0, 2.0)
_START_FLOORS = (0.0, 0.3, 0.6, 0.85, 0.97)  # E as a share of the smallest y


def _log_reducible(theta: ArrayLike, log_x: ArrayLike) -> ArrayLike:
    log_a, alpha = theta[..., 1, None], theta[..., 2, None]
    return log_a - alpha * log_x[:, 0]


def _log_predict(theta: ArrayLike, log_x: ArrayLike) -> ArrayLike:
    xp = theta.__array_namespace__()
    return xp.log(theta[..., 0, None] + xp.exp(_log_reducible(theta, log_x)))


def _jacobian(theta: ArrayLike, log_x: ArrayLike) -> ArrayLike:
    xp = theta.__array_namespace__()
    reducible = xp.exp(_log_reducible(theta, log_x))
    y = theta[..., 0, None] + reducible
    share = reducible / y
    return xp.stack([1.0 / y, share, -log_x[:, 0] * share], axis=-1)


def _starts(log_x: Floats, log_y: Floats) -> Floats:
    # For a given E and alpha the best log A in log(y - E) is a mean.
    floors, alphas = (
        grid.ravel() for grid in np.meshgrid(np.array(_START_FLOORS), np.array(_START_ALPHAS))
    )
    floors = floors * np.exp(log_y.min())
    log_reducible = np.log(np.exp(log_y) - floors[:, None])
    log_a = (log_reducible + alphas[:, None] * log_x[:, 0]).mean(axis=-1)
    return np.stack([floors, log_a, alphas], axis=-1)


def _rescale(theta: Floats, log_x_scale: Floats, log_y_scale: float) -> Floats:
    floor, log_a, alpha = theta[..., 0], theta[..., 1], theta[..., 2]
    log_a = log_a + log_y_scale + alpha * log_x_scale[0]
    return np.stack([floor * np.exp(log_y_scale), log_a, alpha], axis=-1)


SATURATING_POWER_LAW = Law(
    name="saturating_power_law",
    formula="y = E + A x^-alpha",
    inputs=("x",),
    params=("E", "A", "alpha"),
    logs=frozenset({"A"}),
    lower=(0.0, -np.inf, 0.0),
    # Above 10 the curve is a step at the smallest x, and any larger exponent draws the same step.
    upper=(np.inf, np.inf, 10.0),
    log_predict=_log_predict,
    jacobian=_jacobian,
    starts=_starts,
    rescale=_rescale,
    linear=("E", "A"),
)
"""y = E + A x^-alpha, with E >= 0, A > 0 and 0 <= alpha <= 10.

Henighan et al. 2020, arXiv 2010.14701, equation 1.1.
"""
