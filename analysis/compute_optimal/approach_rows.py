"""The rows of a table that each approach takes: ends of runs, or points at budgets."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analysis.compute_optimal.budgets import nominal_budgets
from analysis.compute_optimal.learning_curves import covered_budgets, learning_curves, read_off
from analysis.estimate import Floats

N_BUDGETS = 9
"""Budgets at which curves are read off where none are given, as many as theirs."""

SIZES_COVERED = 5
"""Curves that must reach a budget."""


class Rows(NamedTuple):
    """Columns of a table, each of shape `(n_rows,)`.

    Attributes:
        n_params: Parameters.
        tokens: Training tokens.
        flops: Training FLOPs.
        loss: Nats.
        run: Labels of runs; None where rows are ends of runs.
        noise: Standard deviation of the loss over seeds; None where it is not known row by row.
    """

    n_params: Floats
    tokens: Floats
    flops: Floats
    loss: Floats
    run: NDArray[Any] | None = None
    noise: Floats | None = None


def last_of_each(rows: Rows, run: NDArray[Any]) -> Rows:
    """The evaluation of each run at its largest compute."""
    order = np.lexsort((rows.flops, np.unique(run, return_inverse=True)[1]))
    last = order[np.append(run[order][1:] != run[order][:-1], True)]
    return Rows(rows.n_params[last], rows.tokens[last], rows.flops[last], rows.loss[last])


def points_of(rows: Rows, budgets: ArrayLike | None) -> tuple[Rows, list[str]]:
    """The rows of approach 2, and what there is to say of them."""
    if rows.run is None:
        if budgets is None:
            return rows, []
        nominal, near = nominal_budgets(rows.flops, budgets)
        note = f"approach 2 takes the {near.sum()} of {len(near)} rows near a budget that was given"
        noise = None if rows.noise is None else rows.noise[near]
        kept = Rows(rows.n_params[near], rows.tokens[near], nominal[near], rows.loss[near])
        return kept._replace(noise=noise), [note]
    if budgets is None:
        found = learning_curves(
            rows.run, rows.n_params, rows.loss, flops=rows.flops, tokens=rows.tokens
        )
        budgets = covered_budgets(found, SIZES_COVERED, N_BUDGETS)
        if not len(budgets):
            return Rows(*(np.empty(0) for _ in range(4))), []
    read = read_off(rows.run, rows.n_params, rows.flops, rows.loss, budgets, tokens=rows.tokens)
    note = (
        f"approach 2 takes {len(read.loss)} losses read off learning curves, approach 3 the last "
        "of each curve"
    )
    if read.unread:
        note += f"; {len(read.unread)} times a curve has no evaluation near a budget"
    return Rows(read.n_params, read.tokens, read.flops, read.loss), [note]
