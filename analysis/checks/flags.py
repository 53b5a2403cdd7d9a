"""Flags: a reason for each doubtful row of a table. A flag drops nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from enum import StrEnum
from typing import Any, NamedTuple

import pandas as pd


class Reason(StrEnum):
    """Why a row is doubtful."""

    DUPLICATE = "duplicate"
    OUTLIER = "outlier"
    SEED_SPREAD = "repeats far apart"
    DECREASING_DATA = "decreasing D"
    MIXED_UNITS = "mixed units suspected"
    TOO_FEW_SIZES = "too few sizes"
    OFF_CENTRE = "budget off-centre"


ABOUT_ROWS = frozenset(Reason) - {Reason.TOO_FEW_SIZES, Reason.OFF_CENTRE}
"""Reasons that cast doubt on a row itself; the others concern iso-FLOP parabolas alone."""


class Flag(NamedTuple):
    """A row (its label in the index of the table), why it is doubtful, and a sentence on it."""

    row: Any
    reason: Reason
    detail: str


def flag_table(flags: Iterable[Flag]) -> pd.DataFrame:
    """Flags as a table with the columns `row`, `reason` and `detail`."""
    return pd.DataFrame(list(flags), columns=list(Flag._fields)).astype({"reason": str})


def without_flagged(
    table: pd.DataFrame, flags: pd.DataFrame, reasons: Collection[str] = ABOUT_ROWS
) -> pd.DataFrame:
    """The rows of a table that no flag is about, so that a fit can be compared with and without.

    Args:
        table: The table that was checked.
        flags: Its flags.
        reasons: Which flags count.
    """
    about = flags.loc[flags["reason"].isin(list(reasons)), "row"]
    return table.loc[~table.index.isin(about)]


def place(table: pd.DataFrame, row: Any) -> str:
    """A row in words: "line 7" of a file, "row 7" of any other table."""
    return f"{table.index.name or 'row'} {row}"
