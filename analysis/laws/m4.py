"""M4 of Alabdulmohsin et al.: a sigmoid in log x between a ceiling and a floor.

| symbol | meaning | unit |
|---|---|---|
| x | scale: examples, tokens, ... | any |
| y | loss or another positive quantity | any |
| E | value for large x; their e_inf | that of y |
| R | value for small x less E; their e_0 - e_inf | that of y |
| A, alpha | level and exponent of the fall; alpha is their -c | see `M4` |
| delta | how the ceiling bends the curve; their alpha | none |
"""

import numpy as np

from analysis.estimate import Floats
from analysis.laws.law import ArrayLike, Law, from_columns
from analysis.laws.softplus import softplus

_LEAST_DELTA, _LARGEST_DELTA = 0.02, 20.0
_HALLEY_STEPS = 4  # reach rounding for any target and delta within bounds
_START_EXPONENTS = (0.1, 0.3, 0.6, 1.0)
_START_FLOORS = (0.0, 0.5, 0.9)  # E as a share of the smallest y
_START_CEILINGS = (1.05, 2.0, 10.0)  # E + R as a multiple of the largest y
_START_DELTAS = (0.3, 1.0)


def _height(theta: ArrayLike, log_x: ArrayLike) -> tuple[ArrayLike, ArrayLike]:
    """The u with y = E + R / (1 + e^-u), and the slope of the equation for it over u.

    With p = 1 / (1 + e^-u) the law says log p - delta log(1 - p) = log A - alpha log x - log R.
    The left side rises with a slope that goes steadily from 1 to delta, so it is convex or
    concave. Halley's method finds the root: its third order saves half of Newton's steps.
    """
    xp = theta.__array_namespace__()
    log_r, log_a, alpha, log_delta = (theta[..., column, None] for column in range(1, 5))
    delta = xp.exp(log_delta)
    target = log_a - alpha * log_x[:, 0] - log_r
    # From the side on which the tangent lies outside the curve, its asymptotes give the start.
    u, more = xp.where(target < 0, target, target / delta), delta - 1
    for _ in range(_HALLEY_STEPS):
        # log p = u - log(1 + e^u): two exponentials and one logarithm a step, which are its cost.
        bend = softplus(u)
        p = xp.exp(u - bend)
        slope, miss = 1 + more * p, u + more * bend - target
        u = u - miss / (slope - 0.5 * miss * more * p * (1 - p) / slope)
    p = xp.exp(u - softplus(u))
    return u, 1 - p + delta * p


def _log_predict(theta: ArrayLike, log_x: ArrayLike) -> ArrayLike:
    xp = theta.__array_namespace__()
    u, _ = _height(theta, log_x)
    return xp.log(theta[..., 0, None] + xp.exp(theta[..., 1, None] - softplus(-u)))


def _jacobian(theta: ArrayLike, log_x: ArrayLike) -> ArrayLike:
    xp = theta.__array_namespace__()
    u, slope = _height(theta, log_x)
    reducible = xp.exp(theta[..., 1, None] - softplus(-u))
    inverse = 1.0 / (theta[..., 0, None] + reducible)
    share = reducible * inverse
    # d log p / d target, by the implicit function theorem.
    by_target = share * xp.exp(-softplus(u)) / slope
    by_delta = -by_target * xp.exp(theta[..., 4, None]) * softplus(u)
    columns = [inverse, share - by_target, by_target, -log_x[:, 0] * by_target, by_delta]
    return from_columns(columns)


def _starts(log_x: Floats, log_y: Floats) -> Floats:
    grids = np.meshgrid(_START_FLOORS, _START_CEILINGS, _START_EXPONENTS, _START_DELTAS)
    floor, ceiling, alpha, delta = (grid.ravel() for grid in grids)
    y = np.exp(log_y)
    floor, ceiling = floor * y.min(), ceiling * y.max()
    r, gap = ceiling - floor, ceiling[:, None] - y
    bent = np.log(y - floor[:, None]) - delta[:, None] * np.log(gap / r[:, None])
    log_a = (bent + alpha[:, None] * log_x[:, 0]).mean(axis=-1)
    return np.stack([floor, np.log(r), log_a, alpha, np.log(delta)], axis=-1)


def _rescale(theta: Floats, log_x_scale: Floats, log_y_scale: float) -> Floats:
    floor, log_r, log_a, alpha, log_delta = np.moveaxis(theta, -1, 0)
    log_a = log_a + log_y_scale + alpha * log_x_scale[0]
    return np.stack(
        [floor * np.exp(log_y_scale), log_r + log_y_scale, log_a, alpha, log_delta], axis=-1
    )


M4 = Law(
    name="m4",
    formula="(y - E) (R / (E + R - y))^delta = A x^-alpha",
    inputs=("x",),
    params=("E", "R", "A", "alpha", "delta"),
    logs=frozenset({"R", "A", "delta"}),
    lower=(0.0, -np.inf, -np.inf, 0.0, float(np.log(_LEAST_DELTA))),
    upper=(np.inf, np.inf, np.inf, 10.0, float(np.log(_LARGEST_DELTA))),
    log_predict=_log_predict,
    jacobian=_jacobian,
    starts=_starts,
    rescale=_rescale,
)
"""(y - E) / (E + R - y)^delta = b x^-alpha, with A = b R^delta so that A has the unit of a loss.

M4 of Alabdulmohsin et al. 2022, arXiv 2209.06640, equation 3: where R is far above y it is M2.
"""
