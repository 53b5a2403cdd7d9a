"""Benign, tempered and catastrophic overfitting: what interpolating noise costs.

The minimum-norm interpolator fits its noise exactly. How much of it shows in the test error is
decided by the tail of the spectrum: hardly any (benign), a share (tempered), or all and more
(catastrophic). Eigenvalues l_1 >= l_2 >= ... are those of the covariance, or of the kernel.

With `l_i ~ i^-alpha`, alpha > 1, overfitting is tempered: the test risk on labels of pure noise
goes to alpha times their variance, which `KernelRidgeRisk.overfitting` shows at any n.

References: Bartlett, Long, Lugosi & Tsigler, arXiv:1906.11300; Mallinar et al., arXiv:2207.06569.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from analysis.guards import non_negative, positive


@dataclass(frozen=True)
class EffectiveRanks:
    """Effective ranks of a spectrum for n samples.

    Attributes:
        split: k*, the number of modes that are fitted; None where the tail is never large enough.
        tail_rank: r_k = sum_{i>k} l_i / l_{k+1} at k*; NaN where there is no k*.
        squared_rank: R_k = (sum_{i>k} l_i)^2 / sum_{i>k} l_i^2 at k*; NaN likewise.
        trace_share: r_0 / n: the bias is small where this is.
        noise_share: k*/n + n/R_{k*}, which bounds the excess risk per unit of noise but for a
            constant factor; infinite where there is no k*.
    """

    split: int | None
    tail_rank: float
    squared_rank: float
    trace_share: float
    noise_share: float


def effective_ranks(
    eigenvalues: ArrayLike, n_samples: float, *, threshold: float = 1.0
) -> EffectiveRanks:
    """Effective ranks that say whether interpolation is benign.

    A sequence of problems is benign where `trace_share`, `k*/n` and `n/R_{k*}` all go to zero as n
    grows, with `k* = min{k : r_k >= threshold n}`.

    Args:
        eigenvalues: l_i, shape (modes,), at least 0, in any order.
        n_samples: n, above 0.
        threshold: The constant b of the definition of k*, above 0; the theorem holds for one that
            it leaves open.

    Returns:
        The ranks.

    Raises:
        ValueError: An argument out of range, or no eigenvalue above 0.

    Reference: Bartlett et al., arXiv:1906.11300, theorem 1 and definition 1.
    """
    falling = np.sort(non_negative("eigenvalues", eigenvalues).ravel())[::-1]
    falling = falling[falling > 0]
    n, b = float(positive("n_samples", n_samples)), float(positive("threshold", threshold))
    if not len(falling):
        raise ValueError("eigenvalues holds none above 0: give the spectrum of a covariance.")
    # Sums of the tail from its small end: no small term is lost.
    tail, tail2 = np.cumsum(falling[::-1])[::-1], np.cumsum(falling[::-1] ** 2)[::-1]
    ranks = tail / falling
    enough = np.flatnonzero(ranks >= b * n)
    trace_share = float(ranks[0] / n)
    if not len(enough):
        return EffectiveRanks(None, np.nan, np.nan, trace_share, np.inf)
    k = int(enough[0])
    squared = float(tail[k] ** 2 / tail2[k])
    return EffectiveRanks(k, float(ranks[k]), squared, trace_share, k / n + n / squared)
