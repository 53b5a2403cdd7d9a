"""Rows that `--where` asks for, chosen before any value is judged: what is left out harms nobody.

A text such as `optimizer=adamw,N>1e7,step=last` is a list of conditions that hold together:

| condition | takes |
|---|---|
| `COLUMN=VALUE` | rows with this value, as text or number; of several for one column, any |
| `COLUMN!=VALUE` | the other rows, those with an empty cell included |
| `COLUMN<NUMBER`, also `<=`, `>`, `>=` | rows whose cell is a number in this range |
| `COLUMN=last` | of each run the row where the column is greatest, which must be one |
| `COLUMN=min`, `COLUMN=max` | of each run the first row where the column is least or greatest |

A name is first that of a declared quantity (`N`, `loss`, ... in the units of this project), then of
a column with the values of the file, then of a quantity that was recognised or derived; `file.NAME`
is always the column. The last three are taken of the rows that fulfil all other conditions. A
column that holds the word `last`, `min` or `max` itself is compared with it. A run is what `run`,
`group` and `seed` tell apart.
"""

from __future__ import annotations

import csv
import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from analysis.errors import nearest_name, typed
from analysis.tables import results
from analysis.tables.cells import parsed
from analysis.tables.columns import LABELS
from analysis.tables.numerals import SUFFIXES, written
from analysis.tables.units import number

MOST_VALUES = 12
"""Values of a column that are listed where the one asked for is not among them."""

CLOSE = 1e-9
"""Relative difference up to which two numbers count as equal: units were multiplied in."""

_CONDITION = re.compile(
    r"\s*(?P<name>[^<>=!]*[^<>=!\s])\s*(?P<sign><=|>=|!=|==|=|<|>)(?P<value>.*)"
)
_FORM = (
    "write COLUMN=VALUE,... (or !=, <, <=, >, >=; =last, =min, =max for a row of each run), all in "
    "single quotes, since the shell takes > and < for itself, and in double quotes within these a "
    "condition whose value holds a comma"
)
_ORDERS: dict[str, Callable[[pd.Series, float], pd.Series]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_PICKS = ("last", "min", "max")


class Condition(NamedTuple):
    """What a row must fulfil: `name`, a `sign` (`=`, `!=`, `<`, `<=`, `>`, `>=`) and a `value`."""

    name: str
    sign: str
    value: str

    def __str__(self) -> str:
        return f"{self.name}{self.sign}{self.value}"


class Selection(NamedTuple):
    """What was asked for, and how many rows it takes.

    Attributes:
        where: The conditions as text.
        taken: Rows taken, those of unfinished runs counted.
        of: Rows of the file.
    """

    where: str
    taken: int
    of: int

    def __str__(self) -> str:
        return f"{self.where}: {self.taken:,} of {self.of:,} rows"


_MIRRORED = str.maketrans("<>", "><")


def parse(text: str) -> tuple[Condition, ...]:
    """Returns the conditions of a text.

    Raises:
        ValueError: A part that is no condition, or a range whose end is no number.
    """
    conditions = []
    for part in next(csv.reader([text], skipinitialspace=True)) or [text]:
        found = _CONDITION.fullmatch(part)
        value = found["value"].strip() if found else ""
        if not found or not value:
            raise ValueError(f"--where {text}: {part!r} is no condition; {_FORM}")
        sign = found["sign"].replace("==", "=")
        limit = number(value)
        if sign in _ORDERS and (limit is None or np.isnan(limit)):
            how, such_as = _instead(found["name"], sign, value)
            raise ValueError(
                f"--where {text}: {value!r} is no number to compare with; write {how}, such as "
                f"'{such_as}'"
            )
        conditions.append(Condition(found["name"], sign, value))
    return tuple(conditions)


def _instead(name: str, sign: str, value: str) -> tuple[str, str]:
    """How to write a range whose end is no number, and an example."""
    if number(name) is not None:  # 1e7<N, 1e7<N<1e8
        turned = sign.translate(_MIRRORED)
        inner = _CONDITION.fullmatch(value)
        if inner is None:
            return "the column first", f"{value}{turned}{name}"
        column = inner["name"]
        return "two conditions", f"{column}{turned}{name},{column}{inner['sign']}{inner['value']}"
    factor = number(SUFFIXES.get(value[-1:].lower(), ""))
    amount = number(value[:-1])
    if factor is None or amount is None or np.isnan(amount):
        return "one", f"{name}{sign}1e7"
    return "it out", f"{name}{sign}{written(amount * factor)}"


def equals(name: str, value: object) -> str | None:
    """Returns the condition that a column has a value, as it is typed after `--where`.

    Returns:
        None where no text says so, as of a name that holds a sign of comparison.
    """
    wanted = Condition(name, "=", str(value).strip())
    text = str(wanted)
    if re.search(r"[,\"\r\n]", text):
        text = '"' + text.replace('"', '""') + '"'
    try:
        return typed(text) if parse(text) == (wanted,) else None
    except ValueError:
        return None


def filled(name: str) -> str | None:
    """Returns the condition that a column holds a number above 0, as `equals` types it."""
    wanted = Condition(name, ">", "0")
    try:
        return typed(str(wanted)) if parse(str(wanted)) == (wanted,) else None
    except ValueError:
        return None


def by_columns(
    frame: pd.DataFrame, conditions: Sequence[Condition], declared: Iterable[str] = ()
) -> pd.DataFrame:
    """Returns the rows that fulfil the conditions on columns of the file.

    Args:
        frame: The raw table.
        conditions: Those on anything else are passed over.
        declared: Quantities that a column is declared for: the name of one is not that of a column.

    Raises:
        ValueError: A value that is not there, numbers asked of a column without any, or conditions
            that no row fulfils together.
    """
    own = {
        each.name: results.column(frame, name)
        for each in conditions
        if (name := _column_name(frame, each.name)) and each.name not in declared
    }
    return _fulfilling(frame, [each for each in conditions if each.name in own], own)


def by_quantities(
    frame: pd.DataFrame,
    conditions: Sequence[Condition],
    quantities: Mapping[str, pd.Series],
    declared: Iterable[str] = (),
) -> pd.DataFrame:
    """Returns the rows that fulfil the conditions on quantities, then the one that each run asks.

    Args:
        frame: The rows that `by_columns` took.
        conditions: All conditions.
        quantities: Values by quantity, in the units of this project, NaN where a cell is none.
        declared: As for `by_columns`.

    Raises:
        ValueError: As `by_columns`; a name that is neither; no labels that tell runs apart; or a
            run with several last rows.
    """
    looked_up = {}
    for each in conditions:
        name = _column_name(frame, each.name)
        if each.name in quantities and (name is None or each.name in declared):
            looked_up[each.name] = quantities[each.name]
        elif name is not None:
            looked_up[each.name] = results.column(frame, name)
        else:
            known = dict.fromkeys([*map(str, frame.columns), *quantities])
            raise ValueError(f"--where: no column {each.name!r}; {nearest_name(each.name, known)}")
    late = [each for each in conditions if looked_up[each.name] is quantities.get(each.name)]
    kept = _fulfilling(frame, late, looked_up)
    for each in conditions:
        if _is_pick(each, looked_up[each.name]):
            runs = {name: quantities[name] for name in LABELS if name in quantities}
            kept = _one_of_each_run(kept, each, looked_up[each.name], runs)
    return kept


def passed_over(frame: pd.DataFrame, conditions: Sequence[Condition]) -> list[str]:
    """Says which values a condition takes for others although they differ in spelling alone.

    That is in case, or in spaces, hyphens and underscores. Only columns of the file are looked at.

    Args:
        frame: The raw table.
        conditions: All conditions, each of which some row fulfils.

    Returns:
        A sentence for each column and value.
    """
    said: dict[str, str] = {}
    for each in conditions:
        name = _column_name(frame, each.name)
        if name is None or each.sign not in ("=", "!="):
            continue
        column = results.column(frame, name)
        cells = column.dropna().astype(str).str.strip()
        if _is_pick(each, column) or number(each.value) is not None:
            continue
        asked = {other.value for other in conditions if (other.name, other.sign) == each[:2]}
        alike = cells[cells.map(_bare).eq(_bare(each.value)) & ~cells.isin(asked)]
        does = "leaves out" if each.sign == "=" else "keeps"
        for value, count in alike.value_counts().items():
            rows = f"{count:,} row{'' if count == 1 else 's'} of {value!r}"
            add = f"{each.name}{each.sign}{value}"
            said[add] = f"--where {each} {does} {rows}: if it is the same, add {add}"
    return list(said.values())


def _bare(text: str) -> str:
    """A value without what its spellings differ in: case, spaces, hyphens, underscores."""
    return re.sub(r"[\s_-]+", "", text).casefold()


def _column_name(frame: pd.DataFrame, name: str) -> str | None:
    """The column that a name means, `file.NAME` included; None for no column."""
    return next((each for each in (name, name.removeprefix("file.")) if each in frame), None)


def _is_pick(condition: Condition, column: pd.Series) -> bool:
    """Whether a condition asks for one row of each run."""
    word = condition.sign == "=" and condition.value in _PICKS
    return word and not column.astype(str).eq(condition.value).any()


def _fulfilling(
    frame: pd.DataFrame, conditions: Sequence[Condition], columns: Mapping[str, pd.Series]
) -> pd.DataFrame:
    """The rows that fulfil all conditions; of the equalities of one column, any."""
    conditions = [each for each in conditions if not _is_pick(each, columns[each.name])]
    keep = pd.Series(True, index=frame.index)
    left = []
    for name in dict.fromkeys(each.name for each in conditions):
        asked = [each for each in conditions if each.name == name]
        equal = [_equal(columns[name], each) for each in asked if each.sign == "="]
        if equal:
            keep &= pd.concat(equal, axis=1).any(axis=1)
        for each in asked:
            if each.sign == "!=":
                keep &= ~_equal(columns[name], each)
            elif each.sign != "=":
                keep &= _ORDERS[each.sign](_numbers(columns[name], each), float(each.value))
        left.append(f"{','.join(map(str, asked))} leaves {int(keep.sum())}")
    if not keep.any():
        raise ValueError(
            f"--where: no row fulfils all of these conditions ({', then '.join(left)}); ask for "
            "fewer, or for values that occur together"
        )
    return frame.loc[keep]


def _equal(column: pd.Series, condition: Condition) -> pd.Series:
    """Marks the cells that equal a value, as text or as a number.

    Raises:
        ValueError: No cell does.
    """
    hit = column.astype(str).str.strip().eq(condition.value)
    value = number(condition.value)
    if value is not None:
        numbers = _coerced(column).to_numpy(np.float64)
        hit |= np.isclose(numbers, value, rtol=CLOSE, atol=0)
    if not hit.any():
        there = column.dropna().astype(str).unique()
        raise ValueError(
            f"--where {condition}: no such value; "
            f"{nearest_name(condition.value, there, MOST_VALUES)}"
        )
    return hit


def _numbers(column: pd.Series, condition: Condition) -> pd.Series:
    """A column as numbers, NaN where a cell is none.

    Raises:
        ValueError: No cell is a number.
    """
    numbers = _coerced(column)
    if numbers.isna().all():
        raise ValueError(
            f"--where {condition}: no cell of {condition.name!r} is a number; compare numbers, or "
            f"ask for a value, as {condition.name}=VALUE"
        )
    return numbers


def _coerced(column: pd.Series) -> pd.Series:
    return parsed(column).astype("float64")


def _one_of_each_run(
    frame: pd.DataFrame, condition: Condition, column: pd.Series, labels: Mapping[str, pd.Series]
) -> pd.DataFrame:
    """The row of each run where a column is last, least or greatest.

    Raises:
        ValueError: No labels, an empty cell of a label, or two last rows of a run.
    """
    if not labels:
        columns = ", ".join(map(repr, frame.columns))
        raise ValueError(
            f"--where {condition}: no column tells runs apart, so that there is no such row of "
            "each; name one or several together, as --columns run=NAME or run=NAME+NAME (there "
            f"are {columns})"
        )
    numbers = _numbers(column.loc[frame.index], condition)
    if condition.value == "min":
        numbers = -numbers
    runs = pd.DataFrame({name: each.loc[frame.index] for name, each in labels.items()})
    run = runs.groupby(list(runs.columns), dropna=False, sort=False).ngroup()
    top = numbers.eq(numbers.groupby(run).transform("max"))
    if condition.value == "last" and (twice := run[top].duplicated()).any():
        row = twice.index[twice][0]
        first = run.index[top & run.eq(run[row])][0]
        raise ValueError(
            f"--where {condition}: {frame.index.name} {first} and {row} are both the last of one "
            f"run ({', '.join(map(str, runs.loc[row]))}); if they are of several runs, name the "
            "columns that tell these apart, as --columns run=NAME+NAME, else take one out"
        )
    return frame.loc[top & ~run.where(top).duplicated()]
