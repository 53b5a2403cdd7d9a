"""One column of a raw table becomes a quantity in this project's units, or its fault is named."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.estimate import Floats
from analysis.tables import results
from analysis.tables.cells import parsed
from analysis.tables.columns import LABELS, declaration
from analysis.tables.numerals import NO_VALUE, SUFFIXES, readings, written
from analysis.tables.origins import Column
from analysis.tables.selection import filled
from analysis.tables.units import number

POSITIVE = ("N", "D", "C", "U", "loss")
FRACTIONS = ("accuracy", "error")
UNITS = {
    "N": "parameters",
    "D": "tokens or examples",
    "C": "FLOPs",
    "U": "tokens or examples",
    "M": "tokens per parameter",
    "loss": "nats per prediction",
    "accuracy": "fraction",
    "error": "fraction",
}
_NAMES = {
    "N": "a size",
    "D": "an amount of data",
    "C": "a compute",
    "U": "an amount of data",
    "M": "a ratio of tokens to parameters",
    "X": "a number of experts",
    "accuracy": "an accuracy",
    "error": "an error",
}
LEAST, MOST = 1e-50, 1e50
"""Range of positive quantities: products and squares of a fit stay within float64."""
_SUCH_AS = {"loss": "2.31", "accuracy": "0.25", "error": "0.25"}


def read_values(frame: pd.DataFrame, origin: Column, *, positive: bool = False) -> pd.Series:
    """Returns the values of a quantity in this project's units, each checked.

    Args:
        frame: The raw table; its index numbers the rows as in the file.
        origin: The quantity, its columns and unit.
        positive: Whether a quantity that is none of `POSITIVE` has to be above 0 too, for a law.

    Returns:
        float64 of the same index; for a label its column unchanged, or several joined.

    Raises:
        ValueError: Text, a missing or infinite value, one outside 1e-50 to 1e50 where only positive
            ones are possible, or an accuracy or error above 1. The message names the row, column
            and value, what to do, and which other rows.
    """
    quantity = origin.quantity
    if quantity in LABELS:
        first, *others = (results.column(frame, name) for name in origin.columns)
        for part in others:
            first = first.astype(str) + " | " + part.astype(str)
        return first
    column = results.column(frame, origin.columns[0])
    given = _numbers(column, origin)
    numbers = origin.unit.convert(given) if origin.unit else given
    positive = positive or quantity in POSITIVE
    wrong = ~np.isfinite(numbers)
    if positive:
        wrong |= (numbers < LEAST) | (numbers > MOST)
    if quantity in FRACTIONS:
        wrong |= numbers > 1
    if wrong.any():
        raise ValueError(_at_fault(column, wrong, given, origin, positive))
    return pd.Series(numbers, index=frame.index)


def lenient_values(frame: pd.DataFrame, origin: Column) -> pd.Series:
    """Returns the values of a quantity as `read_values` does, but NaN where it would refuse one."""
    if origin.quantity in LABELS:
        return read_values(frame, origin)
    column = results.column(frame, origin.columns[0])
    numbers = parsed(column)
    given = numbers.to_numpy(dtype=np.float64, na_value=np.nan)
    return pd.Series(origin.unit.convert(given) if origin.unit else given, index=frame.index)


def _numbers(column: pd.Series, origin: Column) -> Floats:
    """A column as numbers; refuses text, dates and truth values."""
    if pd.api.types.is_bool_dtype(column) or pd.api.types.is_datetime64_any_dtype(column):
        raise ValueError(_not_numbers(column, np.ones(len(column), dtype=bool), origin))
    numbers = parsed(column)
    text = (numbers.isna() & column.notna()).to_numpy(dtype=bool)
    if text.any():
        raise ValueError(_not_numbers(column, text, origin))
    return numbers.to_numpy(dtype=np.float64, na_value=np.nan)


def _not_numbers(column: pd.Series, wrong: NDArray[np.bool_], origin: Column) -> str:
    """The message on cells that hold no numbers, with the number to write where one is meant."""
    value = column.loc[wrong].iloc[0]
    if isinstance(value, str) and value.strip().lower() in NO_VALUE:
        says = f"{value!r} is no number; correct the value or take the {column.index.name} out"
    else:
        texts = column.loc[wrong].astype(str)
        comma = origin.quantity in ("loss", *FRACTIONS) or any(
            readings(text).is_decimal_comma for text in texts.unique()
        )
        says = f"{str(value)!r} is not a number; {_to_write(texts.iloc[0], origin, comma)}"
    return f"{_place(column, wrong)}: {says}{_more(column, wrong)}"


def _to_write(text: str, origin: Column, comma: bool) -> str:
    """The remedy for a text: the number that it stands for, in this unit or in that of its suffix.

    Args:
        text: The text of a cell.
        origin: The quantity and its column.
        comma: Whether a comma that could be either is a decimal comma.
    """
    amount, factor = text.strip(), None
    share = number(amount[:-1]) if amount.endswith("%") else None
    if origin.quantity in FRACTIONS and share is not None and 0 <= share <= 100:
        return (
            f"write {share / 100:.12g}, or {written(share)} and the other values in per cent, "
            f"declared as --columns {declaration(origin.quantity, origin.columns[0], '%')}"
        )
    if origin.quantity not in ("loss", *FRACTIONS):
        factor = SUFFIXES.get(amount[-1:].lower())
        amount = amount if factor is None else amount[:-1].strip()
    found = readings(amount)
    plain = number(amount) if factor else None
    thousands = found.thousands if found.decimal is None or not comma else None
    meant = [value for value in (plain, thousands, found.decimal) if value is not None]
    if not meant or not np.isfinite(meant[0]):
        return f"write a number, such as {_SUCH_AS.get(origin.quantity, '1.3e9')}"
    if factor:
        return (
            f"write {written(meant[0] * float(factor))}, or {written(meant[0])} and the other "
            f"values in that unit, declared as --columns "
            f"{declaration(origin.quantity, origin.columns[0], factor)}"
        )
    if len(meant) > 1:
        return (
            f"write {meant[0]:.15g} if the comma separates thousands, {meant[1]:.15g} if "
            "it is a decimal comma"
        )
    how = "without separators" if found.decimal is None else "with a decimal point"
    return f"write {meant[0]:.15g}, {how}"


def _at_fault(
    column: pd.Series, wrong: NDArray[np.bool_], given: Floats, origin: Column, positive: bool
) -> str:
    """The message on numbers that a quantity cannot take."""
    value = given[wrong][0]
    quantity, others = origin.quantity, ""
    name = f"{_NAMES[quantity]} ({quantity})" if quantity in _NAMES else f"the {quantity}"
    if np.isnan(value):
        says = f"holds no number (empty or NaN), but {name} is needed for every run"
        where = filled(origin.columns[0])
        others = f", as by --where {where}" if where and np.any(given > 0) else ""
    elif quantity in FRACTIONS and value > 1:
        says = (
            f"{value:g} cannot be {name}, which is a fraction of at most 1; declare "
            f"per cent as --columns {declaration(quantity, origin.columns[0], '%')}"
        )
    elif positive:
        is_perplexity = origin.unit is not None and origin.unit.is_perplexity
        limit = "above 1" if is_perplexity else "a finite number above 0"
        if np.isfinite(value) and value > (1 if is_perplexity else 0):
            limit = f"between {LEAST:g} and {MOST:g}"
        says = f"{value:g} cannot be {name}, which is {limit}"
    else:
        says = f"{value:g} cannot be {name}, which is a finite number"
    return (
        f"{_place(column, wrong)}: {says}; correct the value or take the "
        f"{column.index.name} out{others}{_more(column, wrong)}"
    )


def _place(column: pd.Series, wrong: NDArray[np.bool_]) -> str:
    """Where the first of the wrong cells is."""
    return f"{column.index.name} {column.index[wrong][0]}, column {str(column.name)!r}"


def _more(column: pd.Series, wrong: NDArray[np.bool_], shown: int = 5) -> str:
    """Where the other wrong cells are."""
    others = column.index[wrong][1:]
    if not len(others):
        return ""
    listed = ", ".join(map(str, others[:shown]))
    rest = f" and {len(others) - shown} more" if len(others) > shown else ""
    return f" (likewise in {listed}{rest})"
