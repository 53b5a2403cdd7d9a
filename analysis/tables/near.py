"""Columns that are nearly named for a quantity: qualified, logarithms, or in a unit not known.

`target_tokens`, `loss_ema` and `n_params_active` may be what a caller means, or a rival of it;
`log10_params` and `params (mm)` are what is meant, in a form that is not read. None is taken by
its name, and none is passed over in silence.
"""

from __future__ import annotations

from typing import NamedTuple

from analysis.tables import units
from analysis.tables.headings import BRACKETED, known
from analysis.tables.names import bare, tier, words

_QUALIFIERS = frozenset(
    "active activated target planned expected estimated theoretical actual effective nominal max "
    "min best final last initial first ema smoothed smooth avg average mean median raw".split()
)
"""Words that tell one column of a quantity from another."""

SPREADS = frozenset(
    "std sd stdev stddev stderr se sem var variance ci error err low lower high upper mad iqr "
    "count num".split()
)
"""Words of a column that holds no value of a quantity, but how far it is known."""

_LOGARITHMS = frozenset(("log", "log2", "log10", "ln"))


class Near(NamedTuple):
    """Why a column is nearly named for a quantity, and whether declaring it can be right."""

    why: str
    is_readable: bool


def near(name: str, quantity: str) -> Near | None:
    """Returns why a column is nearly named for a quantity; None for one that is, or is not."""
    if known(name, quantity) is not None:
        return None
    found = BRACKETED.fullmatch(name)
    if found and _is_name(found["name"], quantity):
        inside = found["unit"] or found["other"] or ""
        if units.find(quantity, inside) is None:
            return Near(f"{inside!r} is no unit of it that is known", True)
    parts = words(name)
    lower = [part.lower() for part in parts]
    if lower and lower[0] in _LOGARITHMS and _is_name("_".join(parts[1:]), quantity):
        return Near("it seems to hold logarithms", False)
    rest = [part for part in parts if part.lower() not in _QUALIFIERS]
    if len(rest) < len(parts) and _is_name("_".join(rest), quantity):
        said = next(part for part in parts if part.lower() in _QUALIFIERS)
        return Near(f"its name says {said!r}", True)
    return None


def is_spread(name: str) -> bool:
    """Whether a column holds how far a value is known: `loss_std`, `loss_stderr`."""
    lower = [part.lower() for part in words(name)]
    return len(lower) > 1 and lower[-1] in SPREADS


def _is_name(name: str, quantity: str) -> bool:
    if name in ("N", "D", "C"):
        return name == quantity
    return len(bare(name)) > 1 and (
        known(name, quantity) is not None or tier(quantity, bare(name)) is not None
    )
