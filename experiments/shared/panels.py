"""What several experiments do alike: measured numbers from estimates, marks, panels."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator
from numpy.typing import ArrayLike

from analysis.double_descent.verdict import DoubleDescent, Verdict
from analysis.estimate import Estimate
from analysis.plots import marks, style
from experiments.experiment import Measured


def measured(estimate: Estimate | None) -> Measured:
    """An estimate of the analysis as a measured number; what lies beyond the grid has no value."""
    if estimate is None or estimate.censored:
        return Measured(value=None, note="not found" if estimate is None else str(estimate))
    return Measured(value=estimate.value, low=estimate.low, high=estimate.high)


def peak_of(descent: DoubleDescent, estimate: Estimate | None = None) -> Measured:
    """Location of a peak, or another estimate that hangs on it, if there is a peak at all.

    A bump that could be seed noise has a location too; to report it would be to claim a peak.
    """
    if descent.peak is None or descent.verdict not in (Verdict.PEAK, Verdict.SECOND_DESCENT_BELOW):
        return Measured(value=None, note=descent.verdict.value)
    return measured(estimate or descent.peak.location)


def with_notes(
    shown: pd.DataFrame, excluded: pd.DataFrame, x: str, **located: Estimate | None
) -> pd.DataFrame:
    """The numbers of a figure, with those behind its marks.

    Args:
        shown: summaries of the runs drawn.
        excluded: the second table of `analysis.tables.results.usable`: one row each, with its
            `why`.
        x: the column of the axis, on which the located lie.
        **located: marked locations by name, with their intervals.
    """
    runs = excluded.assign(run_ids=excluded["run_id"]).loc[:, [x, "why", "run_ids"]]
    marked = [
        {"mark": name, x: each.value, "low": each.low, "high": each.high}
        for name, each in located.items()
        if each is not None
    ]
    return pd.concat([table for table in (shown, runs, pd.DataFrame(marked)) if len(table)])


def panels(labels: Mapping[str, str], draw: Callable[[Axes, str], None]) -> Figure:
    """A row of panels, one quantity each, over one legend.

    Args:
        labels: y-label of each quantity.
        draw: draws a quantity on its panel.
    """
    with style.paper_style():
        figure, axes = style.new_figure(1, len(labels), width=style.DOUBLE_COLUMN, height=2.6)
        for ax, (quantity, label) in zip(axes[0], labels.items(), strict=True):
            draw(ax, quantity)
            ax.set_ylabel(label)
        handles = axes[0, 0].get_legend_handles_labels()
        figure.legend(*handles, loc="outside lower center", ncols=len(handles[0]))
        style.letter_panels(axes)
    return figure


def share_limits(axes: Iterable[Axes], *names: Literal["x", "y"]) -> None:
    """Gives panels the same limits, the widest of any, once all is drawn."""
    shared = list(axes)
    for name in names:
        limits = [getattr(ax, f"get_{name}lim")() for ax in shared]
        widest = min(low for low, _ in limits), max(high for _, high in limits)
        for ax in shared:
            ax.set(**{f"{name}lim": widest})


def tick_widths(ax: Axes, widths: ArrayLike) -> None:
    """Labels a logarithmic x-axis by the widths themselves, all powers of 2 as a rule."""
    shown = np.unique(np.asarray(widths, np.float64)).tolist()
    ax.set_xticks(shown, [f"{width:g}" for width in shown])
    ax.xaxis.set_minor_locator(NullLocator())


def mark_excluded(ax: Axes, excluded: pd.DataFrame, x: str) -> None:
    """Shows on the axis where runs are missing from a figure, and of which kind.

    Args:
        ax: the panel.
        excluded: the second table of `analysis.tables.results.usable`.
        x: the column that the panel's axis shows.
    """
    diverged = excluded["why"] == "diverged"
    marks.mark_missing(ax, diverged=excluded[x][diverged], failed=excluded[x][~diverged])
