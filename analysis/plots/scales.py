"""Logarithmic axes whose tick labels are plain numbers that do not overlap."""

from collections.abc import Sequence
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter


def log_scale(ax: Axes, axis: Literal["x", "y"], *, ticks: Sequence[float] = (1, 2, 5)) -> Axes:
    """Make an axis logarithmic; call it before marks are drawn, which keep the limits they find.

    Args:
        ax: The axes.
        axis: Which axis.
        ticks: Multiples of powers of ten that are labelled, as plain numbers: (1, 2, 5) for less
            than two decades, (1,) for more.

    Returns:
        The axes.
    """
    ax.set(**{f"{axis}scale": "log"})
    which = ax.xaxis if axis == "x" else ax.yaxis
    which.set_major_locator(LogLocator(subs=ticks))
    which.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    which.set_minor_locator(LogLocator(subs=range(1, 10)))
    which.set_minor_formatter(NullFormatter())
    return ax
