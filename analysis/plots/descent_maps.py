"""Heat maps of double descent: width by epoch, width by samples, with the interpolation contour.

All come from the same stored histories: `map_of_runs` makes the grid of any two axes, `draw_map`
draws a test metric over it, `draw_interpolation` the line along which training error reaches the
tolerance.
"""

from dataclasses import dataclass

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, Normalize
from numpy.typing import ArrayLike

from analysis.double_descent.curve_shape import falling_crossing
from analysis.estimate import Floats
from analysis.guards import non_negative, positive_column
from analysis.plots.style import GREY, add_colorbar
from analysis.plots.ticks import log_ticks

COLORS: Colormap = colormaps["viridis"]
"""Colours of heat maps; their lightness orders values in greyscale too."""


@dataclass(frozen=True, eq=False)
class Grid:
    """A metric over two axes.

    Attributes:
        x: Values of the horizontal axis, ascending, positive, shape (n_x,).
        y: Those of the vertical axis, shape (n_y,).
        values: The metric, NaN where there is no run, shape (n_y, n_x).
    """

    x: Floats
    y: Floats
    values: Floats


def map_of_runs(x: ArrayLike, y: ArrayLike, value: ArrayLike) -> Grid:
    """Returns the median over the runs of each cell (x, y).

    Args:
        x: First axis of each run or evaluation (width), positive, shape (n_rows,).
        y: Second axis (epoch, samples), positive, shape (n_rows,). Leave out epoch 0.
        value: Metric, shape (n_rows,); rows that are not finite (diverged) count for nothing.

    Raises:
        ValueError: Columns of unlike length, axes that are not positive, or one of a single value.
    """
    across = positive_column("x", x)
    up = positive_column("y", y, len(across))
    metric = np.asarray(value, dtype=np.float64)
    if metric.shape != across.shape:
        raise ValueError(
            f"value has shape {metric.shape}, not {across.shape}: give columns of the same length"
        )
    (xs, columns), (ys, rows) = (np.unique(each, return_inverse=True) for each in (across, up))
    if min(len(xs), len(ys)) < 2:
        raise ValueError(
            f"a map of {len(xs)} by {len(ys)} values is no map: give at least 2 on each axis"
        )
    values = np.full((len(ys), len(xs)), np.nan)
    for row, column in set(zip(rows.tolist(), columns.tolist(), strict=True)):
        cell = metric[(rows == row) & (columns == column)]
        cell = cell[np.isfinite(cell)]
        if len(cell):
            values[row, column] = np.median(cell)
    return Grid(xs, ys, values)


def draw_map(
    ax: Axes, grid: Grid, *, label: str, norm: Normalize | None = None, colorbar: bool = True
) -> Axes:
    """Draws a metric as colours over two logarithmic axes; cells without a run are grey.

    Args:
        ax: Axes to draw on; give them labels.
        grid: The metric.
        label: Its name and unit, beside the colour bar.
        norm: Scale of the colours (`LogNorm` for a loss that spikes); from least to greatest value
            unless given.
        colorbar: Whether to draw a colour bar beside the axes.

    Raises:
        ValueError: No cell has a value.
    """
    known = grid.values[np.isfinite(grid.values)]
    if not len(known):
        raise ValueError("no cell of the map has a finite value: give runs that did not diverge")
    norm = norm or Normalize(float(known.min()), float(known.max()))
    ax.set(xscale="log", yscale="log", facecolor="#d9d9d9")
    ax.pcolormesh(
        _edges(grid.x),
        _edges(grid.y),
        np.ma.masked_invalid(grid.values),
        cmap=COLORS,
        norm=norm,
        rasterized=True,
    )
    log_ticks(ax, "x", "y")
    if colorbar:
        add_colorbar(ax, norm, COLORS, label)
    return ax


def draw_interpolation(
    ax: Axes, train: Grid, tolerance: float, *, label: str = "interpolation threshold"
) -> Floats:
    """Draws the interpolation threshold of every row as a line over the map.

    In each row it is the crossing of the best non-increasing fit over x, as
    `analysis.double_descent.critical_size.interpolation_threshold` finds it. A row that never or
    always interpolates breaks the line.

    Args:
        ax: Axes of `draw_map`.
        train: Training error over the same axes.
        tolerance: Error that counts as interpolation.
        label: Legend entry; a legend stands best outside the map (`style.legend_above`).

    Returns:
        The threshold of each row, NaN where it lies outside the grid, shape (n_y,).
    """
    non_negative("tolerance", tolerance, "give a train error")
    found = np.full(len(train.y), np.nan)
    for row, values in enumerate(train.values):
        known = np.isfinite(values)
        if known.sum() > 1:
            logs, weights = np.log(train.x[known]), np.ones(known.sum())
            crossing = falling_crossing(logs, values[known][np.newaxis], weights, tolerance)
            found[row] = np.exp(crossing.value[0])
    ax.plot(found, train.y, color="white", linewidth=2.6, zorder=2.5)
    ax.plot(found, train.y, color=GREY, linewidth=1.3, linestyle=(0, (4, 2)), label=label, zorder=3)
    return found


def _edges(centres: Floats) -> Floats:
    """Edges of cells about centres on a logarithmic axis, shape (n + 1,)."""
    logs = np.log(centres)
    between = (logs[:-1] + logs[1:]) / 2
    first, last = 2 * logs[0] - between[0], 2 * logs[-1] - between[-1]
    return np.exp(np.concatenate([[first], between, [last]]))
