"""Rows of a table by the values of its columns: `--where hparams=tuned,warmup=short`."""

from __future__ import annotations

import csv
import difflib
from dataclasses import replace

import pandas as pd

from analysis.tables import results
from analysis.tables.read import Source
from experiments.commands.console import console
from scaling.fields import nearest

MOST_VALUES = 12
"""Values of a column named where one asked for is not among them."""


def selected(source: Source, where: str | None) -> Source:
    """A source with the rows that `select` takes, and how many they are on the screen."""
    if where is None:
        return source
    table = select(source.table, where)
    console.print(f"{where}: {len(table):,} of {len(source.table):,} rows", markup=False)
    return replace(source, table=table)


def select(table: pd.DataFrame, where: str) -> pd.DataFrame:
    """The rows of a table that have given values.

    Args:
        table: The table.
        where: `column=value,...`, quoted where a value holds a comma; of several values of one
            column any will do.

    Returns:
        The rows.

    Raises:
        ValueError: Not of that form, a column or a value that is not there (with the nearest and
            those that are), or values that no row has together.
    """
    wanted: dict[str, list[str]] = {}
    for part in next(csv.reader([where], skipinitialspace=True)):
        name, equals, value = part.partition("=")
        if not equals or not name.strip() or not value.strip():
            raise ValueError(
                f"--where {part!r}: not of the form column=value,... (quote a part that holds a "
                "comma)"
            )
        wanted.setdefault(name.strip(), []).append(value.strip())
    keep = pd.Series(True, index=table.index)
    left = []
    for name, values in wanted.items():
        if name not in table:
            columns = map(str, table.columns)
            raise ValueError(f"--where: no column {name!r}; {nearest(name, columns)}")
        hits = [_equal(results.column(table, name), value) for value in values]
        for value, hit in zip(values, hits, strict=True):
            if not hit.any():
                raise ValueError(_no_value(results.column(table, name), value))
        keep &= pd.concat(hits, axis=1).any(axis=1)
        left.append(f"{name}={'|'.join(values)} leaves {int(keep.sum())}")
    if not keep.any():
        raise ValueError(f"--where {where}: no row has all of it ({', then '.join(left)})")
    return table.loc[keep]


def _equal(column: pd.Series, value: str) -> pd.Series:
    """Which cells are a value, as text or as a number."""
    same = column.astype(str) == value
    try:
        number = float(value)
    except ValueError:
        return same
    numbers = pd.Series(pd.to_numeric(column, errors="coerce"), index=column.index)
    return same | numbers.eq(number).astype(bool)


def _no_value(column: pd.Series, value: str) -> str:
    there = sorted(column.dropna().astype(str).unique())
    close = difflib.get_close_matches(value, there, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]!r}? " if close else ""
    more = f" and {len(there) - MOST_VALUES} more" if len(there) > MOST_VALUES else ""
    return (
        f"--where {column.name}={value}: no such value; {hint}"
        f"there are {', '.join(there[:MOST_VALUES])}{more}"
    )
