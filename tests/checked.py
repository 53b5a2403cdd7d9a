"""The check of shapes and element types that tests put on the program's functions."""

from collections.abc import Callable
from typing import Any, get_args

from beartype import beartype
from jaxtyping import AbstractArray


def checked(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, refusing arrays of other shapes than its annotations say; the rest is free."""
    hints = function.__annotations__
    function.__annotations__ = {name: hint for name, hint in hints.items() if has_shape(hint)}
    return beartype(function)


def has_shape(hint: Any) -> bool:
    """Whether an annotation says the shape of an array, itself or in one of its parts.

    "..." is any shape: there NumPy gives a number of its own for an array of no axes.
    """
    is_array = isinstance(hint, type) and issubclass(hint, AbstractArray)
    return (is_array and hint.dim_str != "...") or any(map(has_shape, get_args(hint)))
