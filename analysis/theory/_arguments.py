"""Turn caller's numbers into checked float64 arrays, the same way in every formula."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import ArrayLike


def positive(name: str, value: ArrayLike) -> Float[np.ndarray, "..."]:
    """Return `value` as a float64 array.

    Raises:
        ValueError: If any entry is not finite and above zero.
    """
    return _checked(name, value, lambda x: x > 0, "finite and above 0")


def non_negative(name: str, value: ArrayLike) -> Float[np.ndarray, "..."]:
    """Return `value` as a float64 array.

    Raises:
        ValueError: If any entry is not finite and at least zero.
    """
    return _checked(name, value, lambda x: x >= 0, "finite and at least 0")


def share(name: str, value: ArrayLike) -> Float[np.ndarray, "..."]:
    """Return `value` as a float64 array.

    Raises:
        ValueError: If any entry lies outside [0, 1].
    """
    return _checked(name, value, lambda x: (x >= 0) & (x <= 1), "a share between 0 and 1")


def _checked(
    name: str,
    value: ArrayLike,
    holds: Callable[[Float[np.ndarray, "..."]], Bool[np.ndarray, "..."]],
    requirement: str,
) -> Float[np.ndarray, "..."]:
    array = np.asarray(value, dtype=np.float64)
    refused = array[~(np.isfinite(array) & holds(array))]
    if refused.size:
        raise ValueError(
            f"{name} must be {requirement}, but holds {refused.flat[0]:g}; "
            f"remove or correct {refused.size} of its {array.size} value(s)"
        )
    return array
