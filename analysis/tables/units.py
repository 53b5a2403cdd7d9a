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

FLOPS_PER_PARAM_TOKEN = 6.0
"""The number k of C = k N D where a table gives only two of the three.

C = 6 N D: Kaplan et al., arXiv:2001.08361, section 2.1.
"""

DAY_SECONDS = 86_400.0

_PREFIXES = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12, "p": 1e15, "e": 1e18, "z": 1e21}
_COUNTS = {
    "k": 1e3, "thousand": 1e3, "m": 1e6, "mn": 1e6, "million": 1e6, "millions": 1e6,
    "b": 1e9, "g": 1e9, "bn": 1e9, "billion": 1e9, "billions": 1e9,
    "t": 1e12, "tn": 1e12, "trillion": 1e12, "trillions": 1e12,
}  # fmt: skip
_PLAIN = {
    "": {"1": 1.0},
    "N": {"parameters": 1.0, "params": 1.0},
    "D": {"tokens": 1.0, "examples": 1.0, "samples": 1.0},
    "U": {"tokens": 1.0, "examples": 1.0, "samples": 1.0},
    "C": {
        **{f"{p}flop{s}": f for p, f in _PREFIXES.items() for s in ("", "s")},
        **{f"{p}macs": 2 * f for p, f in _PREFIXES.items()},
        **{
            f"{p}{name}day{s}": f * DAY_SECONDS
            for p, f in _PREFIXES.items()
            if p
            for name in ("f", "flop", "flops", "flop/s", "flops/s")
            for s in ("", "s")
        },
        "petaflopday": 1e15 * DAY_SECONDS,
        "petaflopdays": 1e15 * DAY_SECONDS,
        "petaflop/sdays": 1e15 * DAY_SECONDS,
    },
    "loss": {
        "nats": 1.0,
        "nats/token": 1.0,
        "nats/byte": 1.0,
        "bits": math.log(2),
        "bits/token": math.log(2),
        "bits/byte": math.log(2),
        "bpb": math.log(2),
        "dits": math.log(10),
    },
    "accuracy": {"fraction": 1.0, "%": 0.01, "percent": 0.01},
    "error": {"fraction": 1.0, "%": 0.01, "percent": 0.01},
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
    factor = _number(text)
    if factor is not None:
        if not 0 < factor < math.inf:
            raise ValueError(
                f"{quantity}[{text}]: a scale factor is a positive number; give one, such as 1e9"
            )
        return Unit(text, factor)
    word = re.sub(r"[\s_\-·]", "", text).lower()
    if quantity == "loss" and word in _PERPLEXITY:
        return Unit(text, 1.0, True)
    known = {**_PLAIN[""], **_PLAIN.get(quantity, {})}
    if quantity in ("N", "D", "U"):
        known |= _COUNTS
    if word in known:
        return Unit(text, known[word])
    names = [*known, *(_PERPLEXITY if quantity == "loss" else ())]
    raise ValueError(
        f"{quantity} has no unit [{text}]; {did_you_mean(word, names)}give a scale factor or a "
        f"unit, such as {_SHOWN.get(quantity, '[1e3]')}"
    )


def is_unit(quantity: str, text: str) -> bool:
    """Returns whether a text declares a unit of a quantity."""
    try:
        unit(quantity, text)
    except ValueError:
        return False
    return True


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
