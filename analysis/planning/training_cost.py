"""FLOPs a token as a function of size, from the C that a table's runs were charged.

    c(N) = C / D = N (k + m N^-p)

k N is the cost of weights in matrix products, 6 N by the usual count; m N^-p is what grows more
slowly than they do, such as attention, a read-out or embeddings that one side counts and the other
does not. Beyond the sizes of the table the trend goes on, to k N for large N.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from analysis.estimate import Floats
from analysis.guards import positive_column
from analysis.laws.chinchilla import FLOPS_PER_PARAMETER_AND_TOKEN

ONE_MULTIPLE = 0.05
"""Relative difference of C / (N D) between rows below which C counts as one multiple of N D."""

_POWERS = np.linspace(0.02, 1.0, 99)


class TrainingCost(NamedTuple):
    """FLOPs a token, `c(N) = N (k + m N^-p)`.

    Attributes:
        per_product: k, FLOPs a parameter and token of very large models.
        extra: m; 0 where C is one multiple of N D.
        power: p, above 0 and at most 1, so that c grows with N.
        misfit: Largest relative difference between a row's C / D and c(N).
    """

    per_product: float = FLOPS_PER_PARAMETER_AND_TOKEN
    extra: float = 0.0
    power: float = 1.0
    misfit: float = 0.0

    def ratio(self, log_n: Floats) -> Floats:
        """Returns c / N at log N, the C over N D that a size pays."""
        return self.per_product + self.extra * np.exp(-self.power * log_n)

    def slope(self, log_n: Floats) -> Floats:
        """Returns d log c / d log N; 1 where C is one multiple of N D."""
        return 1 - self.power * (1 - self.per_product / self.ratio(log_n))

    def log_slope_change(self, log_n: Floats) -> Floats:
        """Returns d log(slope) / d log N."""
        share = self.per_product / self.ratio(log_n)
        return self.power**2 * share * (1 - share) / self.slope(log_n)


def fit_cost(n_params: ArrayLike, tokens: ArrayLike, flops: ArrayLike) -> TrainingCost:
    """Returns the cost that rows paid, by least squares of the relative error of C / D.

    Args:
        n_params: N, shape `(n,)`.
        tokens: D, shape `(n,)`.
        flops: C, shape `(n,)`.

    Returns:
        One multiple of N D, the geometric mean, where rows differ by less than `ONE_MULTIPLE` or
        have fewer than three sizes.

    Raises:
        ValueError: Columns of different lengths, or a value that is not positive and finite.
    """
    size = positive_column("n_params", n_params)
    paid = positive_column("flops", flops, len(size))
    ratio = paid / (size * positive_column("tokens", tokens, len(size)))
    mean = float(np.exp(np.mean(np.log(ratio))))
    constant = TrainingCost(mean, misfit=float(np.max(np.abs(ratio / mean - 1))))
    if np.ptp(np.log(ratio)) <= np.log1p(ONE_MULTIPLE) or len(np.unique(size)) < 3:
        return constant
    # In units of the middle size, for the sake of rounding.
    middle = float(np.exp(np.mean(np.log(size))))
    best, least = constant, np.inf
    for power in _POWERS.tolist():
        design = np.stack([np.ones(len(size)), (size / middle) ** -power], axis=1) / ratio[:, None]
        found = np.linalg.lstsq(design, np.ones(len(size)), rcond=None)[0]
        error = design @ found - 1
        if found[0] > 0 and np.all(error > -1) and error @ error < least:
            least = float(error @ error)
            extra = float(found[1]) * middle**power
            best = TrainingCost(float(found[0]), extra, power, float(np.max(np.abs(error))))
    return best
