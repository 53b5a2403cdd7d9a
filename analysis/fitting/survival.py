"""Delays that some runs do not live to see: a power law fitted to censored times.

A run that ends before the event is no failure and no missing value: it says that the delay is
longer than the run (Cox & Oakes 1984, "Analysis of Survival Data", chapter 5). Leaving it out would
make delays too short.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize, special

from analysis.errors import FitError
from analysis.estimate import Estimate, Floats

LEVEL = 0.95


@dataclass(frozen=True)
class DelayLaw:
    """Median delay scale * x^exponent, with log-normal scatter over runs.

    Attributes:
        scale: Median delay at x = 1.
        exponent: Exponent in x.
        scatter: Standard deviation of the logarithm of delays.
        n_events: Runs in which the event was seen.
        n_censored: Runs that ended before it.
        covariance: That of the logarithm of the scale and of the exponent, shape (2, 2).
    """

    scale: Estimate
    exponent: Estimate
    scatter: float
    n_events: int
    n_censored: int
    covariance: Floats

    def at(self, x: ArrayLike) -> Floats:
        """Median delay at x."""
        return self.scale.value * np.asarray(x, np.float64) ** self.exponent.value

    def next_at(self, x: ArrayLike, level: float = LEVEL) -> tuple[Floats, Floats]:
        """Ends of the interval in which the delay of a new run at x lies.

        It has the scatter of runs and the uncertainty of the median, which grows away from the
        conditions that were seen.
        """
        along = np.log(np.asarray(x, np.float64))
        beside = np.stack([np.ones_like(along), along], axis=-1)
        variance = np.einsum("...i,ij,...j", beside, self.covariance, beside) + self.scatter**2
        wide = special.stdtrit(self.n_events - 2, (1 + level) / 2) * np.sqrt(variance)
        return self.at(x) * np.exp(-wide), self.at(x) * np.exp(wide)


def fit_delays(x: ArrayLike, after: ArrayLike, until: ArrayLike) -> DelayLaw:
    """Fits a power law of x to delays, each known to lie between two times.

    Maximum likelihood with log(delay) = log(scale) + exponent * log(x) + scatter * N(0, 1). An
    event seen between two evaluations has the probability of that interval, and a run that ended at
    `after` that of a longer delay. The scatter is at least that of a uniform number between two
    evaluations: less cannot be seen. Intervals are those of the curvature at the maximum, by
    Student's t with the number of events less 2, and widened as least squares corrects the scatter.

    Args:
        x: Condition of each run, positive, shape (n,).
        after: Last time at which the event had not been seen, shape (n,); 0 or more.
        until: First time at which it had; infinite for a run that ended before.

    Raises:
        FitError: fewer than 3 events, or all of them at one x.
    """
    x, after, until = (np.asarray(each, np.float64) for each in (x, after, until))
    seen = np.isfinite(until)
    n_events, n_conditions = int(seen.sum()), len(np.unique(x[seen]))
    if n_events < 3 or n_conditions < 2:
        raise FitError(
            f"{n_events} of {len(x)} runs saw the event, at {n_conditions} conditions; a power law "
            "needs 3 events at 2 conditions. Train longer, or add runs"
        )
    along = np.log(x)
    with np.errstate(divide="ignore"):
        low, high = np.log(after), np.log(until)
    least = float(np.median(1 - after[seen] / until[seen])) / np.sqrt(12)

    def cost(params: Floats) -> float:
        centre, scatter = params[0] + params[1] * along, np.hypot(least, np.exp(params[2]))
        z_low, z_high = (low - centre) / scatter, (high - centre) / scatter
        # The upper tail is taken where both ends lie in it: differences of numbers near 1 are lost.
        flip = z_low > 0
        below, above = np.where(flip, -z_high, z_low), np.where(flip, -z_low, z_high)
        likelihood = special.ndtr(above) - special.ndtr(below)
        return -float(np.sum(np.log(np.maximum(likelihood, 1e-300))))

    middle = np.log((after[seen] + until[seen]) / 2)
    slope, at_one = np.polyfit(along[seen], middle, 1)
    spread = max(float(np.std(middle - slope * along[seen] - at_one)), least)
    start = np.array([at_one, slope, np.log(spread)])
    found = optimize.minimize(
        cost, start, method="Nelder-Mead", options={"xatol": 1e-6, "fatol": 1e-9}
    ).x
    covariance = _covariance(cost, found) * n_events / (n_events - 2)
    wide, beside = special.stdtrit(n_events - 2, (1 + LEVEL) / 2) * np.sqrt(np.diagonal(covariance))
    scale, slope = map(float, found[:2])
    ends = np.exp([scale - wide, scale + wide])
    return DelayLaw(
        scale=Estimate(float(np.exp(scale)), float(ends[0]), float(ends[1]), LEVEL),
        exponent=Estimate(slope, float(slope - beside), float(slope + beside), LEVEL),
        scatter=float(np.hypot(least, np.exp(found[2]))),
        n_events=n_events,
        n_censored=len(x) - n_events,
        covariance=covariance,
    )


def _covariance(cost: Callable[[Floats], float], at: Floats) -> Floats:
    """Inverse of a cost's second derivatives in its first two parameters, by differences."""
    step = 1e-3
    shifts = step * np.eye(len(at))
    hessian = np.empty((2, 2))
    ends = ((1, 1, 1), (-1, -1, 1), (1, -1, -1), (-1, 1, -1))
    for i in range(2):
        for j in range(2):
            total = sum(sign * cost(at + a * shifts[i] + b * shifts[j]) for a, b, sign in ends)
            hessian[i, j] = total / (4 * step**2)
    return np.asarray(np.linalg.inv(hessian), np.float64)
