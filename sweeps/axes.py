"""Axes of a sweep as text: `model.width=16,32,64`, `seed=0..4`, `model.width=16..256*2`.

| text | values |
|---|---|
| `16,32,64` | these |
| `0..4` | whole numbers from 0 to 4, both ends included |
| `0..1+0.25` | 0, 0.25, 0.5, 0.75, 1: steps of equal size |
| `16..256*2` | 16, 32, 64, 128, 256: steps of an equal factor |

A field that is drawn at random takes `1e-4..1e-1` (uniform), `log:1e-4..1e-1` (uniform in its
logarithm), `int:8..64` (whole numbers) or a list. Values are counted before any is made, so that a
mistyped range is refused at once.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from scaling.fields import as_typed

MAX_RUNS = 1_000_000
"""A sweep above this size is a mistake; it is refused before it is expanded."""

MOST_VALUES = 2**62
"""Most values of an axis, which a number of runs can be counted with."""

Value = str | int | float
"""A value of a field: a number, or text as typed, to be read as the type of the field."""

_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_RANGE = re.compile(rf"({_NUMBER})\.\.({_NUMBER})(?:([+*])({_NUMBER}))?")
_DIGITS = 12  # of a value that is computed: 1e-3 and not 0.0010000000000000002
_SLACK = 1e-9  # of a step, by which rounding may miss the end of a range


class Axis(NamedTuple):
    """A field, by its dotted path, and the values that it takes in turn."""

    path: str
    values: Sequence[Value]


class Drawn(NamedTuple):
    """A field, by its dotted path, and how a value of it is drawn."""

    path: str
    draw: Callable[[random.Random], Value]


def parse_axis(text: str) -> Axis:
    """Reads the axis of a grid, such as `model.width=16..256*2`.

    Raises:
        ValueError: no path or no values, or a range without an end.
    """
    path, values = split(text)
    return Axis(path, _range(path, values) or _list(path, values))


def parse_drawn(text: str) -> Drawn:
    """Reads a field that is drawn at random, such as `train.optimizer.learning_rate=log:1e-4..0.1`.

    Raises:
        ValueError: no path, or a range that nothing can be drawn from.
    """
    path, values = split(text)
    kind, colon, rest = values.partition(":")
    if not (colon and kind in ("log", "int")):
        kind, rest = "uniform", values
    found = _RANGE.fullmatch(rest)
    if found is None:
        if kind != "uniform":
            raise ValueError(f"{path} = {values!r}: write {kind}: and two ends, e.g. {kind}:1..64")
        listed = _list(path, values)
        return Drawn(path, lambda rng: rng.choice(listed))
    low, high = float(found[1]), float(found[2])
    if found[3] or not low < high or not math.isfinite(high - low) or (kind == "log" and low <= 0):
        raise ValueError(
            f"{path} = {values!r}: give the lower end first, both finite"
            f"{' and above 0' if kind == 'log' else ''}, without a step, e.g. 0.001..0.1"
        )
    if kind == "int":
        whole = _whole(path, found[1]), _whole(path, found[2])
        return Drawn(path, lambda rng: rng.randint(*whole))
    if kind == "log":
        ends = math.log(low), math.log(high)
        return Drawn(path, lambda rng: _rounded(math.exp(rng.uniform(*ends))))
    return Drawn(path, lambda rng: _rounded(rng.uniform(low, high)))


def split(text: str) -> tuple[str, str]:
    """Path and values of `path=values`.

    Raises:
        ValueError: one of them is not there.
    """
    path, equals, values = (part.strip() for part in text.partition("="))
    if not (path and equals and values):
        raise ValueError(f"{text!r}: write a field and its values, e.g. model.width=16,32,64")
    return path, values


def _list(path: str, text: str) -> list[Value]:
    values = [part.strip() for part in text.split(",")]
    if not all(values):
        raise ValueError(f"{path} = {text!r}: a value is empty. Write e.g. 16,32,64")
    for value in values:
        if ".." in value:
            raise ValueError(
                f"{path} = {text!r}: {value!r} is no value. Write a range alone, e.g. 0..4, "
                "0..1+0.25 or 16..256*2"
            )
    return [as_typed(value) for value in values]


def _range(path: str, text: str) -> Sequence[Value] | None:
    """Values of a range; None for what is none."""
    found = _RANGE.fullmatch(text)
    if found is None:
        return None
    first, last, how, by = found.groups()
    if how is None:
        low, high = _whole(path, first), _whole(path, last)
        _check_count(path, text, high - low + 1)
        return range(low, high + 1)
    start, end, step = float(first), float(last), float(by)
    if not all(map(math.isfinite, (start, end, step))):
        raise ValueError(f"{path} = {text!r}: give numbers that are finite")
    if how == "+":
        if not step > 0:
            raise ValueError(f"{path} = {text!r}: the step after + must be above 0, e.g. 0..1+0.25")
        count = math.floor(min((end - start) / step + _SLACK, MOST_VALUES)) + 1
        _check_listed(path, text, count)
        return [_rounded(start + k * step) for k in range(count)]
    if not (step > 1 and start > 0):
        raise ValueError(
            f"{path} = {text!r}: the factor after * must be above 1, and the first value "
            "above 0, e.g. 16..256*2"
        )
    span = math.log(end) - math.log(start) if end > 0 else -1.0
    count = math.floor(span / math.log(step) + _SLACK) + 1
    _check_listed(path, text, count)
    return [_rounded(start * step**k) for k in range(count)]


def _check_count(path: str, text: str, count: int) -> None:
    if count < 1:
        raise ValueError(f"{path} = {text!r} has no values: give the lower end first")
    if count > MOST_VALUES:
        raise ValueError(f"{path} = {text!r} has {count:,} values: give fewer")


def _check_listed(path: str, text: str, count: int) -> None:
    _check_count(path, text, count)
    if count > MAX_RUNS:
        raise ValueError(
            f"{path} = {text!r} has {count:,} values, more than the {MAX_RUNS:,} runs that a sweep "
            "may have: give fewer"
        )


def _whole(path: str, text: str) -> int:
    number = float(text)
    if not number.is_integer():
        raise ValueError(
            f"{path}: {text} is no whole number. Write a range of others with a step or a factor, "
            "e.g. 0..1+0.25 or 0.001..0.1*10"
        )
    return int(text) if text.lstrip("+-").isdecimal() else int(number)


def _rounded(value: float) -> float | int:
    near = float(f"{value:.{_DIGITS}g}")
    return int(near) if near.is_integer() and abs(near) < 2**53 else near
