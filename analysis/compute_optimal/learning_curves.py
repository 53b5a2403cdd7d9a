"""Learning curves, and losses at given compute read off them by interpolation in log FLOPs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from analysis.compute_optimal.budgets import compute_columns
from analysis.estimate import Floats
from analysis.guards import positive_column, require_tolerance


class Unread(NamedTuple):
    """A run without a loss at a budget, and why."""

    run: Any
    flops: float
    reason: str


@dataclass(frozen=True, eq=False)
class CurvePoints:
    """Losses read off learning curves, one row for each run and budget that it covers.

    Attributes:
        run: Label of the run, shape `(n_points,)`.
        n_params: Parameters of the run, shape `(n_points,)`.
        flops: The budget, FLOPs, shape `(n_points,)`.
        tokens: Tokens seen there, shape `(n_points,)`.
        loss: Loss there, nats, shape `(n_points,)`.
        unread: Runs without a loss at a budget, with the reason.
    """

    run: tuple[Any, ...]
    n_params: Floats
    flops: Floats
    tokens: Floats
    loss: Floats
    unread: tuple[Unread, ...]


class LearningCurve(NamedTuple):
    """The evaluations of one run, in ascending order of compute.

    Attributes:
        run: Label of the run.
        n_params: Parameters.
        flops: FLOPs seen, shape `(n_evaluations,)`.
        tokens: Tokens seen, shape `(n_evaluations,)`.
        loss: Loss, nats, shape `(n_evaluations,)`.
    """

    run: Any
    n_params: float
    flops: Floats
    tokens: Floats
    loss: Floats


def learning_curves(
    run: ArrayLike,
    n_params: ArrayLike,
    loss: ArrayLike,
    *,
    flops: ArrayLike | None = None,
    tokens: ArrayLike | None = None,
) -> tuple[LearningCurve, ...]:
    """Groups rows, one an evaluation, into one curve for each run.

    Args:
        run: Label of the run of each evaluation, any sortable type, shape `(n_evaluations,)`.
        n_params: Parameters of that run, shape `(n_evaluations,)`.
        loss: Loss, nats, shape `(n_evaluations,)`.
        flops: FLOPs seen at the evaluation, shape `(n_evaluations,)`; 6 N D unless given.
        tokens: Tokens seen at the evaluation, shape `(n_evaluations,)`; C / (6 N) unless given.

    Returns:
        The curves in order of their labels; the order of the rows makes no difference.

    Raises:
        ValueError: Neither FLOPs nor tokens, columns of different lengths, a value that is not
            positive and finite, a run of two sizes, or two evaluations of a run at the same FLOPs.
    """
    sizes, seen, data = compute_columns(n_params, flops=flops, tokens=tokens)
    losses = positive_column("loss", loss, len(sizes))
    labels = np.asarray(run)
    if labels.shape != sizes.shape:
        raise ValueError(f"run has shape {labels.shape}, not {sizes.shape}: give each row its run")
    names, numbers = np.unique(labels, return_inverse=True)
    order = np.lexsort((seen, numbers))
    by_run = np.split(order, np.flatnonzero(np.diff(numbers[order])) + 1)
    curves = []
    for label, rows in zip(names.tolist(), by_run, strict=True):
        _require_one_curve(label, sizes[rows], seen[rows])
        size = float(sizes[rows[0]])
        curves.append(LearningCurve(label, size, seen[rows], data[rows], losses[rows]))
    return tuple(curves)


def read_off(
    curves: Sequence[LearningCurve], budgets: ArrayLike, *, tolerance: float = 0.1
) -> CurvePoints:
    """Reads losses at given FLOPs off learning curves.

    log loss is interpolated linearly in log FLOPs between the two evaluations about the budget,
    if the nearer lies within a factor `1 + tolerance` of it. A budget past an end of a curve, but
    within the tolerance, takes the loss at that end. These are the rules of Porian et al.
    (arXiv:2406.19146, appendix C). Smooth training losses before the call.

    Args:
        curves: The curves, from `learning_curves`.
        budgets: FLOPs at which to read, shape `(n_budgets,)`.
        tolerance: Relative distance of the nearest evaluation from the budget.

    Returns:
        The points, ordered by budget and then by run.

    Raises:
        ValueError: A budget that is not positive and finite, or an impossible tolerance.
    """
    targets = np.unique(positive_column("budgets", budgets))
    require_tolerance(tolerance)

    rows: list[tuple[Any, float, float, float, float]] = []
    unread: list[Unread] = []
    for target in targets.tolist():
        at = np.log(target)
        for curve in curves:
            log_seen = np.log(curve.flops)
            log_curves = np.log([curve.loss, curve.tokens / curve.flops])
            off = float(np.expm1(np.min(np.abs(log_seen - at))))
            if off > tolerance:
                why = f"the nearest evaluation is {off:.0%} off, more than {tolerance:.0%}"
                unread.append(Unread(curve.run, target, why))
                continue
            read, per_flop = (float(np.exp(np.interp(at, log_seen, c))) for c in log_curves)
            rows.append((curve.run, curve.n_params, target, target * per_flop, read))
    run, *numbers = zip(*rows, strict=True) if rows else [()] * 5
    columns = (np.array(column, dtype=np.float64) for column in numbers)
    return CurvePoints(run, *columns, unread=tuple(unread))


def covered_budgets(curves: Sequence[LearningCurve], n_sizes: int, n_budgets: int) -> Floats:
    """Returns budgets, even in log FLOPs, over the compute that curves of several sizes cover.

    Args:
        curves: The curves.
        n_sizes: Distinct sizes whose curves must cover a budget.
        n_budgets: Number of budgets.

    Returns:
        FLOPs, ascending, shape `(n_budgets,)`; empty where no compute is covered by so many sizes.
    """
    sizes = np.unique([curve.n_params for curve in curves])
    ends = np.unique([end for curve in curves for end in curve.flops[[0, -1]]])
    covering = np.zeros((len(sizes), len(ends)), dtype=bool)
    for curve in curves:
        row = np.searchsorted(sizes, curve.n_params)
        covering[row] |= (ends >= curve.flops[0]) & (ends <= curve.flops[-1])
    enough = ends[covering.sum(axis=0) >= n_sizes]
    if len(enough) < 2:
        return np.array([])
    return np.geomspace(enough[0], enough[-1], n_budgets)


def _require_one_curve(label: Any, sizes: Floats, seen: Floats) -> None:
    if sizes.min() != sizes.max():
        raise ValueError(
            f"run {label!s} has n_params from {sizes.min():g} to {sizes.max():g}: a curve belongs "
            "to one size; give runs of different sizes different labels"
        )
    repeated = np.flatnonzero(np.diff(seen) == 0)
    if len(repeated):
        raise ValueError(
            f"run {label!s} has two losses at {seen[repeated[0]]:g} FLOPs: keep one, or average "
            "them, or give different seeds different labels"
        )
