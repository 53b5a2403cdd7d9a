"""Marks on the size axis: thresholds, peaks, and runs that left no number."""

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from analysis.estimate import Estimate
from analysis.plots.style import GREY, INK, SERIES, Series


def mark_threshold(ax: Axes, estimate: Estimate, *, label: str) -> Axes:
    """Marks an interpolation threshold: a dashed vertical line, its interval a bar near the top.

    Call it after the data are drawn: the x-limits are kept, and an open interval reaches to
    them. A censored threshold has no line, but an arrowhead at its bound.

    Args:
        ax: Axes to draw on, x in units of size.
        estimate: Threshold, in units of size.
        label: Legend entry; `f"threshold {estimate}"` prints the numbers.
    """
    return _mark_location(ax, estimate, label, "threshold", GREY, (0, (4, 2)))


def mark_peak(ax: Axes, estimate: Estimate, *, label: str) -> Axes:
    """Marks the location of a peak: a dotted vertical line, its interval a bar near the top.

    It works like `mark_threshold`, in another colour and line.
    """
    return _mark_location(ax, estimate, label, "peak", SERIES[3].color, (0, (1, 1.2)))


def mark_missing(ax: Axes, *, diverged: ArrayLike = (), failed: ArrayLike = ()) -> Axes:
    """Marks runs without a result above the bottom axis: crosses diverged, open triangles failed.

    Each run has a mark; marks of one size are stacked, so that they can be counted.

    Args:
        ax: Axes to draw on, x in units of size.
        diverged: Sizes of diverged runs, shape (n_diverged,).
        failed: Sizes of failed or missing runs, shape (n_failed,).
    """
    on_axis = {"transform": ax.get_xaxis_transform(), "clip_on": False, "zorder": 4}
    stacked: dict[float, int] = {}
    for sizes, label, marker, color in (
        (diverged, "diverged", "x", SERIES[1].color),
        (failed, "failed or missing", "^", INK),
    ):
        column = np.sort(np.asarray(sizes, dtype=np.float64).ravel())
        heights = []
        for size in column.tolist():
            stacked[size] = stacked.get(size, 0) + 1
            heights.append(0.05 * stacked[size] - 0.02)
        if heights:
            marks = Series(color, marker, "-").marks() | {"markerfacecolor": "none"}
            ax.plot(column, heights, **marks, **on_axis, markersize=4, label=label)
    return ax


def mark_expected(ax: Axes, low: float, high: float, *, label: str) -> Axes:
    """Marks a location that theory or the literature gives: a bar along the top of the panel.

    Args:
        ax: Axes to draw on, x in units of size.
        low: Lower end, in units of size.
        high: Upper end.
        label: Legend entry.
    """
    return _bar(ax, low, high, _HEIGHTS["expected"], color=INK, label=label)


_HEIGHTS = {"expected": 1.0, "threshold": 0.97, "peak": 0.94}
"""Heights of the bars in fractions of the panel: one below the other, since they may overlap."""


def _mark_location(
    ax: Axes,
    estimate: Estimate,
    label: str,
    kind: str,
    color: str,
    linestyle: tuple[int, tuple[float, ...]],
) -> Axes:
    left, right = ax.get_xlim()
    low, high = max(estimate.low, left), min(estimate.high, right)
    _bar(ax, low, high, _HEIGHTS[kind], color=color)
    if estimate.censored is None:
        line = {"color": color, "linestyle": linestyle, "linewidth": 1, "zorder": 1.2}
        ax.axvline(estimate.value, **line, label=label)
    else:
        at, arrow = (low, ">") if estimate.censored == "above" else (high, "<")
        marks = Series(color, arrow, "-").marks()
        ax.plot([at], [_HEIGHTS[kind]], transform=ax.get_xaxis_transform(), **marks, label=label)
    ax.set_xlim(left, right)
    return ax


def _bar(
    ax: Axes, low: float, high: float, height: float, *, color: str, label: str | None = None
) -> Axes:
    limits = ax.get_xlim()
    ax.plot(
        [low, high],
        [height, height],
        transform=ax.get_xaxis_transform(),
        color=color,
        linewidth=2.5,
        solid_capstyle="butt",
        label=label,
        clip_on=False,
        zorder=1.3,
    )
    ax.set_xlim(limits)
    return ax
