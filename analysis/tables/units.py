"""Units that a column is declared in, as in `tokens[1e9]`, and their factors to our own units.

Parameters and tokens are counted, compute is in FLOPs (one multiply-add = 2), a loss is in nats
per prediction, an accuracy or error is a fraction.
"""

from __future__ import annotations

import math
import re
from typing import NamedTuple

import numpy as np

from analysis.errors import did_you_mean
from analysis.estimate import Floats

DAY_SECONDS = 86_400.0

_PREFIXES = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12, "p": 1e15, "e": 1e18, "z": 1e21}
_COUNTS = {
    "k": 1e3, "thousand": 1e3, "m": 1e6, "mn": 1e6, "million": 1e6, "millions": 1e6,
    "b": 1e9, "g": 1e9, "bn": 1e9, "billion": 1e9, "billions": 1e9,
    "t": 1e12, "tn": 1e12, "trillion": 1e12, "trillions": 1e12,
}  # fmt: skip
_DATA = {
    f"{prefix}{noun}": _COUNTS.get(prefix, 1.0)
    for prefix in ("", "k", "m", "b", "g", "t")
    for noun in ("tokens", "examples", "samples")
}
_SHARE = {"fraction": 1.0, "%": 0.01, "percent": 0.01, "pct": 0.01, "percentage": 0.01}
_PLAIN = {
    "": {"1": 1.0},
    "N": {
        f"{prefix}{noun}": _COUNTS.get(prefix, 1.0)
        for prefix in ("", "k", "m", "b", "g", "t")
        for noun in ("parameters", "params")
    },
    "D": _DATA,
    "U": _DATA,
    "C": {
        **{p: f for p, f in _PREFIXES.items() if p},
        **{f"{p}flop{s}": f for p, f in _PREFIXES.items() for s in ("", "s")},
        **{f"{p}macs": 2 * f for p, f in _PREFIXES.items()},
        **{
            f"{p}{name}day{s}": f * DAY_SECONDS
            for p, f in _PREFIXES.items()
            if p
            for name in ("f", "flop", "flops", "flop/s", "flops/s")
            for s in ("", "s")
        },
        **dict.fromkeys(("petaflopday", "petaflopdays"), 1e15 * DAY_SECONDS),
        **dict.fromkeys(("petaflopsdays", "petaflop/sdays"), 1e15 * DAY_SECONDS),
    },
    "loss": {
        **dict.fromkeys(("nats", "nats/token", "nats/byte"), 1.0),
        **dict.fromkeys(("natspertoken", "natsperbyte"), 1.0),
        **dict.fromkeys(("bits", "bits/token", "bits/byte", "bpb", "bpc"), math.log(2)),
        **dict.fromkeys(("bits/character", "bitspertoken", "bitsperbyte"), math.log(2)),
        **dict.fromkeys(("bitsperchar", "bitspercharacter"), math.log(2)),
        "dits": math.log(10),
    },
    "accuracy": _SHARE,
    "error": _SHARE,
}
_PERPLEXITY = ("ppl", "perplexity")
_SHOWN = {
    "N": "[1e6], [M], [B]",
    "D": "[1e9], [B], [tokens]",
    "U": "[1e9], [B], [tokens]",
    "C": "[FLOPs], [TFLOPs], [PF-days], [1e18]",
    "loss": "[nats], [bits], [bits/byte], [perplexity]",
    "accuracy": "[fraction], [%]",
    "error": "[fraction], [%]",
}


class Unit(NamedTuple):
    """A measurement unit that a quantity is converted from.

    Attributes:
        text: The unit as it was declared.
        factor: Scale factor from it to the unit of this project.
        is_perplexity: Whether the loss is the logarithm of the value.
    """

    text: str
    factor: float
    is_perplexity: bool = False

    def convert(self, values: Floats) -> Floats:
        """Returns values in the units of this project; a perplexity of 0 or less becomes NaN."""
        if self.is_perplexity:
            with np.errstate(divide="ignore", invalid="ignore"):
                return np.where(values > 0, np.log(values), np.nan)
        return values * self.factor


def unit(quantity: str, text: str) -> Unit:
    """Returns the unit that a text declares for a quantity.

    Args:
        quantity: `N`, `D`, `C`, `U`, `loss`, `accuracy`, `error` or any other name; any other
            takes a scale factor alone.
        text: A scale factor (`1e9`, `524288`), a word for one (`B`, `million`) or a unit of the
            quantity (`PF-days`, `TFLOPs`, `bits`, `perplexity`). Case, spaces, dashes and
            underscores do not matter.

    Raises:
        ValueError: Any other text; the message lists what the quantity can be declared in.
    """
    found = find(quantity, text)
    if found is not None:
        return found
    if number(text) is not None:
        raise ValueError(
            f"{quantity}[{text}]: a scale factor is a positive number; give one, such as 1e9"
        )
    names = [*_factors(quantity), *(_PERPLEXITY if quantity == "loss" else ())]
    raise ValueError(
        f"{quantity} has no unit [{text}]; {did_you_mean(_word(text), names)}give a scale factor "
        f"or a unit, such as {_SHOWN.get(quantity, '[1e3]')}"
    )


def find(quantity: str, text: str) -> Unit | None:
    """Returns the unit that a text declares for a quantity; None where it declares none."""
    if quantity == "loss" and _word(text) in _PERPLEXITY:
        return Unit(text, 1.0, True)
    factor = number(text)
    if factor is None:
        factor = _factors(quantity).get(_word(text), 0.0)
    return Unit(text, factor) if 0 < factor < math.inf else None


def noun(quantity: str, text: str) -> str:
    """Returns the noun that a unit holds besides its factor: "flops" for "gflops", "" for "M"."""
    word = _word(text)
    if quantity == "loss":
        return "loss"
    if quantity == "C":
        return "flops" if word.endswith(("flop", "flops", "day", "days")) else ""
    nouns = ("parameters", "params", "tokens", "examples", "samples")
    return next((each for each in nouns if word.endswith(each)), "")


def of_factor(quantity: str, factor: float, within: float) -> str | None:
    """Returns the unit of a quantity whose factor is nearest, up to a factor `within`."""
    names = {"N": "KMBT", "D": "KMBT", "U": "KMBT"}.get(quantity, "")
    compute = ("KFLOPs", "MFLOPs", "GFLOPs", "TFLOPs", "PFLOPs", "EFLOPs", "ZFLOPs", "PF-days")
    known = {name: unit(quantity, name).factor for name in (compute if quantity == "C" else names)}
    near = [(abs(math.log(each / factor)), name) for name, each in known.items()]
    distance, name = min(near, default=(math.inf, ""))
    return name if distance <= math.log(within) else None


def number(text: str) -> float | None:
    """Returns the number that a text is; None for any other text."""
    try:
        return float(text)
    except ValueError:
        return None


def _word(text: str) -> str:
    return re.sub(r"[\s_\-·]", "", text).lower()


def _factors(quantity: str) -> dict[str, float]:
    """Scale factors of the words for a unit of a quantity."""
    counts = _COUNTS if quantity in ("N", "D", "U") else {}
    return _PLAIN[""] | _PLAIN.get(quantity, {}) | counts
