"""The figure of `experiments.critical_batch`: frontier, growth of the critical batch, rates."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.plots import style
from analysis.plots.ticks import log_ticks
from experiments.shared.batch_frontier import AtSize
from experiments.shared.language_model_figures import tick
from experiments.shared.panels import mark_excluded


def three_panels(found: Sequence[AtSize], excluded: pd.DataFrame) -> Figure:
    """Draws the frontier of the first size, B_crit beside the noise scale, and the best rates."""
    with style.paper_figure(1, 3, height=2.9) as (drawing, axes):
        _draw_frontier(axes[0, 0], found[0])
        draw_growth(axes[0, 1], found)
        _draw_rates(axes[0, 2], found, excluded)
    return drawing


def draw_growth(ax: Axes, found: Sequence[AtSize]) -> None:
    """Draws the critical batch and the noise scale against the loss, size by size."""
    for look, size in zip(style.SERIES, found, strict=False):
        for each, name, fill, shift in (
            (size.growth.batch, "$B_\\mathrm{crit}$", look.color, 1.0),
            (size.noise, "noise scale", "white", 1.003),
        ):
            value, low, high = np.array([(e.value, e.low, e.high) for e in each]).T
            # An end that the batches do not bound leaves the panel.
            high = np.minimum(high, 100 * value)
            ax.errorbar(
                size.losses * shift,
                value,
                yerr=np.stack([value - low, high - value]),
                color=look.color,
                marker=look.marker,
                markerfacecolor=fill,
                linestyle=look.linestyle if fill == "white" else "none",
                linewidth=0.8,
                label=f"{name}, $N$ = {size.n_params:,}",
            )
        along = np.geomspace(size.losses[-1], size.losses[0], 40)
        logs = np.polyfit(np.log(size.losses), [np.log(e.value) for e in size.growth.batch], 1)
        ax.plot(along, np.exp(np.polyval(logs, np.log(along))), color=look.color, linewidth=1)
    values = [e.value for size in found for e in (*size.growth.batch, *size.noise)]
    ax.set(xscale="log", yscale="log", xlabel="loss (nats per token)", ylabel="batch (tokens)")
    ax.set_ylim(min(values) / 4, max(values) * 4)
    log_ticks(ax, "x", "y", most=4)
    style.legend_above(ax, n_columns=1)


def _draw_frontier(ax: Axes, size: AtSize) -> None:
    """Draws steps against tokens to every loss: measured, the hyperbola, its turning point."""
    batches = np.geomspace(size.batch.min() / 2, size.batch.max() * 2, 80)
    losses = zip(style.SERIES, size.losses, size.growth.fits, strict=False)
    for j, (look, loss, fitted) in enumerate(losses):
        along = fitted.predict(batches)
        ax.plot(batches * along, along, color=look.color, linewidth=0.9)
        ax.plot(
            size.batch * size.steps[:, j], size.steps[:, j], **look.marks(), label=f"{loss:.2f}"
        )
        turn = (2 * fitted.params["E_min"], 2 * fitted.params["S_min"])
        label = "at $B_\\mathrm{crit}$" if loss == size.losses[-1] else None
        ax.plot(*turn, color=style.INK, marker="+", markersize=7, linestyle="none", label=label)
    ax.set(xscale="log", yscale="log", xlabel="tokens to the loss", ylabel="steps to the loss")
    tick(ax, "x", "y")
    ax.legend(title="loss (nats)", title_fontsize=7, fontsize=7, loc="best")


def _draw_rates(ax: Axes, found: Sequence[AtSize], excluded: pd.DataFrame) -> None:
    """Draws the rates tried at every batch, the best for the lowest loss, and runs left out."""
    for look, size in zip(style.SERIES, found, strict=False):
        for batch, rates in zip(size.batch, size.rates, strict=True):
            at = np.full(len(rates), batch)
            ax.plot(at, rates, color=look.color, marker=".", linestyle="none", alpha=0.4)
        ax.plot(
            size.batch,
            size.best_rates(-1),
            color=look.color,
            marker=look.marker,
            linestyle=look.linestyle,
            label=f"best, $N$ = {size.n_params:,}",
        )
    ax.set(xscale="log", yscale="log", xlabel="batch (tokens)", ylabel="learning rate")
    tick(ax, "x")
    log_ticks(ax, "y", most=5)
    mark_excluded(ax, excluded, "batch")
    style.legend_above(ax, n_columns=1)
