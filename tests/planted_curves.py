"""Curves with a known peak, or with none, and noise as networks have it."""

from collections.abc import Callable

import numpy as np

from analysis.double_descent.rows import Curve, curve_rows
from analysis.estimate import Floats

Shape = Callable[[Floats], Floats]

N_SIZES, N_SEEDS, N_POINTS = 14, 5, 20
ENDS = (4.0, 256.0)
UNEQUAL = 5.0
"""The smallest sizes err this many times as much as the largest."""


def falling(size: Floats) -> Floats:
    return 0.3 + 2 * size**-0.5


def level(size: Floats) -> Floats:
    return np.ones_like(size)


def levelling(size: Floats) -> Floats:
    return falling(np.minimum(size, 20))


WITHOUT_PEAK: dict[str, Shape] = {"falling": falling, "level": level, "levelling": levelling}


def peaked(centre: float, height: float = 0.3, width: float = 0.4) -> Shape:
    """A falling curve with a bump; its peak lies slightly below `centre`."""

    def curve(size: Floats) -> Floats:
        return falling(size) + height * np.exp(-(np.log(size / centre) ** 2) / (2 * width**2))

    return curve


def true_peak(curve: Shape, centre: float) -> float:
    fine = np.geomspace(centre / 1.6, centre * 1.6, 4001)
    return float(fine[np.argmax(curve(fine))])


def seeds_of(curve: Shape, rng: np.random.Generator, noise: float = 0.02) -> Curve:
    """A sweep: noise five-fold unequal, half of it shared by the runs of a seed."""
    size = np.geomspace(*ENDS, N_SIZES)
    eps = rng.standard_normal((N_SIZES, N_SEEDS)) + rng.standard_normal(N_SEEDS)
    spread = np.geomspace(UNEQUAL * noise, noise, N_SIZES)[:, np.newaxis]
    test = curve(size)[:, np.newaxis] * np.exp(spread * eps / np.sqrt(2))
    seed = np.tile(np.arange(N_SEEDS), N_SIZES)
    return curve_rows(np.repeat(size, N_SEEDS), test.ravel(), seed)


def single(curve: Shape, rng: np.random.Generator, noise: float = 0.008) -> Curve:
    """One curve: noise five-fold unequal."""
    size = np.geomspace(*ENDS, N_POINTS)
    spread = np.geomspace(UNEQUAL * noise, noise, N_POINTS)
    return curve_rows(size, curve(size) * np.exp(spread * rng.standard_normal(N_POINTS)))
