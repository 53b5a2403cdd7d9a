"""How much less likely rows become as the objective of a fit rises above its minimum."""

import numpy as np
from scipy.special import erf, fdtri

from analysis.laws.law import Floats

_BISECTIONS = 80
_WIDEST = 40.0  # of log(s / delta): beyond e^40 either way the density is its own limit


def deviance(objective: Floats, least: float, n_rows: int, delta: float | None) -> Floats:
    """Twice the log of the likelihood ratio of a fit with its minimum, its noise level unknown.

    Squared error is the objective of normal noise: the ratio, each likelihood at its own best
    noise level, is `n log(S / S_min)`. Huber's loss rho is the objective of noise with density
    `exp(-rho(r) / s^2) / Z(s)`, which is normal within delta and exponential beyond:

        Z(s) = sqrt(2 pi) s erf(delta / (s sqrt 2)) + 2 s^2 / delta exp(-delta^2 / (2 s^2)),

    and the scale s is again chosen best for each S: `S = n s^3 Z'(s) / (2 Z(s))`.

    Args:
        objective: Sums of losses S, any shape.
        least: Their minimum, positive.
        n_rows: Rows n.
        delta: Huber's threshold; None for squared error.

    Returns:
        Deviances, the shape of `objective`; 0 at `least`.
    """
    if delta is None:
        return n_rows * np.log(objective / least)
    surprise = _huber_surprise(np.append(objective, least) / (n_rows * delta**2))
    return 2 * n_rows * (surprise[:-1] - surprise[-1]).reshape(np.shape(objective))


def deviance_limit(level: float, n_rows: int, n_params: int) -> float:
    """The deviance that one parameter at its true value exceeds with probability 1 - level.

    `n log(1 + F / df)` with `F` the quantile of Fisher's F on 1 and df = n - n_params degrees of
    freedom: exact for a law linear in its parameters under normal noise, where the interval is
    Student's, and chi-squared on 1 degree of freedom for many rows.

    Args:
        level: Of confidence.
        n_rows: Rows.
        n_params: Parameters, fewer than rows.

    Returns:
        The limit.
    """
    df = n_rows - n_params
    return n_rows * float(np.log1p(fdtri(1, df, level) / df))


def _huber_surprise(mean_loss: Floats) -> Floats:
    """Least mean negative log likelihood for mean losses over delta^2, in units of delta."""
    low, high = (np.full(mean_loss.shape, end) for end in (-_WIDEST, _WIDEST))
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        scale = np.exp(middle)
        integral, slope = _huber_integral(scale)
        below = scale**3 * slope / (2 * integral) < mean_loss
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    scale = np.exp((low + high) / 2)
    return mean_loss / scale**2 + np.log(_huber_integral(scale)[0])


def _huber_integral(scale: Floats) -> tuple[Floats, Floats]:
    """Z and its derivative for delta = 1."""
    inner = np.sqrt(2 * np.pi) * erf(1 / (scale * np.sqrt(2)))
    outer = np.exp(-0.5 / scale**2)
    return inner * scale + 2 * scale**2 * outer, inner + 4 * scale * outer
