"""Rows as a caller gives them -> centred logarithms in a canonical order, or a clear refusal."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analysis.errors import FitError
from analysis.estimate import Floats
from analysis.fitting.engine.least_squares import Points
from analysis.fitting.engine.loss import Loss
from analysis.laws.law import Law


class Observations(NamedTuple):
    """Rows sorted by input, then y, then cluster, so that no result depends on their order.

    Attributes:
        log_x: Centred log inputs, shape `(n_rows, n_inputs)`.
        log_y: Centred log y, shape `(n_rows,)`; y over its geometric mean in `on_linear_scale`.
        log_x_scale: What was subtracted from log x, shape `(n_inputs,)`.
        log_y_scale: What was subtracted from log y.
        weights: Weight of the loss at each row, positive, shape `(n_rows,)`.
        clusters: Number of the cluster of each row, shape `(n_rows,)`, or None.
        order: Position in the caller's arrays of each row, shape `(n_rows,)`.
        group: Number of the distinct input of each row, shape `(n_rows,)`, not decreasing.
    """

    log_x: Floats
    log_y: Floats
    log_x_scale: Floats
    log_y_scale: float
    weights: Floats
    clusters: NDArray[np.intp] | None
    order: NDArray[np.intp]
    group: NDArray[np.intp]

    @property
    def group_sizes(self) -> NDArray[np.intp]:
        """Rows at each distinct input, shape `(n_distinct,)`."""
        return np.bincount(self.group)

    def group_means(self, rows: Floats) -> Floats:
        """Means over the rows of each distinct input: `(..., n_rows) -> (..., n_distinct)`."""
        return self._group_sums(rows) / self.group_sizes

    def _group_sums(self, rows: Floats) -> Floats:
        sizes = self.group_sizes
        first = np.concatenate([[0], np.cumsum(sizes)[:-1]])
        return np.add.reduceat(rows, first, axis=-1)

    def on_linear_scale(self) -> "Observations":
        """The same rows with y over its geometric mean in place of its centred logarithm."""
        return self._replace(log_y=np.exp(self.log_y))

    @property
    def n_clusters(self) -> int | None:
        """How many clusters there are; None where rows are independent."""
        return None if self.clusters is None else int(self.clusters.max()) + 1

    def points(self, loss: Loss) -> Points:
        """Inputs to fit at: under plain squared error the distinct ones, with their rows' weight.

        Squared residuals of rows that share an input sum to a constant plus their number times
        the squared residual of their mean, so that the fit may see the means alone; with
        weights likewise. Under any other loss each row counts by itself.
        """
        if not loss.is_squared:
            return Points(self.log_x, self.weights)
        last = np.cumsum(self.group_sizes) - 1
        return Points(self.log_x[last], self._group_sums(self.weights))

    def targets(self, rows: Floats, loss: Loss) -> Floats:
        """Values to fit at `points(loss)`: `(..., n_rows) -> (..., n_points)`."""
        if not loss.is_squared:
            return rows
        return self._group_sums(rows * self.weights) / self._group_sums(self.weights)


def as_inputs(law: Law, x: ArrayLike) -> Floats:
    """Inputs of a law as a float64 matrix.

    Args:
        law: The law.
        x: Shape `(n_rows, n_inputs)`; for a law of one input also `(n_rows,)`.

    Returns:
        Shape `(n_rows, n_inputs)`, every value positive and finite.

    Raises:
        ValueError: Another shape, or a value that is not positive and finite.
    """
    values = np.asarray(x, dtype=np.float64)
    matrix = values[:, None] if values.ndim == 1 and len(law.inputs) == 1 else values
    if matrix.ndim != 2 or matrix.shape[1] != len(law.inputs):
        raise ValueError(
            f"x has shape {values.shape}, but {law.name} takes {len(law.inputs)} input(s) "
            f"({', '.join(law.inputs)}): give one row for each observation, one column for each."
        )
    for column, name in enumerate(law.inputs):
        require_positive(name, matrix[:, column])
    return matrix


def require_positive(name: str, values: Floats) -> None:
    """Raise `ValueError` naming the first row that is not positive and finite."""
    wrong = np.flatnonzero(~(np.isfinite(values) & (values > 0)))
    if wrong.size:
        raise ValueError(
            f"{name}[{wrong[0]}] = {values[wrong[0]]}, but a law is fitted to logarithms, which "
            f"need finite values > 0: drop or repair {_rows(wrong)} before the fit."
        )


def observe(
    law: Law,
    x: ArrayLike,
    y: ArrayLike,
    clusters: ArrayLike | None = None,
    weights: ArrayLike | None = None,
) -> Observations:
    """Check rows and bring them into the form that a fit works on.

    Args:
        law: The law.
        x: Inputs, shape `(n_rows, n_inputs)`; for a law of one input also `(n_rows,)`.
        y: Values, shape `(n_rows,)`.
        clusters: Labels that rows of the same cluster share, shape `(n_rows,)`, or None.
        weights: Of the loss at each row, shape `(n_rows,)`, positive; 1 unless given.

    Returns:
        The observations.

    Raises:
        ValueError: Shapes that do not fit together, or values not positive and finite.
    """
    inputs = as_inputs(law, x)
    values = np.asarray(y, dtype=np.float64)
    if values.shape != (len(inputs),):
        raise ValueError(
            f"y has shape {values.shape}, but x has {len(inputs)} rows: give one y for each row."
        )
    require_positive("y", values)
    shares = np.ones_like(values) if weights is None else np.asarray(weights, dtype=np.float64)
    if shares.shape != values.shape:
        raise ValueError(
            f"weights has shape {shares.shape}, but x has {len(inputs)} rows: give one weight for "
            "each row."
        )
    wrong = np.flatnonzero(~(np.isfinite(shares) & (shares > 0)))
    if wrong.size:
        raise ValueError(
            f"weights[{wrong[0]}] = {shares[wrong[0]]}, but a weight is finite and > 0: drop "
            f"{_rows(wrong)} if it is not to count."
        )
    labels = None if clusters is None else np.asarray(clusters)
    if labels is not None and labels.shape != values.shape:
        raise ValueError(
            f"clusters has shape {labels.shape}, but x has {len(inputs)} rows: give one label for "
            "each row."
        )
    numbers = None if labels is None else np.unique(labels, return_inverse=True)[1]

    keys = (shares, values) if numbers is None else (shares, numbers, values)
    order = np.lexsort((*keys, *inputs.T[::-1]))
    inputs, values = inputs[order], values[order]
    log_x, log_y = np.log(inputs), np.log(values)
    scaled = np.array([name not in law.unscaled for name in law.inputs])
    log_x_scale = log_x.mean(axis=0) * scaled if len(log_x) else np.zeros(len(law.inputs))
    log_y_scale = float(log_y.mean()) if len(log_y) else 0.0
    return Observations(
        log_x=log_x - log_x_scale,
        log_y=log_y - log_y_scale,
        log_x_scale=log_x_scale,
        log_y_scale=log_y_scale,
        weights=shares[order],
        clusters=None if numbers is None else numbers[order],
        order=order,
        group=np.cumsum(np.any(np.diff(inputs, axis=0, prepend=inputs[:1]) != 0, axis=1)),
    )


def require_enough(law: Law, rows: Observations) -> None:
    """Refuse rows that cannot support a law, or a view of it with parameters held.

    Raises:
        FitError: No more rows than parameters, or fewer distinct inputs.
    """
    n_params, n_rows, n_distinct = len(law.params), len(rows.log_y), len(rows.group_sizes)
    if n_rows <= n_params:
        raise FitError(
            f"{law.name} has {n_params} parameters ({', '.join(law.params)}), but there are "
            f"{n_rows} rows: give at least {n_params + 1}, so that a residual is left to judge by."
        )
    if n_distinct < n_params:
        raise FitError(
            f"{law.name} has {n_params} parameters ({', '.join(law.params)}), but {n_distinct} "
            f"distinct x: give rows at {n_params} distinct x or more."
        )


def require_spread(law: Law, rows: Observations) -> None:
    """Refuse rows that do not show how a law of several inputs depends on one of them.

    Raises:
        FitError: An input that is the same in all rows.
    """
    for column, name in enumerate(law.inputs):
        if np.ptp(rows.log_x[:, column]) == 0 and len(law.inputs) > 1:
            value = float(np.exp(rows.log_x[0, column] + rows.log_x_scale[column]))
            raise FitError(
                f"{name} = {value:.6g} in every row: how {law.name} depends on {name} cannot be "
                f"told. Give rows at several {name}, or fit a law of the other inputs."
            )


def _rows(rows: NDArray[np.intp], shown: int = 5) -> str:
    listed = ", ".join(str(row) for row in rows[:shown])
    more = f" and {rows.size - shown} more" if rows.size > shown else ""
    return f"row{'s' if rows.size > 1 else ''} {listed}{more}"
