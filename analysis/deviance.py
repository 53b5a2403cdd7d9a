"""How much less likely rows become as the objective of a fit rises above its minimum."""

import numpy as np
from scipy.special import fdtri

from analysis.huber_density import integral, likeliest_scale
from analysis.laws.law import Floats


def deviance(objective: Floats, least: float, n_rows: int, delta: float | None) -> Floats:
    """Twice the log of the likelihood ratio of a fit with its minimum, its noise level unknown.

    Squared error is the objective of normal noise: the ratio, each likelihood at its own best
    noise level, is `n log(S / S_min)`. Huber's loss is the objective of the noise of
    `analysis.huber_density`, whose scale is again chosen best for each S.

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
    scale = likeliest_scale(mean_loss)
    return mean_loss / scale**2 + np.log(integral(scale)[0])
