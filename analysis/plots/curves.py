"""Measurements, theory, fits and residuals, drawn on given axes.

Each function takes the axes first and returns them. None fits or reads files.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from analysis.double_descent.seeds import centre, group_by_size
from analysis.estimate import Floats
from analysis.plots.style import GREY, INK, SERIES, Series

_SIGMA_BAND = "sigma-band"
"""Name of the bands behind standardised residuals, by which a second series finds them drawn."""

_DASHED = (0, (4, 1.5))

Band = tuple[float, float] | Literal["standard_error"]
"""Spread over seeds: two quantiles about the median, or the standard error about the mean."""


class Spread(NamedTuple):
    """Replicates in short, each of shape (n_sizes,): sizes, centres, and ends of their band."""

    sizes: Floats
    middle: Floats
    low: Floats
    high: Floats


def spread_over_seeds(
    size: ArrayLike, value: ArrayLike, seed: ArrayLike, band: Band = (0.25, 0.75)
) -> Spread:
    """Returns the median over seeds at every size with two quantiles, or the mean with its error.

    Args:
        size: Size of each run, shape (n_runs,).
        value: Metric of each run, shape (n_runs,).
        seed: Seed label of each run, shape (n_runs,).
        band: Two quantiles over seeds, for the median; or "standard_error", for the mean.

    Raises:
        ValueError: Non-finite values, repeated runs, a standard error of one seed, or quantiles
            out of order.
    """
    runs = group_by_size(size, seed, value=value)
    values = runs.values["value"]
    middle = centre(values, "mean" if band == "standard_error" else "median")
    if band == "standard_error":
        if runs.counts.min() < 2:
            raise ValueError(
                "band = 'standard_error' needs at least 2 seeds at every size; add seeds, or give "
                "quantiles"
            )
        half = np.array([np.std(v, ddof=1) / np.sqrt(len(v)) for v in values])
        return Spread(runs.sizes, middle, middle - half, middle + half)
    if not 0 <= band[0] < band[1] <= 1:
        raise ValueError(f"band = {band}: give two ascending quantiles in [0, 1]")
    low, high = np.array([np.quantile(v, band) for v in values]).T
    return Spread(runs.sizes, middle, low, high)


def draw_spread(
    ax: Axes, x: ArrayLike, spread: Spread, *, label: str, style: Series, bars: bool
) -> Axes:
    """Draws centres with a band and a line, or with error bars (to lay over a theory line).

    Args:
        ax: Axes to draw on.
        x: Where each size stands, shape (n_sizes,).
        spread: What to draw.
        label: Legend entry.
        style: Colour, marker and line.
        bars: Error bars without a joining line, not line and band.
    """
    at, look = np.asarray(x, dtype=np.float64), style.marks(filled=not bars)
    if bars:
        # Segments, not `errorbar`, which refuses two quantiles on one side of the median.
        ax.vlines(at, spread.low, spread.high, color=style.color, linewidth=0.8, zorder=1.9)
    else:
        ax.fill_between(at, spread.low, spread.high, color=style.color, alpha=0.22, linewidth=0)
        look |= style.line()
    ax.plot(at, spread.middle, **look, label=label)
    return ax


def draw_replicates(
    ax: Axes,
    size: ArrayLike,
    value: ArrayLike,
    seed: ArrayLike,
    *,
    label: str,
    band: Band = (0.25, 0.75),
    style: Series = SERIES[0],
    bars: bool = False,
) -> Axes:
    """Draws replicates against their size; see `spread_over_seeds` and `draw_spread`."""
    spread = spread_over_seeds(size, value, seed, band)
    return draw_spread(ax, spread.sizes, spread, label=label, style=style, bars=bars)


def draw_theory(ax: Axes, x: ArrayLike, y: ArrayLike, *, label: str, color: str = INK) -> Axes:
    """Draws a theory curve as a thin dashed line without markers, under the measurements.

    Args:
        ax: Axes to draw on.
        x: Sizes, shape (n,).
        y: Predicted metric, shape (n,); infinite values break the line.
        label: Legend entry.
        color: Line colour.
    """
    ax.plot(x, y, color=color, linewidth=0.9, linestyle=_DASHED, label=label, zorder=1.8)
    return ax


def draw_fit(
    ax: Axes,
    x: ArrayLike,
    predict_low_mid_high: Callable[[np.ndarray], tuple[ArrayLike, ArrayLike, ArrayLike]],
    *,
    label: str,
    style: Series = SERIES[1],
) -> Axes:
    """Draws a fitted law with its confidence band.

    Args:
        ax: Axes to draw on.
        x: Sizes at which the law is evaluated, shape (n,).
        predict_low_mid_high: Maps x to the lower end, middle and upper end of the prediction.
        label: Legend entry.
        style: Colour and line.
    """
    grid = np.asarray(x, dtype=np.float64)
    low, middle, high = predict_low_mid_high(grid)
    ax.fill_between(grid, low, high, color=style.color, alpha=0.18, linewidth=0, zorder=1.5)
    ax.plot(grid, middle, **style.line(), label=label, zorder=1.8)
    return ax


def draw_standardised_residuals(
    ax: Axes, x: ArrayLike, z: ArrayLike, *, label: str, style: Series = SERIES[0]
) -> Axes:
    """Draws (measured - theory) / standard error over bands at 2 and 3 standard errors.

    The y-axis is symmetric and wide enough for every residual; several series may share the axes.

    Args:
        ax: Axes to draw on.
        x: Sizes, shape (n,).
        z: Standardised residuals, shape (n,).
        label: Legend entry.
        style: Colour and marker.

    Raises:
        ValueError: If a residual is not finite.
    """
    residuals = np.asarray(z, dtype=np.float64)
    bad = int(np.sum(~np.isfinite(residuals)))
    if bad:
        raise ValueError(
            f"{bad} of {residuals.size} residuals are not finite; leave them out and mark them"
        )
    if not any(patch.get_gid() == _SIGMA_BAND for patch in ax.patches):
        for reach, alpha in ((3, 0.12), (2, 0.16)):
            ax.axhspan(-reach, reach, color=GREY, alpha=alpha, linewidth=0, gid=_SIGMA_BAND)
        ax.axhline(0, color=INK, linewidth=0.6, zorder=1.5)
        ax.set_yticks([-3, 0, 3])
        ax.set_yticks([-2, 2], minor=True)
        ax.set_ylim(-4, 4)
    ax.plot(x, residuals, **style.marks(), label=label)
    reach = max(ax.get_ylim()[1], 1.1 * float(np.max(np.abs(residuals))))
    ax.set_ylim(-reach, reach)
    return ax
