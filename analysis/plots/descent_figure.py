"""The figure of judged curves: the test metric above, the train metric below, with their marks."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.double_descent.judgement import Judgement
from analysis.double_descent.rows import Curve
from analysis.plots.descent import draw_quantity, mark_descent
from analysis.plots.descent_axes import SizeAxis
from analysis.plots.style import (
    GREY,
    SERIES,
    SINGLE_COLUMN,
    Series,
    new_figure,
    outer_legend,
    paper_style,
)
from analysis.plots.ticks import log_ticks

_DECADE = 10.0
"""Ratio of largest to smallest value from which a metric is drawn on a logarithmic axis."""


class Judged(NamedTuple):
    """A curve with its name (empty for one alone), what it shows, and the axis it is drawn over."""

    name: str
    curve: Curve
    judgement: Judgement
    axis: SizeAxis


def descent_figure(judged: Sequence[Judged], *, size: str, test: str, train: str | None) -> Figure:
    """Draws every curve with its smooth line, threshold and peak; train metrics in a panel below.

    Where the axis shows something else than size, and the same of every curve, sizes stand along
    the top.

    Args:
        judged: The curves, up to seven.
        size: Label of the sizes.
        test: Label of the test metric.
        train: Label of the train metric; None where there is none.
    """
    n_rows = 1 if train is None else 2
    heights = None if train is None else (1.6, 1)
    with paper_style():
        figure, axes = new_figure(
            n_rows, 1, width=1.35 * SINGLE_COLUMN, height=3.1 + 1.2 * (n_rows - 1), heights=heights
        )
        upper, lower = axes[0, 0], axes[-1, 0]
        for each, look in zip(judged, SERIES, strict=False):
            _draw_curve(upper, each, look, alone=len(judged) == 1)
            if train is not None and each.curve.train is not None:
                draw_quantity(
                    lower, each.curve.size, each.curve.train, each.curve.seed,
                    axis=each.axis, label="", style=look,
                )  # fmt: skip
        values = np.concatenate([each.curve.test for each in judged])
        if values.min() > 0 and values.max() / values.min() > _DECADE:
            upper.set_yscale("log")
            log_ticks(upper, "y")
        upper.set_ylabel(test)
        upper.margins(y=0.12)
        if train is not None:
            lower.set_ylabel(train)
            lower.sharex(upper)
            upper.set_xlabel("")
            upper.tick_params(labelbottom=False)
        _mark(axes[:, 0].tolist(), judged)
        first = judged[0].axis
        if all(np.array_equal(each.axis.places, first.places) for each in judged):
            first.show_sizes(upper, size)
        outer_legend(figure, [upper], "outside lower center", 3)
    return figure


def _draw_curve(ax: Axes, each: Judged, look: Series, *, alone: bool) -> None:
    curve, smooth, axis = each.curve, each.judgement.smooth, each.axis
    of_seeds = "median over seeds, 68 %" if curve.n_seeds > 1 else "points"
    label = each.name or of_seeds
    if smooth is not None and curve.n_seeds == 1:
        x = axis.at(smooth.sizes)
        if not axis.folds:  # a band that folds back would cover itself
            ax.fill_between(x, smooth.low, smooth.high, color=look.color, alpha=0.18, linewidth=0)
        name = "" if not alone else "smooth curve" if axis.folds else "smooth curve, 95 %"
        ax.plot(x, smooth.middle, **look.line(), linewidth=0.9, label=name)
        ax.plot(axis.at(curve.size), curve.test, **look.marks(filled=False), label=label)
        axis.finish(ax)
        return
    draw_quantity(ax, curve.size, curve.test, curve.seed, axis=axis, label=label, style=look)


def _mark(panels: list[Axes], judged: Sequence[Judged]) -> None:
    """Marks thresholds and significant peaks: of one curve with intervals, of several as lines."""
    for each, look in zip(judged, SERIES, strict=False):
        found, axis = each.judgement, each.axis
        peak = found.peak.location if found.peak is not None and found.verdict.has_peak else None
        if len(judged) == 1:
            mark_descent(panels[0], axis, threshold=found.threshold, peak=peak)
            if found.threshold is not None and found.threshold.censored is None:
                panels[-1].axvline(
                    float(axis.at(found.threshold.value)), color=GREY, linestyle=(0, (4, 2))
                )
            continue
        if peak is not None:
            at = float(axis.at(peak.value))
            panels[0].axvline(at, color=look.color, linestyle=(0, (1, 1.2)), linewidth=1)
        if found.threshold is not None and found.threshold.censored is None:
            at = float(axis.at(found.threshold.value))
            panels[-1].axvline(at, color=look.color, linestyle=(0, (4, 2)), linewidth=0.8)


def descent_table(judged: Sequence[Judged]) -> pd.DataFrame:
    """Returns the numbers that the figure shows: points, smooth curves and marks, a row each.

    Where the axis shows something else than size, `place` says where each stands on it.
    """
    tables = []
    for each in judged:
        parts, curve, found = [], each.curve, each.judgement
        points = {"size": curve.size, "seed": curve.seed, "test": curve.test, "rows": curve.weight}
        if curve.train is not None:
            points["train"] = curve.train
        parts.append(pd.DataFrame(points).assign(curve=each.name, kind="point"))
        if found.smooth is not None:
            line = found.smooth
            shown = {"size": line.sizes, "test": line.middle, "low": line.low, "high": line.high}
            parts.append(pd.DataFrame(shown).assign(curve=each.name, kind="smooth curve"))
        marks = {"threshold": found.threshold, "peak": found.peak and found.peak.location}
        for kind, at in marks.items():
            if at is not None:
                row = {"size": at.value, "low": at.low, "high": at.high}
                parts.append(pd.DataFrame([row]).assign(curve=each.name, kind=kind))
        rows = pd.concat(parts)
        if len(each.axis.sizes):
            rows.insert(1, "place", each.axis.at(rows["size"]))
        tables.append(rows)
    return pd.concat(tables)
