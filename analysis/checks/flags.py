"""Flags: a reason for each doubtful row of a table. A flag drops nothing."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable
from enum import StrEnum
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray


class Reason(StrEnum):
    """Why a row is doubtful; `analysis.checks.rows.check` says how each is found."""

    DUPLICATE = "duplicate"
    """The row repeats an earlier one."""
    OUTLIER = "outlier"
    """The loss lies far from a smooth surface through the other rows."""
    SEED_SPREAD = "repeats far apart"
    """Repeats of one run scatter more than other repeats do."""
    DECREASING_DATA = "decreasing D"
    """Data fall along a learning curve."""
    MIXED_UNITS = "mixed units suspected"
    """A value lies orders of magnitude from all others."""
    TOO_FEW_SIZES = "too few sizes"
    """The budget of the row has too few sizes for a parabola."""
    OFF_CENTRE = "budget off-centre"
    """The lowest loss of the row's budget lies near its smallest or largest size."""


ABOUT_ROWS = frozenset(Reason) - {Reason.TOO_FEW_SIZES, Reason.OFF_CENTRE}
"""Reasons that cast doubt on a row itself; the others concern iso-FLOP parabolas alone."""


class Flag(NamedTuple):
    """A doubt about a row.

    Attributes:
        row: Label of the row in the index of the table.
        reason: Kind of the doubt.
        detail: A sentence with the numbers and the remedy.
    """

    row: Hashable
    reason: Reason
    detail: str


def flag_table(flags: Iterable[Flag]) -> pd.DataFrame:
    """Returns flags as a table with the columns `row`, `reason` and `detail`."""
    return pd.DataFrame(list(flags), columns=list(Flag._fields)).astype({"reason": str})


def is_flagged(
    table: pd.DataFrame, flags: pd.DataFrame, reasons: Collection[str] = ABOUT_ROWS
) -> NDArray[np.bool_]:
    """Returns whether each row of a table has a flag, shape `(n_rows,)`.

    Args:
        table: The table that was checked.
        flags: Its flags.
        reasons: Reasons that count.
    """
    return table.index.isin(flags.loc[flags["reason"].isin(list(reasons)), "row"])


def without_flagged(
    table: pd.DataFrame, flags: pd.DataFrame, reasons: Collection[str] = ABOUT_ROWS
) -> pd.DataFrame:
    """Returns the rows that are not `is_flagged`; a fit to them shows what the others change."""
    return table.loc[~is_flagged(table, flags, reasons)]


def place(table: pd.DataFrame, row: Hashable) -> str:
    """Returns a row in words: "line 7" of a file, "row 7" of any other table."""
    return f"{table.index.name or 'row'} {row}"
