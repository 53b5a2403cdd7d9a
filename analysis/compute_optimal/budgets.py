"""Columns of compute: FLOPs from parameters and tokens, and the nominal budgets of runs."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analysis.estimate import Floats
from analysis.guards import positive_column
from analysis.laws.chinchilla import FLOPS_PER_PARAMETER_AND_TOKEN


def compute_columns(
    n_params: ArrayLike, *, flops: ArrayLike | None = None, tokens: ArrayLike | None = None
) -> tuple[Floats, Floats, Floats]:
    """Parameters, FLOPs and tokens, the missing one of the last two by C = 6 N D.

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
    if flops is None and tokens is None:
        raise ValueError("neither flops nor tokens given: give one of them, or both")
    compute = None if flops is None else positive_column("flops", flops, len(sizes))
    data = None if tokens is None else positive_column("tokens", tokens, len(sizes))
    if compute is None:
        assert data is not None
        compute = FLOPS_PER_PARAMETER_AND_TOKEN * sizes * data
    if data is None:
        data = compute / (FLOPS_PER_PARAMETER_AND_TOKEN * sizes)
    return sizes, compute, data


def nominal_budgets(
    flops: ArrayLike, budgets: ArrayLike, *, tolerance: float = 0.1
) -> tuple[Floats, NDArray[np.bool_]]:
    """The nominal budget of each row, for a table whose FLOPs leave no gaps between budgets.

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
    if not 0 < tolerance < 1:
        raise ValueError(f"tolerance is {tolerance}: give a relative difference such as 0.1")
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
