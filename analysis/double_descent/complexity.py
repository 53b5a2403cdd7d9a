"""Effective model complexity from a table of runs, and the sizes at which it is near n.

`scaling.measures.effective_complexity` finds the complexity of one procedure by running it. Here
runs over several numbers of examples are there already, such as those of a sweep over width and n.
"""

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from analysis.double_descent.critical_size import RESAMPLES, interpolation_threshold
from analysis.estimate import Bootstrap, Estimate, Floats
from analysis.guards import positive_column


class CriticalBand(NamedTuple):
    """The sizes at which a procedure is critically parametrised.

    Attributes:
        low: The size at which the complexity reaches n / factor; 0 where it lies below the grid.
        high: The size at which it reaches n factor; infinite where it lies beyond the grid.
        factor: What counts as near n.
    """

    low: float
    high: float
    factor: float

    def holds(self, size: float) -> bool:
        """Whether a size lies in the band."""
        return self.low <= size <= self.high


def effective_complexity(
    n_train: ArrayLike,
    train_error: ArrayLike,
    seed: ArrayLike,
    *,
    tolerance: float,
    bootstrap: Bootstrap = RESAMPLES,
) -> Estimate:
    """Finds the most examples that runs of one procedure fit, from runs at several n.

    It is an interpolation threshold, read along 1/n: the training error falls with it.

    Args:
        n_train: Training examples of each run, shape (n_runs,).
        train_error: Training error of each run, shape (n_runs,).
        seed: Seed label of each run, shape (n_runs,).
        tolerance: Training error that counts as almost 0.
        bootstrap: Resampling of the seeds, and level of the interval.

    Returns:
        The complexity in examples. Censored "above" where all n are fitted, "below" where none is.

    Raises:
        ValueError: As `interpolation_threshold`.

    Reference: Nakkiran et al., arXiv:1912.02292, definition 1.
    """
    n = positive_column("n_train", n_train)
    found = interpolation_threshold(
        1 / n, train_error, seed, tolerance=tolerance, bootstrap=bootstrap
    )
    mirrored: dict[str | None, Literal["above", "below"] | None]
    mirrored = {"above": "below", "below": "above", None: None}
    with np.errstate(divide="ignore"):
        low, value, high = (float(1 / np.float64(x)) for x in (found.high, found.value, found.low))
    return Estimate(value, low, high, found.level, mirrored[found.censored])


def critical_band(
    size: ArrayLike, complexity: ArrayLike, n_train: float, *, factor: float = 1.5
) -> CriticalBand:
    """Finds the sizes whose complexity lies within a factor of n: the critical band.

    Inside it more examples need not help, and test error peaks (Nakkiran et al., hypothesis 1,
    which leaves the width of the band open; `factor` states it). The complexity is made to grow
    with size by its running maximum, and read off between sizes on logarithms.

    Args:
        size: Sizes, shape (n_sizes,).
        complexity: Effective model complexity at each, in examples, shape (n_sizes,).
        n_train: n.
        factor: What counts as near n, above 1.

    Raises:
        ValueError: Fewer than 2 sizes, or a number that is not positive.

    Reference: Nakkiran et al., arXiv:1912.02292, hypothesis 1.
    """
    if not factor > 1:
        raise ValueError(f"factor = {factor}, but it must be above 1: give e.g. 1.5.")
    x = positive_column("size", size)
    emc = positive_column("complexity", complexity, len(x))
    if len(np.unique(x)) < 2:
        raise ValueError("one size has no band: give the complexity at 2 sizes or more.")
    order = np.argsort(x)
    log_x, log_emc = np.log(x[order]), np.maximum.accumulate(np.log(emc[order]))

    def reached(target: float) -> float:
        above = np.flatnonzero(log_emc >= target)
        if not len(above):
            return np.inf
        i = int(above[0])
        return float(np.exp(_crossing(log_x, log_emc, target, i))) if i else 0.0

    log_n = float(np.log(n_train))
    low, high = reached(log_n - np.log(factor)), reached(log_n + np.log(factor))
    # The first size may lie beyond the band already: then the band ends below the grid.
    return CriticalBand(low, high, factor)


def _crossing(log_x: Floats, log_emc: Floats, target: float, i: int) -> float:
    """Where the line between sizes i - 1 and i reaches the target."""
    before, after = log_emc[i - 1], log_emc[i]
    return log_x[i - 1] + (target - before) / (after - before) * (log_x[i] - log_x[i - 1])
