"""Bootstrap replicates as figures: which parameters are correlated, and how strongly.

A long thin cloud is a valley of the objective: its two parameters are known better together than
each by itself. A cloud with a straight edge lies at a bound of the law.
"""

import textwrap
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import NDArray

from analysis.estimate import Floats
from analysis.fitting.result import FitResult
from analysis.plots.style import DOUBLE_COLUMN, INK, SERIES, SINGLE_COLUMN, new_figure, paper_style
from analysis.plots.ticks import from_axis, linear_ticks, log_ticks, symbol, to_axis

_MOST = 6  # parameters in one figure
_TAIL = 0.005  # share of the replicates beyond each end of an axis
_N_BINS = 30
_MARGIN = 0.04
_LETTERS_PER_INCH = 17.5
_INTERVAL = "interval"


class _Cloud(NamedTuple):
    """One parameter: its replicates in its own unit, and the axis that shows them."""

    name: str
    replicates: Floats
    estimate: float
    interval: tuple[float, float]
    is_log: bool
    limits: tuple[float, float]


def clouds_figure(result: FitResult) -> Figure:
    """Draws replicates of every pair of parameters, and of each parameter on the diagonal.

    The diagonal shades the interval of the fit and marks the estimate. Parameters that do not vary,
    such as held ones, have no panel. Axes end at the 0.5 and 99.5 % percentiles of the replicates,
    or at the interval where that is wider; the line under the figure counts those beyond.

    Args:
        result: The fit.

    Returns:
        The figure, with an axis for each of the first 6 parameters; logarithmic for those in
        `law.logs`.

    Raises:
        ValueError: A fit without a parameter that varies.
    """
    varying = _clouds(result)
    if not varying:
        raise ValueError(
            f"No parameter of {result.law.name} varies over the {len(result.replicates)} "
            "replicates; give a fit with free parameters and a bootstrap."
        )
    shown, n = varying[:_MOST], min(len(varying), _MOST)
    wide = n > 2
    width = DOUBLE_COLUMN if wide else SINGLE_COLUMN
    with paper_style():
        height = min(width, 1.75 * n) + 0.3
        figure, grid = new_figure(n, n, width=width, height=height)
        engine = figure.get_layout_engine()
        assert isinstance(engine, ConstrainedLayoutEngine)
        engine.set(w_pad=0.03, h_pad=0.03)
        for row, below in enumerate(shown):
            for column, left in enumerate(shown):
                ax = grid[row, column]
                if column > row:
                    ax.remove()
                    continue
                if column == row:
                    _draw_margin(ax, below)
                else:
                    _draw_pair(ax, left, below)
                _dress(ax, left, below, bottom=row == n - 1, outer=column == 0 < row)
        figure.align_labels()
        handles = _legend_entries(result.level)
        if n > 1:
            figure.legend(handles=handles, loc="upper right")
        else:
            figure.legend(handles=handles[1:], loc="outside upper center", ncols=2)
        note = textwrap.fill(_note(result, varying), int(_LETTERS_PER_INCH * width))
        figure.supxlabel(note, x=0.01, ha="left", fontsize=7)
    return figure


def clouds_table(result: FitResult) -> pd.DataFrame:
    """Returns the numbers behind `clouds_figure`.

    Args:
        result: The fit.

    Returns:
        A row for each replicate and a column for each parameter of the law, in its own unit; held
        parameters are included, and nothing is clipped.
    """
    with np.errstate(over="ignore", under="ignore"):
        values = result.law.to_params(result.replicates)
    for name in result.fixed:
        values[:, result.law.params.index(name)] = result.params[name]
    return pd.DataFrame(values, columns=list(result.law.params))


def _clouds(result: FitResult) -> list[_Cloud]:
    """The parameters that vary, in the order of the law."""
    table, clouds = clouds_table(result), []
    for column, name in enumerate(result.law.params):
        coordinates = result.replicates[:, column]
        if name in result.fixed or np.ptp(coordinates) == 0:
            continue
        is_log, estimate = name in result.law.logs, result.params[name]
        interval = result.intervals[name]
        marks = to_axis(np.array([estimate, *interval]), is_log)
        ends = [*np.quantile(coordinates, [_TAIL, 1 - _TAIL]), *marks]
        margin = _MARGIN * (max(ends) - min(ends))
        low, high = from_axis(np.array([min(ends) - margin, max(ends) + margin]), is_log).tolist()
        clouds.append(_Cloud(name, table[name].to_numpy(), estimate, interval, is_log, (low, high)))
    return clouds


def _draw_margin(ax: Axes, cloud: _Cloud) -> None:
    """Draws a histogram over the width of the panel, the interval shaded, the estimate a line."""
    ax.axvspan(*cloud.interval, color=SERIES[0].color, alpha=0.2, linewidth=0, gid=_INTERVAL)
    space = np.geomspace if cloud.is_log else np.linspace
    ax.hist(
        cloud.replicates[_within(cloud)],
        bins=space(*cloud.limits, _N_BINS + 1).tolist(),
        histtype="step",
        color=INK,
        linewidth=0.8,
    )
    ax.axvline(cloud.estimate, color=SERIES[1].color, linewidth=1.2)


def _draw_pair(ax: Axes, left: _Cloud, below: _Cloud) -> None:
    """Draws a dot for every replicate within both axes, as pixels: vector dots make slow files."""
    inside = _within(left) & _within(below)
    ax.scatter(
        left.replicates[inside],
        below.replicates[inside],
        s=3,
        color=SERIES[0].color,
        alpha=0.3,
        linewidth=0,
        rasterized=True,
    )
    marks = SERIES[1]._replace(marker="P").marks()
    ax.plot([left.estimate], [below.estimate], **marks, markersize=6, markeredgecolor="white")


def _within(cloud: _Cloud) -> NDArray[np.bool_]:
    """Whether each replicate lies within the axis."""
    low, high = cloud.limits
    return (cloud.replicates >= low) & (cloud.replicates <= high)


def _dress(ax: Axes, left: _Cloud, below: _Cloud, *, bottom: bool, outer: bool) -> None:
    """Sets scales, limits and ticks; only outer panels have names and numbers."""
    axes: tuple[tuple[Literal["x", "y"], _Cloud], ...] = (("x", left), ("y", below))
    for axis, cloud in axes:
        if axis == "y" and left is below:
            ax.set_yticks([])
            ax.spines["left"].set_visible(False)
            continue
        labelled = bottom if axis == "x" else outer
        ax.set(**{f"{axis}scale": "log" if cloud.is_log else "linear"})
        ax.set(**{f"{axis}lim": cloud.limits})
        if cloud.is_log:
            log_ticks(ax, axis, most=3)
        else:
            linear_ticks(ax, axis, most=3)
        ax.tick_params(axis=axis, labelbottom=labelled, labelleft=labelled)
        if labelled:
            ax.set(**{f"{axis}label": symbol(cloud.name)})


def _legend_entries(level: float) -> list[Line2D | Patch]:
    cloud, estimate = SERIES[0].color, SERIES[1].color
    return [
        Line2D([], [], **SERIES[0].marks(), markersize=3, label="replicate"),
        Line2D([], [], color=estimate, marker="P", markersize=5, label="estimate"),
        Patch(color=cloud, alpha=0.2, linewidth=0, label=f"{100 * level:g} % interval"),
    ]


def _note(result: FitResult, varying: list[_Cloud]) -> str:
    """Sentence on what the axes leave out."""
    shown, others = varying[:_MOST], varying[_MOST:]
    beyond = int(np.sum(~np.all([_within(cloud) for cloud in shown], axis=0)))
    note = (
        f"{len(result.replicates)} bootstrap replicates; axes are clipped to the "
        f"{100 * _TAIL:g}\N{EN DASH}{100 * (1 - _TAIL):g} % percentiles of each parameter, or to "
        f"its interval where that is wider: {beyond} replicates lie beyond."
    )
    return note + (f" Not shown: {', '.join(each.name for each in others)}." if others else "")
