"""Guards of numbers that a caller gives: positive, not negative, a share, a column."""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analysis.estimate import Floats

DROP_ROWS = "drop those rows deliberately, and show them in the figure"
"""Remedy where a value is that of a run."""


def positive(name: str, values: ArrayLike, remedy: str = "correct or remove it") -> Floats:
    """Returns positive, finite numbers in float64.

    Args:
        name: What to call them in an error.
        values: A number, or an array of any shape.
        remedy: What to do about a wrong one.

    Raises:
        ValueError: A number that is not positive and finite.
    """
    return _checked(name, values, lambda x: x > 0, "positive and finite", remedy)


def non_negative(name: str, values: ArrayLike, remedy: str = "correct or remove it") -> Floats:
    """Returns finite numbers of at least 0 in float64; arguments and errors as of `positive`."""
    return _checked(name, values, lambda x: x >= 0, "finite and at least 0", remedy)


def share(name: str, values: ArrayLike, remedy: str = "correct or remove it") -> Floats:
    """Returns numbers of 0 to 1 in float64; arguments and errors as of `positive`."""
    within: Callable[[Floats], NDArray[np.bool_]] = lambda x: (x >= 0) & (x <= 1)  # noqa: E731
    return _checked(name, values, within, "a share between 0 and 1", remedy)


def finite(name: str, values: ArrayLike, remedy: str = "correct or remove it") -> Floats:
    """Returns finite numbers in float64; arguments and errors as of `positive`."""
    return _checked(name, values, np.isfinite, "finite", remedy)


def require_tolerance(tolerance: float) -> None:
    """Refuses a relative tolerance that does not lie between 0 and 1."""
    if not 0 < tolerance < 1:
        raise ValueError(
            f"tolerance = {tolerance}, but it must lie between 0 and 1: give e.g. 0.1."
        )


def positive_column(name: str, values: ArrayLike, length: int | None = None) -> Floats:
    """Returns a column of positive, finite numbers in float64, shape `(n,)`.

    Args:
        name: What to call it in an error.
        values: The numbers, shape `(n,)`.
        length: The number there must be; any but none unless given.

    Raises:
        ValueError: Another shape, or a number that is not positive and finite.
    """
    column = np.asarray(values, dtype=np.float64)
    if column.ndim != 1 or not len(column) or (length is not None and len(column) != length):
        wanted = "(n,), n > 0" if length is None else f"({length},)"
        raise ValueError(
            f"{name} has shape {column.shape}, not {wanted}: give columns of the same length"
        )
    return positive(name, column, DROP_ROWS)


def _checked(
    name: str,
    values: ArrayLike,
    holds: Callable[[Floats], NDArray[np.bool_]],
    requirement: str,
    remedy: str,
) -> Floats:
    array = np.asarray(values, dtype=np.float64)
    wrong = np.argwhere(~(np.isfinite(array) & holds(array)))
    if len(wrong):
        at = tuple(wrong[0].tolist())
        place = f"[{', '.join(map(str, at))}]" if at else ""
        others = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
        raise ValueError(
            f"{name}{place} = {float(array[at])}{others}, but it must be {requirement}: {remedy}."
        )
    return array
