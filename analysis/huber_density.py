"""Noise whose likelihood Huber's loss maximises: normal within the threshold, exponential beyond.

The density of a residual r is `exp(-rho(r) / s^2) / Z(s)` with rho Huber's loss of threshold delta,

    Z(s) = sqrt(2 pi) s erf(delta / (s sqrt 2)) + 2 s^2 / delta exp(-delta^2 / (2 s^2)).

Everything here is in units of delta: the threshold is 1, the scale s / delta, a loss rho / delta^2.
"""

import numpy as np
from scipy.special import erf, erfinv

from analysis.laws.law import Floats

_BISECTIONS = 80
_WIDEST = 40.0  # of log(s / delta): beyond e^40 either way the density is its own limit


def integral(scale: Floats) -> tuple[Floats, Floats]:
    """Z and its derivative over the scale, each of the shape of `scale`."""
    inner = np.sqrt(2 * np.pi) * erf(1 / (scale * np.sqrt(2)))
    outer = np.exp(-0.5 / scale**2)
    return inner * scale + 2 * scale**2 * outer, inner + 4 * scale * outer


def likeliest_scale(mean_loss: Floats) -> Floats:
    """The scale at which rows of a mean loss are likeliest: `mean loss = s^3 Z'(s) / (2 Z(s))`."""
    low, high = (np.full(np.shape(mean_loss), end) for end in (-_WIDEST, _WIDEST))
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        scale = np.exp(middle)
        whole, slope = integral(scale)
        below = scale**3 * slope / (2 * whole) < mean_loss
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return np.exp((low + high) / 2)


def size_quantile(probability: Floats, scale: float) -> Floats:
    """The size that a residual stays below with a probability, from 0 to below 1."""
    within = erf(1 / (scale * np.sqrt(2)))
    inner = np.sqrt(2 * np.pi) * scale * within
    share = inner / (inner + 2 * scale**2 * np.exp(-0.5 / scale**2))
    is_inner = probability < share
    normal = scale * np.sqrt(2) * erfinv(np.where(is_inner, probability / share * within, 0.0))
    left = np.where(is_inner, 1.0, (1 - probability) / np.maximum(1 - share, 1e-300))
    return np.where(is_inner, normal, 1.0 - scale**2 * np.log(left))
