"""The likelihood behind a loss: how much less likely rows become as the objective rises.

Squared error is the objective of normal noise. Huber's loss is that of noise which is normal within
the threshold delta and exponential beyond: the density of a residual r is `exp(-rho(r) / s^2) /
Z(s)` with rho Huber's loss,

    Z(s) = sqrt(2 pi) s erf(delta / (s sqrt 2)) + 2 s^2 / delta exp(-delta^2 / (2 s^2)).

`integral`, `likeliest_scale` and `size_quantile` are in units of delta: the threshold is 1, the
scale s / delta, a loss rho / delta^2.
"""

import numpy as np
from scipy.special import erf, erfinv, fdtri

from analysis.estimate import Floats
from analysis.fitting.engine.loss import Loss

_BISECTIONS = 80
_WIDEST = 40.0  # of log(s / delta): beyond e^40 either way the density is its own limit


def deviance(objective: Floats, least: float, n_rows: int, loss: Loss) -> Floats:
    """Returns twice the log of the likelihood ratio of a fit and its minimum, the noise unknown.

    Each likelihood is taken at its own best noise level. For normal noise that is
    `n log(S / S_min)`.

    Args:
        objective: Sums of losses S, any shape.
        least: Their minimum, positive.
        n_rows: Rows n.
        loss: The loss, with the same weight on both sides of the curve.

    Returns:
        Deviances, the shape of `objective`; 0 at `least`.
    """
    if loss.delta is None:
        return n_rows * np.log(objective / least)
    mean_loss = np.append(objective, least) / (n_rows * loss.delta**2)
    scale = likeliest_scale(mean_loss)
    surprise = mean_loss / scale**2 + np.log(integral(scale)[0])
    return 2 * n_rows * (surprise[:-1] - surprise[-1]).reshape(np.shape(objective))


def deviance_limit(
    level: float,
    n_rows: int,
    n_params: int,
    *,
    inflation: float = 1.0,
    degrees_of_freedom: float | None = None,
) -> float:
    """Returns the deviance that one parameter at its true value exceeds with probability 1 - level.

    `n log(1 + F / df)` with `F` the quantile of Fisher's F on 1 and df = n - n_params degrees of
    freedom: exact for a law linear in its parameters under normal noise, where the interval is
    Student's, and chi-squared on 1 degree of freedom for many rows.

    Rows that err together, or unlike one another, make the likelihood one of a wrong model. The
    deviance of one parameter then exceeds what it should be by the ratio of its true variance to
    the one that the likelihood believes in (Rotnitzky and Jewell 1990, Biometrika 77(3), 485;
    Pauli, Racugno and Ventura 2011, Statistica Sinica 21(1), 149), and F is taken that many times.

    Args:
        level: Level of confidence.
        n_rows: Rows n.
        n_params: Parameters fitted.
        inflation: That ratio.
        degrees_of_freedom: Those with which the true variance is known; df unless given.
    """
    df = n_rows - n_params
    known = df if degrees_of_freedom is None else degrees_of_freedom
    return n_rows * float(np.log1p(inflation * fdtri(1, known, level) / df))


def integral(scale: Floats) -> tuple[Floats, Floats]:
    """Z and its derivative over the scale, each of the shape of `scale`."""
    inner = np.sqrt(2 * np.pi) * erf(1 / (scale * np.sqrt(2)))
    outer = np.exp(-0.5 / scale**2)
    return inner * scale + 2 * scale**2 * outer, inner + 4 * scale * outer


def likeliest_scale(mean_loss: Floats) -> Floats:
    """Returns the likeliest scale of rows of a mean loss: `mean loss = s^3 Z'(s) / (2 Z(s))`."""
    low, high = (np.full(np.shape(mean_loss), end) for end in (-_WIDEST, _WIDEST))
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        scale = np.exp(middle)
        whole, slope = integral(scale)
        below = scale**3 * slope / (2 * whole) < mean_loss
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return np.exp((low + high) / 2)


def size_quantile(probability: Floats, scale: float) -> Floats:
    """Returns the size that a residual stays below with a probability, from 0 to below 1."""
    within = erf(1 / (scale * np.sqrt(2)))
    inner = np.sqrt(2 * np.pi) * scale * within
    share = inner / (inner + 2 * scale**2 * np.exp(-0.5 / scale**2))
    is_inner = probability < share
    normal = scale * np.sqrt(2) * erfinv(np.where(is_inner, probability / share * within, 0.0))
    left = np.where(is_inner, 1.0, (1 - probability) / np.maximum(1 - share, 1e-300))
    return np.where(is_inner, normal, 1.0 - scale**2 * np.log(left))
