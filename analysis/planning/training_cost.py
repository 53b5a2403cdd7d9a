"""FLOPs a token as a function of size, from the C that a table's runs were charged.

    c(N) = C / D = N (k + m N^-p)

k N is the cost of weights in matrix products, 6 N by the usual count; m N^-p is what grows more
slowly than they do, such as attention, a read-out or embeddings that one side counts and the other
does not. Beyond the sizes of the table the trend goes on, to k N for large N.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from analysis.estimate import Floats
from analysis.guards import positive_column
from analysis.laws.chinchilla import FLOPS_PER_PARAMETER_AND_TOKEN

if TYPE_CHECKING:
    import pandas as pd

ONE_MULTIPLE = 0.05
"""Relative difference of C / (N D) between rows below which C counts as one multiple of N D."""

INFERENCE_FLOPS_PER_PARAMETER_AND_TOKEN = 2.0
"""FLOPs of a forward pass: a multiply-add for each parameter."""

_MAX_STEPS = 60  # of Newton's method, which takes about five
_POWERS = np.linspace(0.02, 1.0, 99)


class TrainingCost(NamedTuple):
    """FLOPs a token, `c(N) = N (k + m N^-p)`.

    Attributes:
        per_product: k, FLOPs a parameter and token of very large models.
        extra: m; 0 where C is one multiple of N D.
        power: p, above 0 and at most 1, so that c grows with N.
        misfit: Largest relative difference between a row's C / D and c(N).
        sizes: Least and largest N of the rows; None where the cost comes from no rows.
    """

    per_product: float = FLOPS_PER_PARAMETER_AND_TOKEN
    extra: float = 0.0
    power: float = 1.0
    misfit: float = 0.0
    sizes: tuple[float, float] | None = None

    def ratio(self, log_n: Floats) -> Floats:
        """Returns c / N at log N, the C over N D that a size pays."""
        if self.extra == 0:
            return self.per_product + np.zeros_like(log_n)
        # A search may try sizes so small that a token of them costs more than float64 holds.
        with np.errstate(over="ignore"):
            return self.per_product + self.extra * np.exp(-self.power * log_n)

    def log_budget(self, log_n: Floats, log_d: Floats, served: float = 0.0) -> Floats:
        """Returns log K of training on D tokens and serving T, `K = D c(N) + 2 N T`."""
        more = np.log(self.ratio(log_n) / self.per_product)
        both = np.logaddexp(log_d + more, self._log_served(served))
        return math.log(self.per_product) + log_n + both

    def log_size(self, log_d: Floats, log_budget: Floats | float, served: float = 0.0) -> Floats:
        """Returns the log N that trains on D tokens and serves T for a budget K; NaN without one.

        In closed form where C is one multiple of N D, by Newton's method elsewhere.
        """
        with np.errstate(all="ignore"):
            tokens = np.logaddexp(log_d, self._log_served(served))
            without = log_budget - math.log(self.per_product) - tokens
            if self.extra == 0:
                return without
            # u = log N solves u + log(1 + r) = without, r = share N^-p. Its left side is convex
            # for m > 0, and the search comes from above. For m < 0 it is concave and has the
            # floor r = -1: what steps towards the floor goes half the way at most.
            share = self.extra / self.per_product * np.exp(log_d - tokens)
            log_n, floor = without, np.full_like(without, -np.inf)
            if self.extra < 0:
                floor = np.log(-share) / self.power
                log_n = np.logaddexp(floor, without - math.log(self.power))
            step = np.full_like(without, np.inf)
            for _ in range(_MAX_STEPS):
                r = share * np.exp(-self.power * log_n)
                step = (log_n + np.log1p(r) - without) / (1 - self.power * r / (1 + r))
                log_n = np.maximum(log_n - step, (log_n + floor) / 2)
                if not np.any(np.abs(step) > 1e-14 * np.abs(log_n)):
                    break
            return np.where(np.abs(step) < 1e-9 * (1 + np.abs(log_n)), log_n, np.nan)

    def most_tokens(self, log_budget: float) -> float:
        """Returns the log D at which the budget trains one parameter."""
        return log_budget - math.log(self.per_product + max(self.extra, 0.0))

    def __str__(self) -> str:
        """Says it in terms of N D: of one multiple, or at the least and the largest size."""
        if self.extra == 0 or self.sizes is None:
            return f"{self.per_product:.3g} N D"
        paid = self.ratio(np.log(self.sizes))
        ends = zip(paid, self.sizes, strict=True)
        return " ... ".join(f"{ratio:.3g} N D at {size:.3g}" for ratio, size in ends)

    def _log_served(self, served: float) -> float:
        """Log of the tokens whose training costs as much as serving T."""
        share = INFERENCE_FLOPS_PER_PARAMETER_AND_TOKEN / self.per_product
        return math.log(share * served) if served > 0 else -math.inf

    def slope(self, log_n: Floats) -> Floats:
        """Returns d log c / d log N; 1 where C is one multiple of N D."""
        return 1 - self.power * (1 - self.per_product / self.ratio(log_n))

    def log_slope_change(self, log_n: Floats) -> Floats:
        """Returns d log(slope) / d log N."""
        share = self.per_product / self.ratio(log_n)
        return self.power**2 * share * (1 - share) / self.slope(log_n)


SIX_N_D = TrainingCost()
"""The usual count: 2 N D forward, 4 N D backward."""


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
    sizes = float(size.min()), float(size.max())
    constant = TrainingCost(mean, misfit=float(np.max(np.abs(ratio / mean - 1))), sizes=sizes)
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
            misfit = float(np.max(np.abs(error)))
            best = TrainingCost(float(found[0]), extra, power, misfit, sizes)
    return best


def paid_cost(table: pd.DataFrame) -> TrainingCost:
    """Returns the cost that a table's C implies, where it is no multiple of N D; else 6 N D.

    Columns N, D and C count where all are there, positive and finite.
    """
    if not {"N", "D", "C"} <= set(table):
        return SIX_N_D
    columns = table.loc[:, ["N", "D", "C"]].to_numpy(np.float64)
    if not np.all(np.isfinite(columns) & (columns > 0)):
        return SIX_N_D
    cost = fit_cost(*columns.T)
    return SIX_N_D if cost.extra == 0 else cost
