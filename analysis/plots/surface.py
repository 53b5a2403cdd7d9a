"""Contours of a fitted loss over two inputs, with the runs to which it was fitted.

Runs and contours share one colour scale: where a run differs in colour from the contours around it,
the law misses it.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, ListedColormap, LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Polygon
from matplotlib.text import Text

from analysis.estimate import Floats
from analysis.fitting.result import FitResult
from analysis.laws.chinchilla import FLOPS_PER_PARAMETER_AND_TOKEN
from analysis.plots.frontier import draw_dashed_beyond, frontier_table, has_frontier
from analysis.plots.rows import Rows, mark_flagged
from analysis.plots.style import (
    DOUBLE_COLUMN,
    GREY,
    INK,
    add_colorbar,
    letter_panels,
    new_figure,
    outer_legend,
    paper_style,
)
from analysis.plots.ticks import log_ticks, number

# Viridis without its palest fifth; the highest loss is darkest.
_COLORS: Colormap = ListedColormap(colormaps["viridis_r"](np.linspace(0.12, 1, 256)))
_N_GRID = 120
_N_LEVELS = 9
_MARGIN = 1.5  # factor between the outermost runs and the ends of the axes
_MOST_PLANES = 3
_LEAST_ROWS_OF_A_PLANE = 8
_LABEL_SIZE = (0.08, 0.08)  # distance at which labels do not touch, in shares of the axes
_BOX = {"facecolor": "white", "edgecolor": "none", "pad": 0.6}
_BESIDE_END = np.array([0.05, 0.1, 0.15, 0.2, 0.25])  # places for the label of a budget, likewise


def planes(rows: Rows) -> tuple[float | None, ...]:
    """Returns the unique tokens of each surface that can be drawn over two inputs.

    Args:
        rows: The rows of a fit.

    Returns:
        (None,) for a law of two inputs, which needs none. For a law of N, D and epochs the unique
        tokens, D / epochs, with the most rows, ascending. Empty for every other law.
    """
    if len(rows.inputs) == 2:
        return (None,)
    if rows.inputs != ("N", "D", "epochs"):
        return ()
    unique, counts = np.unique(_unique_tokens(rows), return_counts=True)
    most = np.argsort(-counts, kind="stable")[:_MOST_PLANES]
    return tuple(sorted(unique[most][counts[most] >= _LEAST_ROWS_OF_A_PLANE].tolist()))


def _unique_tokens(rows: Rows) -> Floats:
    """D / epochs without the rounding of the quotient."""
    return np.exp(np.round(np.log(rows.column("D") / rows.column("epochs")), 6))


def surface_table(result: FitResult, rows: Rows) -> pd.DataFrame:
    """Returns each run's inputs, "observed" and "predicted" loss, "fitted" and "flagged"."""
    return rows.with_predictions(result).assign(fitted=rows.fitted, flagged=rows.flagged)


def loss_norm(rows: Rows) -> LogNorm:
    """Returns the colour scale of the losses of all rows."""
    return LogNorm(float(rows.y.min()) / 1.001, float(rows.y.max()) * 1.001)


def draw_surface(
    ax: Axes,
    result: FitResult,
    rows: Rows,
    *,
    unique_tokens: float | None = None,
    norm: LogNorm | None = None,
) -> Axes:
    """Draws contours of the fitted loss and the runs; over N and D also budgets and the optimum.

    Filled points were fitted, open ones were not; a cross lies on a flagged one. Thin lines are
    budgets of equal compute, C = 6 N D. The line across them is the compute optimum where the law
    derives one, dashed beyond the fitted budgets; the band of its replicates is measured along
    each budget.

    Args:
        ax: Axes to draw on; both become logarithmic.
        result: The fit.
        rows: Its rows.
        unique_tokens: Unique tokens of the rows to show, for a law of N, D and epochs.
        norm: Colour scale; that of these rows unless given.
    """
    law = result.law
    norm = norm or loss_norm(rows)
    if unique_tokens is not None:
        rows = rows.take(np.isclose(_unique_tokens(rows), unique_tokens, rtol=1e-4))
    optimum = frontier_table(result, rows) if has_frontier(law) else None
    ax.set(xscale="log", yscale="log")
    limits = _limits(rows, optimum)
    ax.set(xlim=limits[0], ylim=limits[1])
    labels = _draw_contours(ax, result, unique_tokens, norm)
    if rows.inputs[:2] == ("N", "D"):
        _draw_budgets(ax, labels)
    if unique_tokens is not None:
        ax.axhline(unique_tokens, color=GREY, linestyle=(0, (1, 1.5)), zorder=1.4)
    if optimum is not None:
        _draw_optimum(ax, optimum, result.level)
    _draw_runs(ax, rows, norm)
    return ax


def _limits(rows: Rows, optimum: pd.DataFrame | None) -> list[tuple[float, float]]:
    """Limits of both axes, with every run and the optimum inside."""
    found = []
    for column, name in enumerate(("parameters", "tokens")):
        shown = rows.x[:, column]
        if optimum is not None:
            shown = np.append(shown, optimum[name])
        found.append((float(shown.min()) / _MARGIN, float(shown.max()) * _MARGIN))
    return found


def contour_levels(losses: Floats) -> Floats:
    """Returns round losses that divide the surface into about equal parts."""
    quantiles = np.quantile(losses, np.linspace(0.04, 0.96, _N_LEVELS))
    step = 10.0 ** np.floor(np.log10(np.ptp(quantiles) / _N_LEVELS))
    return np.unique(np.round(np.round(quantiles / step) * step, 12))


def _draw_contours(
    ax: Axes, result: FitResult, unique_tokens: float | None, norm: LogNorm
) -> list[Text]:
    """Draws contours of the loss and returns their visible labels."""
    first, second = (np.geomspace(*lim, _N_GRID) for lim in (ax.get_xlim(), ax.get_ylim()))
    mesh = np.meshgrid(first, second)
    columns = [each.ravel() for each in mesh]
    if unique_tokens is not None:
        columns.append(columns[1] / unique_tokens)
    losses = result.predict(np.stack(columns, axis=1)).reshape(_N_GRID, _N_GRID)
    levels, look = contour_levels(losses), {"norm": norm, "cmap": _COLORS, "linewidths": 1.1}
    lines = ax.contour(*mesh, losses, levels=levels, **look, zorder=1.7)
    labels = ax.clabel(lines, fontsize=7, fmt=lambda value: f"{value:g}", inline=False)
    for text in labels:
        text.set_color(INK)
        text.set_clip_on(False)
        text.set_bbox(_BOX)
        (low, high), at = ax.get_ylim(), text.get_position()[1]
        # A label at the edge would be cut off.
        text.set_visible(bool(0.03 < np.log(at / low) / np.log(high / low) < 0.97))
    return [text for text in labels if text.get_visible()]


def _draw_budgets(ax: Axes, labels: Sequence[Text]) -> None:
    """Draws lines of equal compute, labelled near their upper ends where no other label is."""
    within = ax.transData - ax.transAxes
    taken = within.transform(np.reshape([text.get_position() for text in labels], (-1, 2)))
    (n_low, n_high), (d_low, d_high) = ax.get_xlim(), ax.get_ylim()
    ends = FLOPS_PER_PARAMETER_AND_TOKEN * np.array([n_low * d_low, n_high * d_high])
    first, last = np.ceil(np.log10(ends[0])), np.floor(np.log10(ends[1]))
    stride = max(1, int(np.ceil((last - first + 1) / 9)))
    for power in range(int(first), int(last) + 1, stride):
        product = 10.0**power / FLOPS_PER_PARAMETER_AND_TOKEN
        n = np.array([max(n_low, product / d_high), min(n_high, product / d_low)])
        label = "equal compute (FLOPs)" if power == first else None
        look = {"color": GREY, "linewidth": 0.5, "alpha": 0.7, "zorder": 1.1}
        ax.plot(n, product / n, **look, label=label)
        if np.log(n[1] / n[0]) < 0.12 * np.log(n_high / n_low):
            continue
        beside = n[0] * (n_high / n_low) ** _BESIDE_END
        beside = beside[beside < n[1]]
        offsets = within.transform(np.stack([beside, product / beside], axis=1))[:, None] - taken
        clear = np.all(np.any(np.abs(offsets) > _LABEL_SIZE, axis=-1), axis=-1)
        at = beside[clear.argmax()]
        look = {"color": GREY, "fontsize": 7, "ha": "center", "va": "center", "bbox": _BOX}
        ax.text(at, product / at, f"$10^{{{power}}}$", **look, zorder=1.75)


def _draw_optimum(ax: Axes, optimum: pd.DataFrame, level: float) -> None:
    """Draws the optimum of every budget and, where both its ends are known, its band."""
    n = optimum[["parameters_low", "parameters_high"]].to_numpy().T
    product = optimum["flops"].to_numpy() / FLOPS_PER_PARAMETER_AND_TOKEN
    if np.all(np.isfinite(n)):
        low, high = (np.stack([each, product / each], axis=1) for each in n)
        look = {"facecolor": INK, "alpha": 0.2, "linewidth": 0, "zorder": 2.2}
        band = Polygon(np.concatenate([low, high[::-1]]), closed=True, **look)
        band.set_label(f"{100 * level:g} % band")
        ax.add_patch(band)
    draw_dashed_beyond(ax, optimum, "parameters", "tokens", label="compute optimum")


def _draw_runs(ax: Axes, rows: Rows, norm: LogNorm) -> None:
    """Draws fitted runs as filled marks, others as open ones, in the colours of their losses."""
    at, value = rows.x[:, 0], rows.x[:, 1]
    for chosen, filled in ((rows.fitted, True), (rows.held_out, False)):
        if chosen.any():
            colors = _COLORS(norm(rows.y[chosen]))
            ax.scatter(
                at[chosen],
                value[chosen],
                s=13,
                facecolor=colors if filled else "white",
                edgecolor=INK if filled else colors,
                linewidth=0.4 if filled else 1.1,
                label="fitted run" if filled else "run not fitted",
                zorder=2.8,
            )
    mark_flagged(ax, rows, at, value)


def surface_figure(result: FitResult, rows: Rows) -> Figure:
    """Draws the surface, or one for each number of unique tokens, with a bar of the losses.

    Args:
        result: The fit.
        rows: Its rows; `planes(rows)` must not be empty.

    Returns:
        A figure.
    """
    shown = planes(rows)
    if not shown:
        raise ValueError(
            f"The law {result.law.name} takes {', '.join(rows.inputs)}; a surface needs a law of "
            "two inputs, or of N, D and epochs. Draw another figure of this fit."
        )
    norm = loss_norm(rows)
    with paper_style():
        one = len(shown) == 1
        figure, axes = new_figure(
            1, len(shown), width=5.2 if one else DOUBLE_COLUMN, height=3.9 if one else 3.0
        )
        for ax, unique_tokens in zip(axes[0], shown, strict=True):
            draw_surface(ax, result, rows, unique_tokens=unique_tokens, norm=norm)
            ax.set(xlabel=rows.label(rows.inputs[0]))
            if unique_tokens is not None:
                ax.set_title(f"{number(unique_tokens)} unique tokens", fontsize=8)
            log_ticks(ax, "x", "y", most=6 if one else 4)
        axes[0, 0].set(ylabel=rows.label(rows.inputs[1]))
        bar = add_colorbar(list(axes[0]), norm, _COLORS, rows.label("y"))
        log_ticks(bar.ax, "y")
        outer_legend(figure, [axes[0, 0]], "outside upper left", 4)
        if not one:
            letter_panels(axes)
    return figure
