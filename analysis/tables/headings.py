"""What the name of a column says: the quantity's name, and the unit in brackets or at either end.

`tokens [1e9]`, `tokens (B)`, `tokens_B`, `tokens_in_billions`, `Btokens` and `billion_tokens` are
tokens in billions; `total_gflops` is total FLOPs in GFLOPs; `val_bpb` is a validation loss in bits
per byte.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from analysis.tables import units
from analysis.tables.names import PERPLEXITIES, bare, tier, words
from analysis.tables.units import Unit

BRACKETED = re.compile(r"(?P<name>.*?\S)\s*(?:\[(?P<unit>[^\]]*)\]|\((?P<other>[^)]*)\))")

_IN_NAMES = {
    "C": {"pfdays": "PF-days", "petaflopdays": "PF-days"},
    "loss": dict.fromkeys(PERPLEXITIES, "perplexity"),
}
_POWER = re.compile(r"1e\d+")
_COUNTED = ("N", "D", "U", "C")
_LONGEST = 3
"""Words of the longest unit at the end of a name: bits per byte."""
_RATES = ("kflops", "mflops", "gflops", "tflops", "pflops")
"""FLOPs that stand alone in a name: mostly a rate, or the FLOPs of one forward pass."""


class Heading(NamedTuple):
    """A reading of a column's name.

    Attributes:
        name: The name without its unit.
        unit: The unit that it states; None where it states none.
        in_words: Whether the unit is a word of the name, rather than in brackets.
    """

    name: str
    unit: Unit | None = None
    in_words: bool = False


def readings(name: str, quantity: str) -> Iterator[Heading]:
    """Yields what a name may say about a quantity, the surest first."""
    found = BRACKETED.fullmatch(name)
    unit = units.find(quantity, found["unit"] or found["other"] or "") if found else None
    if found and unit:
        yield Heading(found["name"], unit)
        return
    implied = _IN_NAMES.get(quantity, {}).get(bare(name))
    yield Heading(name, units.unit(quantity, implied) if implied else None)
    parts = words(name)
    for n in range(1, min(_LONGEST, len(parts)) + 1):
        ends = [(parts[:-n], parts[-n:])]
        if n == 1:
            ends.append((parts[1:], parts[:1]))
        for rest, end in ends:
            text = "".join(end)
            unit = _unit_of_word(quantity, text, "".join(rest), is_last=rest == parts[:-n])
            if unit is None:
                continue
            rest = rest[:-1] if rest and rest[-1].lower() == "in" else rest
            yield Heading("_".join(rest), unit, True)
            if noun := units.noun(quantity, text):
                yield Heading("_".join([*rest, noun]), unit, True)


def known(name: str, quantity: str) -> tuple[Heading, int] | None:
    """Returns the surest reading of a name as one of a quantity, and its tier; None without any."""
    if name == quantity:
        return Heading(name), 0
    for heading in readings(name, quantity):
        place = tier(quantity, bare(heading.name))
        if place is not None:
            lone = heading.in_words and bare(name) in _RATES
            return None if lone else (heading, place)
    return None


def stated(name: str, quantity: str) -> Heading:
    """Returns the reading of a column that is declared for a quantity, whatever it is called."""
    surest = known(name, quantity)
    if surest is not None:
        return surest[0]
    with_unit = (each for each in readings(name, quantity) if each.unit and _matters(each.unit))
    return next(with_unit, Heading(name))


def _matters(unit: Unit) -> bool:
    """Whether values change by a unit."""
    return unit.factor != 1.0 or unit.is_perplexity


def unsure_unit(name: str, quantity: str) -> str | None:
    """Returns a last letter that would be a unit if it were a capital, as in `size_m`."""
    *rest, last = words(name) or [""]
    is_small = len(last) == 1 and last.islower() and bool(rest)
    return last if is_small and quantity in _COUNTED and units.find(quantity, last) else None


def _unit_of_word(quantity: str, text: str, rest: str, *, is_last: bool) -> Unit | None:
    """The unit that a word at an end of a name is; None where it may be something else."""
    if units.number(text) is not None:
        sure = quantity in _COUNTED and bool(_POWER.fullmatch(text.lower()))
    elif len(text) == 1:
        # A small letter may be an index: `tokens_t`, `d_k`.
        small = is_last and text in "mb" and tier(quantity, rest.lower()) is not None
        sure = bool(rest) and (text == "%" or text.isupper() or (small and len(rest) > 1))
    else:
        sure = bool(rest) or bool(units.noun(quantity, text))
    return units.find(quantity, text) if sure else None
