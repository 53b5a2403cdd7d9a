"""Doubtful rows of a table: told, refused where they are mistakes, kept or left out as asked."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, TypeAlias

import pandas as pd

from analysis.checks import rows
from analysis.checks.flags import Reason, without_flagged
from analysis.tables.read import Source
from experiments.commands.console import console

Flagged: TypeAlias = Literal["keep", "drop"]
"""What to do with flagged rows."""

MISTAKES = (Reason.DUPLICATE, Reason.MIXED_UNITS, Reason.DECREASING_DATA)
"""Reasons that are no matter of judgement: a fit to such rows means nothing unless one says so."""

MOST_TOLD = 10
"""Flagged rows told one by one; the JSON file tells all."""


def settled(
    source: Source, inputs: tuple[str, ...], output: str, choice: Flagged | None
) -> tuple[Source, pd.DataFrame]:
    """Checks the rows of a table and does with the doubtful ones what was asked.

    Args:
        source: The table.
        inputs: Of the law that is to be fitted.
        output: The column that it predicts.
        choice: Keep or drop flagged rows; None keeps those that are a matter of judgement, and
            refuses mistakes.

    Returns:
        The table to fit, and the flags of its rows.

    Raises:
        ValueError: A row that repeats another, suspected mixed units, or a learning curve whose D
            falls, with no choice made.
    """
    flags = rows.check(source.table, inputs, output)
    mistakes = flags.loc[flags["reason"].isin(list(MISTAKES))]
    if choice is None and len(mistakes):
        more = f" ({len(mistakes):,} such rows)" if len(mistakes) > 1 else ""
        raise ValueError(
            f"{source.path}: {mistakes['reason'].iloc[0]}{more}: {mistakes['detail'].iloc[0]}; "
            "mend the table, or give --flagged drop to leave flagged rows out, --flagged keep to "
            "take them as they are"
        )
    _tell(flags, choice)
    if choice != "drop":
        return source, flags
    kept = without_flagged(source.table, flags)
    if kept.empty:
        raise ValueError(f"{source.path}: every row is flagged; give --flagged keep")
    return replace(source, table=kept), flags.loc[flags["row"].isin(list(kept.index))]


def _tell(flags: pd.DataFrame, choice: Flagged | None) -> None:
    for _, flag in flags.head(MOST_TOLD).iterrows():
        console.print(f"  {flag['reason']}: {flag['detail']}", markup=False)
    if len(flags) > MOST_TOLD:
        console.print(f"  and {len(flags) - MOST_TOLD:,} more")
    if len(flags):
        done = "left out" if choice == "drop" else "kept; --flagged drop leaves them out"
        console.print(f"flagged rows are {done}")
