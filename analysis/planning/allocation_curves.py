"""Tables of allocations over compute, and of the cost of other sizes than the optimal one."""

import math

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from analysis.estimate import Floats
from analysis.planning.allocate import interval_of
from analysis.planning.best_models import Family, Models, best_models


def growth_table(
    family: Family, flops: ArrayLike, *, level: float = math.nan, largest_flops: float | None = None
) -> pd.DataFrame:
    """Returns the compute-optimal model at several budgets, each number with its interval.

    Args:
        family: The law, followed by its replicates (`analysis.planning.allocate.laws_of`).
        flops: Budgets, C, shape `(n,)`.
        level: Nominal coverage of the intervals; NaN without replicates.
        largest_flops: Largest compute of the fitted rows; None where unknown.

    Returns:
        Columns "flops", "extrapolated" (beyond `largest_flops`), and for each of "parameters",
        "tokens", "tokens_per_parameter" and "loss" the value, "_low" and "_high". NaN where there
        is no optimum, or where too many replicates have none to know an interval.
    """
    budgets = np.asarray(flops, dtype=np.float64)
    each = [best_models(family, float(budget)) for budget in budgets]
    best = Models(*np.stack(each, axis=1))
    beyond = math.inf if largest_flops is None else largest_flops * (1 + 1e-9)
    columns = {"flops": budgets, "extrapolated": budgets > beyond}
    for name, logs in {
        "parameters": best.log_n,
        "tokens": best.log_d,
        "tokens_per_parameter": best.log_d - best.log_n,
        "loss": best.log_loss,
    }.items():
        columns |= _with_ends(name, np.exp(logs), level)
    return pd.DataFrame(columns)


def penalty_table(
    family: Family, flops: float, factors: ArrayLike, *, level: float = math.nan
) -> pd.DataFrame:
    """Returns what models of other sizes than the optimal one cost at the same compute.

    Args:
        family: The law, followed by its replicates (`analysis.planning.allocate.laws_of`).
        flops: C.
        factors: N / N_opt, positive, shape `(n,)`; each replicate has its own N_opt.
        level: Nominal coverage of the intervals; NaN without replicates.

    Returns:
        Columns "factor", and "excess_loss" (over that of the optimum) with "_low" and "_high".
    """
    best = best_models(family, flops)
    everyone = np.arange(len(family.theta))
    least = np.exp(best.log_loss)
    excess = [
        np.exp(family.log_loss(everyone, *family.resized(best, shift))) - least
        for shift in np.log(np.asarray(factors, dtype=np.float64))
    ]
    columns = {"factor": np.asarray(factors, dtype=np.float64)}
    return pd.DataFrame(columns | _with_ends("excess_loss", np.stack(excess), level))


def _with_ends(name: str, values: Floats, level: float) -> dict[str, Floats]:
    """Returns a column with its interval, from values of shape `(n, 1 + n_replicates)`."""
    low, high = np.transpose([interval_of(each[1:], level) for each in values])
    return {name: values[:, 0], f"{name}_low": low, f"{name}_high": high}
