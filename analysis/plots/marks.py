"""Marks on the size axis: thresholds, peaks, and runs that left no number."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from analysis.plots.style import GREY, INK, SERIES
from analysis.replicates import Estimate


def mark_threshold(ax: Axes, estimate: Estimate, *, label: str) -> Axes:
    """Mark an interpolation threshold: a dashed vertical line over its shaded interval.

    Call it after the data are drawn: the x-limits are kept, and an interval without an end is
    shaded to them. A censored threshold has no line, but its bound and an arrowhead away from it.

    Args:
        ax: Axes to draw on, x in units of size.
        estimate: Threshold, in units of size.
        label: Legend entry; `f"threshold {estimate}"` prints the numbers.

    Returns:
        The axes.
    """
    return _mark_location(ax, estimate, label, GREY, (0, (4, 2)))


def mark_peak(ax: Axes, estimate: Estimate, *, label: str) -> Axes:
    """Mark the location of a peak: a dotted vertical line over its shaded interval.

    As `mark_threshold`, in another colour and line.
    """
    return _mark_location(ax, estimate, label, SERIES[3].color, (0, (1, 1.2)))


def mark_missing(ax: Axes, *, diverged: ArrayLike = (), failed: ArrayLike = ()) -> Axes:
    """Mark runs without a result above the bottom axis: crosses diverged, open triangles failed.

    One mark a run; runs of the same size are stacked, so that their number can be read.

    Args:
        ax: Axes to draw on, x in units of size.
        diverged: Sizes of diverged runs, shape (n_diverged,).
        failed: Sizes of failed or missing runs, shape (n_failed,).

    Returns:
        The axes.
    """
    kinds: tuple[tuple[ArrayLike, str, dict[str, Any]], ...] = (
        (diverged, "diverged", {"marker": "x", "color": SERIES[1].color}),
        (failed, "failed or missing", {"marker": "^", "color": INK, "markerfacecolor": "none"}),
    )
    taken: dict[float, int] = {}
    for sizes, label, look in kinds:
        column = np.sort(np.asarray(sizes, dtype=np.float64).ravel())
        if not len(column):
            continue
        heights = []
        for size in column.tolist():
            taken[size] = taken.get(size, 0) + 1
            heights.append(0.05 * taken[size] - 0.02)
        ax.plot(
            column,
            heights,
            transform=ax.get_xaxis_transform(),
            linestyle="none",
            markersize=4,
            clip_on=False,
            label=label,
            zorder=4,
            **look,
        )
    return ax


def _mark_location(
    ax: Axes,
    estimate: Estimate,
    label: str,
    color: str,
    linestyle: tuple[int, tuple[float, ...]],
) -> Axes:
    left, right = ax.get_xlim()
    low, high = max(estimate.low, left), min(estimate.high, right)
    ax.axvspan(low, high, color=color, alpha=0.15, linewidth=0, zorder=0.5)
    if estimate.censored is None:
        ax.axvline(
            estimate.value, color=color, linestyle=linestyle, linewidth=1, label=label, zorder=1.2
        )
    else:
        at, arrow = (low, ">") if estimate.censored == "above" else (high, "<")
        ax.plot(
            [at],
            [0.96],
            transform=ax.get_xaxis_transform(),
            color=color,
            marker=arrow,
            linestyle="none",
            label=label,
        )
    ax.set_xlim(left, right)
    return ax
