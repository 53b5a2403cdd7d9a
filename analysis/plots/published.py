"""The best model over compute by many published laws."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analysis.plots.style import GREY, INK, SERIES, outer_legend, paper_figure
from analysis.plots.ticks import axis_label, log_ticks


def published_figure(table: pd.DataFrame, flops: float, models: pd.DataFrame) -> Figure:
    """Draws the best size and its tokens a parameter against compute, a line a law.

    Where a law is taken beyond its data the line is thin, and thick inside.

    Args:
        table: Columns law, flops, parameters, tokens_per_parameter and beyond: 1 inside the data of
            the law, more outside, NaN where the range is not known.
        flops: The compute that was asked for, marked.
        models: Named models as points: columns flops, parameters and tokens_per_parameter.

    Returns:
        A figure two columns wide.
    """
    with paper_figure(1, 2, height=3.6) as (figure, axes):
        for at, (name, rows) in enumerate(table.groupby("law", sort=False)):
            look = SERIES[at % len(SERIES)]
            inside = rows["beyond"].to_numpy(np.float64) <= 1
            for ax, column in zip(axes[0], ("parameters", "tokens_per_parameter"), strict=True):
                x, y = rows["flops"].to_numpy(np.float64), rows[column].to_numpy(np.float64)
                # Lines repeat: filled marks are the second seven laws, open ones the third.
                marks = look.marks(filled=at < 2 * len(SERIES)) if at >= len(SERIES) else {}
                line = {"linewidth": 0.8, "markersize": 3.5, "markevery": 5}
                ax.plot(x, y, **{**marks, **look.line(), **line}, label=str(name))
                ax.plot(x[inside], y[inside], color=look.color, linewidth=2.4, alpha=0.6)
        for ax, column in zip(axes[0], ("parameters", "tokens_per_parameter"), strict=True):
            ax.plot(models["flops"], models[column], color=INK, marker="*", markersize=5,
                    linestyle="none", label="named models", zorder=4)  # fmt: skip
        for ax, label in zip(axes[0], ("best size $N$", "tokens per parameter $D/N$"), strict=True):
            ax.axvline(flops, color=GREY, linewidth=0.8, zorder=1)
            ax.set(xscale="log", yscale="log", xlabel="training FLOPs $C$", ylabel=label)
            ax.set_xlim(table["flops"].min(), table["flops"].max())
            log_ticks(ax, "x", "y", most=5)
        axes[0, 0].plot([], [], color=GREY, linewidth=2.4, alpha=0.6, label="inside its data")
        outer_legend(figure, axes[0], "outside lower center", 4)
    return figure


def beside_figure(table: pd.DataFrame, along: str, output: str) -> Figure:
    """Draws the log of the rows over each law: a fit first, then published laws.

    Args:
        table: The input `along`, then a column of residuals for each law.
        along: Name of the input to draw along.
        output: What the laws predict.

    Returns:
        A figure one column wide.
    """
    with paper_figure(height=2.9) as (figure, axes):
        ax = axes[0, 0]
        for at, name in enumerate(table.columns.drop(along)):
            look = SERIES[at % len(SERIES)]
            ax.plot(table[along], table[name], **look.marks(filled=at > 0), markersize=2.5,
                    markeredgewidth=0.6, alpha=0.7, label=name)  # fmt: skip
        ax.axhline(0.0, color=GREY, linewidth=0.8, zorder=1)
        ax.set(xscale="log", xlabel=axis_label(along), ylabel=f"log {output} − log law")
        log_ticks(ax, "x", most=5)
        outer_legend(figure, [ax], "outside lower center", 2)
    return figure


def overlay_figure(table: pd.DataFrame) -> Figure:
    """Draws the loss of runs over compute, and what published laws say at each of them.

    Args:
        table: Columns flops and runs, then one for each law: losses in nats per byte.

    Returns:
        A figure one column wide.
    """
    with paper_figure(height=2.9) as (figure, axes):
        ax = axes[0, 0]
        ax.plot(table["flops"], table["runs"], color=INK, marker="o", markersize=2.5,
                linestyle="none", label="runs")  # fmt: skip
        for name, look in zip(table.columns.drop(["flops", "runs"]), SERIES * 3, strict=False):
            ax.plot(table["flops"], table[name], **look.marks(filled=False), markersize=3,
                    markeredgewidth=0.6, label=name)  # fmt: skip
        ax.set(xscale="log", yscale="log", xlabel="training FLOPs", ylabel="loss (nats/byte)")
        log_ticks(ax, "x", "y", most=5)
        outer_legend(figure, [ax], "outside lower center", 2)
    return figure
