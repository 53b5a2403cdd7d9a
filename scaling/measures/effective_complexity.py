"""Effective model complexity: the most examples on which a procedure still trains to almost 0."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from scaling.config import RunConfig
from scaling.overrides import replace_together
from scaling.run import run

N_RESAMPLES = 1000


@dataclass(frozen=True, kw_only=True)
class Visited:
    """Training errors at one number of examples, one a seed."""

    n_train: int
    errors: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class EffectiveComplexity:
    """An effective model complexity with its interval over seeds.

    Attributes:
        value: The most examples with a mean training error of at most `tolerance`; None where that
            is so for none, or for all, of the numbers of examples allowed.
        low: Lower end of the 95 % interval, over resampled seeds; never narrower than the numbers
            visited resolve.
        high: Upper end; None where the data set no upper end.
        tolerance: The training error that counts as almost 0.
        visited: The numbers of examples tried, ascending, with their errors.
    """

    value: int | None
    low: int
    high: int | None
    tolerance: float
    visited: tuple[Visited, ...]


def effective_model_complexity(
    config: RunConfig,
    *,
    tolerance: float,
    seeds: Sequence[int],
    most: int,
    resolution: float = 0.0,
    column: Literal["train_error", "train_squared_error"] | None = None,
) -> EffectiveComplexity:
    """Finds the effective model complexity of a run's procedure by bisection on log n.

        EMC = max { n : mean over seeds of the training error on n examples <= tolerance }

    The procedure is the run as it stands (steps, batch size, learning rate), and only
    `data.n_train` changes. The training error should grow with n. Of a linear model that is solved
    exactly, and of its squared error, the EMC is the number of features.

    Args:
        config: The run; its own number of examples is where the search begins, its seed unused.
        tolerance: Training error that counts as almost 0 (Nakkiran et al. take 0.1).
        seeds: Seeds of the runs at each n, one or more; two or more for an interval that means
            something.
        most: The most examples to try, such as all that the data have.
        resolution: Relative precision at which the search ends; at 0 it ends at the exact n.
        column: The training error; the share of wrong labels where the data have classes, and else
            the mean squared error, unless given.

    Raises:
        ValueError: An argument out of range, data without a field `n_train`, or a run that does
            not end as `done`.

    Reference: Nakkiran et al., arXiv 1912.02292, definition 1.
    """
    if not seeds:
        raise ValueError("seeds is empty: give one seed or more")
    if not tolerance >= 0 or not resolution >= 0:
        raise ValueError(
            f"tolerance = {tolerance} and resolution = {resolution} must be at least 0: "
            "give e.g. 0.01"
        )
    if most < 1:
        raise ValueError(f"most = {most}: allow 1 example or more")
    if column is None:
        column = "train_squared_error" if config.data.n_classes is None else "train_error"
    visited: dict[int, Visited] = {}

    def fits(n: int) -> bool:
        if n not in visited:
            errors = tuple(_training_error(config, n, seed, column) for seed in seeds)
            visited[n] = Visited(n_train=n, errors=errors)
        return float(np.mean(visited[n].errors)) <= tolerance

    low, high = bracket(fits, start=min(config.data.n_train, most), most=most)
    while low and high and high - low > max(1, resolution * low):
        middle = min(max(round((low * high) ** 0.5), low + 1), high - 1)
        low, high = (middle, high) if fits(middle) else (low, middle)
    tried = tuple(visited[n] for n in sorted(visited))
    lower, upper = _interval(tried, tolerance)
    return EffectiveComplexity(
        value=low if low and high else None,
        low=lower,
        high=upper,
        tolerance=tolerance,
        visited=tried,
    )


def bracket(fits: Callable[[int], bool], *, start: int, most: int) -> tuple[int | None, int | None]:
    """The largest n known to fit and the smallest known not to, by doubling or halving from start.

    None stands for an end that is not there: no n fits, or `most` still does.
    """
    if fits(start):
        low = start
        while low < most:
            higher = min(2 * low, most)
            if not fits(higher):
                return low, higher
            low = higher
        return low, None
    high = start
    while high > 1:
        lower = high // 2
        if fits(lower):
            return lower, high
        high = lower
    return None, high


def _training_error(config: RunConfig, n_train: int, seed: int, column: str) -> float:
    record, _ = run(replace_together(config, {"data.n_train": n_train, "seed": seed}))
    error = getattr(record, column)
    if record.status != "done" or error is None:
        raise ValueError(
            f"the run with {n_train} examples and seed {seed} ended as {record.status!r} without a "
            f"{column}: correct its learning rate, or give another column"
        )
    return error


def _interval(visited: Sequence[Visited], tolerance: float) -> tuple[int, int | None]:
    """Percentile interval of the largest n that fits, over resampled seeds.

    In each resample it is known up to the numbers visited: it lies from the last that fits to one
    below the next. Errors that do not grow with n are made to first, by their running maximum.
    """
    numbers = np.array([each.n_train for each in visited])
    errors = np.maximum.accumulate([each.errors for each in visited], axis=0)
    n_seeds = errors.shape[1]
    drawn = np.random.default_rng(0).integers(n_seeds, size=(N_RESAMPLES, n_seeds))
    n_fit = np.sum(errors[:, drawn].mean(axis=2) <= tolerance, axis=0)
    lows = np.concatenate([[0], numbers])[n_fit]
    highs = np.concatenate([numbers - 1.0, [np.inf]])[n_fit]
    low = float(np.quantile(lows, 0.025, method="lower"))
    high = float(np.quantile(highs, 0.975, method="higher"))
    return int(low), int(high) if np.isfinite(high) else None
