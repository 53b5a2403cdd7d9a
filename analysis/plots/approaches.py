"""Figures of the three approaches: learning curves, valleys, and the growth of each optimum."""

from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.compute_optimal.approaches_result import Approach, Approaches
from analysis.compute_optimal.envelope_result import EnvelopeResult
from analysis.compute_optimal.isoflop_result import IsoflopResult
from analysis.estimate import Estimate
from analysis.plots.isoflop import (
    COMPUTE_COLORS,
    MINIMUM,
    draw_interval,
    draw_valleys,
    frame_valleys,
)
from analysis.plots.style import GREY, INK, SERIES, Series, add_colorbar, legend_above, paper_figure
from analysis.plots.ticks import axis_label, log_ticks

Quantity = Literal["params", "tokens_per_param"]
"""A quantity that grows with compute: N* or D* / N*."""


def draw_learning_curves(ax: Axes, result: EnvelopeResult, *, colorbar: bool = True) -> Axes:
    """Draws every learning curve, coloured by size, and their envelope with its hand-overs.

    Args:
        ax: Axes to draw on, x in FLOPs (logarithmic), y in nats.
        result: The envelope.
        colorbar: Whether to draw a colour bar of the sizes beside the axes.
    """
    sizes = [curve.n_params for curve in result.curves]
    norm = LogNorm(min(sizes) / 1.01, max(sizes) * 1.01)
    for curve in result.curves:
        color = COMPUTE_COLORS(norm(curve.n_params))
        ax.plot(curve.flops, curve.loss, color=color, linewidth=0.6, zorder=1.6)
    ax.plot(result.flops, result.loss, color=INK, linewidth=1.4, label="envelope", zorder=2.5)
    at = [each.flops for each in result.hand_overs]
    loss = np.interp(np.log(at), np.log(result.flops), result.loss)
    ax.plot(at, loss, **MINIMUM, markersize=2.8, label="hand-over", zorder=3)
    if colorbar:
        add_colorbar(ax, norm, COMPUTE_COLORS, "parameters")
    return ax


def draw_growth(ax: Axes, approaches: Approaches, quantity: Quantity) -> Axes:
    """Draws how one quantity grows with compute by each approach: power law, band and optima.

    A thin vertical line marks the compute at which the report gives optima. The y-axis holds the
    laws and optima: a very wide band may leave it, so that the others stay readable.

    Args:
        ax: Axes to draw on, x in FLOPs, y the quantity, both logarithmic.
        approaches: The report.
        quantity: N* or D* / N*.
    """
    low, high = approaches.compute
    along = np.geomspace(min(low, approaches.flops), max(high, approaches.flops), 80)
    shown: list[float] = []
    for approach, style in _styled(approaches):
        assert approach.exponents is not None
        law = getattr(approach.exponents, quantity)
        band = law.predict_interval(along)
        ax.fill_between(along, *band, color=style.color, alpha=0.13, linewidth=0, zorder=1.4)
        predicted = law.predict(along)
        shown += [*predicted, *(optimum.value for _, optimum in _optima(approach, quantity))]
        ax.plot(along, predicted, **style.line(), linewidth=1, zorder=2)
        for flops, optimum in _optima(approach, quantity):
            draw_interval(ax, flops, optimum, style)
            ax.plot([flops], [optimum.value], **style.marks(), markersize=2.6, zorder=3)
    ax.axvline(approaches.flops, color=GREY, linewidth=0.6, dashes=(1, 1.5), zorder=1.2)
    if shown:
        margin = max(2.0, (max(shown) / min(shown)) ** 0.25)
        ax.set_ylim(min(shown) / margin, max(shown) * margin)
    return ax


def approaches_figure(approaches: Approaches) -> Figure:
    """Draws learning curves and valleys where the report has them, N* and tokens per parameter.

    Args:
        approaches: The report.

    Returns:
        A figure two columns wide: two by two panels with learning curves, one row without.
    """
    details = [each.detail for each in approaches.rows]
    envelope = next((each for each in details if isinstance(each, EnvelopeResult)), None)
    valleys = next((each for each in details if isinstance(each, IsoflopResult)), None)
    n_panels = 2 + (envelope is not None) + (valleys is not None)
    n_rows = 2 if n_panels == 4 else 1
    with paper_figure(n_rows, n_panels // n_rows, height=2.5 * n_rows + 0.6) as (figure, grid):
        panels = iter(grid.flat)
        if envelope is not None:
            ax = next(panels)
            draw_learning_curves(ax, envelope)
            lowest, highest = float(np.nanmin(envelope.loss)), float(np.nanmax(envelope.loss))
            ax.set(xscale="log", xlabel=axis_label("C"), ylabel="loss (nats)")
            # The start of training of every size towers above what the envelope is about.
            ax.set_ylim(lowest - 0.05 * (highest - lowest), highest + 0.05 * (highest - lowest))
            legend_above(ax)
        if valleys is not None:
            ax = next(panels)
            draw_valleys(ax, valleys)
            frame_valleys(ax, valleys)
            legend_above(ax, n_columns=2 if n_rows == 2 else 1)
        growth, ratio = panels
        draw_growth(growth, approaches, "params")
        draw_growth(ratio, approaches, "tokens_per_param")
        for ax, label in ((growth, "optimal parameters"), (ratio, "tokens per parameter")):
            ax.set(xscale="log", yscale="log", xlabel=axis_label("C"), ylabel=label)
        log_ticks(ratio, "y")
        figure.legend(
            handles=[_legend_entry(approach, style) for approach, style in _styled(approaches)],
            loc="outside lower center",
            ncols=2,
        )
    return figure


def _styled(approaches: Approaches) -> list[tuple[Approach, Series]]:
    """Approaches with an answer, each in a style that does not depend on the others."""
    pairs = zip(approaches.rows, SERIES, strict=False)
    return [(each, style) for each, style in pairs if each.exponents is not None]


def _legend_entry(approach: Approach, style: Series) -> Line2D:
    assert approach.exponents is not None
    a = approach.exponents.params.exponent
    marker = style.marker if _optima(approach, "params") else "none"
    label = f"{approach.kind.title}: a = {a.value:.3f} [{a.low:.3f}, {a.high:.3f}]"
    return Line2D([], [], **style.line(), linewidth=1, marker=marker, label=label)


def _optima(approach: Approach, quantity: Quantity) -> list[tuple[float, Estimate]]:
    """Optima to which a power law was fitted; none for a parametric fit."""
    detail = approach.detail
    if isinstance(detail, EnvelopeResult):
        found = []
        for each in detail.hand_overs:
            value = each.n_params if quantity == "params" else each.tokens / each.n_params
            found.append((each.flops, Estimate(value, value, value, detail.bootstrap.level)))
        return found
    if isinstance(detail, IsoflopResult):
        name = "optimal_params" if quantity == "params" else "tokens_per_param"
        estimates = ((valley.flops, getattr(valley, name)) for valley in detail.valleys)
        return [(flops, estimate) for flops, estimate in estimates if estimate is not None]
    return []
