"""Losses at given compute, read off learning curves by interpolation in log FLOPs."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from analysis.budgets import FLOPS_PER_PARAM_TOKEN, positive_column
from analysis.laws.law import Floats


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


def read_off(
    run: ArrayLike,
    n_params: ArrayLike,
    flops: ArrayLike,
    loss: ArrayLike,
    budgets: ArrayLike,
    *,
    tokens: ArrayLike | None = None,
    tolerance: float = 0.1,
) -> CurvePoints:
    """Losses of runs at given FLOPs, from their learning curves.

    log loss is interpolated linearly in log FLOPs between the two evaluations about the budget,
    if the nearer lies within a factor `1 + tolerance` of it. A budget past an end of a curve, but
    within the tolerance, takes the loss at that end. These are the rules of Porian et al.
    (arXiv:2406.19146, appendix C). Training losses want smoothing before the call.

    Args:
        run: Label of the run of each evaluation, any sortable type, shape `(n_evaluations,)`.
        n_params: Parameters of that run, shape `(n_evaluations,)`.
        flops: FLOPs seen at the evaluation, shape `(n_evaluations,)`.
        loss: Loss, nats, shape `(n_evaluations,)`.
        budgets: FLOPs at which to read, shape `(n_budgets,)`.
        tokens: Tokens seen at the evaluation, shape `(n_evaluations,)`; C / (6 N) unless given.
        tolerance: Relative distance of the nearest evaluation from the budget.

    Returns:
        The points, ordered by budget and then by run; the order of the rows makes no difference.

    Raises:
        ValueError: Columns of different lengths, a value that is not positive and finite, a run
            of two sizes, or two evaluations of a run at the same FLOPs.
    """
    sizes = positive_column("n_params", n_params)
    seen = positive_column("flops", flops, len(sizes))
    losses = positive_column("loss", loss, len(sizes))
    targets = np.unique(positive_column("budgets", budgets))
    if tokens is None:
        data = seen / (FLOPS_PER_PARAM_TOKEN * sizes)
    else:
        data = positive_column("tokens", tokens, len(sizes))
    labels = np.asarray(run)
    if labels.shape != sizes.shape:
        raise ValueError(f"run has shape {labels.shape}, not {sizes.shape}: give each row its run")
    if not 0 < tolerance < 1:
        raise ValueError(f"tolerance is {tolerance}: give a relative difference such as 0.1")

    rows: list[tuple[float, Any, float, float, float]] = []
    unread: list[Unread] = []
    for label in np.unique(labels).tolist():
        mine = np.flatnonzero(labels == label)
        mine = mine[np.argsort(seen[mine])]
        _require_one_curve(label, sizes[mine], seen[mine])
        log_seen = np.log(seen[mine])
        log_curves = np.log([losses[mine], data[mine] / seen[mine]])
        for target in targets.tolist():
            at = np.log(target)
            off = float(np.expm1(np.min(np.abs(log_seen - at))))
            if off > tolerance:
                why = f"the nearest evaluation is {off:.0%} off, more than {tolerance:.0%}"
                unread.append(Unread(label, target, why))
                continue
            read, per_flop = (float(np.exp(np.interp(at, log_seen, c))) for c in log_curves)
            rows.append((target, label, float(sizes[mine[0]]), target * per_flop, read))
    rows.sort(key=lambda row: row[0])  # stable: runs stay in order
    columns = list(zip(*rows, strict=True)) if rows else [()] * 5
    numbers = [np.array(columns[k], dtype=np.float64) for k in (0, 2, 3, 4)]
    return CurvePoints(
        run=tuple(columns[1]),
        n_params=numbers[1],
        flops=numbers[0],
        tokens=numbers[2],
        loss=numbers[3],
        unread=tuple(unread),
    )


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
