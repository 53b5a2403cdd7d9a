"""Rows as a caller gives them, checked, and their centred logarithms in a canonical order."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analysis.errors import FitError
from analysis.estimate import Floats
from analysis.guards import positive
from analysis.laws.law import Law

POSITIVE_ROWS = "a law is fitted to logarithms; drop or repair such rows before the fit"
"""Remedy for rows that have no logarithm."""


@dataclass(frozen=True, eq=False)
class FittedRows:
    """The rows that a fit saw, in the order given; `checked_rows` makes them.

    Attributes:
        x: Inputs, shape `(n_rows, n_inputs)`; positive.
        y: Values, shape `(n_rows,)`; positive.
        weights: Weight of the loss at each row, shape `(n_rows,)`; positive.
        clusters: Number of the cluster of each row, shape `(n_rows,)`; None where rows are
            independent.
        one_run: Whether they are evaluations of one run along the only input.
    """

    x: Floats
    y: Floats
    weights: Floats
    clusters: NDArray[np.intp] | None
    one_run: bool = False


class Observations(NamedTuple):
    """Rows sorted by input, then y, then cluster, so that no result depends on their order.

    Attributes:
        log_x: Centred log inputs, shape `(n_rows, n_inputs)`.
        log_y: Centred log y, shape `(n_rows,)`; on the linear scale y over its geometric mean.
        log_x_scale: What was subtracted from log x, shape `(n_inputs,)`.
        log_y_scale: What was subtracted from log y.
        weights: As in `FittedRows`, sorted.
        clusters: As in `FittedRows`, sorted.
        order: Position in the caller's arrays of each row, shape `(n_rows,)`.
        group: Number of the distinct input of each row, shape `(n_rows,)`, not decreasing.
        one_run: As in `FittedRows`.
    """

    log_x: Floats
    log_y: Floats
    log_x_scale: Floats
    log_y_scale: float
    weights: Floats
    clusters: NDArray[np.intp] | None
    order: NDArray[np.intp]
    group: NDArray[np.intp]
    one_run: bool = False

    @property
    def group_sizes(self) -> NDArray[np.intp]:
        """Rows at each distinct input, shape `(n_distinct,)`."""
        return np.bincount(self.group)

    def group_means(self, rows: Floats) -> Floats:
        """Means over the rows of each distinct input: `(..., n_rows) -> (..., n_distinct)`."""
        return self.group_sums(rows) / self.group_sizes

    def group_sums(self, rows: Floats) -> Floats:
        """Sums over the rows of each distinct input: `(..., n_rows) -> (..., n_distinct)`."""
        sizes = self.group_sizes
        first = np.concatenate([[0], np.cumsum(sizes)[:-1]])
        return np.add.reduceat(rows, first, axis=-1)

    @property
    def n_clusters(self) -> int | None:
        """How many clusters there are; None where rows are independent."""
        return None if self.clusters is None else int(self.clusters.max()) + 1


def as_inputs(law: Law, x: ArrayLike) -> Floats:
    """Returns inputs of a law as a float64 matrix, shape `(n_rows, n_inputs)`.

    Args:
        law: The law.
        x: The same shape, or for a law of one input `(n_rows,)`; positive and finite.

    Raises:
        ValueError: Another shape, or a value that is not positive and finite.
    """
    values = _numbers("x", x)
    matrix = values[:, None] if values.ndim == 1 and len(law.inputs) == 1 else values
    if matrix.ndim != 2 or matrix.shape[1] != len(law.inputs):
        raise ValueError(
            f"x has shape {values.shape}, but {law.name} takes {len(law.inputs)} input(s) "
            f"({', '.join(law.inputs)}). Give a row for each observation, a column for each input."
        )
    for column, name in enumerate(law.inputs):
        positive(name, matrix[:, column], POSITIVE_ROWS)
    return matrix


def checked_rows(
    law: Law,
    x: ArrayLike,
    y: ArrayLike,
    weights: ArrayLike | None = None,
    clusters: ArrayLike | None = None,
) -> FittedRows:
    """Returns read-only copies of the rows of a caller, each column checked.

    Args:
        law: The law.
        x: Inputs, as `as_inputs` takes them.
        y: Values, shape `(n_rows,)`.
        weights: Weights of the loss at each row, shape `(n_rows,)`, positive; 1 unless given.
        clusters: Labels that rows of the same cluster share, shape `(n_rows,)`, or None. One label
            for all, of a law of one input, says that they are evaluations of one run.

    Raises:
        ValueError: Shapes that do not fit together, or values not positive and finite.
    """
    inputs = as_inputs(law, x)
    n_rows = len(inputs)

    def column(name: str, array: NDArray[Any]) -> NDArray[Any]:
        if array.shape != (n_rows,):
            raise ValueError(
                f"{name} has shape {array.shape}, but x has {n_rows} rows. Give one value of "
                f"{name} for each row."
            )
        return array

    values = column("y", _numbers("y", y))
    positive("y", values, POSITIVE_ROWS)
    shares = np.ones(n_rows) if weights is None else column("weights", _numbers("weights", weights))
    positive("weights", shares, "drop rows that are not to count")
    numbers = None
    if clusters is not None:
        labels = column("clusters", np.asarray(clusters))
        try:
            numbers = np.unique(labels, return_inverse=True)[1]
        except TypeError as error:
            raise ValueError(
                f"clusters are labels of one type, but here {error}. Give all of them as text, or "
                "all as numbers, and none empty."
            ) from None
    # One label for all rows of one input: a run that is evaluated along it.
    one_run = numbers is not None and len(law.inputs) == 1 and not np.any(numbers)
    return FittedRows(
        read_only(inputs),
        read_only(values),
        read_only(shares),
        None if one_run else numbers,
        one_run,
    )


def _numbers(name: str, values: ArrayLike) -> Floats:
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{name} holds a value that is not a number ({error}). Give numbers only, in rows of "
            "one length."
        ) from None


def read_only(values: ArrayLike) -> Floats:
    """A float64 copy that cannot be written to."""
    array = np.array(values, dtype=np.float64)
    array.flags.writeable = False
    return array


def observe(law: Law, rows: FittedRows) -> Observations:
    """Returns rows in the form that a fit works on: sorted, centred logarithms."""
    last_keys = (rows.weights, rows.y)
    if rows.clusters is not None:
        last_keys = (rows.weights, rows.clusters, rows.y)
    order = np.lexsort((*last_keys, *rows.x.T[::-1]))
    inputs = rows.x[order]
    log_x, log_y = np.log(inputs), np.log(rows.y[order])
    scaled = np.array([name not in law.unscaled for name in law.inputs])
    log_x_scale = log_x.mean(axis=0) * scaled if len(log_x) else np.zeros(len(law.inputs))
    log_y_scale = float(log_y.mean()) if len(log_y) else 0.0
    return Observations(
        log_x=log_x - log_x_scale,
        log_y=log_y - log_y_scale,
        log_x_scale=log_x_scale,
        log_y_scale=log_y_scale,
        weights=rows.weights[order],
        clusters=None if rows.clusters is None else rows.clusters[order],
        order=order,
        group=np.cumsum(np.any(np.diff(inputs, axis=0, prepend=inputs[:1]) != 0, axis=1)),
        one_run=rows.one_run,
    )


def require_enough(law: Law, rows: Observations) -> None:
    """Refuses rows that cannot support a law, or a view of it with parameters held.

    Raises:
        FitError: No more rows than parameters, or fewer distinct inputs.
    """
    n_params, n_rows, n_distinct = len(law.params), len(rows.log_y), len(rows.group_sizes)
    needs = f"{law.name} has {n_params} parameters ({', '.join(law.params)})"
    if n_rows <= n_params:
        raise FitError(
            f"{needs}, but there are {n_rows} rows: give at least {n_params + 1}, which leaves a "
            "degree of freedom."
        )
    if n_distinct < n_params:
        raise FitError(
            f"{needs}, but {n_distinct} distinct x: give rows at {n_params} distinct x or more."
        )


def require_spread(law: Law, rows: Observations) -> None:
    """Refuses rows that do not show how a law of several inputs depends on one of them.

    Raises:
        FitError: An input that is the same in all rows.
    """
    for column, name in enumerate(law.inputs):
        if np.ptp(rows.log_x[:, column]) == 0 and len(law.inputs) > 1:
            value = float(np.exp(rows.log_x[0, column] + rows.log_x_scale[column]))
            raise FitError(
                f"{name} = {value:.6g} in every row: nothing shows how {law.name} depends on it. "
                f"Give rows at several {name}, or fit a law of the other inputs."
            )
