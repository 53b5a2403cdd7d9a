"""Iso-FLOP figures: valleys with their minima, and how the optimum grows with compute."""

from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, ListedColormap, LogNorm, to_hex
from matplotlib.figure import Figure

from analysis.compute_optimal.growth import Trend
from analysis.compute_optimal.isoflop_result import BudgetValley, IsoflopResult
from analysis.estimate import Estimate
from analysis.plots.style import GREY, INK, SERIES, Series, add_colorbar, legend_above, paper_figure
from analysis.plots.ticks import axis_label, log_ticks

COMPUTE_COLORS: Colormap = ListedColormap(colormaps["viridis"](np.linspace(0, 0.82, 256)))
"""Viridis without its palest fifth; its lightness orders compute or size in greyscale too."""
MINIMUM = Series(INK, "D", "-").marks(filled=False)
"""Marks of the lowest points of curves."""
_REFUSED = Series(GREY, "x", "-").marks()


def draw_valleys(ax: Axes, result: IsoflopResult, *, colorbar: bool = True) -> Axes:
    """Draws every budget's points and curve, with the minimum and the interval of its size.

    Points that a curve does not use are open; refused budgets are grey, with crosses. Bars hold
    95 % of the noise of a point.

    Args:
        ax: Axes to draw on, x in parameters (logarithmic), y in nats.
        result: The analysis.
        colorbar: Whether to draw a colour bar of the FLOPs beside the axes.
    """
    flops = [valley.flops for valley in result.valleys]
    norm = LogNorm(min(flops) / 1.01, max(flops) * 1.01)
    for valley in result.valleys:
        if valley.refusal is None:
            _draw_valley(ax, valley, COMPUTE_COLORS(norm(valley.flops)))
        else:
            ax.plot(valley.n_params, valley.loss, **_REFUSED)
            ax.plot(valley.curve_x, valley.curve_loss, color=GREY, linewidth=0.7, dashes=[3])
    kept = [valley for valley in result.valleys if valley.optimal_params is not None]
    sizes = [v.optimal_params.value for v in kept if v.optimal_params]
    losses = [v.lowest_loss.value for v in kept if v.lowest_loss]
    ax.plot(sizes, losses, **MINIMUM, markersize=3.4, label="minimum", zorder=4)
    if len(kept) < len(result.valleys):
        ax.plot([], [], **_REFUSED, label="refused budget")
    if colorbar:
        add_colorbar(ax, norm, COMPUTE_COLORS, "FLOPs")
    return ax


def _draw_valley(ax: Axes, valley: BudgetValley, color: tuple[float, float, float, float]) -> None:
    ax.errorbar(
        valley.n_params,
        valley.loss,
        yerr=1.96 * np.array(valley.loss_sd),
        ecolor=color,
        elinewidth=0.7,
        linestyle="none",
    )
    marks = Series(to_hex(color), "o", "-")
    for size, loss, used in zip(valley.n_params, valley.loss, valley.used, strict=True):
        ax.plot([size], [loss], **marks.marks(filled=used), markersize=2.8)
    ax.plot(valley.curve_x, valley.curve_loss, color=color, linewidth=0.9, zorder=1.8)
    size, loss = valley.optimal_params, valley.lowest_loss
    assert size is not None and loss is not None
    # An open end stops at that of the grid.
    low, high = max(size.low, valley.n_params[0]), min(size.high, valley.n_params[-1])
    ax.hlines(loss.value, low, high, color=INK, linewidth=1.0, zorder=3.5)


def draw_optimal_params(
    ax: Axes, result: IsoflopResult, *, label: str | None = None, style: Series = SERIES[0]
) -> Axes:
    """Draws N* against compute: minima with intervals, the power law and its band.

    Args:
        ax: Axes to draw on, x in FLOPs, y in parameters, both logarithmic.
        result: The analysis.
        label: Legend entry; the power law with its exponent and standard error unless given.
        style: Colour, marker and line.
    """
    trend = None if result.trends is None else result.trends.params
    label = label or _power_law("N^*", trend)
    sizes = [(valley.flops, valley.optimal_params) for valley in result.valleys]
    return draw_optima(ax, sizes, trend, label=label, style=style)


def draw_tokens_per_param(
    ax: Axes, result: IsoflopResult, *, label: str | None = None, style: Series = SERIES[1]
) -> Axes:
    """Draws D* / N* against compute; see `draw_optimal_params` for the arguments."""
    trend = None if result.trends is None else result.trends.tokens_per_param
    label = label or _power_law("D^*\\!/N^*", trend)
    ratios = [(valley.flops, valley.tokens_per_param) for valley in result.valleys]
    return draw_optima(ax, ratios, trend, label=label, style=style)


def _power_law(of: str, trend: Trend | None) -> str:
    if trend is None:
        return ""
    return f"${of}\\propto C^{{{trend.exponent.value:.3f}\\pm{trend.exponent_se:.3f}}}$"


def draw_optima(
    ax: Axes,
    optima: Sequence[tuple[float, Estimate | None]],
    trend: Trend | None,
    *,
    label: str = "",
    refused: str = "refused budget",
    style: Series = SERIES[0],
) -> Axes:
    """Draws minima against their group with intervals, the power law and its band.

    Args:
        ax: Axes to draw on, both logarithmic.
        optima: Group and minimum of each curve; one without a minimum is marked on the axis.
        trend: Growth of the minimum with the group; None where there is none.
        label: Legend entry of the power law.
        refused: Legend entry of groups without a minimum.
        style: Colour, marker and line.
    """
    found = [(group, estimate) for group, estimate in optima if estimate is not None]
    if trend is not None:
        groups = [group for group, _ in optima]
        along = np.geomspace(min(groups), max(groups), 60)
        low, high = trend.predict_interval(along)
        ax.fill_between(along, low, high, color=style.color, alpha=0.18, linewidth=0, zorder=1.5)
        ax.plot(along, trend.predict(along), **style.line(), linewidth=1, label=label)
    groups = [group for group, _ in found]
    ax.plot(groups, [estimate.value for _, estimate in found], **style.marks())
    for group, estimate in found:
        draw_interval(ax, group, estimate, style)
    without = [group for group, estimate in optima if estimate is None]
    if without:
        on_axis = {"transform": ax.get_xaxis_transform(), "clip_on": False}
        ax.plot(without, [0.03] * len(without), **_REFUSED, **on_axis, label=refused)
    return ax


def draw_interval(ax: Axes, at: float, estimate: Estimate, style: Series) -> None:
    """Draws an interval as a vertical line, with an arrow at an open end.

    Args:
        ax: Axes to draw on.
        at: Position along x.
        estimate: The interval.
        style: Colour.
    """
    low = estimate.low if estimate.low > 0 else estimate.value
    high = estimate.high if np.isfinite(estimate.high) else estimate.value
    ax.vlines(at, low, high, color=style.color, linewidth=0.8)
    for end, arrow in ((estimate.low > 0, "v"), (np.isfinite(estimate.high), "^")):
        if not end:
            ax.annotate(
                "",
                (at, estimate.value),
                xytext=(0, 12 if arrow == "^" else -12),
                textcoords="offset points",
                arrowprops={"arrowstyle": "<-", "color": style.color, "linewidth": 0.8},
            )


def frame_valleys(ax: Axes, result: IsoflopResult) -> Axes:
    """Limits the y-axis to the valleys, cuts off losses far above them, and labels the axes.

    Args:
        ax: Axes on which `draw_valleys` has drawn.
        result: The result that it drew.
    """
    ax.set(xscale="log", xlabel=axis_label("N"), ylabel="loss (nats)")
    lowest = [min(valley.loss) for valley in result.valleys]
    margin = max(0.5 * (max(lowest) - min(lowest)), 0.1 * max(lowest))
    top = min(max(lowest) + margin, ax.get_ylim()[1])
    ax.set_ylim(min(lowest) - 0.12 * (top - min(lowest)), top)
    return ax


def isoflop_figure(result: IsoflopResult) -> Figure:
    """Draws the valleys, N* against compute, and tokens per parameter against compute.

    Losses far above every valley are cut off; `draw_valleys` on other axes shows them.

    Args:
        result: The analysis.

    Returns:
        A figure two columns wide.
    """
    with paper_figure(1, 3, height=2.6) as (figure, axes):
        valleys, growth, ratio = axes[0]
        draw_valleys(valleys, result)
        frame_valleys(valleys, result)
        draw_optimal_params(growth, result)
        draw_tokens_per_param(ratio, result)
        for ax, label in ((growth, "optimal parameters"), (ratio, "tokens per parameter")):
            ax.set(xscale="log", yscale="log", xlabel=axis_label("C"), ylabel=label)
        log_ticks(ratio, "y")
        for ax in axes.flat:
            legend_above(ax, n_columns=1)
    return figure
