"""The rows of a fit, and the marks that they have in every figure.

Fitted rows have filled marks, others open ones; flagged rows have a cross on top.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import ArrayLike, NDArray

from analysis.estimate import Floats
from analysis.fitting.engine.observations import as_inputs
from analysis.fitting.result import FitResult
from analysis.guards import positive
from analysis.laws.law import Law
from analysis.plots.style import SERIES, Series
from analysis.plots.ticks import axis_label

_AREA = 12.0  # area of a mark, points^2


class Rows(NamedTuple):
    """Measured rows; make them with `rows_of`.

    Attributes:
        inputs: Names of the inputs, one for each column of x.
        x: Inputs, shape `(n_rows, n_inputs)`.
        y: Values, shape `(n_rows,)`.
        fitted: Whether the fit saw the row, shape `(n_rows,)`.
        flagged: Whether the row is doubtful, shape `(n_rows,)`.
        labels: Words for axes by the name of an input, or "y".
        output: Name of the quantity y.
    """

    inputs: tuple[str, ...]
    x: Floats
    y: Floats
    fitted: NDArray[np.bool_]
    flagged: NDArray[np.bool_]
    labels: Mapping[str, str]
    output: str

    def column(self, name: str) -> Floats:
        """Returns the values of an input, shape `(n_rows,)`."""
        return self.x[:, self.inputs.index(name)]

    def label(self, name: str) -> str:
        """Returns the label of the axis of an input, or of "y"."""
        if name == "y":
            return self.labels.get("y") or axis_label(self.output, self.labels)
        return axis_label(name, self.labels)

    @property
    def held_out(self) -> NDArray[np.bool_]:
        """Whether each row was kept from the fit."""
        return ~self.fitted

    def with_predictions(self, result: FitResult) -> pd.DataFrame:
        """Returns a table of the inputs, "observed" and "predicted" values of a fit."""
        columns = {name: self.column(name) for name in self.inputs}
        return pd.DataFrame(columns | {"observed": self.y, "predicted": result.predict(self.x)})

    def take(self, chosen: NDArray[np.bool_]) -> "Rows":
        """Returns the chosen rows."""
        by_row = ("x", "y", "fitted", "flagged")
        return self._replace(**{name: getattr(self, name)[chosen] for name in by_row})


def rows_of(
    law: Law,
    x: ArrayLike,
    y: ArrayLike,
    *,
    fitted: ArrayLike | None = None,
    flagged: ArrayLike | None = None,
    labels: Mapping[str, str] | None = None,
) -> Rows:
    """Returns rows for figures: those of a fit, and others to show with them.

    Args:
        law: The law that was fitted.
        x: Inputs, shape `(n_rows,)`, or `(n_rows, n_inputs)`; positive.
        y: Values, shape `(n_rows,)`; positive.
        fitted: Whether the fit saw the row, shape `(n_rows,)`; every row unless given.
        flagged: Whether the row is doubtful, shape `(n_rows,)`; none unless given.
        labels: Words for axes, with units, by the name of an input, or "y".

    Returns:
        The rows.

    Raises:
        ValueError: Shapes that do not match, or values that are not positive and finite.
    """
    inputs, values = as_inputs(law, x), np.asarray(y, dtype=np.float64)
    n_rows = len(inputs)
    seen = np.ones(n_rows, dtype=bool) if fitted is None else np.asarray(fitted, dtype=bool)
    doubted = np.zeros(n_rows, dtype=bool) if flagged is None else np.asarray(flagged, dtype=bool)
    columns = {"y": values, "fitted": seen, "flagged": doubted}
    for name, column in columns.items():
        if column.shape != (n_rows,):
            raise ValueError(
                f"{name} has shape {column.shape}, but x has {n_rows} rows; give one value a row."
            )
    positive("y", values)
    return Rows(law.inputs, inputs, values, seen, doubted, dict(labels or {}), law.output)


def rows_of_fit(
    result: FitResult, flagged: ArrayLike | None = None, labels: Mapping[str, str] | None = None
) -> Rows:
    """Returns the rows that a fit saw; see `rows_of` for the arguments and errors."""
    seen = result.require_rows()
    return rows_of(result.law, seen.x, seen.y, flagged=flagged, labels=labels)


def mark_rows(
    ax: Axes,
    rows: Rows,
    at: Floats,
    value: Floats,
    *,
    left_out: str = "not fitted",
    style: Series = SERIES[0],
) -> Axes:
    """Marks every row, filled where the fit saw it.

    Args:
        ax: Axes to draw on.
        rows: The rows.
        at: Horizontal position of each, shape `(n_rows,)`.
        value: Vertical position of each, shape `(n_rows,)`.
        left_out: Legend entry of rows that the fit did not see.
        style: Colour and marker.
    """
    for chosen, face, label in (
        (rows.fitted, style.color, "fitted"),
        (rows.held_out, "white", left_out),
    ):
        if chosen.any():
            ax.scatter(
                at[chosen],
                value[chosen],
                s=_AREA,
                marker=style.marker,
                facecolor=face,
                edgecolor=style.color,
                linewidth=0.6,
                label=label,
                zorder=2.5,
            )
    return mark_flagged(ax, rows, at, value)


def mark_flagged(ax: Axes, rows: Rows, at: Floats, value: Floats) -> Axes:
    """Draws a cross over every flagged row; see `mark_rows` for the arguments."""
    if rows.flagged.any():
        marks: dict[str, Any] = {**SERIES[1].marks(), "marker": "x", "label": "flagged"}
        marks |= {"markersize": 5, "markeredgewidth": 1.0, "zorder": 3}
        ax.plot(at[rows.flagged], value[rows.flagged], **marks)
    return ax
