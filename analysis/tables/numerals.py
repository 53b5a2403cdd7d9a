"""Texts that stand for a number but are none: what they mean, as remedies say it."""

from __future__ import annotations

import re
from typing import NamedTuple

NO_VALUE = frozenset({"", "-", "--", "nan", "n/a", "na", "null", "none", "missing"})
"""Texts, in small letters, that programs write where there is no value."""

SUFFIXES = {"k": "1e3", "m": "1e6", "b": "1e9", "g": "1e9", "t": "1e12"}
"""Factors of the letters after a number, in small letters."""

_POWER = r"(?:e[+-]?\d+)?"
_BY_MARKS = r"(?P<by>[,' _])\d{3}(?:(?P=by)\d{3})*(?:\.\d+)?"
_BY_DOTS = r"(?:\.\d{3}){2,}"
_THOUSANDS = re.compile(rf"[+-]?[1-9]\d{{0,2}}(?:{_BY_MARKS}|{_BY_DOTS}){_POWER}", re.IGNORECASE)
_DECIMAL_COMMA = re.compile(rf"[+-]?(?:\d{{1,3}}(?:[.' ]\d{{3}})+|\d*),\d+{_POWER}", re.IGNORECASE)


class Readings(NamedTuple):
    """Numbers that a text may stand for.

    Attributes:
        thousands: The number if its marks separate thousands; None where they cannot.
        decimal: The number if its comma is a decimal comma; None where it cannot be.
    """

    thousands: float | None
    decimal: float | None

    @property
    def is_decimal_comma(self) -> bool:
        """Whether the text has a decimal comma without a doubt."""
        return self.decimal is not None and self.thousands is None


def readings(text: str) -> Readings:
    """Returns the numbers that a text with separators may stand for.

    A comma that groups of three digits do not follow is a decimal comma; one that they follow may
    be either.
    """
    text = re.sub(r"\s", " ", text.strip())
    thousands = decimal = None
    if _THOUSANDS.fullmatch(text):
        dots = text.count(".") > 1
        thousands = float(re.sub(r"[,' _.]" if dots else r"[,' _]", "", text))
    if _DECIMAL_COMMA.fullmatch(text):
        decimal = float(re.sub(r"[.' ]", "", text).replace(",", "."))
    return Readings(thousands, decimal)


def written(value: float) -> str:
    """Returns a number in few digits, but in as many as it has."""
    short = f"{value:.6g}"
    return short if float(short) == value else repr(value)
