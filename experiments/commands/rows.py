"""Rows that a command takes of a table: those that `--where` asks for, without doubtful ones.

Rows are chosen as `analysis.tables.selection` says, and read. Then doubtful rows
(`analysis.checks`) are reported: mistakes are refused, the others are kept or left out as
`--flagged` says.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, NamedTuple, TypeAlias

import pandas as pd

from analysis.checks import rows
from analysis.checks.flags import Reason, without_flagged
from analysis.tables.read import Source, read
from experiments.commands.console import console
from experiments.commands.options.analyses import RowOptions

Flagged: TypeAlias = Literal["keep", "drop"]
"""What to do with flagged rows."""

MISTAKES = (Reason.DUPLICATE, Reason.MIXED_UNITS, Reason.DECREASING_DATA)
"""Reasons that leave nothing to judge: a fit to such rows means nothing unless the user says so."""

MOST_PRINTED = 10
"""Flagged rows that are printed one by one; the JSON file lists all."""


class Settled(NamedTuple):
    """A table whose doubtful rows are kept or left out.

    Attributes:
        source: The table to fit.
        flags: The flags of its rows.
        found: All flags, also those of rows left out.
    """

    source: Source
    flags: pd.DataFrame
    found: pd.DataFrame


def read_rows(options: RowOptions, needs: Sequence[str] = ("loss",)) -> Source:
    """Reads the rows that a command asks for, and prints what was read from which columns."""
    source = read(
        options.table, options.columns, needs=needs, where=options.where, melt=options.melt
    )
    console.print(source.describe())
    return source


def settled(
    source: Source, inputs: tuple[str, ...], output: str, choice: Flagged | None
) -> Settled:
    """Checks the rows of a table and keeps, drops or refuses the doubtful ones.

    Args:
        source: The table.
        inputs: Inputs of the law that is to be fitted.
        output: The column that it predicts.
        choice: Keep or drop flagged rows; None keeps those that are a matter of judgement, and
            refuses mistakes.

    Raises:
        ValueError: A row that repeats another, suspected mixed units, or a learning curve whose D
            falls, with no choice made; or no row left.
    """
    flags = rows.check(source.table, inputs, output)
    mistakes = flags.loc[flags["reason"].isin(list(MISTAKES))]
    if choice is None and len(mistakes):
        more = f" ({len(mistakes):,} such rows)" if len(mistakes) > 1 else ""
        raise ValueError(
            f"{source.path}: {mistakes['reason'].iloc[0]}{more}: {mistakes['detail'].iloc[0]}; "
            "to fit all the same, give --flagged drop to leave flagged rows out, --flagged keep "
            "to keep them"
        )
    if choice != "drop":
        return Settled(source, flags, flags)
    kept = without_flagged(source.table, flags)
    if kept.empty:
        raise ValueError(f"{source.path}: every row is flagged; give --flagged keep")
    left = flags.loc[flags["row"].isin(list(kept.index))]
    return Settled(replace(source, table=kept), left, flags)


def print_flags(flags: pd.DataFrame, choice: Flagged | None) -> None:
    """Prints the doubtful rows that were found, and what was done with them."""
    if flags.empty:
        return
    done = "left out" if choice == "drop" else "kept; --flagged drop leaves them out"
    console.print(f"\nflagged rows are {done}")
    for _, flag in flags.head(MOST_PRINTED).iterrows():
        console.print(f"  {flag['reason']}: {flag['detail']}")
    if len(flags) > MOST_PRINTED:
        console.print(f"  and {len(flags) - MOST_PRINTED:,} more")
