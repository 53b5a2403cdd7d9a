"""Two power laws joined by an exponent: S = ( (A N^-alpha)^(1/g) + (B D^-beta)^(1/g) )^g.

At g = 1 they add; towards g = 0 the larger of them counts alone; above 1 they count for more than
their sum where both are large. A and B keep the meaning they have alone: where one term is large
the other is without effect, S is that term, whatever g.
"""

from typing import NamedTuple

from analysis.laws.law import ArrayLike


class Joined(NamedTuple):
    """The joined term and its derivatives, all of shape `(..., n_points)`.

    Attributes:
        log_sum: log S.
        by_n: d log S / d (log A - alpha log N): the share of the term in N, from 0 to 1.
        by_d: The share of the term in D.
        by_g: d log S / dg: the entropy of the two shares.
    """

    log_sum: ArrayLike
    by_n: ArrayLike
    by_d: ArrayLike
    by_g: ArrayLike


def joined(log_of_n: ArrayLike, log_of_d: ArrayLike, g: ArrayLike) -> Joined:
    """Join two terms given as logarithms.

    Args:
        log_of_n: log A - alpha log N, shape `(..., n_points)`.
        log_of_d: log B - beta log D, the same shape.
        g: Exponent, positive, shape `(..., 1)`.

    Returns:
        The joined term.
    """
    xp = g.__array_namespace__()
    log_root = xp.logaddexp(log_of_n / g, log_of_d / g)
    log_share_n, log_share_d = log_of_n / g - log_root, log_of_d / g - log_root
    of_n, of_d = xp.exp(log_share_n), xp.exp(log_share_d)
    # The logarithm of a share is what it is exponentiated from: without this, shares near 0 and 1
    # would cancel.
    by_g = -(of_n * log_share_n + of_d * log_share_d)
    return Joined(g * log_root, of_n, of_d, by_g)
