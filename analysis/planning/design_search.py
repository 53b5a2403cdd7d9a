"""Rows to add to a linear fit, at a price each, that leave one number the least variance.

Coordinates are those in which the fit so far is the unit normal distribution. A row with gradient
`z` there, over the standard deviation of its noise, adds `z z'` to the information, so that the
variance of a number with gradient c after rows Z is `c' (I + Z'Z)^-1 c`.
"""

import itertools

import numpy as np
from numpy.typing import NDArray

from analysis.estimate import Floats

_POWERS = (0.0, 0.25, 0.5, 0.75, 1.0)  # of a row's price, by which greedy searches divide its gain
_LEAST_GAIN = 1e-9  # of the variance: an exchange that gains less is none
_ALLOWANCE = 0.02  # of what a plan takes off the variance, given up to be cheaper
_LEAST_EIGENVALUE = 1e-12  # of a correlation matrix; below is rounding


def root_of(covariance: Floats) -> Floats:
    """Returns R, shape `(n, rank)`, with `R R' = covariance`, which may be singular.

    R maps unit normal numbers to numbers of that covariance.
    """
    errors = np.sqrt(np.diagonal(covariance))
    scale = np.where(errors > 0, errors, 1.0)
    values, vectors = np.linalg.eigh(covariance / np.outer(scale, scale))
    kept = values > _LEAST_EIGENVALUE * values.max(initial=1.0)
    return errors[:, None] * vectors[:, kept] * np.sqrt(values[kept])


def variance_after(rows: Floats, target: Floats) -> float:
    """Returns the variance of a number once rows, shape `(n_rows, rank)`, are added.

    `target` is the gradient of the number, shape `(rank,)`.
    """
    return float(target @ _covariance(rows) @ target)


def cheapest_to_know(
    rows: Floats, prices: Floats, target: Floats, budget: float, n_runs: int
) -> NDArray[np.intp]:
    """Finds rows that leave a number the least variance, within a budget and a count.

    Greedy searches, from one that looks at gains alone to one that looks at gains for their price;
    then single rows are exchanged, or added, while that helps. The best of these plans is a local
    optimum; candidates may be taken again and again. At last, rows are replaced by cheaper ones or
    left out, as long as 98 % of the reduction of variance stays: the last row of a plan often costs
    more than all others and removes almost no variance.

    Args:
        rows: Candidates, shape `(n_candidates, rank)`.
        prices: Price of each, positive, shape `(n_candidates,)`.
        target: Gradient of the number, shape `(rank,)`.
        budget: Largest sum of prices.
        n_runs: Largest number of rows.

    Returns:
        Indices of the rows, with repeats, the one that gains most first; empty where no affordable
        row removes variance.
    """
    plans = []
    for power in _POWERS:
        chosen = _added([], rows, prices, target, budget, n_runs, power)
        plans.append(_exchanged(chosen, rows, prices, target, budget, n_runs))
    best = min(plans, key=lambda plan: variance_after(rows[plan], target))
    best = _cheapened(best, rows, prices, target)
    return np.array(_ordered(best, rows, target), dtype=np.intp)


def cheapest_to_reach(
    rows: Floats, prices: Floats, target: Floats, goal: float, budget: float
) -> NDArray[np.intp]:
    """Finds rows that bring the variance of a number down to a goal, each taken at most once.

    Rows are taken by the variance that they remove for their price until the goal is reached; then
    those without which it is reached as well are left out, the dearest first.

    Args:
        rows: Candidates, shape `(n_candidates, rank)`.
        prices: Price of each, positive, shape `(n_candidates,)`.
        target: Gradient of the number, shape `(rank,)`.
        goal: The variance to reach.
        budget: Largest sum of prices.

    Returns:
        Indices of the rows, in the order in which they were taken. Where the budget does not reach
        the goal, as far as it goes.
    """
    taken: list[int] = []
    while variance_after(rows[taken], target) > goal:
        affordable = prices <= budget - prices[taken].sum()
        affordable[taken] = False
        if not np.any(affordable):
            return np.array(taken, dtype=np.intp)
        scores = _gains(rows[taken], rows, target) / prices
        taken.append(int(np.argmax(np.where(affordable, scores, -np.inf))))
    for row in sorted(taken, key=lambda row: -prices[row]):
        others = [each for each in taken if each != row]
        if variance_after(rows[others], target) <= goal:
            taken = others
    return np.array(taken, dtype=np.intp)


def gains_in_order(rows: Floats, target: Floats) -> Floats:
    """Returns the variance that each row removes after those before it, shape `(n_rows,)`."""
    left = [variance_after(rows[:count], target) for count in range(len(rows) + 1)]
    return -np.diff(left)


def _covariance(rows: Floats) -> Floats:
    return np.asarray(np.linalg.inv(np.eye(rows.shape[1]) + rows.T @ rows), dtype=np.float64)


def _gains(held: Floats, rows: Floats, target: Floats) -> Floats:
    """Returns the variance that each candidate would remove after the rows held."""
    covariance = _covariance(held)
    shadow = rows @ covariance
    return (shadow @ target) ** 2 / (1.0 + np.sum(shadow * rows, axis=1))


def _added(
    chosen: list[int],
    rows: Floats,
    prices: Floats,
    target: Floats,
    budget: float,
    n_runs: int,
    power: float,
) -> list[int]:
    """Returns the plan with the best rows added until count or budget is used up."""
    chosen = list(chosen)
    while len(chosen) < n_runs:
        affordable = prices <= budget - prices[chosen].sum()
        if not np.any(affordable):
            break
        scores = _gains(rows[chosen], rows, target) / prices**power
        chosen.append(int(np.argmax(np.where(affordable, scores, -np.inf))))
    return chosen


def _exchanged(
    chosen: list[int], rows: Floats, prices: Floats, target: Floats, budget: float, n_runs: int
) -> list[int]:
    """Returns the plan with rows exchanged, each for one or several others, until none helps."""
    current, improved = variance_after(rows[chosen], target), True
    while improved:
        improved = False
        for place, power in itertools.product(range(len(chosen)), _POWERS):
            others = chosen[:place] + chosen[place + 1 :]
            tried = _added(others, rows, prices, target, budget, n_runs, power)
            found = variance_after(rows[tried], target)
            if found < current * (1 - _LEAST_GAIN):
                chosen, current, improved = tried, found, True
                break
    return chosen


def _cheapened(chosen: list[int], rows: Floats, prices: Floats, target: Floats) -> list[int]:
    """Returns the plan with rows, the dearest first, left out or replaced by cheaper ones."""
    least = variance_after(rows[chosen], target)
    limit = least + _ALLOWANCE * (target @ target - least)
    kept = list(chosen)
    for row in sorted(chosen, key=lambda row: -prices[row]):
        kept.remove(row)
        left = variance_after(rows[kept], target)
        if left > limit:
            enough = left - _gains(rows[kept], rows, target) <= limit
            kept.append(int(np.argmin(np.where(enough, prices, np.inf))))
    return kept


def _ordered(chosen: list[int], rows: Floats, target: Floats) -> list[int]:
    """Returns the rows of a plan, each the one that gains most after those before it."""
    waiting, ordered = list(chosen), []
    while waiting:
        gains = _gains(rows[ordered], rows[waiting], target)
        ordered.append(waiting.pop(int(np.argmax(gains))))
    return ordered
