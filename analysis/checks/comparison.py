"""Two sets of runs, or two numbers, side by side: how many standard errors apart they are."""

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
import pandas as pd

FAR = 3.0
"""Standard errors beyond which two cells differ."""

_OF_AN_INTERVAL = 2 * NormalDist().inv_cdf(0.975)
"""Standard errors that a 95 % interval is wide."""


class Known(NamedTuple):
    """A number and its standard error; None where there is none."""

    value: float
    error: float | None


def error_of(low: float | None, high: float | None) -> float | None:
    """Returns the standard error that a 95 % interval of a normal estimate has."""
    if low is None or high is None or not math.isfinite(high - low):
        return None
    return (high - low) / _OF_AN_INTERVAL


def apart(first: Known, second: Known) -> float | None:
    """Returns by how many standard errors the second number exceeds the first.

    The errors are taken as independent: of two analyses of the same runs the distance is too short.
    None where neither has an error; 0 of equal numbers, whatever their errors.
    """
    if first.value == second.value:
        return 0.0
    errors = [each.error for each in (first, second) if each.error is not None]
    spread = math.hypot(*errors) if errors else 0.0
    return (second.value - first.value) / spread if spread > 0 else None


def cells(first: pd.DataFrame, second: pd.DataFrame, value: str, by: Sequence[str]) -> pd.DataFrame:
    """Compares the means of runs of equal settings, cell by cell.

    The spread of a run is that of its cell over seeds, on both sides together, which are taken as
    independent: where they share seeds, distances are usually too short. A cell without repeats has
    the median relative spread of those that have them.

    Args:
        first: Runs that are done, one row each.
        second: The others.
        value: The column that is compared.
        by: The settings; a missing one is a setting too.

    Returns:
        `by`, then `first` and `second` (means), `n_first`, `n_second`, `difference`, `apart` (in
        standard errors; NaN where nothing says how far runs scatter), the farthest first.
    """
    one, other = _by_cell(first, value, by), _by_cell(second, value, by)
    both = one.add_suffix("_first").join(other.add_suffix("_second"), how="inner")
    means = both[["mean_first", "mean_second"]].to_numpy(dtype=float)
    numbers = both[["n_first", "n_second"]].to_numpy(dtype=float)
    squares = both[["squares_first", "squares_second"]].to_numpy(dtype=float).sum(axis=1)
    # 1. Variance of one run about its cell, on both sides together.
    freedom = numbers.sum(axis=1) - 2
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = np.sqrt(np.where(freedom > 0, squares / freedom, np.nan))
        # 2. Cells without repeats borrow the relative spread of the others.
        level = np.abs(means).mean(axis=1)
        relative = (spread / level)[np.isfinite(spread)]
        usual = float(np.median(relative)) if len(relative) else math.nan
        spread = np.where(np.isnan(spread), usual * level, spread)
        difference = means[:, 1] - means[:, 0]
        distance = difference / (spread * np.sqrt((1 / numbers).sum(axis=1)))
    distance = np.where(difference == 0, 0.0, np.where(np.isfinite(distance), distance, np.nan))
    found = both[["mean_first", "mean_second", "n_first", "n_second"]].reset_index()
    found.columns = [*by, "first", "second", "n_first", "n_second"]
    found = found.assign(difference=difference, apart=distance)
    order = np.argsort(np.nan_to_num(-np.abs(distance), nan=np.inf), kind="stable")
    return found.iloc[order].reset_index(drop=True)


def _by_cell(table: pd.DataFrame, value: str, by: Sequence[str]) -> pd.DataFrame:
    """Mean, number and sum of squared deviations of the runs of each cell."""
    values = table[value].astype(float)
    keyed = table[list(by)].map(str).assign(mean=values, n=1)
    groups = keyed.groupby(list(by), sort=True)
    keyed["squares"] = (values - groups["mean"].transform("mean")) ** 2
    groups = keyed.groupby(list(by), sort=True)
    return groups.agg({"mean": "mean", "n": "sum", "squares": "sum"})
