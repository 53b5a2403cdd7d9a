"""Named models against the compute optimum: over- and under-trained ones over the years."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.plots.style import (
    DOUBLE_COLUMN,
    GREY,
    INK,
    SERIES,
    letter_panels,
    new_figure,
    paper_style,
)
from analysis.plots.ticks import log_ticks

_ROOM = (0.45, 0.07)  # of a name, as shares of the axes


def placing_figure(table: pd.DataFrame, law: str) -> Figure:
    """Draws each model's tokens over its size, and how far it is over-trained over the years.

    Args:
        table: Columns model, year, parameters, tokens, flops, best_parameters, best_tokens and
            overtraining.
        law: Name of the law that tells the best.

    Returns:
        A figure two columns wide.
    """
    with paper_style():
        figure, axes = new_figure(1, 2, width=DOUBLE_COLUMN, height=3.2)
        sizes, years = axes[0]
        best = table.sort_values("best_parameters")
        sizes.plot(best["best_parameters"], best["best_tokens"], **SERIES[1].line(), linewidth=1.2,
                   label=f"best by {law}")  # fmt: skip
        for ax, x, y in ((sizes, "parameters", "tokens"), (years, "year", "overtraining")):
            ax.plot(table[x], table[y], **SERIES[0].marks(), markersize=3.5,
                    label="model" if ax is sizes else None)  # fmt: skip
            ax.set(yscale="log")
        years.axhline(1.0, color=GREY, linewidth=0.8)
        sizes.set(xscale="log", xlabel="parameters that a token uses", ylabel="tokens seen")
        years.set(xlabel="year", ylabel="$D/N$ over the best's")
        log_ticks(sizes, "x", "y", most=5)
        log_ticks(years, "y", most=5)
        sizes.legend(loc="lower right")
        _label(years, table)
        letter_panels(axes)
    return figure


def _label(ax: Axes, table: pd.DataFrame) -> None:
    """Names the points that lie furthest from the line, where their names have room."""
    x = table["year"].to_numpy(np.float64)
    y = np.log(table["overtraining"].to_numpy(np.float64))
    across, along = np.ptp(x), np.ptp(y)
    named: list[int] = []
    for at in np.argsort(-np.abs(y)).tolist():
        left = x[at] > x.min() + across / 3
        right_of = (x[at] - x if left else x - x[at]) / across
        beside = np.abs(y - y[at]) / along
        covers = np.any((right_of > 0) & (right_of < _ROOM[0]) & (beside < _ROOM[1] / 2))
        crowded = any(
            abs(x[at] - x[other]) < _ROOM[0] * across and beside[other] < _ROOM[1]
            for other in named
        )
        if not covers and not crowded:
            named.append(at)
            ax.annotate(
                str(table["model"].iloc[at]),
                (x[at], np.exp(y[at])),
                xytext=(-4 if left else 4, 0),
                textcoords="offset points",
                ha="right" if left else "left",
                va="center",
                fontsize=6,
                color=INK,
            )
