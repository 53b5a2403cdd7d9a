"""From loss to a task's metric: accuracy by a sigmoid, error by an exponential.

| symbol | meaning | unit |
|---|---|---|
| loss | loss on validation or task text | nats |
| floor | metric at a large loss, e.g. that of guessing | that of y |
| ceiling | metric at a small loss | that of y |
| slope | steepness, k | 1 / that of loss |
| midpoint | loss halfway between floor and ceiling | that of loss |
| eps | error at a large loss | that of y |
| k | what a loss of 0 would take off the error | that of y |
| gamma | rate at which the error nears eps | 1 / that of loss |

A bounded metric errs by about so many points, not by so many per cent of itself. Fit these laws
with `fit(..., loss=Loss(scale="linear"))`, whose residuals are y - f(loss): a log residual would
count a point near 1 % a hundred times one near 100 %. Nothing keeps a curve below 1: a ceiling
above it says that the rows do not show where the metric levels off. `analysis.planning.task_chain`
puts such a fit behind one that predicts the loss.
"""

import numpy as np

from analysis.estimate import Floats
from analysis.laws.law import ArrayLike, Law
from analysis.laws.power_terms import nonnegative_coefficients
from analysis.laws.softplus import softplus

_START_PLACES = (-0.25, 0.25, 0.5, 0.75, 1.25)  # of the midpoint, in the range of losses
_START_WIDTHS = (1.5, 4.0, 10.0)  # slope, times the range of losses
_START_RATES = (0.1, 0.3, 1.0, 3.0, 10.0)  # gamma, times the mean loss
_FOOTHOLD = 1e-3  # of the mean y, for a coefficient that a start leaves out
_NOTHING = 1e-300  # stands for an error that the curve would have at 0 or below


def _sides(theta: ArrayLike, log_x: ArrayLike) -> tuple[ArrayLike, ArrayLike, ArrayLike]:
    """Shares of ceiling and floor at each loss, and k (loss - midpoint)."""
    xp = theta.__array_namespace__()
    log_slope, log_midpoint = theta[..., 2, None], theta[..., 3, None]
    u = xp.exp(log_slope + log_x[:, 0]) - xp.exp(log_slope + log_midpoint)
    return xp.exp(-softplus(u)), xp.exp(-softplus(-u)), u


def _sigmoid_log_predict(theta: ArrayLike, log_x: ArrayLike) -> ArrayLike:
    high, low, _ = _sides(theta, log_x)
    y = theta[..., 0, None] * low + theta[..., 1, None] * high
    return theta.__array_namespace__().log(y)


def _sigmoid_jacobian(theta: ArrayLike, log_x: ArrayLike) -> ArrayLike:
    xp = theta.__array_namespace__()
    high, low, u = _sides(theta, log_x)
    floor, ceiling = theta[..., 0, None], theta[..., 1, None]
    inverse = 1.0 / (floor * low + ceiling * high)
    by_u = (floor - ceiling) * high * low * inverse
    at = xp.exp(theta[..., 2, None] + theta[..., 3, None])
    return xp.stack([low * inverse, high * inverse, by_u * u, -by_u * at], axis=-1)


def _sigmoid_starts(log_x: Floats, log_y: Floats) -> Floats:
    # For given slope and midpoint the best floor and ceiling are those of a linear problem.
    loss, y = np.exp(log_x[:, 0]), np.exp(log_y)
    span = np.ptp(loss)
    place, width = (grid.ravel() for grid in np.meshgrid(_START_PLACES, _START_WIDTHS))
    midpoint = np.maximum(loss.min() + place * span, 0.1 * loss.min())
    half = np.zeros((len(place), 2))
    theta = np.concatenate([half, np.log(np.stack([width / span, midpoint], axis=-1))], axis=-1)
    high, low, _ = _sides(theta, log_x)
    found = nonnegative_coefficients(np.stack([low, high], axis=-1), y, np.ones_like(y))
    theta[:, :2] = np.maximum(found, _FOOTHOLD * y.mean())
    return theta


def _sigmoid_rescale(theta: Floats, log_x_scale: Floats, log_y_scale: float) -> Floats:
    factor, shift = np.exp(log_y_scale), log_x_scale[0]
    return theta * np.array([factor, factor, 1.0, 1.0]) + np.array([0.0, 0.0, -shift, shift])


def _exponential_parts(theta: ArrayLike, log_x: ArrayLike) -> tuple[ArrayLike, ArrayLike]:
    """The part subtracted from eps, and gamma times the loss."""
    xp = theta.__array_namespace__()
    decay = xp.exp(theta[..., 2, None] + log_x[:, 0])
    return xp.exp(theta[..., 1, None] - decay), decay


def _exponential_log_predict(theta: ArrayLike, log_x: ArrayLike) -> ArrayLike:
    xp = theta.__array_namespace__()
    taken, _ = _exponential_parts(theta, log_x)
    y = theta[..., 0, None] - taken
    return xp.log(xp.where(y > _NOTHING, y, xp.full_like(y, _NOTHING)))


def _exponential_jacobian(theta: ArrayLike, log_x: ArrayLike) -> ArrayLike:
    xp = theta.__array_namespace__()
    taken, decay = _exponential_parts(theta, log_x)
    y = theta[..., 0, None] - taken
    positive = y > _NOTHING
    inverse = xp.where(positive, 1.0 / xp.where(positive, y, xp.ones_like(y)), xp.zeros_like(y))
    share = taken * inverse
    return xp.stack([inverse, -share, share * decay], axis=-1)


def _exponential_starts(log_x: Floats, log_y: Floats) -> Floats:
    loss, y = np.exp(log_x[:, 0]), np.exp(log_y)
    rates = np.array(_START_RATES)
    shapes = np.exp(-rates[:, None] * loss)
    basis = np.stack([np.ones_like(shapes), -shapes], axis=-1)
    eps, k = nonnegative_coefficients(basis, y, np.ones_like(y)).T
    # Neither without effect nor, anywhere, all of eps.
    k = np.maximum(k, _FOOTHOLD * y.mean() / shapes.mean(axis=1))
    eps = np.maximum(eps, (k[:, None] * shapes).max(axis=1) + 0.1 * y.min())
    return np.stack([eps, np.log(k), np.log(rates)], axis=-1)


def _exponential_rescale(theta: Floats, log_x_scale: Floats, log_y_scale: float) -> Floats:
    factor, shift = np.exp(log_y_scale), log_x_scale[0]
    return theta * np.array([factor, 1.0, 1.0]) + np.array([0.0, log_y_scale, -shift])


TASK_SIGMOID = Law(
    name="task_sigmoid",
    formula="accuracy = floor + (ceiling - floor) / (1 + e^(slope (loss - midpoint)))",
    inputs=("loss",),
    params=("floor", "ceiling", "slope", "midpoint"),
    logs=frozenset({"slope", "midpoint"}),
    lower=(0.0, 0.0, -np.inf, -np.inf),
    upper=(np.inf,) * 4,
    log_predict=_sigmoid_log_predict,
    jacobian=_sigmoid_jacobian,
    starts=_sigmoid_starts,
    rescale=_sigmoid_rescale,
    linear=("floor", "ceiling"),
    output="accuracy",
)
"""A sigmoid in the loss, with floor, ceiling >= 0 and slope, midpoint > 0.

Bhagia et al. 2024 (OLMo ladder), arXiv 2412.04403, step 2: a / (1 + e^(-k (L - L0))) + b with
a = ceiling - floor, b = floor and k = -slope. The slope is positive, so that no two sets of
parameters draw one curve; of a metric that rises with the loss the floor is the higher end:
`TASK_SIGMOID._replace(output="error")`.
"""

TASK_EXPONENTIAL = Law(
    name="task_exponential",
    formula="error = eps - k e^(-gamma loss)",
    inputs=("loss",),
    params=("eps", "k", "gamma"),
    logs=frozenset({"k", "gamma"}),
    lower=(0.0, -np.inf, -np.inf),
    upper=(np.inf,) * 3,
    log_predict=_exponential_log_predict,
    jacobian=_exponential_jacobian,
    starts=_exponential_starts,
    rescale=_exponential_rescale,
    linear=("eps", "k"),
    output="error",
)
"""error = eps - k e^(-gamma loss), with eps >= 0 and k, gamma > 0; where it is not positive, 0.

Gadre et al. 2024, arXiv 2403.08540: a power law in perplexity.
"""
