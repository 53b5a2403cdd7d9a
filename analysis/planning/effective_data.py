"""What a loss is worth in data: as many as a model trained from scratch needs to reach it."""

import numpy as np
from numpy.typing import ArrayLike
from scipy.interpolate import PchipInterpolator

from analysis.estimate import Floats
from analysis.guards import positive


def effective_data(data: ArrayLike, loss: ArrayLike, reached: ArrayLike) -> Floats:
    """Returns the data that training from scratch needs for losses that were reached.

    The curve of training from scratch is interpolated in the logarithm of the data by a monotone
    cubic (Fritsch & Carlson 1980), and never extrapolated. Losses are to be those of tuned and
    early stopped runs: what a longer run would lose to over-fitting is no lack of data. A loss that
    rises with data is taken as noise, and the least up to there counts.

    Args:
        data: Data of the runs from scratch, shape `(n,)`, at least two different ones.
        loss: Their losses, shape `(n,)`.
        reached: Losses to value, of any shape.

    Returns:
        Effective data, of the shape of `reached`; NaN where the curve does not go.

    Raises:
        ValueError: Data or losses that are not positive, or fewer than two sizes.
    """
    sizes, losses = positive("data", data), positive("loss", loss)
    if len(np.unique(sizes)) < 2 or sizes.shape != losses.shape:
        raise ValueError(
            f"data has {sizes.size} values, {len(np.unique(sizes))} of them different, and loss "
            f"{losses.size}: give a loss for each of at least two sizes"
        )
    order = np.argsort(sizes)
    least = np.minimum.accumulate(losses[order])
    falls = np.concatenate([[True], np.diff(least) < 0])
    value = np.asarray(reached, np.float64)
    if falls.sum() < 2:
        return np.full_like(value, np.nan)
    curve = PchipInterpolator(
        least[falls][::-1], np.log(sizes[order][falls][::-1]), extrapolate=False
    )
    return np.exp(curve(value))
