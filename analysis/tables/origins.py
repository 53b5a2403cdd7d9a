"""Where the values of a quantity come from: a column of the file, or other quantities.

C = k N D with k FLOPs per parameter and token (6 unless given otherwise), M = D / N tokens per
parameter, and epochs = D / U. An origin is printed as one line.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, TypeAlias, TypeVar

import pandas as pd

from analysis.estimate import Floats
from analysis.tables.units import Unit

Values = TypeVar("Values", pd.Series, Floats)


class Column(NamedTuple):
    """A quantity that is read from a column.

    Attributes:
        quantity: `N`, `loss`, ...
        columns: The columns; several for a label made of them.
        unit: The unit they are in, None where none is declared.
        declared: Whether the caller named the columns; else they were recognised by their names.
        unit_in_name: Whether the unit is a word of the column's name, neither declared nor in
            brackets.
    """

    quantity: str
    columns: tuple[str, ...]
    unit: Unit | None = None
    declared: bool = True
    unit_in_name: bool = False

    def __str__(self) -> str:
        shown = " + ".join(map(repr, self.columns))
        by_name = ", by its name" if self.unit_in_name and self.declared else ""
        unit = f" [{self.unit.text}{by_name}]" if self.unit else ""
        return f"{self.quantity} = {shown}{unit}{'' if self.declared else ' (by its name)'}"


class Product(NamedTuple):
    """One of N, D and C that follows from the two others by C = k N D.

    Attributes:
        quantity: `N`, `D` or `C`.
        flops: The number k, FLOPs per parameter and token.
    """

    quantity: str
    flops: float

    def of(self, values: Mapping[str, Values]) -> Values:
        """Returns the values of the quantity from those of the two others."""
        if self.quantity == "C":
            return self.flops * values["N"] * values["D"]
        return values["C"] / (self.flops * values["D" if self.quantity == "N" else "N"])

    def __str__(self) -> str:
        if self.quantity == "C":
            return f"C = {self.flops:g} N D"
        return f"{self.quantity} = C / ({self.flops:g} {'D' if self.quantity == 'N' else 'N'})"


class Ratio(NamedTuple):
    """A quantity that is one quantity over another."""

    quantity: str
    over: str
    under: str

    def of(self, values: Mapping[str, Values]) -> Values:
        """Returns the values of the ratio from those of the two quantities."""
        return values[self.over] / values[self.under]

    def __str__(self) -> str:
        return f"{self.quantity} = {self.over} / {self.under}"


RATIOS = (Ratio("M", "D", "N"), Ratio("epochs", "D", "U"))
"""Quantities that follow from others where a law needs them."""

Origin: TypeAlias = Column | Product | Ratio
