"""Residuals of a fit: against the curve, against every input and against a normal distribution.

Residuals of logs are shown in percent (100 times the residual), others in the unit of y. A good fit
leaves a band of even height about 0 in every panel and a straight line in the last.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from numpy.typing import ArrayLike
from scipy.special import betaincinv, ndtri

from analysis.estimate import Floats
from analysis.fitting.result import FitResult
from analysis.plots.rows import Rows, mark_rows, rows_of_fit
from analysis.plots.style import GREY, INK, SERIES, Series, new_panels, outer_legend, paper_style
from analysis.plots.ticks import log_ticks

_MANY = 200
"""Number of rows beyond which marks shrink and are drawn as pixels."""
_QUARTILE = float(ndtri(0.75))
_QQ_BAND = 0.95


def residuals_table(result: FitResult, flagged: ArrayLike | None = None) -> pd.DataFrame:
    """Returns the numbers behind `residuals_figure`, a row for each fitted row, in their order.

    Args:
        result: The fit, with the rows that it saw.
        flagged: Whether the row is doubtful, shape `(n_points,)`; none unless given.

    Returns:
        Columns: the inputs, "fitted" (y on the curve), "residual" (of log y, not in percent; of y
        on the linear scale) and "flagged".

    Raises:
        ValueError: A fit without its rows, or flagged of another shape.
    """
    rows = rows_of_fit(result, flagged)
    table = rows.with_predictions(result).drop(columns="observed")
    table = table.rename(columns={"predicted": "fitted"})
    return table.assign(residual=result.residuals, flagged=rows.flagged)


def residuals_figure(
    result: FitResult, *, flagged: ArrayLike | None = None, labels: Mapping[str, str] | None = None
) -> Figure:
    """Draws residuals against the fitted value and every input, and a normal Q-Q plot.

    Dashed lines mark Huber's threshold, beyond which the influence of a row is constant. The line
    of the Q-Q plot goes through the quartiles, which outliers do not move; the band about it holds
    each point of a normal sample with a probability of 95 %. Flagged rows have a cross.

    Args:
        result: The fit, with the rows that it saw.
        flagged: Whether the row is doubtful, shape `(n_points,)`; none unless given.
        labels: Words for axes, with units, by the name of an input, or "y".

    Returns:
        A figure two columns wide.

    Raises:
        ValueError: A fit without its rows, or flagged of another shape.
    """
    rows = rows_of_fit(result, flagged, labels)
    fitted = result.predict(rows.x)
    unit = 100.0 if result.loss.scale == "log" else 1.0
    residuals = unit * result.residuals
    with paper_style():
        figure, panels, first = new_panels(len(rows.inputs) + 2, height=2.2)
        shown = [(f"fitted {rows.label('y')}", fitted)]
        shown += [(rows.label(name), rows.column(name)) for name in rows.inputs]
        for ax, (label, at) in zip(panels, shown, strict=False):
            ax.set(xscale="log", xlabel=label)
            draw_residuals(ax, result, rows, at)
            log_ticks(ax, "x", most=4)
        draw_normal_quantiles(panels[-1], rows, residuals)
        panels[-1].set(xlabel="normal quantile")
        limits = _limits(residuals)
        for ax in panels:
            ax.set_ylim(limits)
        is_log = result.loss.scale == "log"
        for ax in first:
            ax.set_ylabel("log residual (%)" if is_log else f"residual of {rows.label('y')}")
        figure.align_xlabels()
        outer_legend(figure, (panels[0], panels[-1]), "outside upper center", 4, without="fitted")
    return figure


def draw_residuals(ax: Axes, result: FitResult, rows: Rows, at: Floats) -> Axes:
    """Draws the residuals of a fit at given places, 0 and Huber's threshold.

    Args:
        ax: Axes to draw on.
        result: The fit.
        rows: Its rows.
        at: Horizontal position of each, shape `(n_points,)`.
    """
    unit = 100.0 if result.loss.scale == "log" else 1.0
    ax.axhline(0, color=INK, linewidth=0.6, zorder=1.5)
    if result.loss.delta is not None:
        reach = unit * result.loss.delta
        percent = " %" if result.loss.scale == "log" else ""
        for sign, label in ((1, f"Huber's threshold, $\\pm${reach:.3g}{percent}"), (-1, None)):
            ax.axhline(
                sign * reach, color=INK, linestyle=(0, (4, 2)), linewidth=0.7, label=label, zorder=4
            )
    return mark_many_rows(ax, rows, at, unit * result.residuals)


def draw_normal_quantiles(ax: Axes, rows: Rows, values: Floats) -> Axes:
    """Draws values against the quantiles of a normal distribution, with the line to compare with.

    The i-th of n values, ascending, lies at the quantile of (i - 1/2) / n. The line goes through
    the quartiles. The band is pointwise: the i-th of n probabilities is Beta(i, n + 1 - i).

    Args:
        ax: Axes to draw on.
        rows: The rows; flagged ones get crosses.
        values: One value for each row, shape `(n_rows,)`.
    """
    n = len(values)
    quantile = np.empty(n)
    quantile[np.argsort(values, kind="stable")] = ndtri((np.arange(n) + 0.5) / n)
    low, high = np.quantile(values, [0.25, 0.75])
    centre, spread = (low + high) / 2, (high - low) / (2 * _QUARTILE)
    # Ranks are dense at both ends, where the band bends.
    near_end = np.unique(np.geomspace(1, n, 200).astype(int))
    rank = np.union1d(near_end, n + 1 - near_end)
    line = ndtri((rank - 0.5) / n)
    tail = (1 - _QQ_BAND) / 2
    ends = [centre + spread * ndtri(betaincinv(rank, n + 1 - rank, p)) for p in (tail, 1 - tail)]
    label = f"{100 * _QQ_BAND:g} % band of normal residuals"
    ax.fill_between(line, *ends, color=GREY, alpha=0.25, linewidth=0, label=label, zorder=1.2)
    ax.plot(line, centre + spread * line, color=INK, linewidth=0.7, zorder=4)
    return mark_many_rows(ax, rows, quantile, values)


def mark_many_rows(
    ax: Axes,
    rows: Rows,
    at: Floats,
    value: Floats,
    *,
    left_out: str = "not fitted",
    style: Series = SERIES[0],
) -> Axes:
    """Marks rows like `mark_rows`, but many rows with small translucent marks, drawn as pixels."""
    before = set(ax.collections)
    mark_rows(ax, rows, at, value, left_out=left_out, style=style)
    excess = len(at) / _MANY
    if excess > 1:
        for marks in set(ax.collections) - before:
            assert isinstance(marks, PathCollection)
            marks.set_sizes(np.maximum(marks.get_sizes() / np.sqrt(excess), 0.5))
            marks.set(alpha=max(excess**-0.25, 0.2), rasterized=True)
            marks.set_linewidth(0.6 / np.sqrt(excess))
    return ax


def _limits(residuals: Floats) -> tuple[float, float]:
    """Limits with every residual and 0 inside; Huber's threshold may lie beyond them."""
    low, high = min(float(residuals.min()), 0.0), max(float(residuals.max()), 0.0)
    margin = 0.07 * (high - low) or 1.0
    return low - margin, high + margin
