"""iso-FLOP analysis: points of equal compute -> minima -> how the optimal size grows.

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
    """Minima over model size at each compute budget, and their growth with compute.

    Args:
        n_params: Parameters of each run, shape `(n_runs,)`.
        loss: Final loss of each run, nats, shape `(n_runs,)`.
        flops: Training FLOPs of each run, shape `(n_runs,)`; 6 N D unless given.
        tokens: Training tokens of each run, shape `(n_runs,)`; C / (6 N) unless given.
        curve: How a curve is drawn through the points.
        noise: Noise of the loss over seeds, nats. Unless given: from repeated runs if there are
            enough, else, for parabolas, from the scatter about them.
        tolerance: Relative difference in FLOPs of runs of one budget.
        bootstrap: Replicates with normal noise, and the level of the intervals.

    Returns:
        The result: a budget without a trustworthy minimum is kept with the reason, and the power
        laws are those of the other budgets (`analysis.compute_optimal.valleys.valleys`).

    Raises:
        ValueError: An argument is at fault (`analysis.compute_optimal.points.group_points` says how
            columns can be).
        FitError: No budget has a minimum, with the reason for each; or the noise is unknown.
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
        trends = Exponents(*(growth_of(found.optima, of, bootstrap.level) for of in POWERS))
    return IsoflopResult(
        curve=curve,
        noise=found.noise,
        bootstrap=bootstrap,
        valleys=tuple(BudgetValley(**vars(valley)) for valley in found.valleys),
        trends=trends,
    )
