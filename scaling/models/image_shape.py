"""The shape of an image that is given as one row of numbers."""

from __future__ import annotations

import math

CHANNELS = (1, 3)


def image_shape(n_inputs: int) -> tuple[int, int, int]:
    """Height, width and channels of a square image: grey where its pixels alone make a square.

    Raises:
        ValueError: no square image, grey or of three colours, has so many numbers.
    """
    for channels in CHANNELS:
        side = math.isqrt(n_inputs // channels)
        if channels * side**2 == n_inputs:
            return side, side, channels
    raise ValueError(
        f"{n_inputs} inputs are no square image, of one channel or of three: use "
        "data.kind = 'images'"
    )
