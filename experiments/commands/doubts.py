"""Doubts about the rows of a table taken together, the same for every command that takes rows."""

from collections.abc import Sequence

import pandas as pd

from analysis.checks.mixture import telling_apart
from analysis.tables.selection import equals
from experiments.commands import provenance
from experiments.commands.console import console

_PREFIX = "environment."


def about(table: pd.DataFrame, inputs: Sequence[str] = ()) -> list[str]:
    """Returns why rows should perhaps not be analysed as one: kinds of runs, code, devices.

    Args:
        table: The rows that are analysed.
        inputs: Inputs of the law.
    """
    return [*_mixture(table, inputs), *provenance.differences(_environments(table))]


def print_about(doubts: Sequence[str]) -> None:
    """Prints doubts, a line each."""
    if doubts:
        console.print("\n" + "\n".join(f"doubt: {each}" for each in doubts), soft_wrap=True)


def _mixture(table: pd.DataFrame, inputs: Sequence[str]) -> list[str]:
    kinds = telling_apart(table, inputs)
    if not kinds:
        return []
    names = ", ".join(each.column for each in kinds)
    pairs = (equals(each.column, each.commonest) for each in kinds)
    pair = next(filter(None, pairs), None)
    example = f", such as --where {pair}" if pair else ""
    return [f"rows differ in {names}: choose among them by --where column=value{example}"]


def _environments(table: pd.DataFrame) -> list[tuple[dict[str, object], int]]:
    """How each run was computed, of a table that says so: the columns of a results folder."""
    names = [str(name) for name in table if str(name).startswith(_PREFIX)]
    short = [name.removeprefix(_PREFIX) for name in names]
    values = table[names].to_numpy(object, copy=True)
    values[pd.isna(values)] = None
    return [(dict(zip(short, row, strict=True)), 1) for row in values]
