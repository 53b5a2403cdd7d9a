"""The figure of iso-FLOP runs: three approaches, the surface L(N, D) and what it allocates."""

import math
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from analysis.compute_optimal.approaches_result import Approaches
from analysis.compute_optimal.envelope_result import EnvelopeResult
from analysis.compute_optimal.isoflop_result import IsoflopResult
from analysis.fitting.result import FitResult
from analysis.plots.approaches import Quantity, draw_growth, draw_learning_curves
from analysis.plots.frontier import draw_growth as draw_allocation
from analysis.plots.frontier import frontier_table
from analysis.plots.isoflop import draw_valleys, frame_valleys
from analysis.plots.rows import Rows, rows_of_fit
from analysis.plots.style import (
    DOUBLE_COLUMN,
    GREY,
    INK,
    SERIES,
    empty_figure,
    legend_above,
    letter_panels,
    paper_style,
)
from analysis.plots.surface import draw_surface
from analysis.plots.ticks import log_ticks, number

_LOSS = "loss (nats per token)"
_DECADES_LABELLED_ALONE = 1.3


def approaches_and_surface(found: Approaches, fitted: FitResult) -> Figure:
    """Draws learning curves, valleys, growth by approach, the surface L(N, D) and the allocation.

    Args:
        found: The approaches.
        fitted: The law of N and D, with the rows it saw.

    Returns:
        A figure two columns wide and three panels high; a panel without a result says so.
    """
    rows = rows_of_fit(fitted)
    envelope = next((r.detail for r in found.rows if isinstance(r.detail, EnvelopeResult)), None)
    valleys = next((r.detail for r in found.rows if isinstance(r.detail, IsoflopResult)), None)
    with paper_style():
        figure = empty_figure(DOUBLE_COLUMN, 8.4)
        # Each row is a figure of its own, so that colour bars do not narrow the panels below.
        grid = figure.subfigures(3, 1, squeeze=False, height_ratios=[1, 1.15, 1.08])
        parts = grid[:, 0]
        axes = np.array([part.subplots(1, 2) for part in parts])
        _draw_curves(axes[0, 0], envelope, rows)
        _draw_valleys(axes[0, 1], valleys)
        quantities: tuple[Quantity, Quantity] = ("params", "tokens_per_param")
        for ax, quantity in zip(axes[1], quantities, strict=True):
            draw_growth(ax, found, quantity)
            ax.set(xscale="log", yscale="log", xlabel="FLOPs")
            tick(ax, "x")
        axes[1, 0].set(ylabel="optimal parameters, $N^*$")
        log_ticks(axes[1, 0], "y", most=5)
        axes[1, 1].set(ylabel="tokens per parameter, $D^*\\!/N^*$")
        log_ticks(axes[1, 1], "y")
        parts[1].legend(handles=_entries(found), loc="outside lower center", ncols=2)
        draw_surface(axes[2, 0], fitted, rows)
        axes[2, 0].set(xlabel="parameters, $N$", ylabel="tokens, $D$")
        tick(axes[2, 0], "x", "y")
        legend_above(axes[2, 0])
        _draw_allocation(axes[2, 1], fitted, rows)
        letter_panels(axes)
    return figure


def tick(ax: Axes, *names: Literal["x", "y"]) -> None:
    """Labels only powers of ten where there are two or more, which a half-width panel has room for.

    Args:
        ax: Axes on which all is drawn.
        *names: Its logarithmic axes to label.
    """
    for name in names:
        low, high = sorted(ax.get_xlim() if name == "x" else ax.get_ylim())
        if math.log10(high / low) < _DECADES_LABELLED_ALONE:
            log_ticks(ax, name, most=4)
            continue
        axis = ax.xaxis if name == "x" else ax.yaxis
        axis.set_major_locator(LogLocator(numticks=7))
        axis.set_minor_locator(LogLocator(subs=range(1, 10), numticks=99))
        axis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))
        axis.set_minor_formatter(NullFormatter())


def _draw_curves(ax: Axes, envelope: EnvelopeResult | None, rows: Rows) -> None:
    if envelope is None:
        _absent(ax, "no envelope of learning curves")
        return
    draw_learning_curves(ax, envelope)
    low, high = float(rows.y.min()), float(rows.y.max())
    at = envelope.flops[np.isfinite(envelope.loss) & (envelope.loss < high + 0.3 * (high - low))]
    ax.set(xscale="log", xlabel="FLOPs", ylabel=_LOSS)
    ax.set(
        xlim=(at.min() / 1.2, at.max() * 1.2),
        ylim=(low - 0.06 * (high - low), high + 0.3 * (high - low)),
    )
    tick(ax, "x")
    legend_above(ax)


def _draw_valleys(ax: Axes, valleys: IsoflopResult | None) -> None:
    if valleys is None:
        _absent(ax, "no budget has a minimum")
        return
    draw_valleys(ax, valleys)
    frame_valleys(ax, valleys)
    ax.set(xlabel="parameters, $N$", ylabel=_LOSS)
    tick(ax, "x")
    legend_above(ax)


def _draw_allocation(ax: Axes, fitted: FitResult, rows: Rows) -> None:
    optimum = frontier_table(fitted, rows)
    for quantity, letter, style in (("tokens", "D", SERIES[1]), ("parameters", "N", SERIES[0])):
        draw_allocation(ax, optimum, quantity, label=f"${letter}^*$", style=style)
    ax.plot([], [], color=INK, linestyle=(0, (3, 2)), linewidth=1, label="extrapolated")
    ax.set(xscale="log", yscale="log", xlabel="$6ND$ (FLOPs)", ylabel="parameters, tokens")
    tick(ax, "x", "y")
    legend_above(ax, n_columns=3)


def _entries(found: Approaches) -> list[Line2D]:
    """Legend entries of the lines of growth, in the styles of `analysis.plots.approaches`."""
    entries = []
    for approach, style in zip(found.rows, SERIES, strict=False):
        if approach.exponents is None:
            continue
        a = approach.exponents.params.exponent
        look: dict[str, Any] = {"color": style.color, "linestyle": style.linestyle, "linewidth": 1}
        look["marker"] = "none" if isinstance(approach.detail, FitResult) else style.marker
        label = f"{approach.kind.title}: a = {a.value:.3f} [{a.low:.3f}, {a.high:.3f}]"
        entries.append(Line2D([], [], **look, label=label))
    entries.append(
        Line2D([], [], color=GREY, linestyle=":", linewidth=0.8, label=f"{found.flops:.3g} FLOPs")
    )
    return entries


def _absent(ax: Axes, why: str) -> None:
    ax.set_axis_off()
    ax.text(0.5, 0.5, why, transform=ax.transAxes, ha="center", color=GREY)
