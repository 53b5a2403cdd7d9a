"""Options that hold pairs, `NAME=VALUE,...`: one parser for `--fix` and `--at`."""

import csv
import math
from typing import NamedTuple


class PairOption(NamedTuple):
    """An option whose text is a list of pairs.

    Attributes:
        flag: The option, such as `--fix`.
        form: How to write it, for messages.
    """

    flag: str
    form: str

    def parse(self, text: str) -> list[tuple[str, str]]:
        """Returns the names and values in the order of the text, without outer spaces.

        Args:
            text: `NAME=VALUE,...`; a pair in double quotes may hold commas.

        Raises:
            ValueError: A part that is no pair.
        """
        pairs = []
        for part in next(csv.reader([text], skipinitialspace=True)) or [text]:
            name, _, value = (each.strip() for each in part.partition("="))
            if not name or not value:
                raise ValueError(f"{self.flag} {text}: {part!r} is no pair; write {self.form}")
            pairs.append((name, value))
        return pairs

    def parse_numbers(self, text: str) -> dict[str, float]:
        """Returns the numbers by their names.

        Raises:
            ValueError: A part that is no pair, a value that is no finite number, or a name given
                twice.
        """
        numbers: dict[str, float] = {}
        for name, value in self.parse(text):
            if name in numbers:
                raise ValueError(f"{self.flag} {text}: {name} is given twice; give it once")
            try:
                numbers[name] = float(value)
            except ValueError:
                numbers[name] = math.nan
            if not math.isfinite(numbers[name]):
                raise ValueError(
                    f"{self.flag} {text}: {name} = {value} is no finite number; write {self.form}"
                )
        return numbers


FIX = PairOption("--fix", "NAME=NUMBER,NAME=NUMBER")
AT = PairOption("--at", "N=1e9,D=2e10 or C=1e21")
SHAPE = PairOption("--shape", "layers=12,width=768,vocabulary=50257,context=1024")
