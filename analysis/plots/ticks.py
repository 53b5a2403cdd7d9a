"""Ticks of logarithmic axes, chosen for the span that is shown."""

import math
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

_MULTIPLES = ((1, 1.5, 2, 3, 5, 7), (1, 2, 5), (1, 3), (1,))
"""Multiples of powers of ten that may be labelled, the most first."""
_LEAST_DECADES = 0.5
"""Span below which a logarithmic axis has the round numbers of a linear one."""
_PLAIN = (1e-3, 1e4)
"""Values between these are printed as they are, others with a power of ten."""


def log_ticks(ax: Axes, *axes: Literal["x", "y"], most: int = 6) -> Axes:
    """Label logarithmic axes so that three labels or more are there to read, and not too many.

    Call it once the limits stand. Less than half a decade gets the round numbers of a linear axis.

    Args:
        ax: The axes.
        *axes: Which of its axes.
        most: Labels at most, about. One with a power of ten and a factor is as wide as two.

    Returns:
        The axes.
    """
    for name in axes:
        low, high = sorted(ax.get_xlim() if name == "x" else ax.get_ylim())
        decades = math.log10(high / low)
        axis = ax.xaxis if name == "x" else ax.yaxis
        if decades < _LEAST_DECADES:
            axis.set_major_locator(MaxNLocator(max(most - 1, 2), steps=[1, 2, 2.5, 5, 10]))
            axis.set_minor_locator(LogLocator(subs=()))
        else:
            fits = (each for each in _MULTIPLES if _width(each, low, high, name) <= most)
            multiples = next(fits, _MULTIPLES[-1])
            axis.set_major_locator(LogLocator(subs=multiples, numticks=most + 1))
            axis.set_minor_locator(LogLocator(subs=range(1, 10), numticks=99))
        axis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))
        axis.set_minor_formatter(NullFormatter())
    return ax


def _width(multiples: tuple[float, ...], low: float, high: float, axis: str) -> int:
    """Labels between two values; on a horizontal axis wide ones count twice."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    values = [each * 10.0**power for power in powers for each in multiples]
    shown = [number(value) for value in values if low <= value <= high]
    return len(shown) + (axis == "x") * sum("times" in label for label in shown)


def number(value: float) -> str:
    """A value as text for matplotlib: 0.05, 30, or a power of ten with its factor."""
    if value <= 0 or _PLAIN[0] <= value < _PLAIN[1]:
        return f"{value:g}"
    exponent = math.floor(math.log10(value) + 1e-9)
    factor = f"{value / 10.0**exponent:.4g}"
    power = f"10^{{{exponent}}}"
    return f"${power}$" if factor == "1" else f"${factor}\\times{power}$"
