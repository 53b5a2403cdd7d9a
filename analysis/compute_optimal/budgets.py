"""Runs grouped by compute budget: the points of each iso-FLOP curve, repeats averaged."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analysis.estimate import Floats
from analysis.guards import positive_column
from analysis.tables.units import FLOPS_PER_PARAM_TOKEN


@dataclass(frozen=True, eq=False)
class Budget:
    """The runs of one compute budget, one point for each size, in ascending order of size.

    Attributes:
        flops: Training FLOPs, the geometric mean over the sizes.
        n_params: Parameters, shape `(n_sizes,)`.
        tokens: Training tokens, geometric mean over repeats, shape `(n_sizes,)`.
        loss: Mean over repeats, nats, shape `(n_sizes,)`.
        counts: Runs behind each mean, shape `(n_sizes,)`.
        squares: Sum of squared deviations of the runs from these means, nats squared.
        noise: Standard deviation of each mean where the noise of runs was given, shape
            `(n_sizes,)`; None where it was not.
    """

    flops: float
    n_params: Floats
    tokens: Floats
    loss: Floats
    counts: Floats
    squares: float
    noise: Floats | None


def group_by_budget(
    n_params: ArrayLike,
    loss: ArrayLike,
    *,
    flops: ArrayLike | None = None,
    tokens: ArrayLike | None = None,
    noise: ArrayLike | None = None,
    tolerance: float = 0.1,
) -> tuple[Budget, ...]:
    """Group rows, one a run, by compute budget.

    Rows belong to one budget if their FLOPs lie within a factor `1 + tolerance`. Rows of one
    budget and size are repeats: their losses are averaged. From a hyper-parameter sweep take the
    best run of each size before the call.

    Args:
        n_params: Parameters of each run, shape `(n_runs,)`.
        loss: Loss of each run, nats, shape `(n_runs,)`.
        flops: Training FLOPs of each run, shape `(n_runs,)`; 6 N D unless given.
        tokens: Training tokens of each run, shape `(n_runs,)`; C / (6 N) unless given.
        noise: Standard deviation of the loss over seeds, nats: a number, or shape `(n_runs,)`.
        tolerance: Relative difference in FLOPs within a budget.

    Returns:
        The budgets, in ascending order; the order of the rows makes no difference.

    Raises:
        ValueError: Neither FLOPs nor tokens, columns of different lengths, a value that is not
            positive and finite, or budgets that cannot be told apart.
    """
    sizes, compute, data = compute_columns(n_params, flops=flops, tokens=tokens)
    columns = [compute, sizes, data, positive_column("loss", loss, len(sizes))]
    if noise is not None:
        spread = np.asarray(noise, dtype=np.float64)
        spread = np.full(len(sizes), spread) if spread.ndim == 0 else spread
        columns.append(positive_column("noise", spread, len(sizes)))
    if not 0 < tolerance < 1:
        raise ValueError(f"tolerance is {tolerance}: give a relative difference such as 0.1")

    table = np.stack(columns)
    # By every column, so that sums too come out the same to the last bit in any order of rows.
    table = table[:, np.lexsort(table[::-1])]
    cuts = np.flatnonzero(np.diff(np.log(table[0])) > np.log1p(tolerance)) + 1
    groups = np.split(table, cuts, axis=1)
    for group in groups:
        if group[0, -1] > group[0, 0] * (1 + tolerance) * (1 + 1e-12):
            raise ValueError(
                f"flops from {group[0, 0]:.6g} to {group[0, -1]:.6g} leave no gap wider than the "
                f"tolerance, {tolerance:g}: the budgets cannot be told apart; give the nominal "
                "budgets, or a smaller tolerance"
            )
    return tuple(_budget(group) for group in groups)


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
        compute = FLOPS_PER_PARAM_TOKEN * sizes * data
    if data is None:
        data = compute / (FLOPS_PER_PARAM_TOKEN * sizes)
    return sizes, compute, data


def nominal_budgets(
    flops: ArrayLike, budgets: ArrayLike, *, tolerance: float = 0.1
) -> tuple[Floats, NDArray[np.bool_]]:
    """The nominal budget of each row, where a table's budgets cannot be told apart by themselves.

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


def _budget(table: Floats) -> Budget:
    """The budget of rows (flops, n_params, tokens, loss[, noise]), shape `(n_columns, n_rows)`."""
    sizes, at, counts = np.unique(table[1], return_inverse=True, return_counts=True)

    def mean(column: Floats) -> Floats:
        return np.bincount(at, column) / counts

    loss, log_ratio = mean(table[3]), np.log(table[0] / table[0, 0])
    given = len(table) == 5
    return Budget(
        # Sizes count alike: one with more repeats must not pull the budget towards itself.
        flops=float(table[0, 0] * np.exp(np.mean(mean(log_ratio)))),
        n_params=sizes,
        tokens=np.exp(mean(np.log(table[2]))),
        loss=loss,
        counts=counts.astype(np.float64),
        squares=float(np.sum((table[3] - loss[at]) ** 2)),
        noise=np.sqrt(mean(table[4] ** 2) / counts) if given else None,
    )
