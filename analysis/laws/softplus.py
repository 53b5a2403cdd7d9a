"""log(1 + e^u) and log(e^a + e^b), whose cost laws are made of.

NumPy's own logaddexp takes one number after another, and five times as long as these.
"""

from analysis.laws.law import ArrayLike


def softplus(u: ArrayLike) -> ArrayLike:
    """Returns log(1 + e^u), to rounding for any u."""
    xp = u.__array_namespace__()
    return xp.maximum(u, xp.zeros_like(u)) + xp.log1p(xp.exp(-xp.abs(u)))


def log_sum(a: ArrayLike, b: ArrayLike) -> ArrayLike:
    """Returns log(e^a + e^b), to rounding for finite a and b."""
    xp = (a + b).__array_namespace__()
    return xp.maximum(a, b) + xp.log1p(xp.exp(-xp.abs(a - b)))
