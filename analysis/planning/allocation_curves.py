"""Tables of allocations over compute, and of the cost of other sizes than the optimal one."""

import math

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from analysis.estimate import Floats
from analysis.fitting.result import FitResult
from analysis.planning.allocate import interval_of, laws_of
from analysis.planning.best_models import Models, best_models
from analysis.planning.training_cost import SIX_N_D, TrainingCost


def growth_table(
    result: FitResult,
    flops: ArrayLike,
    *,
    unique_tokens: float | None = None,
    level: float | None = None,
    largest_flops: float | None = None,
    cost: TrainingCost = SIX_N_D,
) -> pd.DataFrame:
    """Returns the compute-optimal model at several budgets, each number with its interval.

    Args:
        result: As in `analysis.planning.allocate.allocate`.
        flops: Budgets, C, shape `(n,)`.
        unique_tokens: As in `allocate`.
        level: Nominal coverage of the intervals; that of the fit unless given.
        largest_flops: Largest compute of the fitted rows; None where unknown.
        cost: What training a size costs.

    Returns:
        Columns "flops", "extrapolated" (beyond `largest_flops`), and for each of "parameters",
        "tokens", "tokens_per_parameter" and "loss" the value, "_low" and "_high". NaN where there
        is no optimum, or where too many replicates have none to know an interval.

    Raises:
        ValueError: A law without an optimum, or an impossible level.
    """
    family, level = laws_of(result, unique_tokens, level, cost)
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
    result: FitResult,
    flops: float,
    factors: ArrayLike,
    *,
    unique_tokens: float | None = None,
    level: float | None = None,
    cost: TrainingCost = SIX_N_D,
) -> pd.DataFrame:
    """Returns what models of other sizes than the optimal one cost at the same compute.

    Args:
        result: As in `analysis.planning.allocate.allocate`.
        flops: C.
        factors: N / N_opt, positive, shape `(n,)`; each replicate has its own N_opt.
        unique_tokens: As in `allocate`.
        level: Nominal coverage of the intervals; that of the fit unless given.
        cost: What training a size costs.

    Returns:
        Columns "factor", and "excess_loss" (over that of the optimum) with "_low" and "_high".

    Raises:
        ValueError: A law without an optimum, or an impossible level.
    """
    family, level = laws_of(result, unique_tokens, level, cost)
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
