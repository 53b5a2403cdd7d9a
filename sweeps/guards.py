"""Guards of numbers that a caller gives."""

import math


def require_positive(name: str, value: float) -> None:
    """Raises a ValueError for a number that is not positive and finite."""
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"{name} = {value} is not positive and finite: give a positive number")
