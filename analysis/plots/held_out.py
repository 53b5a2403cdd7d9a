"""Laws against rows that they were not fitted to, and the curve of one fit with its bands.

A filled mark was fitted, an open one was held out, a cross lies on a flagged one. The score of a
law is its root mean squared log error over the rows held out, as in
`analysis.fitting.extrapolation`:

    RMSLE = sqrt(mean((log y - log f(x))^2)).
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from analysis.estimate import Floats
from analysis.fitting.result import FitResult
from analysis.plots.fit_residuals import mark_many_rows
from analysis.plots.rows import Rows, rows_of, rows_of_fit
from analysis.plots.style import (
    DOUBLE_COLUMN,
    INK,
    SERIES,
    SINGLE_COLUMN,
    Series,
    letter_panels,
    new_figure,
    paper_style,
)
from analysis.plots.ticks import log_ticks

_N_GRID = 200
_DECADE = 10.0
_POINTS = Series(INK, "o", "-")
_STYLES = SERIES[:-1]  # the last is black, as the points are
_BANDS = (("prediction", "of a new run", 0.10), ("confidence", "of the curve", 0.25))


def rmsle(result: FitResult, x: ArrayLike, y: ArrayLike) -> float:
    """Root mean squared log error of a fitted law at rows, about its relative error.

    Args:
        result: The fit.
        x: Inputs, shape `(n_rows,)`, or `(n_rows, n_inputs)`; positive.
        y: Values, shape `(n_rows,)`; positive.
    """
    return float(np.sqrt(np.mean(np.log(np.asarray(y) / result.predict(x)) ** 2)))


def held_out_table(
    results: Sequence[FitResult],
    x: ArrayLike,
    y: ArrayLike,
    held_out: ArrayLike,
    *,
    flagged: ArrayLike | None = None,
) -> pd.DataFrame:
    """Every row by every law, those held out and those fitted.

    Args:
        results: Fits to the rows that are not held out.
        x: Inputs of all rows, shape `(n_rows,)`, or `(n_rows, n_inputs)`; positive.
        y: Values, shape `(n_rows,)`; positive.
        held_out: Which rows no fit saw, shape `(n_rows,)`.
        flagged: Whether the row is doubtful, shape `(n_rows,)`; none unless given.

    Returns:
        Columns "law", the inputs, "observed", "predicted", "log_error" (log y - log f(x)),
        "held_out" and "flagged".

    Raises:
        ValueError: Nothing held out, fits to other rows than the rest, laws of other inputs.
    """
    rows = _rows(results, x, y, held_out, flagged, None)
    tables = []
    for result in results:
        predicted = result.predict(rows.x)
        tables.append(
            pd.DataFrame(
                {
                    "law": result.law.name,
                    **{name: rows.column(name) for name in rows.inputs},
                    "observed": rows.y,
                    "predicted": predicted,
                    "log_error": np.log(rows.y / predicted),
                    "held_out": rows.held_out,
                    "flagged": rows.flagged,
                }
            )
        )
    return pd.concat(tables, ignore_index=True)


def curve_table(result: FitResult, at: ArrayLike) -> pd.DataFrame:
    """The curve of a law of one input, with its bands.

    Args:
        result: The fit.
        at: Inputs, shape `(n,)`; positive.

    Returns:
        Columns: the input, "curve", "confidence_low" and "confidence_high" (`predict_interval`),
        "prediction_low" and "prediction_high" (`prediction_interval`; NaN for a fit that weighs
        rows above its curve by another factor, which has none).
    """
    nothing = np.full(np.shape(at), np.nan)
    confidence = result.predict_interval(at)
    prediction = result.prediction_interval(at) if result.loss.above == 1 else (nothing, nothing)
    return pd.DataFrame(
        {
            result.law.inputs[0]: at,
            "curve": result.predict(at),
            "confidence_low": confidence[0],
            "confidence_high": confidence[1],
            "prediction_low": prediction[0],
            "prediction_high": prediction[1],
        }
    )


def held_out_figure(
    results: Sequence[FitResult],
    x: ArrayLike,
    y: ArrayLike,
    held_out: ArrayLike,
    *,
    flagged: ArrayLike | None = None,
    labels: Mapping[str, str] | None = None,
) -> Figure:
    """How laws foretell the rows that were held out, with the RMSLE of each over those rows.

    Laws of one input: the curves over all rows with the bands of the first law, and the same as
    deviations from the curve of the first law, where curves that lie close can be told apart. A
    curve that leaves the rows far behind is cut off. Laws of several inputs: observed against
    predicted, a panel for each law.

    Args:
        results: Fits to the rows that are not held out, at most 6.
        x: Inputs of all rows, shape `(n_rows,)`, or `(n_rows, n_inputs)`; positive.
        y: Values, shape `(n_rows,)`; positive.
        held_out: Which rows no fit saw, shape `(n_rows,)`.
        flagged: Whether the row is doubtful, shape `(n_rows,)`; none unless given.
        labels: Words for axes, with units, by the name of an input, or "y".

    Returns:
        A figure two columns wide; one, for one law of several inputs.

    Raises:
        ValueError: Nothing held out, fits to other rows than the rest, laws of other inputs, or
            more laws than can be told apart.
    """
    rows = _rows(results, x, y, held_out, flagged, labels)
    with paper_style():
        return _curves(results, rows) if len(rows.inputs) == 1 else _diagonals(results, rows)


def curve_figure(
    result: FitResult,
    *,
    flagged: ArrayLike | None = None,
    labels: Mapping[str, str] | None = None,
) -> Figure:
    """The rows of a fit of one input, its curve, and the bands of the curve and of a new run.

    Args:
        result: The fit, with the rows that it saw.
        flagged: Whether the row is doubtful, shape `(n_rows,)`; none unless given.
        labels: Words for axes, with units, by the name of the input, or "y".

    Returns:
        A figure one column wide.

    Raises:
        ValueError: A law of several inputs, or a fit without its rows.
    """
    rows = rows_of_fit(result, flagged, labels)
    if len(rows.inputs) > 1:
        raise ValueError(
            f"{result.law.name} takes {', '.join(rows.inputs)}, but a curve has one input: draw "
            "analysis.plots.surface.surface_figure."
        )
    with paper_style():
        figure, axes = new_figure(height=2.9)
        ax = axes[0, 0]
        draw_laws(ax, [result], rows)
        _frame(ax, [result], rows)
        handles, texts = ax.get_legend_handles_labels()
        figure.legend(handles, texts, loc="outside upper center", ncols=2)
    return figure


def draw_laws(
    ax: Axes, results: Sequence[FitResult], rows: Rows, *, relative: bool = False
) -> Axes:
    """Draw rows, the curves of laws of one input over them, and the bands of the first law.

    Args:
        ax: Axes to draw on; x becomes logarithmic.
        results: The fits.
        rows: The rows, fitted and held out.
        relative: Whether to draw deviations from the curve of the first law, in percent.

    Returns:
        The axes.
    """
    ax.set_xscale("log")
    at = _grid(rows)
    table = curve_table(results[0], at)

    def shown(values: ArrayLike, base: Floats) -> Floats:
        return 100 * (np.asarray(values) / base - 1) if relative else np.asarray(values)

    first = table["curve"].to_numpy()
    for band, of_what, alpha in _BANDS:
        ends = [table[f"{band}_{end}"] for end in ("low", "high")]
        if not np.all(np.isfinite(ends)):
            continue
        ax.fill_between(
            at,
            shown(ends[0], first),
            shown(ends[1], first),
            color=_STYLES[0].color,
            alpha=alpha,
            linewidth=0,
            label=f"{100 * results[0].level:g} % band {of_what}",
            gid=band,
            zorder=1.2,
        )
    for result, style in zip(results, _STYLES, strict=False):
        ax.plot(
            at,
            shown(result.predict(at), first),
            color=style.color,
            linestyle=style.linestyle,
            label=_entry(result, rows),
            zorder=2.8,  # above the marks, which may be dense
        )
    values = shown(rows.y, results[0].predict(rows.x))
    return mark_many_rows(ax, rows, rows.x[:, 0], values, left_out="held out", style=_POINTS)


def draw_diagonal(ax: Axes, result: FitResult, rows: Rows, *, style: Series = SERIES[0]) -> Axes:
    """Draw observed against predicted values, and the diagonal on which they would be equal.

    Args:
        ax: Axes to draw on; both become logarithmic, with the same limits.
        result: The fit.
        rows: The rows, fitted and held out.
        style: Colour and marker.

    Returns:
        The axes.
    """
    predicted = result.predict(rows.x)
    both = np.concatenate([predicted, rows.y])
    margin = (both.max() / both.min()) ** 0.05
    limits = (float(both.min() / margin), float(both.max() * margin))
    ax.set(xscale="log", yscale="log", xlim=limits, ylim=limits, aspect="equal")
    ax.plot(limits, limits, color=INK, linewidth=0.7, zorder=2.8)
    return mark_many_rows(ax, rows, predicted, rows.y, left_out="held out", style=style)


def _curves(results: Sequence[FitResult], rows: Rows) -> Figure:
    figure, axes = new_figure(1, 2, width=DOUBLE_COLUMN, height=2.9)
    curves, deviations = axes[0]
    draw_laws(curves, results, rows)
    _frame(curves, results, rows)
    draw_laws(deviations, results, rows, relative=True)
    first = results[0].predict(_grid(rows))
    values = [100 * (result.predict(_grid(rows)) / first - 1) for result in results]
    points = 100 * (rows.y / results[0].predict(rows.x) - 1)
    deviations.set_ylim(_limits(points, np.concatenate(values)))
    name = results[0].law.name.replace("_", " ")
    deviations.set(xlabel=rows.label(rows.inputs[0]), ylabel=f"deviation from {name} (%)")
    log_ticks(deviations, "x", most=5)
    handles, texts = curves.get_legend_handles_labels()
    figure.legend(handles, texts, loc="outside upper center", ncols=2)
    letter_panels(axes)
    return figure


def _diagonals(results: Sequence[FitResult], rows: Rows) -> Figure:
    n = len(results)
    n_columns = 2 if n in (2, 4) else min(n, 3)
    n_grid_rows = -(-n // n_columns)
    width = SINGLE_COLUMN if n == 1 else DOUBLE_COLUMN
    figure, axes = new_figure(
        n_grid_rows, n_columns, width=width, height=(width / n_columns + 0.3) * n_grid_rows
    )
    for unused in axes.flat[n:]:
        unused.remove()
    panels = axes.flat[:n]
    for ax, result, style in zip(panels, results, _STYLES, strict=False):
        draw_diagonal(ax, result, rows, style=style)
        log_ticks(ax, "x", "y", most=4)
        ax.set(xlabel=f"predicted {rows.label('y')}", ylabel=f"observed {rows.label('y')}")
        ax.legend(loc="upper left", title=_entry(result, rows).replace(": ", "\n"))
    if n > 1:
        letter_panels(panels)
    return figure


def _entry(result: FitResult, rows: Rows) -> str:
    name = result.law.name.replace("_", " ")
    if not rows.held_out.any():
        return name
    return f"{name}: RMSLE {rmsle(result, rows.x[rows.held_out], rows.y[rows.held_out]):.3g}"


def _grid(rows: Rows) -> Floats:
    return np.geomspace(rows.x[:, 0].min(), rows.x[:, 0].max(), _N_GRID)


def _frame(ax: Axes, results: Sequence[FitResult], rows: Rows) -> None:
    """Limits, ticks and labels of curves."""
    curves = np.concatenate([result.predict(_grid(rows)) for result in results])
    if rows.y.max() >= _DECADE * rows.y.min():
        ax.set_yscale("log")
        low, high = _limits(np.log(rows.y), np.log(curves))
        ax.set_ylim(float(np.exp(low)), float(np.exp(high)))
        log_ticks(ax, "y")
    else:
        ax.set_ylim(_limits(rows.y, curves))
    ax.set(xlabel=rows.label(rows.inputs[0]), ylabel=rows.label("y"))
    log_ticks(ax, "x", most=5)


def _limits(points: Floats, curves: Floats) -> tuple[float, float]:
    """Limits that hold every point, and of the curves what is not far from them."""
    reach = float(np.ptp(points)) or abs(float(points[0])) or 1.0
    low = max(float(curves.min()), float(points.min()) - reach / 2)
    high = min(float(curves.max()), float(points.max()) + reach / 2)
    margin = 0.06 * reach
    return min(low, float(points.min())) - margin, max(high, float(points.max())) + margin


def _rows(
    results: Sequence[FitResult],
    x: ArrayLike,
    y: ArrayLike,
    held_out: ArrayLike,
    flagged: ArrayLike | None,
    labels: Mapping[str, str] | None,
) -> Rows:
    if not 1 <= len(results) <= len(_STYLES):
        raise ValueError(f"{len(results)} laws: give 1 to {len(_STYLES)}, which can be told apart.")
    first = results[0].law
    rows = rows_of(first, x, y, fitted=~np.asarray(held_out, bool), flagged=flagged, labels=labels)
    if not rows.held_out.any():
        raise ValueError("No row is held out: draw curve_figure, or hold out the largest sizes.")
    for result in results:
        names = result.law.inputs
        if len(names) != len(first.inputs) or (len(names) > 1 and names != first.inputs):
            raise ValueError(
                f"{result.law.name} takes {', '.join(names)}, but {first.name} takes "
                f"{', '.join(first.inputs)}: give laws of the same inputs."
            )
        if result.n_points != rows.fitted.sum():
            raise ValueError(
                f"{result.law.name} was fitted to {result.n_points} rows, but "
                f"{rows.fitted.sum()} of {len(rows.y)} are not held out: fit it to those."
            )
    return rows
