"""What a run did with the labels that noise had changed: learnt them by heart, or saw through them.

A run records its training error against the labels that it was trained on, and against the labels
before noise. The two errors differ on changed labels alone.
"""

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from analysis.guards import share


def memorisation(
    train_error: ArrayLike, train_error_clean: ArrayLike, noise_fraction: ArrayLike
) -> Float[np.ndarray, "..."]:
    """Share of changed labels that a run memorised, less the share whose true label it gave.

        memorisation = (train_error_clean - train_error) / noise_fraction

    It is 1 where every changed label is fitted, and -1 where the true label is given to every one:
    errors on labels that noise left alone cancel. A peak of test error under label noise comes
    where it nears 1.

    Args:
        train_error: Share of training labels, as trained on, that the run gets wrong.
        train_error_clean: The same against the labels before noise.
        noise_fraction: Share of labels that noise changed (`label_noise_fraction` of a record).

    Returns:
        The measure, of the broadcast shape; NaN where no label was changed.

    Raises:
        ValueError: A number outside [0, 1], or errors that differ by more than the noise allows.
    """
    noisy, clean, changed = np.broadcast_arrays(
        share("train_error", train_error),
        share("train_error_clean", train_error_clean),
        share("noise_fraction", noise_fraction),
    )
    beyond = np.abs(clean - noisy) > changed + 1e-6
    if np.any(beyond):
        at = np.flatnonzero(beyond)[0]
        raise ValueError(
            f"the two training errors differ by {abs(clean.flat[at] - noisy.flat[at]):.4g}, more "
            f"than the {changed.flat[at]:.4g} of the labels that were changed: give errors and "
            "noise as fractions of the same examples."
        )
    return np.divide(clean - noisy, changed, out=np.full(changed.shape, np.nan), where=changed > 0)
