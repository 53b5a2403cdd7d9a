"""Double descent in one language: a quantity over sizes, with theory, threshold, peak, residuals.

The same marks mean the same in every figure: a line with a band is the median over seeds with 68 %
of them, a dashed line is theory, a dashed vertical line the interpolation threshold, a dotted one
the peak, each with its interval as a bar on top. Below, residuals are (measured - theory) over the
standard error. Every function takes a `SizeAxis`, which switches what the x-axis shows. Heat maps
are in `descent_maps`.

    with paper_style():
        figure, upper, lower = descent_panels(1, residuals=True)
        axis = own_axis("width")
        draw_quantity(upper[0], width, error, seed, axis=axis, label="15 % noise")
        draw_theory(upper[0], widths, risk(widths), axis=axis)
        draw_residuals(lower[0], width, error, seed, risk, axis=axis, label="15 % noise")
        mark_descent(upper[0], axis, threshold=found.threshold, peak=found.peak.location)
"""

from collections.abc import Callable

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from analysis.estimate import Estimate, Floats
from analysis.plots import curves, marks
from analysis.plots.curves import Band
from analysis.plots.descent_axes import SizeAxis
from analysis.plots.style import (
    DOUBLE_COLUMN,
    GREY,
    INK,
    SERIES,
    SINGLE_COLUMN,
    Panels,
    Series,
    letter_panels,
    new_figure,
)
from analysis.plots.ticks import linear_ticks

_FAR = 9.0
"""Standard errors beyond which 3 of them are too near to one another for a label each."""

OF_SEEDS: Band = (0.16, 0.84)
"""The band over seeds: 68 % of them, as far as one standard deviation of a Gaussian reaches."""


def descent_panels(
    n: int, *, residuals: bool = False, height: float = 2.6
) -> tuple[Figure, Panels, Panels]:
    """Makes a row of panels, each with a panel of residuals below it if asked.

    Call it inside `paper_style()`.

    Args:
        n: Panels in the row: one is a column wide, more share two columns.
        residuals: Whether each has a panel of residuals, which shares its x-axis.
        height: Height of the upper panels, inches.

    Returns:
        The figure; its upper panels, shape (n,); and those of residuals, shape (n,) or empty.
    """
    width = SINGLE_COLUMN if n == 1 else DOUBLE_COLUMN
    if not residuals:
        figure, axes = new_figure(1, n, width=width, height=height)
        upper, lower = axes[0], axes[0][:0]
    else:
        figure, axes = new_figure(2, n, width=width, height=1.45 * height, heights=(2.6, 1))
        upper, lower = axes
        for above, below in zip(upper, lower, strict=True):
            below.sharex(above)
            above.tick_params(labelbottom=False)
    if n > 1:
        letter_panels(upper)
    return figure, upper, lower


def draw_quantity(
    ax: Axes,
    size: ArrayLike,
    value: ArrayLike,
    seed: ArrayLike,
    *,
    axis: SizeAxis,
    label: str,
    style: Series = SERIES[0],
    band: Band = OF_SEEDS,
) -> Axes:
    """Draws a quantity against size, in order of size, with the band over seeds.

    On an axis that folds back bars replace the band, which would cover itself.

    Args:
        ax: Axes to draw on.
        size: Size of each run, shape (n_runs,).
        value: Quantity of each run, shape (n_runs,).
        seed: Seed label of each run, shape (n_runs,); of one curve all alike.
        axis: What the x-axis shows.
        label: Legend entry.
        style: Colour, marker and line.
        band: Two quantiles over seeds about the median, or "standard_error" about the mean.

    Raises:
        ValueError: As `analysis.plots.curves.spread_over_seeds`.
    """
    spread = curves.spread_over_seeds(size, value, seed, band)
    x = axis.at(spread.sizes)
    curves.draw_spread(ax, x, spread, label=label, style=style, bars=axis.folds)
    if axis.folds:
        ax.plot(x, spread.middle, **style.line(), linewidth=0.8)
    axis.finish(ax)
    return ax


def draw_theory(
    ax: Axes,
    size: ArrayLike,
    value: ArrayLike,
    *,
    axis: SizeAxis,
    label: str = "theory",
    color: str = INK,
) -> Axes:
    """Draws theory as a dashed line under the measurements; infinite values break it.

    Args:
        ax: Axes to draw on.
        size: Sizes, ascending, shape (n,).
        value: Predicted quantity, shape (n,).
        axis: What the x-axis shows.
        label: Legend entry; give "" for a further line of the same entry.
        color: Line colour; by default that of ink.
    """
    return curves.draw_theory(ax, axis.at(size), value, label=label, color=color)


def draw_residuals(
    ax: Axes,
    size: ArrayLike,
    value: ArrayLike,
    seed: ArrayLike,
    theory: Callable[[Floats], ArrayLike],
    *,
    axis: SizeAxis,
    label: str,
    style: Series = SERIES[0],
) -> Floats:
    """Draws (mean over seeds - theory) / standard error over bands at 2 and 3 standard errors.

    Sizes at which theory is not finite, such as p = n, have no residual; a cross on the axis marks
    them.

    Args:
        ax: Axes to draw on.
        size: Size of each run, shape (n_runs,).
        value: Quantity of each run, shape (n_runs,).
        seed: Seed label of each run, shape (n_runs,), at least 2 at every size.
        theory: Maps sizes, shape (n,), to the predicted quantity, shape (n,).
        axis: What the x-axis shows.
        label: Legend entry.
        style: Colour and marker.

    Returns:
        The residuals, NaN where there is none, shape (n_sizes,).

    Raises:
        ValueError: As `analysis.plots.curves.spread_over_seeds`, or seeds that all agree, which
            leave no standard error.
    """
    spread = curves.spread_over_seeds(size, value, seed, "standard_error")
    error = spread.high - spread.middle
    if np.any(error == 0):
        raise ValueError(
            f"all seeds agree at size {spread.sizes[error == 0][0]:g}: without a spread there is "
            "no standard error. Leave that size out"
        )
    predicted = np.asarray(theory(spread.sizes), dtype=np.float64)
    with np.errstate(invalid="ignore"):
        z = np.where(np.isfinite(predicted), (spread.middle - predicted) / error, np.nan)
    x, judged = axis.at(spread.sizes), np.isfinite(z)
    curves.draw_standardised_residuals(ax, x[judged], z[judged], label=label, style=style)
    if not np.all(judged):
        look = Series(GREY, "x", "-").marks()
        on_axis = {"transform": ax.get_xaxis_transform(), "clip_on": False}
        ax.plot(x[~judged], np.zeros(np.sum(~judged)), **look, **on_axis, label="no theory")
    if ax.get_ylim()[1] > _FAR:
        linear_ticks(ax, "y", most=4)
        ax.set_yticks([], minor=True)
    ax.set_ylabel("residual / s.e.")
    axis.finish(ax)
    return z


def mark_descent(
    ax: Axes,
    axis: SizeAxis,
    *,
    threshold: Estimate | None = None,
    peak: Estimate | None = None,
    labels: tuple[str, str] = ("threshold", "peak"),
) -> Axes:
    """Marks threshold and peak with their intervals; call it once the data are drawn.

    Args:
        ax: Axes to draw on.
        axis: What the x-axis shows.
        threshold: Interpolation threshold, in units of size; None for none.
        peak: Location of the peak, in units of size; None for none.
        labels: Legend entries of the two.
    """
    if threshold is not None:
        marks.mark_threshold(ax, axis.of(threshold), label=labels[0])
    if peak is not None:
        marks.mark_peak(ax, axis.of(peak), label=labels[1])
    return ax
