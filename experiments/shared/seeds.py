"""Means over seeds, with the interval that Student's t gives them."""

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtrit

from experiments.experiment import Measured

LEVEL = 0.95


def mean_of(values: ArrayLike, note: str = "") -> Measured:
    """Returns the mean over seeds with its interval: none of one seed, and no value of no run."""
    each = np.asarray(values, dtype=np.float64)
    if not len(each):
        return Measured(value=None, note=note or "no run is done")
    n, mean = len(each), float(each.mean())
    if n < 2:
        return Measured(value=mean, note=note or "one seed: no interval")
    half = float(stdtrit(n - 1, (1 + LEVEL) / 2) * each.std(ddof=1) / np.sqrt(n))
    return Measured(value=mean, low=mean - half, high=mean + half, note=note)


def interval_of(measured: Measured, digits: int = 3) -> str:
    """Returns a measured number with its interval, for a sentence: "0.081 [0.053, 0.108]"."""
    if measured.value is None:
        return "unknown"
    if measured.low is None or measured.high is None:
        return f"{measured.value:.{digits}f}"
    return f"{measured.value:.{digits}f} [{measured.low:.{digits}f}, {measured.high:.{digits}f}]"
