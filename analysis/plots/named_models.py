"""Named models over the years: their compute, and how far from the compute optimum they were."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.estimate import Estimate
from analysis.plots.style import GREY, INK, SERIES, Series, legend_above, paper_figure
from analysis.plots.ticks import log_ticks, whole_numbers

_WIDTH, _HEIGHT, _GAP = 0.024, 0.035, 0.02
"""Width of a letter, height of half a name, and gap between a point and its name, as shares of the
points' range."""


def draw_growth(ax: Axes, models: pd.DataFrame, lines: list[tuple[pd.DataFrame, Estimate]]) -> None:
    """Draws compute over time, the running top ten apart, with lines of growth.

    Args:
        ax: Axes to draw on.
        models: Columns year, flops and top.
        lines: Models and their growth a year, of which each line is.
    """
    looks = (SERIES[0], SERIES[1])
    for of, name, look in zip((~models["top"], models["top"]), ("others", "running top ten"), looks,
                              strict=True):  # fmt: skip
        ax.plot(models.loc[of, "year"], models.loc[of, "flops"], **look.marks(), markersize=2.5,
                alpha=0.7, markeredgewidth=0, label=name)  # fmt: skip
    for (rows, growth), look in zip(lines, looks, strict=True):
        year = rows["year"].to_numpy(np.float64)
        ends = np.array([year.min(), year.max()])
        middle = float(np.mean(np.log(rows["flops"].to_numpy(np.float64))))
        along = np.exp(middle + np.log(growth.value) * (ends - year.mean()))
        ax.plot(ends, along, **look.line(), linewidth=1.4, label=f"{growth.value:.2g} times a year")
    ax.set(yscale="log", xlabel="year", ylabel="training FLOPs")
    log_ticks(ax, "y", most=6)
    whole_numbers(ax, "x")
    legend_above(ax)


def draw_overtraining(ax: Axes, table: pd.DataFrame, look: Series = SERIES[0]) -> None:
    """Draws how far models are over-trained over the years, and names those far from 1.

    Args:
        ax: Axes to draw on.
        table: Columns model, year and overtraining.
        look: Colour and marks.
    """
    ax.plot(table["year"], table["overtraining"], **look.marks(), markersize=3.5)
    ax.axhline(1.0, color=GREY, linewidth=0.8, zorder=0.9)
    ax.set(yscale="log", xlabel="year", ylabel="$D/N$ over the best's")
    log_ticks(ax, "y", most=5)
    whole_numbers(ax, "x")
    _label(ax, table)


def placing_figure(table: pd.DataFrame, law: str) -> Figure:
    """Draws each model's tokens over its size, and how far it is over-trained over the years.

    Args:
        table: Columns model, year, parameters, tokens, flops, best_parameters, best_tokens and
            overtraining.
        law: Name of the law that gives the best.

    Returns:
        A figure two columns wide.
    """
    with paper_figure(1, 2, height=3.2) as (figure, axes):
        sizes, years = axes[0]
        best = table.sort_values("best_parameters")
        sizes.plot(best["best_parameters"], best["best_tokens"], **SERIES[1].line(), linewidth=1.2,
                   label=f"best by {law}")  # fmt: skip
        sizes.plot(table["parameters"], table["tokens"], **SERIES[0].marks(), markersize=3.5,
                   label="model")  # fmt: skip
        sizes.set(xscale="log", yscale="log", xlabel="parameters that a token uses")
        sizes.set_ylabel("tokens seen")
        log_ticks(sizes, "x", "y", most=5)
        sizes.legend(loc="lower right")
        draw_overtraining(years, table)
    return figure


def _label(ax: Axes, table: pd.DataFrame) -> None:
    """Names the points that lie furthest from the line, where their names have room."""
    x = table["year"].to_numpy(np.float64)
    y = np.log(table["overtraining"].to_numpy(np.float64))
    across, along = np.ptp(x), np.ptp(y)
    taken: list[tuple[float, float, float]] = []  # left and right end, and height, of names
    for at in map(int, np.argsort(-np.abs(y))):
        name = str(table["model"].iloc[at])
        width = (len(name) * _WIDTH + _GAP) * across
        for right in (x[at] < x.min() + across / 3, x[at] >= x.min() + across / 3):
            left_end = x[at] + _GAP * across if right else x[at] - width
            ends = (left_end, left_end + width)
            near = np.abs(y - y[at]) < _HEIGHT * along
            covers = (
                near & (x > ends[0] - _GAP * across) & (x < ends[1]) & (np.arange(len(x)) != at)
            )
            crowded = any(
                abs(y[at] - height) < 2 * _HEIGHT * along and low < ends[1] and high > ends[0]
                for low, high, height in taken
            )
            outside = ends[0] < x.min() - _GAP * across or ends[1] > x.max() + _GAP * across
            if covers.any() or crowded or outside:
                continue
            taken.append((*ends, float(y[at])))
            ax.annotate(
                name,
                (x[at], np.exp(y[at])),
                xytext=(4 if right else -4, 0),
                textcoords="offset points",
                ha="left" if right else "right",
                va="center",
                fontsize=6,
                color=INK,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5},
                zorder=1,
            )
            break
