"""Rows that a command takes of a table: those that `--where` asks for, without doubtful ones.

Rows are chosen by the values of their columns, as in `--where hparams=tuned,warmup=short`. Then
doubtful rows (`analysis.checks`) are reported: mistakes are refused, the others are kept or left
out as `--flagged` says.
"""

from dataclasses import replace
from typing import Literal, NamedTuple, TypeAlias

import pandas as pd

from analysis.checks import rows
from analysis.checks.flags import Reason, without_flagged
from analysis.errors import nearest_name
from analysis.tables import results
from analysis.tables.read import Source
from experiments.commands.console import console
from experiments.commands.pairs import WHERE

MOST_VALUES = 12
"""Values of a column that are listed where the one asked for is not among them."""

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


def selected(source: Source, where: str | None) -> Source:
    """Returns a source with the rows that `select` takes, and prints how many they are."""
    if not where:
        return source
    table = select(source.table, where)
    console.print(f"{where}: {len(table):,} of {len(source.table):,} rows")
    return replace(source, table=table)


def select(table: pd.DataFrame, where: str) -> pd.DataFrame:
    """The rows of a table that have given values.

    Args:
        table: The table.
        where: `column=value,...`, quoted where a value holds a comma. A row that has any one of
            several values of one column is taken.

    Returns:
        The rows.

    Raises:
        ValueError: A text of another form; a column or a value that is not there (the message
            gives the nearest and those that are); values that no row has together.
    """
    wanted: dict[str, list[str]] = {}
    for name, value in WHERE.parse(where):
        wanted.setdefault(name, []).append(value)
    keep = pd.Series(True, index=table.index)
    left = []
    for name, values in wanted.items():
        if name not in table:
            columns = map(str, table.columns)
            raise ValueError(f"--where: no column {name!r}; {nearest_name(name, columns)}")
        column = results.column(table, name)
        keep &= pd.concat([_equal(column, value) for value in values], axis=1).any(axis=1)
        left.append(f"{name}={'|'.join(values)} leaves {int(keep.sum())}")
    if not keep.any():
        raise ValueError(
            f"--where {where}: no row has all of these values ({', then '.join(left)}); ask for "
            "fewer, or for values that occur together"
        )
    return table.loc[keep]


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


def _equal(column: pd.Series, value: str) -> pd.Series:
    """Marks the cells that equal a value, as text or as a number.

    Raises:
        ValueError: No cell does.
    """
    hit = column.astype(str) == value
    try:
        number = float(value)
    except ValueError:
        pass  # text alone
    else:
        numbers = pd.Series(pd.to_numeric(column, errors="coerce"), index=column.index)
        hit |= numbers.eq(number).astype(bool)
    if not hit.any():
        there = column.dropna().astype(str).unique()
        raise ValueError(
            f"--where {column.name}={value}: no such value; "
            f"{nearest_name(value, there, MOST_VALUES)}"
        )
    return hit


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
