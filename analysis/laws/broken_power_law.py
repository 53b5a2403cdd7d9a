"""The smoothly broken power law with any number of breaks (BNSL).

| symbol | meaning | unit |
|---|---|---|
| x | scale: parameters, tokens, steps, ... | any |
| y | loss or another positive quantity | any |
| E | irreducible value; their a | that of y |
| B | reducible part at x = 1 before all breaks; their b | that of y, times that of x to the c0 |
| c0 | exponent before the first break | none |
| c1, c2, ... | change of the exponent at each break | none |
| d1, d2, ... | where each break is | that of x |
| f1, f2, ... | width of each break in log x | none |
"""

from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

import numpy as np

from analysis.estimate import Floats
from analysis.laws.law import ArrayLike, Law, from_columns
from analysis.laws.softplus import softplus

_LEAST_WIDTH, _LARGEST_WIDTH = 0.02, 5.0
_LARGEST_EXPONENT = 20.0
_START_FLOORS = (0.0, 0.5, 0.9)  # E as a share of the smallest y
_START_WIDTHS = (0.15, 0.6)
_START_PLACES = (0.15, 0.3, 0.45, 0.6, 0.75, 0.9)  # of a break, in the range of log x


def broken_power_law(n_breaks: int) -> Law:
    """Returns the law with the given number of breaks.

        y = E + B x^-c0 prod_i (1 + (x / d_i)^(1 / f_i))^(-c_i f_i)

    It is not monotone where c0 + ... + c_i changes sign. Caballero et al. 2022, arXiv 2210.14891,
    equation 1. Breaks may come in any order; a fit names them as it finds them.

    Raises:
        ValueError: No breaks.
    """
    if n_breaks < 1:
        raise ValueError(
            f"n_breaks = {n_breaks}, but a broken law has 1 or more. Without any, fit "
            "saturating_power_law."
        )
    numbers = range(1, n_breaks + 1)
    c_names, d_names, f_names = (tuple(f"{symbol}{k}" for k in numbers) for symbol in "cdf")
    factors = " ".join(f"(1 + (x/d{k})^(1/f{k}))^(-c{k} f{k})" for k in numbers)
    exponents, places = [_LARGEST_EXPONENT] * (1 + n_breaks), [np.inf] * n_breaks
    least, most = (float(np.log(width)) for width in (_LEAST_WIDTH, _LARGEST_WIDTH))
    breaks = _Breaks(n_breaks)
    return Law(
        name=f"bnsl_{n_breaks}",
        formula=f"y = E + B x^-c0 {factors}",
        inputs=("x",),
        params=("E", "B", "c0", *c_names, *d_names, *f_names),
        logs=frozenset({"B", *d_names, *f_names}),
        lower=(0.0, *(-end for end in (np.inf, *exponents, *places)), *[least] * n_breaks),
        upper=(np.inf, np.inf, *exponents, *places, *[most] * n_breaks),
        log_predict=breaks.log_predict,
        jacobian=breaks.jacobian,
        starts=breaks.starts,
        rescale=breaks.rescale,
    )


class _Break(NamedTuple):
    """A break: its change of exponent, its width, how many widths beyond it x is, their softplus.

    The first two have shape `(..., 1)`, the others `(..., n_points)`.
    """

    change: ArrayLike
    width: ArrayLike
    distance: ArrayLike
    bend: ArrayLike


@dataclass(frozen=True)
class _Breaks:
    """The functions of a law with n breaks; theta is E, log B, c0, the c_i, log d_i and log f_i."""

    n: int

    def breaks(self, theta: ArrayLike, log_x: ArrayLike) -> list[_Break]:
        """The breaks, in order."""
        xp, found = theta.__array_namespace__(), []
        for column in range(3, 3 + self.n):
            change, place, log_width = (theta[..., column + k * self.n, None] for k in range(3))
            width = xp.exp(log_width)
            distance = (log_x[:, 0] - place) / width
            found.append(_Break(change, width, distance, softplus(distance)))
        return found

    def reducible(self, theta: ArrayLike, log_x: ArrayLike, breaks: list[_Break]) -> ArrayLike:
        """Returns y - E."""
        log_y = theta[..., 1, None] - theta[..., 2, None] * log_x[:, 0]
        for change, width, _, bend in breaks:
            log_y = log_y - change * width * bend
        return theta.__array_namespace__().exp(log_y)

    def log_predict(self, theta: ArrayLike, log_x: ArrayLike) -> ArrayLike:
        reducible = self.reducible(theta, log_x, self.breaks(theta, log_x))
        return theta.__array_namespace__().log(theta[..., 0, None] + reducible)

    def jacobian(self, theta: ArrayLike, log_x: ArrayLike) -> ArrayLike:
        xp, breaks = theta.__array_namespace__(), self.breaks(theta, log_x)
        reducible = self.reducible(theta, log_x, breaks)
        inverse = 1.0 / (theta[..., 0, None] + reducible)
        share = reducible * inverse
        by_change, by_place, by_width = [], [], []
        for change, width, distance, bend in breaks:
            # bend - distance * passed, whose terms cancel far from a break.
            far = xp.abs(distance)
            near = softplus(-far)
            turned = near + far * xp.exp(-far - near)
            by_change.append(-width * bend * share)
            by_place.append(change * xp.exp(distance - bend) * share)
            by_width.append(-change * width * turned * share)
        return from_columns(
            [inverse, share, -log_x[:, 0] * share, *by_change, *by_place, *by_width]
        )

    def starts(self, log_x: Floats, log_y: Floats) -> Floats:
        # For given floor, breaks and widths log(y - E) is linear in the rest.
        low, high = log_x.min(), log_x.max()
        found = []
        for floor in np.array(_START_FLOORS) * np.exp(log_y.min()):
            target = np.log(np.exp(log_y) - floor)
            for chosen in combinations(_START_PLACES, self.n):
                for width in _START_WIDTHS:
                    at = low + np.array(chosen) * (high - low)
                    bends = width * np.logaddexp((log_x - at) / width, 0.0)
                    columns = np.concatenate([np.ones_like(log_x), -log_x, -bends], axis=-1)
                    level, slope, *change = np.linalg.lstsq(columns, target, rcond=1e-6)[0]
                    log_widths = np.full(self.n, np.log(width))
                    found.append([floor, level, slope, *change, *at, *log_widths])
        theta = np.array(found)
        exponents = theta[:, 2 : 3 + self.n]
        np.clip(exponents, -_LARGEST_EXPONENT, _LARGEST_EXPONENT, out=exponents)
        return theta

    def rescale(self, theta: Floats, log_x_scale: Floats, log_y_scale: float) -> Floats:
        moved = np.array(theta, dtype=np.float64)
        moved[..., 0] *= np.exp(log_y_scale)
        moved[..., 1] += log_y_scale + theta[..., 2] * log_x_scale[0]
        moved[..., 3 + self.n : 3 + 2 * self.n] += log_x_scale[0]
        return moved


BNSL_1, BNSL_2 = broken_power_law(1), broken_power_law(2)
"""One break, and two: enough for the peak of a double descent."""
