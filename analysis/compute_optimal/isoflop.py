"""iso-FLOP analysis: minima of loss over size at equal compute, and their growth with compute.

Approach 2 of Hoffmann et al. (arXiv:2203.15556, section 3.2), with the minima by a parabola or by
Akima's interpolation as in Porian et al. (arXiv:2406.19146, section 3 and appendix C):

    N*(C) = argmin over N of L(N, C),     N* ~ C^a,     D* ~ C^b

`analysis.compute_optimal.valleys` finds the minima of loss over size in every budget, and says what
its intervals hold for.
"""

from numpy.typing import ArrayLike

from analysis.compute_optimal.budgets import compute_columns
from analysis.compute_optimal.growth import POWERS, Exponents
from analysis.compute_optimal.isoflop_result import BudgetValley, IsoflopResult
from analysis.compute_optimal.points import SeedNoise
from analysis.compute_optimal.valley import PARABOLA, Curve
from analysis.compute_optimal.valleys import growth_of, valleys
from analysis.estimate import Bootstrap


def isoflop(
    n_params: ArrayLike,
    loss: ArrayLike,
    *,
    flops: ArrayLike | None = None,
    tokens: ArrayLike | None = None,
    curve: Curve = PARABOLA,
    noise: SeedNoise | None = None,
    tolerance: float = 0.1,
    bootstrap: Bootstrap = Bootstrap(),
) -> IsoflopResult:
    """Finds the minimum over model size at each compute budget, and its growth with compute.

    Args:
        n_params: Parameters of each run, shape `(n_runs,)`.
        loss: Final loss of each run, nats, shape `(n_runs,)`.
        flops: Training FLOPs of each run, shape `(n_runs,)`; 6 N D unless given.
        tokens: Training tokens of each run, shape `(n_runs,)`; C / (6 N) unless given.
        curve: As in `analysis.compute_optimal.valleys.valleys`; so are the others.
        noise: Noise of the loss over seeds, nats.
        tolerance: Relative difference in FLOPs of runs of one budget.
        bootstrap: Replicates with normal noise, and the level of the intervals.

    Raises:
        ValueError: As `valleys`; or neither FLOPs nor tokens are given.
        FitError: As `valleys`.
    """
    sizes, compute, data = compute_columns(n_params, flops=flops, tokens=tokens)
    found = valleys(
        sizes,
        loss,
        compute,
        other=data,
        curve=curve,
        noise=noise,
        tolerance=tolerance,
        bootstrap=bootstrap,
    )
    trends = None
    if found.growth is not None:
        # The growth of x is that of N*.
        others = (growth_of(found.optima, of, bootstrap.level) for of in POWERS[1:])
        trends = Exponents(found.growth, *others)
    return IsoflopResult(
        curve=curve,
        noise=found.noise,
        bootstrap=bootstrap,
        valleys=tuple(BudgetValley(**vars(valley)) for valley in found.valleys),
        trends=trends,
    )
