"""Axes of figures: logarithmic scales and their ticks, numbers, symbols and labels.

`log_ticks` chooses ticks for the span that is shown; `log_scale` sets up an axis whose ticks are
given. `axis_label` names an axis, with the parameters of a law as `symbol` prints them.
"""

import math
import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, ScalarFormatter

from analysis.estimate import Floats
from analysis.laws.symbols import GREEK

_MULTIPLES = ((1, 1.5, 2, 3, 5, 7), (1, 2, 5), (1, 3), (1,))
"""Multiples of powers of ten that may be labelled, the longest list first."""
_LEAST_DECADES = 0.5
"""Span in decades below which a logarithmic axis has the round numbers of a linear one."""
_PLAIN = (1e-3, 1e4)
"""Values between these are printed in full, others with a power of ten."""
_PLAIN_AXIS = (1e-3, 1e5)
"""An axis between these has all of its labels in full, any other all with powers of ten."""
_LEAST_LABELS = 3
_ROUND = [1, 2, 2.5, 5, 10]
"""Steps between the labels of a linear axis."""
_FARTHEST = 600.0
"""Largest logarithm whose exponential is taken."""

_NAME = re.compile(r"(?P<letter>[A-Za-z]+?)(?:_(?P<index>[A-Za-z0-9]+)|(?P<number>\d+))?")
"""A letter, with an index after an underscore or as digits."""

_AXES = {
    "x": "scale $x$",
    "loss": "loss (nats)",
    "accuracy": "accuracy",
    "error": "error",
    "X": "experts $X$",
    "N": "parameters $N$",
    "D": "training tokens $D$",
    "C": "training compute $C$ (FLOPs)",
    "M": "tokens per parameter $M$",
    "epochs": "epochs",
}
"""Our words for the quantities that laws take and predict."""


def log_scale(ax: Axes, *axes: Literal["x", "y"], ticks: Sequence[float] = (1, 2, 5)) -> Axes:
    """Makes axes logarithmic. Call it before marks are drawn: they keep the limits they find.

    Args:
        ax: The axes.
        *axes: Axes to change, "x" or "y".
        ticks: Multiples of powers of ten that are labelled, as plain numbers: (1, 2, 5) for less
            than two decades, (1,) for more.
    """
    for name in axes:
        ax.set(**{f"{name}scale": "log"})
        which = ax.xaxis if name == "x" else ax.yaxis
        which.set_major_locator(LogLocator(subs=ticks))
        which.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        which.set_minor_locator(LogLocator(subs=range(1, 10)))
        which.set_minor_formatter(NullFormatter())
    return ax


def log_ticks(ax: Axes, *axes: Literal["x", "y"], most: int = 6) -> Axes:
    """Labels logarithmic axes with three numbers or more, and not too many.

    Call it after the limits are set. Less than half a decade gets the round numbers of a linear
    axis.

    Args:
        ax: The axes.
        *axes: Axes to label, "x" or "y".
        most: Labels at most, roughly. One with a power of ten and a factor is as wide as two.
    """
    for name in axes:
        low, high = sorted(ax.get_xlim() if name == "x" else ax.get_ylim())
        decades = math.log10(high / low)
        plain = _PLAIN_AXIS[0] <= low and high < _PLAIN_AXIS[1]
        axis = ax.xaxis if name == "x" else ax.yaxis
        if decades < _LEAST_DECADES:
            axis.set_major_locator(_round_numbers(low, high, max(most - 1, 2)))
            axis.set_minor_locator(LogLocator(subs=()))
        else:
            fits = (each for each in _MULTIPLES if _width(each, low, high, name, plain) <= most)
            multiples = next(fits, _MULTIPLES[-1])
            axis.set_major_locator(LogLocator(subs=multiples, numticks=most + 1))
            axis.set_minor_locator(LogLocator(subs=range(1, 10), numticks=99))
        axis.set_major_formatter(FuncFormatter(partial(_label, plain=plain)))
        axis.set_minor_formatter(NullFormatter())
    return ax


def _round_numbers(low: float, high: float, most: int) -> MaxNLocator:
    """Ticks at round numbers: at most so many steps, unless fewer than three numbers are shown."""
    locators = [MaxNLocator(n_steps, steps=_ROUND) for n_steps in range(most, most + 4)]
    for locator in locators:
        ticks = np.asarray(locator.tick_values(low, high))
        if np.sum((low <= ticks) & (ticks <= high)) >= _LEAST_LABELS:
            return locator
    return locators[-1]


def _label(value: float, _: int | None = None, *, plain: bool) -> str:
    return number(value, plain)


def _width(multiples: tuple[float, ...], low: float, high: float, axis: str, plain: bool) -> int:
    """Number of labels between two values; on a horizontal axis wide ones count twice."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    values = [each * 10.0**power for power in powers for each in multiples]
    shown = [number(value, plain) for value in values if low <= value <= high]
    return len(shown) + (axis == "x") * sum("times" in label for label in shown)


def linear_ticks(ax: Axes, axis: Literal["x", "y"], *, most: int) -> None:
    """Labels a linear axis with at most that many round numbers and one more, in full."""
    which = ax.xaxis if axis == "x" else ax.yaxis
    which.set_major_locator(MaxNLocator(most, steps=_ROUND))
    which.set_major_formatter(ScalarFormatter(useOffset=False))


def whole_numbers(ax: Axes, axis: Literal["x", "y"]) -> None:
    """Labels a linear axis of counts at whole numbers alone."""
    which = ax.xaxis if axis == "x" else ax.yaxis
    which.set_major_locator(MaxNLocator(5, integer=True))


def to_axis(value: Floats | float, is_log: bool) -> Floats:
    """Returns the coordinate that is linear along an axis: the logarithm, or the value itself."""
    return np.log(value) if is_log else np.asarray(value, dtype=np.float64)


def from_axis(at: Floats, is_log: bool) -> Floats:
    """Returns the value at such a coordinate, kept far from the ends of float64."""
    return np.exp(np.clip(at, -_FARTHEST, _FARTHEST)) if is_log else at


def number(value: float, plain: bool | None = None) -> str:
    """Returns a value as text for matplotlib: 0.05, 30, or a power of ten with its factor.

    Args:
        value: The value.
        plain: Whether to print it in full; by its size unless given.
    """
    if value <= 0 or (_PLAIN[0] <= value < _PLAIN[1] if plain is None else plain):
        return f"{value:g}"
    exponent = math.floor(math.log10(value) + 1e-9)
    factor = f"{value / 10.0**exponent:.4g}"
    power = f"10^{{{exponent}}}"
    return f"${power}$" if factor == "1" else f"${factor}\\times{power}$"


def symbol(name: str) -> str:
    """Returns a parameter's name as mathematics: "alpha" as a Greek letter, "N_c" with an index.

    Args:
        name: A Python identifier.

    Returns:
        Text for matplotlib; an ordinary word stays one.
    """
    parts = _NAME.fullmatch(name)
    if parts is None:
        return name.replace("_", " ")
    letter, index = parts["letter"], parts["index"] or parts["number"]
    if letter in GREEK:
        letter = f"\\{letter}"
    elif len(letter) > 1:
        return name.replace("_", " ")
    return f"${letter}_{{{index}}}$" if index else f"${letter}$"


def axis_label(name: str, labels: Mapping[str, str] | None = None) -> str:
    """Returns the label of an axis: the caller's words, else ours, else the symbol.

    Args:
        name: Name of an input or of the output of a law.
        labels: The caller's words by name; none unless given.
    """
    return (labels or {}).get(name) or _AXES.get(name) or symbol(name)
