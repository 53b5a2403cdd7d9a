"""Cells of a raw table: nested ones become text, so that any code may compare and count them."""

from __future__ import annotations

import json
import math
import sys

import numpy as np
import pandas as pd

from analysis.tables import results


def scalar(frame: pd.DataFrame) -> pd.DataFrame:
    """Returns a table whose cells can be compared and hashed; nothing is left out.

    Lists, arrays, dictionaries and other containers become JSON text, bytes become the text that
    they encode. Columns without any are those of the table.
    """
    nested = {
        name: results.column(frame, name).map(_text)
        for name in frame.columns
        if frame.dtypes[name] == "object" and results.column(frame, name).map(_is_nested).any()
    }
    return frame.assign(**nested) if nested else frame


def numbers(column: pd.Series) -> pd.Series:
    """Returns a column as float64, NaN where a cell holds no number; truth and dates are none."""
    if pd.api.types.is_bool_dtype(column) or pd.api.types.is_datetime64_any_dtype(column):
        return pd.Series(np.nan, index=column.index)
    return parsed(column).astype("float64")


def parsed(column: pd.Series) -> pd.Series:
    """Returns a column of numbers, NaN where a cell is none, infinite beyond float64."""
    try:
        found = pd.to_numeric(column, errors="coerce")
    except OverflowError:  # an integer of JSON
        found = pd.to_numeric(column.map(_within_float64), errors="coerce")
    return pd.Series(found, index=column.index)


def _within_float64(cell: object) -> object:
    """A cell, infinite where it is an integer beyond the range of float64."""
    if isinstance(cell, int) and abs(cell) > sys.float_info.max:
        return math.inf if cell > 0 else -math.inf
    return cell


def _is_nested(cell: object) -> bool:
    return isinstance(cell, list | tuple | dict | set | frozenset | np.ndarray | bytes)


def _text(cell: object) -> object:
    """A nested cell as text; any other as it is."""
    if isinstance(cell, bytes):
        return cell.decode(errors="backslashreplace")
    return json.dumps(cell, default=_plain) if _is_nested(cell) else cell


def _plain(value: object) -> object:
    """What JSON has no form for, as what it has one for."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, set | frozenset):
        return sorted(value, key=str)
    return str(value)
