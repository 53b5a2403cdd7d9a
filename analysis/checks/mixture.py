"""Columns that tell runs apart: rows of several kinds through which one law would be drawn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scaling.record import VOLATILE_COLUMNS

MOST_KINDS = 12
"""Different values of a column above which it names rows rather than kinds of them."""

_QUANTITIES = ("N", "D", "C", "U", "M")
_NAMES_OF_ROWS = frozenset({"run", "run_id", "seed", "status", *VOLATILE_COLUMNS})


class Kinds(NamedTuple):
    """A column that tells runs apart, and the value that most of them have."""

    column: str
    commonest: str


def telling_apart(table: pd.DataFrame, inputs: Sequence[str] = ()) -> tuple[Kinds, ...]:
    """Returns the columns of words, or of yes and no, that split rows into kinds.

    Left out are columns with more than 12 values or more than half as many as rows, and those that
    follow from a quantity, as names of sizes do: sorted by it, their values come one after another.
    How runs were computed (`environment.*`) is no kind of run.

    Args:
        table: The rows, as `analysis.tables.read` gives them.
        inputs: Inputs of the law, besides N, D, C, U and M.
    """
    quantities = [name for name in dict.fromkeys((*_QUANTITIES, *inputs)) if name in table]
    return tuple(_kinds(table, [table[name].to_numpy(np.float64) for name in quantities]))


def _kinds(table: pd.DataFrame, quantities: list[NDArray[np.float64]]) -> Iterator[Kinds]:
    for name in map(str, table.select_dtypes(exclude="number").columns):
        if name in _NAMES_OF_ROWS or name.startswith("environment.") or name.endswith("sha256"):
            continue
        values = table[name].astype(str)
        codes, kinds = pd.factorize(values)
        if not 1 < len(kinds) <= min(MOST_KINDS, len(table) // 2):
            continue
        if not any(_in_turn(codes, quantity) for quantity in quantities):
            yield Kinds(name, str(values.mode()[0]))


def _in_turn(codes: NDArray[np.int64], quantity: NDArray[np.float64]) -> bool:
    """Whether kinds come one after another where rows are sorted by a quantity."""
    if len(np.unique(np.stack([codes, quantity]), axis=1).T) > len(np.unique(quantity)):
        return False  # two kinds at one value
    in_order = codes[np.argsort(quantity, kind="stable")]
    return np.count_nonzero(np.diff(in_order)) == len(np.unique(codes)) - 1
