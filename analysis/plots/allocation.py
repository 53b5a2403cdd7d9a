"""Figures of an allocation: growth of the optimum, and the cost of sizes off the optimum."""

import math

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.typing import LineStyleType

from analysis.estimate import Estimate
from analysis.planning.allocation import Allocation
from analysis.plots.frontier import draw_growth
from analysis.plots.style import GREY, INK, SERIES, Series, legend_above, paper_figure
from analysis.plots.ticks import axis_label, log_ticks

MARKED = (0.5, 2.0)
"""Sizes off the optimum that a figure marks, in multiples of it."""


def draw_budget(ax: Axes, allocation: Allocation, estimate: Estimate, *, style: Series) -> Axes:
    """Marks the optimum of a budget: a point with its interval.

    Args:
        ax: Axes to draw on, x in FLOPs.
        allocation: The allocation.
        estimate: One of its estimates, in the unit of y.
        style: Colour and marker.
    """
    ax.vlines(allocation.flops, estimate.low, estimate.high, color=style.color, linewidth=1.6)
    marks = style.marks(filled=False)
    ax.plot([allocation.flops], [estimate.value], **marks, markersize=4.5, zorder=4)
    return ax


def draw_penalty(ax: Axes, table: pd.DataFrame, *, style: Series = SERIES[3]) -> Axes:
    """Draws the excess loss of sizes off the optimum, with its band; half and twice are marked.

    Args:
        ax: Axes to draw on, x in multiples of the optimal size (logarithmic), y in nats.
        table: Table from `analysis.planning.allocation_curves.penalty_table`.
        style: Colour.
    """
    factors, excess = table["factor"], table["excess_loss"]
    low, high = table["excess_loss_low"], table["excess_loss_high"]
    ax.fill_between(factors, low, high, color=style.color, alpha=0.18, linewidth=0, zorder=1.5)
    ax.plot(factors, excess, color=style.color, linewidth=1.2, zorder=2.6)
    for factor in MARKED:
        nearest = int(np.argmin(np.abs(np.log(factors / factor))))
        value = float(excess.iloc[nearest])
        label = "half and twice" if factor < 1 else None
        ax.plot([factor], [value], **_DOT.marks(filled=False), label=label, zorder=4)
        # Outside the valley, where its sides leave room.
        side = -1 if factor < 1 else 1
        ax.annotate(
            f"+{value:#.2g}".rstrip("."),
            (factor, value),
            xytext=(6 * side, -2),
            textcoords="offset points",
            ha="right" if side < 0 else "left",
            va="center",
        )
    return ax


def allocation_figure(
    allocation: Allocation,
    growth: pd.DataFrame,
    penalty: pd.DataFrame,
    largest_flops: float | None = None,
) -> Figure:
    """Draws optimal N and D and their ratio against compute, and the cost of other sizes.

    Args:
        allocation: Allocation of the budget.
        growth: Table from `analysis.planning.allocation_curves.growth_table`, around the budget.
        penalty: Table from `analysis.planning.allocation_curves.penalty_table`, at the budget.
        largest_flops: Largest compute of the fitted rows; None where unknown.

    Returns:
        A figure two columns wide.
    """
    with paper_figure(1, 3, height=2.7) as (figure, axes):
        sizes, ratio, cost = axes[0]
        d_over_n = allocation.tokens_per_parameter
        for ax, quantity, estimate, label, style in (
            (sizes, "parameters", allocation.parameters, "$N^*$", SERIES[0]),
            (sizes, "tokens", allocation.tokens, "$D^*$", SERIES[1]),
            (ratio, "tokens_per_parameter", d_over_n, "$D^*\\!/N^*$", _RATIO),
        ):
            draw_growth(ax, growth, quantity, label=label, style=style)
            draw_budget(ax, allocation, estimate, style=style)
        for ax, labelled in ((sizes, True), (ratio, False)):
            _line(ax, allocation.flops, INK, "-", "budget" if labelled else None)
            if largest_flops is not None:
                dots = (0, (1, 1.5))
                _line(ax, largest_flops, GREY, dots, "largest fitted" if labelled else None)
            ax.set(xscale="log", yscale="log", xlabel=axis_label("C"))
            ax.set_xlim(growth["flops"].min(), growth["flops"].max())
            log_ticks(ax, "x", "y", most=5 if labelled else 7)
        sizes.set(ylabel="parameters, tokens")
        ratio.set(ylabel="tokens per parameter")
        draw_penalty(cost, penalty)
        cost.set(xscale="log", xlabel="$N/N^*$ at the budget", ylabel="excess loss (nats)")
        log_ticks(cost, "x")
        for ax, style in ((ratio, _RATIO), (cost, SERIES[3])):
            if not math.isnan(allocation.level):
                band = f"{100 * allocation.level:g} % band"
                ax.fill_between([], [], color=style.color, alpha=0.25, linewidth=0, label=band)
        for ax, n_columns in zip(axes[0], (2, 1, 1), strict=True):
            legend_above(ax, n_columns)
    return figure


_RATIO = SERIES[2]
_DOT = Series(INK, "o", "-")


def _line(ax: Axes, flops: float, color: str, linestyle: LineStyleType, label: str | None) -> None:
    ax.axvline(flops, color=color, linestyle=linestyle, linewidth=0.9, label=label, zorder=1.2)
