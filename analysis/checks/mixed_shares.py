"""Errors in per cent among errors as fractions: one column in two units."""

import numpy as np
from numpy.typing import ArrayLike

_APART = 5.0
"""Factor between the largest fraction and the smallest percentage from which they are two units."""


def first_of_other_unit(values: ArrayLike) -> int | None:
    """Returns the row of the first value in the rarer unit; None where all seem to be in one.

    Values up to 1 count as fractions where, times 100, they lie among the values above 1, and as
    they stand far below them all.

    Args:
        values: Errors or accuracies, shape (n_rows,).
    """
    given = np.asarray(values, dtype=np.float64)
    small, large = (given > 0) & (given <= 1), given > 1
    if not small.any() or not large.any():
        return None
    least, most = given[large].min(), given[large].max()
    raised = 100 * given[small]
    among = np.mean((raised >= least / 2) & (raised <= 2 * most)) >= 0.5
    if not among or given[small].max() * _APART > least:
        return None
    rarer = small if small.sum() <= large.sum() else large
    return int(np.flatnonzero(rarer)[0])
