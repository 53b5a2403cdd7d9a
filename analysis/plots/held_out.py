"""Laws against rows to which they were not fitted, and the curve of one fit with its bands.

Fitted rows have filled marks, held-out rows open ones; flagged rows have a cross on top. The score
of a law is its root mean squared log error over the held-out rows, as in
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
    Series,
    letter_panels,
    new_figure,
    new_panels,
    outer_legend,
    paper_figure,
    paper_style,
)
from analysis.plots.ticks import log_ticks

_N_GRID = 200
_DECADE = 10.0
_POINTS = Series(INK, "o", "-")
_STYLES = SERIES[:-1]  # the last is black, like the points
_BANDS = (("prediction", "of a new run", 0.10), ("confidence", "of the curve", 0.25))


def rmsle(result: FitResult, x: ArrayLike, y: ArrayLike) -> float:
    """Returns the root mean squared log error of a fitted law: about its relative error.

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
    """Returns every row with its prediction by every law.

    Arguments and errors are those of `held_out_figure`.

    Returns:
        Columns "law", the inputs, "observed", "predicted", "log_error" (log y - log f(x)),
        "held_out" and "flagged".
    """
    rows = _rows(results, x, y, held_out, flagged, None)
    tables = []
    for result in results:
        table = rows.with_predictions(result)
        table.insert(0, "law", result.law.name)
        error = np.log(table["observed"] / table["predicted"])
        tables.append(table.assign(log_error=error, held_out=rows.held_out, flagged=rows.flagged))
    return pd.concat(tables, ignore_index=True)


def curve_table(result: FitResult, at: ArrayLike) -> pd.DataFrame:
    """Returns the curve of a law of one input with its bands.

    Args:
        result: The fit.
        at: Inputs, shape `(n,)`; positive.

    Returns:
        Columns: the input, "curve", "confidence_low" and "confidence_high" (`predict_interval`),
        "prediction_low" and "prediction_high" (`prediction_interval`; NaN for a fit that weighs
        rows above its curve by another factor: it has no such interval).
    """
    table = pd.DataFrame({result.law.inputs[0]: at, "curve": result.predict(at)})
    table["confidence_low"], table["confidence_high"] = result.predict_interval(at)
    has_prediction = result.loss.above == 1
    ends = result.prediction_interval(at) if has_prediction else (np.nan, np.nan)
    table["prediction_low"], table["prediction_high"] = ends
    return table


def held_out_figure(
    results: Sequence[FitResult],
    x: ArrayLike,
    y: ArrayLike,
    held_out: ArrayLike,
    *,
    flagged: ArrayLike | None = None,
    labels: Mapping[str, str] | None = None,
) -> Figure:
    """Draws how laws predict held-out rows, with the RMSLE of each law over those rows.

    For laws of one input: the curves over all rows with the bands of the first law, and the same as
    deviations from the first curve, in which close curves can be distinguished. Curves far from the
    rows are cut off. For laws of several inputs: observed against predicted values, in a panel for
    each law.

    Args:
        results: Fits to the rows that are not held out, at most 6.
        x: Inputs of all rows, shape `(n_rows,)`, or `(n_rows, n_inputs)`; positive.
        y: Values, shape `(n_rows,)`; positive.
        held_out: Whether the row was kept from every fit, shape `(n_rows,)`.
        flagged: Whether the row is doubtful, shape `(n_rows,)`; none unless given.
        labels: Words for axes, with units, by the name of an input, or "y".

    Returns:
        A figure two columns wide; one column for one law of several inputs.

    Raises:
        ValueError: No row held out, fits to other rows than the rest, laws of other inputs, or
            more laws than there are styles.
    """
    rows = _rows(results, x, y, held_out, flagged, labels)
    with paper_style():
        return _curves(results, rows) if len(rows.inputs) == 1 else _diagonals(results, rows)


def curve_figure(
    result: FitResult, *, flagged: ArrayLike | None = None, labels: Mapping[str, str] | None = None
) -> Figure:
    """Draws the rows of a fit of one input, its curve, and the bands of curve and new runs.

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
            f"The law {result.law.name} takes {', '.join(rows.inputs)}, but a curve has one input; "
            "draw analysis.plots.surface.surface_figure."
        )
    with paper_figure(height=2.9) as (figure, axes):
        ax = axes[0, 0]
        draw_laws(ax, [result], rows)
        _frame(ax, [result], rows)
        outer_legend(figure, [ax], "outside upper center", 2)
    return figure


def draw_laws(
    ax: Axes, results: Sequence[FitResult], rows: Rows, *, relative: bool = False
) -> Axes:
    """Draws rows, the curves of laws of one input over them, and the bands of the first law.

    Args:
        ax: Axes to draw on; x becomes logarithmic.
        results: The fits.
        rows: The rows, fitted and held out.
        relative: Whether to draw deviations from the curve of the first law, in percent.
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
        label = f"{100 * results[0].level:g} % band {of_what}"
        look = {"color": _STYLES[0].color, "alpha": alpha, "linewidth": 0, "zorder": 1.2}
        low, high = (shown(end, first) for end in ends)
        ax.fill_between(at, low, high, **look, label=label, gid=band)
    for result, style in zip(results, _STYLES, strict=False):
        ax.plot(
            at,
            shown(result.predict(at), first),
            **style.line(),
            label=_entry(result, rows),
            zorder=2.8,  # above the marks, which may be dense
        )
    values = shown(rows.y, results[0].predict(rows.x))
    return mark_many_rows(ax, rows, rows.x[:, 0], values, left_out="held out", style=_POINTS)


def draw_diagonal(ax: Axes, result: FitResult, rows: Rows, *, style: Series = SERIES[0]) -> Axes:
    """Draws observed against predicted values, and the diagonal on which they would be equal.

    Args:
        ax: Axes to draw on; both become logarithmic, with the same limits.
        result: The fit.
        rows: The rows, fitted and held out.
        style: Colour and marker.
    """
    predicted = result.predict(rows.x)
    both = np.concatenate([predicted, rows.y])
    margin = (both.max() / both.min()) ** 0.05
    limits = (float(both.min() / margin), float(both.max() * margin))
    ax.set(xscale="log", yscale="log", xlim=limits, ylim=limits, aspect="equal")
    ax.plot(limits, limits, color=INK, linewidth=0.7, zorder=2.8)
    return mark_many_rows(ax, rows, predicted, rows.y, left_out="held out", style=style)


def _curves(results: Sequence[FitResult], rows: Rows) -> Figure:
    """The figure for laws of one input."""
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
    outer_legend(figure, [curves], "outside upper center", 2)
    letter_panels(axes)
    return figure


def _diagonals(results: Sequence[FitResult], rows: Rows) -> Figure:
    """The figure for laws of several inputs."""
    figure, panels, _ = new_panels(len(results))
    for ax, result, style in zip(panels, results, _STYLES, strict=False):
        draw_diagonal(ax, result, rows, style=style)
        log_ticks(ax, "x", "y", most=4)
        ax.set(xlabel=f"predicted {rows.label('y')}", ylabel=f"observed {rows.label('y')}")
        ax.legend(loc="upper left", title=_entry(result, rows).replace(": ", "\n"))
    return figure


def _entry(result: FitResult, rows: Rows) -> str:
    """Legend entry of a law, with its score where rows are held out."""
    name = result.law.name.replace("_", " ")
    if not rows.held_out.any():
        return name
    return f"{name}: RMSLE {rmsle(result, rows.x[rows.held_out], rows.y[rows.held_out]):.3g}"


def _grid(rows: Rows) -> Floats:
    """Inputs at which curves are drawn."""
    return np.geomspace(rows.x[:, 0].min(), rows.x[:, 0].max(), _N_GRID)


def _frame(ax: Axes, results: Sequence[FitResult], rows: Rows) -> None:
    """Sets limits, ticks and labels of a panel of curves."""
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
    """Limits that hold every point, and the parts of the curves near them."""
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
    """All rows, once the fits are known to belong to them and to each other."""
    if not 1 <= len(results) <= len(_STYLES):
        raise ValueError(f"{len(results)} laws to draw; give 1 to {len(_STYLES)}.")
    first = results[0].law
    rows = rows_of(first, x, y, fitted=~np.asarray(held_out, bool), flagged=flagged, labels=labels)
    if not rows.held_out.any():
        raise ValueError("No row is held out; draw curve_figure, or hold out the largest sizes.")
    for result in results:
        names = result.law.inputs
        if len(names) != len(first.inputs) or (len(names) > 1 and names != first.inputs):
            raise ValueError(
                f"{result.law.name} takes {', '.join(names)}, but {first.name} takes "
                f"{', '.join(first.inputs)}; give laws of the same inputs."
            )
        if result.n_points != rows.fitted.sum():
            raise ValueError(
                f"{result.law.name} was fitted to {result.n_points} rows, but "
                f"{rows.fitted.sum()} of {len(rows.y)} are not held out; fit it to those."
            )
    return rows
