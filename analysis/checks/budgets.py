"""Checks of iso-FLOP grids: each budget needs enough sizes on both sides of its minimum."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.checks.flags import Flag, Reason, place
from analysis.estimate import Floats

FEWEST_SIZES = 5
"""Sizes that a parabola needs: three for its coefficients, two more to judge it by."""
FARTHEST = 0.75
"""Distance of the minimum from the middle of the sizes, in halves of their range (logarithmic)."""
_WIDEST_BUDGET = 0.05
_SAME_BUDGET = 0.01


def check_budgets(table: pd.DataFrame) -> Iterator[Flag]:
    """Flags the rows of budgets to which no iso-FLOP parabola should be fitted.

    - too few sizes: fewer than 5 distinct N at a budget;
    - budget off-centre: the lowest loss is at the smallest or largest N, or its parabola's minimum
      lies beyond 3/4 of the way from the middle of the sizes to either end (logarithmic). A valley
      is no exact parabola: one fitted mostly to one side of it has its minimum elsewhere, even
      without any noise.

    A table is an iso-FLOP grid if its rows fall into budgets of equal C, within 1 %, with three
    sizes or more on average, and N determines D at each: a grid of N times D has as many distinct
    C as D, or more. Other tables, and learning curves, get no such flags.

    Args:
        table: Columns N, D, C and loss, positive.
    """
    if not {"N", "D", "C"} <= set(table) or not len(table):
        return
    if "run" in table and table.duplicated(["run"]).to_numpy(dtype=bool).any():
        return
    budgets = _budgets(np.log(table["C"].to_numpy(dtype=np.float64)))
    if budgets is None:
        return
    n_budgets = int(budgets.max()) + 1
    if 3 * n_budgets > len(table[["N", "C"]].drop_duplicates()):
        return
    if 2 * n_budgets > len(table.drop_duplicates(["D"])):
        return
    for budget in range(n_budgets):
        rows = table.loc[budgets == budget]
        points = rows.groupby("N", sort=True)["loss"].median()
        compute = f"the budget of {np.exp(np.log(rows['C']).mean()):.3g} FLOPs"
        if len(points) < FEWEST_SIZES:
            reason = Reason.TOO_FEW_SIZES
            says = (
                f"{compute} has {len(points)} size{'s' if len(points) > 1 else ''}; an iso-FLOP "
                f"parabola needs {FEWEST_SIZES} or more; add sizes"
            )
        else:
            at = _position(np.log(points.index.to_numpy(float)), points.to_numpy(float))
            if abs(at) <= FARTHEST:
                continue
            reason = Reason.OFF_CENTRE
            side = "largest" if at > 0 else "smallest"
            says = (
                f"{compute} has its lowest loss near the {side} of its {len(points)} sizes, "
                f"N = {points.idxmin():.3g} of {points.index[0]:.3g} to {points.index[-1]:.3g}; "
                f"add {'larger' if at > 0 else 'smaller'} sizes"
            )
        for row in rows.index:
            yield Flag(row, reason, f"{place(table, row)}: {says}")


def _budgets(log_flops: Floats) -> NDArray[np.intp] | None:
    """Number of each row's budget; None where compute does not fall into budgets."""
    order = np.argsort(log_flops, kind="stable")
    ordered = log_flops[order]
    number = np.concatenate([[0], np.cumsum(np.diff(ordered) > _SAME_BUDGET)])
    starts = np.flatnonzero(np.diff(number, prepend=-1))
    ends = np.append(starts[1:], len(ordered)) - 1
    if (ordered[ends] - ordered[starts]).max() > _WIDEST_BUDGET:
        return None
    budgets = np.empty(len(ordered), dtype=np.intp)
    budgets[order] = number
    return budgets


def _position(log_size: Floats, loss: Floats) -> float:
    """Place of the minimum: -1 the smallest size, 0 the middle, 1 the largest."""
    at = int(loss.argmin())
    minimum = log_size[at]
    if 0 < at < len(loss) - 1:
        near = slice(at - 1, at + 2)
        a, b, _ = np.polyfit(log_size[near] - log_size[at], loss[near], 2)
        minimum += -b / (2 * a) if a > 0 else 0.0
    middle = (log_size[0] + log_size[-1]) / 2
    return float((minimum - middle) / (log_size[-1] - middle))
