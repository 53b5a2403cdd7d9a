"""Sizes to add where a grid misses the interpolation threshold: before the runs, or after them.

A model can fit n samples of k outputs once it has about n k parameters (Belkin et al. 2019, arXiv
1812.11118). Networks reach it with fewer or more, so sizes on both sides are proposed.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from analysis.estimate import Floats
from analysis.guards import positive, positive_column

AROUND = (0.5, 0.7, 1.0, 1.4, 2.0)
"""Multiples of the expected threshold that a grid should hold."""
BEYOND = (1.4, 2.0, 3.0, 4.0)
"""Multiples of an end of the grid that are proposed where nothing else is known."""


class MissingSizes(NamedTuple):
    """Where the threshold is expected, and what a grid lacks about it.

    Attributes:
        expected: Size at which the parameters equal samples times outputs; NaN where unknown.
        inside: Whether the grid reaches beyond it on both sides.
        add: Sizes to add, ascending, beyond the grid; empty where none is needed.
    """

    expected: float
    inside: bool
    add: tuple[float, ...]


def missing_sizes(size: ArrayLike, parameters: ArrayLike, constraints: float) -> MissingSizes:
    """Says whether a grid holds the expected threshold, from parameters against n x outputs.

    Parameters are interpolated in logarithms, and extrapolated along the last step of the grid.

    Args:
        size: Sizes of the grid, shape (n,), any order.
        parameters: Parameters at each, shape (n,).
        constraints: Training samples times outputs.

    Raises:
        ValueError: Values that are not positive, fewer than 2 sizes, or parameters that do not
            grow with size.
    """
    sizes = positive_column("size", size)
    counts = positive_column("parameters", parameters, len(sizes))
    wanted = float(np.log(positive("constraints", constraints, "give n x outputs")))
    at, first = np.unique(np.log(sizes), return_index=True)
    logs = np.log(counts[first])
    if len(at) < 2 or np.any(np.diff(logs) <= 0):
        raise ValueError(
            "parameters must grow with size over at least 2 sizes: give the parameters of each size"
        )
    if wanted > logs[-1]:
        expected = at[-1] + (wanted - logs[-1]) * (at[-1] - at[-2]) / (logs[-1] - logs[-2])
    elif wanted < logs[0]:
        expected = at[0] - (logs[0] - wanted) * (at[1] - at[0]) / (logs[1] - logs[0])
    else:
        expected = np.interp(wanted, logs, at)
    inside = bool(at[0] < expected < at[-1])
    around = np.exp(expected) * np.array(AROUND)
    return MissingSizes(float(np.exp(expected)), inside, _beyond(around, sizes[first]))


def sizes_beyond(size: ArrayLike, *, above: bool) -> tuple[float, ...]:
    """Returns sizes beyond one end of a grid, where parameters and samples are not known."""
    sizes = positive_column("size", size)
    factors = np.array(BEYOND)
    return _beyond(sizes.max() * factors if above else sizes.min() / factors, sizes)


def _beyond(wanted: Floats, sizes: Floats) -> tuple[float, ...]:
    """Sizes outside the grid; whole numbers where the grid's are, each once."""
    whole = bool(np.all(sizes == np.rint(sizes)))
    shown = np.rint(wanted) if whole else np.array([float(f"{each:.3g}") for each in wanted])
    kept = shown[((shown > sizes.max()) | (shown < sizes.min())) & (shown > 0)]
    return tuple(np.unique(kept).tolist())
