"""Columns of compute: FLOPs from parameters and tokens, and the nominal budgets of runs."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analysis.estimate import Floats
from analysis.guards import positive_column, require_tolerance
from analysis.laws.chinchilla import FLOPS_PER_PARAMETER_AND_TOKEN


def compute_columns(
    n_params: ArrayLike, *, flops: ArrayLike | None = None, tokens: ArrayLike | None = None
) -> tuple[Floats, Floats, Floats]:
    """Returns parameters, FLOPs and tokens, with C = 6 N D where one of the last two is missing.

    Args:
        n_params: Parameters, shape `(n,)`.
        flops: Training FLOPs, shape `(n,)`; 6 N D unless given.
        tokens: Training tokens, shape `(n,)`; C / (6 N) unless given.

    Returns:
        The three columns, each of shape `(n,)`.

    Raises:
        ValueError: Neither FLOPs nor tokens, columns of different lengths, or a value that is not
            positive and finite.
    """
    sizes = positive_column("n_params", n_params)
    data = None if tokens is None else positive_column("tokens", tokens, len(sizes))
    if flops is not None:
        compute = positive_column("flops", flops, len(sizes))
    elif data is not None:
        compute = FLOPS_PER_PARAMETER_AND_TOKEN * sizes * data
    else:
        raise ValueError("neither flops nor tokens given: give one of them, or both")
    if data is None:
        data = compute / (FLOPS_PER_PARAMETER_AND_TOKEN * sizes)
    return sizes, compute, data


def nominal_budgets(
    flops: ArrayLike, budgets: ArrayLike, *, tolerance: float = 0.1
) -> tuple[Floats, NDArray[np.bool_]]:
    """Returns the nominal budget of each row, for FLOPs that leave no gaps between budgets.

    Args:
        flops: Training FLOPs of each run, shape `(n_runs,)`.
        budgets: Nominal budgets, FLOPs, shape `(n_budgets,)`.
        tolerance: Relative distance of a run from its budget.

    Returns:
        The nearest budget of each row, on a logarithmic scale, and whether it lies within a factor
        `1 + tolerance`; each of shape `(n_runs,)`.

    Raises:
        ValueError: A value that is not positive and finite, or budgets within the tolerance of
            each other.
    """
    log_flops = np.log(positive_column("flops", flops))
    wanted = np.unique(positive_column("budgets", budgets))
    require_tolerance(tolerance)
    close = np.flatnonzero(np.diff(np.log(wanted)) < np.log1p(tolerance))
    if len(close):
        raise ValueError(
            f"budgets {wanted[close[0]]:.6g} and {wanted[close[0] + 1]:.6g} lie within the "
            f"tolerance, {tolerance:g}, of each other: give one of them, or a smaller tolerance"
        )
    log_wanted = np.log(wanted)
    middles = (log_wanted[:-1] + log_wanted[1:]) / 2
    nearest = np.searchsorted(middles, log_flops)
    inside = np.abs(log_flops - log_wanted[nearest]) <= np.log1p(tolerance) * (1 + 1e-12)
    return wanted[nearest], inside
