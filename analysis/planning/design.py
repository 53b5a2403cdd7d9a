"""From a fitted law and a budget of compute to the runs that best determine one number.

| symbol | meaning |
|---|---|
| theta | coordinates of the law, as a fit sees them |
| V | their covariance |
| J | d log L / d theta of a run |
| s | standard deviation of its noise, in log L |
| c | gradient of the number over theta |

Near its estimates a law is linear, so that a run adds `J J' / s^2` to the information `V^-1`, and
the number has the variance `c' (V^-1 + sum J J' / s^2)^-1 c`: the criterion of c-optimal design
with the fit so far as prior (Chaloner and Verdinelli 1995, Statistical Science 10(3), 273).

V holds all information of the fitted rows: it comes from refits of them, with their loss, weights
and bounds, so the rows themselves are not needed. V is not inverted: the search works in the
coordinates in which V is the identity, where a parameter that was held has no direction.

Such designs assume that the law is true up to the corners of the candidates. They choose those
corners and test nothing in between: bound sizes and tokens by where you trust the law.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from analysis.errors import FitError
from analysis.estimate import Floats
from analysis.fitting.result import FitResult
from analysis.fitting.verdict import Verdict
from analysis.guards import positive
from analysis.planning.best_models import log_inputs, require_allocatable
from analysis.planning.design_result import Cell, Design
from analysis.planning.design_search import (
    cheapest_to_know,
    gains_in_order,
    root_of,
    variance_after,
)
from analysis.planning.quantities import covariance_of, quantity_of
from analysis.planning.training_cost import SIX_N_D, TrainingCost

_MOST = 1e100  # of N and of D: their product stays within float64
REACH = 3.0
"""How far beyond the fitted range candidates go, as a factor."""

Range = tuple[float, float]
"""Least and largest value."""

_PER_DECADE = 6  # candidates
_CORE = 1 / 3  # share of the residuals whose density at 0 is taken for that of all


@dataclass(frozen=True)
class Candidates:
    """The runs among which a design chooses, and what they cost.

    Attributes:
        sizes: Least and largest N of a run; `REACH` beyond the fitted ones unless given.
        tokens: Least and largest D of a run; `REACH` beyond the fitted ones unless given.
        fitted: Least and largest N and D of the rows fitted, which a fit does not hold; needed
            where `sizes` or `tokens` are not given.
        cost: FLOPs a token as a function of N.
    """

    sizes: Range | None = None
    tokens: Range | None = None
    fitted: Mapping[str, Range] | None = None
    cost: TrainingCost = SIX_N_D


def next_cells(
    result: FitResult,
    flops: float,
    *,
    quantity: str,
    at: Mapping[str, float] | None = None,
    candidates: Candidates = Candidates(),
    n_cells: int = 8,
) -> Design:
    """Finds the runs within a budget that leave a number of a fit the least variance.

    Args:
        result: A fit of a law whose loss follows from N and D, counted one by one.
        flops: Budget, as the sum of the runs' FLOPs.
        quantity: A parameter, a derived number such as "a", or "loss".
        at: Target of the quantity "loss": {"N": ..., "D": ...}, or {"C": ...} for the best model of
            a compute.
        candidates: The runs to choose from.
        n_cells: Largest number of runs, counting repeats; without a limit the cheapest runs would
            be repeated without end.

    Raises:
        ValueError: An unknown quantity, a law without an optimum, an impossible range, or a budget
            below the cheapest run.
        FitError: The number has no uncertainty, no run reduces it, or the fit does not define it.
    """
    require_allocatable(result.law)
    positive("flops", flops, "give e.g. 1e18")
    if n_cells < 1:
        raise ValueError(f"n_cells = {n_cells}: give at least 1.")

    # 1. The candidates, on a grid, and their prices.
    cost = candidates.cost
    wanted = quantity_of(result, quantity, at, cost)
    bounds = [
        _range("sizes", candidates.sizes, candidates.fitted, "N"),
        _range("tokens", candidates.tokens, candidates.fitted, "D"),
    ]
    log_n, log_d = (grid.ravel() for grid in np.meshgrid(*(_grid(each) for each in bounds)))
    prices = np.exp(cost.log_budget(log_n, log_d))
    if prices.min() > flops:
        least = int(np.argmin(prices))
        raise ValueError(
            f"flops = {flops:.4g} buys no run: the cheapest, of N = {math.exp(log_n[least]):.4g} "
            f"and D = {math.exp(log_d[least]):.4g}, takes {prices[least]:.4g}. Give more, or allow "
            "smaller sizes or fewer tokens."
        )

    # 2. Coordinates in which the fit so far is the unit normal distribution.
    noise = residual_sd(result)
    root = root_of(covariance_of(result))
    target = root.T @ wanted.gradient
    before = math.sqrt(variance_after(np.empty((0, len(target))), target))
    if not (noise > 0 and before > 1e-12 * abs(wanted.value)):
        raise FitError(
            f"{wanted.name} has almost no uncertainty left to reduce: its standard error is "
            f"{before:.3g}, and the residuals have the standard deviation {noise:.3g}. Choose "
            "another quantity."
        )

    # 3. The search, and what the plan leaves of the standard error.
    rows = gradients(result, log_inputs(result.law, log_n, log_d), root, noise)
    chosen = cheapest_to_know(rows, prices, target, flops, n_cells)
    if not len(chosen):
        raise FitError(
            f"No run within the budget reduces the uncertainty of {wanted.name}. Allow other sizes "
            "or tokens, or choose another quantity."
        )
    even = _even(cost, bounds, float(prices[chosen].sum()) / len(chosen), len(chosen))
    naive = None
    if even is not None:
        log_x = log_inputs(result.law, *even)
        naive = variance_after(gradients(result, log_x, root, noise), target)
    shares = gains_in_order(rows[chosen], target) / before**2
    return Design(
        law=result.law.name,
        quantity=wanted.name,
        value=wanted.value,
        flops=float(flops),
        residual_sd=noise,
        cells=_cells(chosen, np.stack([log_n, log_d, prices]), shares),
        before=before,
        after=math.sqrt(variance_after(rows[chosen], target)),
        naive=None if naive is None else math.sqrt(naive),
        notes=tuple(_notes(result)),
        cost=cost,
    )


def residual_sd(result: FitResult) -> float:
    """Returns the noise with which squared error would leave a fit as uncertain as its own loss.

    For squared error it is the standard deviation of the residuals. An estimate by another loss,
    with influence psi, has the covariance `E[psi^2] / E[psi']^2 (J'J)^-1` (Huber 1981, Robust
    Statistics, section 7.6).

    The result is that of a row of weight 1, in units of the residuals.
    """
    n_free = len(result.params) - len(result.fixed)
    freedom = result.n_points - n_free
    if result.loss.is_squared:
        return math.sqrt(2 * result.objective / freedom)
    residuals = result.residuals
    influence = result.loss.influence(residuals) * residuals
    # Where a threshold is far below the noise too few rows lie within to count; those of a wider
    # window, in proportion, give the density at 0.
    core = float(np.quantile(np.abs(residuals), _CORE))
    delta = math.inf if result.loss.delta is None else result.loss.delta
    window = max(delta, core)
    inside = np.abs(residuals) <= window
    side = np.where(residuals > 0, result.loss.above, 1.0)
    slope = float(np.mean(side * inside)) * (1.0 if delta >= core else delta / window)
    spread = math.sqrt(float(np.mean(influence**2)) * result.n_points / freedom)
    return spread / slope if slope > 0 else 0.0


def _range(
    name: str, given: Range | None, fitted: Mapping[str, Range] | None, symbol: str
) -> Range:
    if given is None:
        if fitted is None or symbol not in fitted:
            raise ValueError(
                f"{name} of the candidates are not given, and the {symbol} of the fitted rows are "
                f"unknown: give {name}, the least and the largest."
            )
        low, high = fitted[symbol]
        given = low / REACH, high * REACH
    low, high = given
    if not 0 < low <= high <= _MOST:
        raise ValueError(
            f"{name} = {low:g} to {high:g}: give the lower end first, both positive and at most "
            f"{_MOST:g}."
        )
    return low, high


def _grid(ends: Range) -> Floats:
    """Returns log values, evenly spaced between the ends."""
    low, high = np.log(ends)
    return np.linspace(low, high, 1 + math.ceil(_PER_DECADE * (high - low) / math.log(10)))


def gradients(result: FitResult, log_x: Floats, root: Floats, noise: float) -> Floats:
    """Returns gradients of runs over their noise, in coordinates in which V is the identity.

    Args:
        result: The fit.
        log_x: Log inputs of the runs, shape `(n_runs, n_inputs)`.
        root: Root of V (`design_search.root_of`).
        noise: Noise of a run (`residual_sd`).

    Returns:
        Shape `(n_runs, rank)`.
    """
    law = result.law
    theta = law.to_theta(np.array([result.params[name] for name in law.params]))
    slopes = law.jacobian(theta, log_x)
    if result.loss.scale == "linear":
        slopes = slopes * np.exp(law.log_predict(theta, log_x))[:, None]
    return slopes @ root / noise


def _cells(chosen: np.ndarray, candidates: Floats, shares: Floats) -> tuple[Cell, ...]:
    """The chosen runs by candidate, of which there are log N, log D and the price of one run."""
    cells = []
    for candidate in dict.fromkeys(chosen.tolist()):
        log_n, log_d, price = candidates[:, candidate].tolist()
        runs = chosen == candidate
        n_runs, share = int(runs.sum()), float(shares[runs].sum())
        cells.append(Cell(math.exp(log_n), math.exp(log_d), price * n_runs, n_runs, share))
    return tuple(cells)


def _even(
    cost: TrainingCost, bounds: list[Range], flops: float, n_runs: int
) -> tuple[Floats, Floats] | None:
    """Returns log N and log D of runs of one compute each, evenly over the sizes it allows."""
    (least_n, most_n), (least_d, most_d) = np.log(bounds).tolist()
    ends = cost.log_size(np.array([most_d, least_d]), math.log(flops))
    low, high = max(least_n, float(ends[0])), min(most_n, float(ends[1]))
    if not low <= high:
        return None
    log_n = np.linspace(low, high, n_runs)
    return log_n, math.log(flops) - log_n - np.log(cost.ratio(log_n))


def _notes(result: FitResult) -> list[str]:
    notes = []
    if result.verdict is not Verdict.CONVERGED:
        notes.append(f"The fit is doubtful ({result.verdict}): {result.reason}")
    if result.bootstrap.n_clusters is not None:
        notes.append(
            "The rows were fitted in clusters that err together; the runs of this design are taken "
            "to be independent."
        )
    if "epochs" in result.law.inputs:
        notes.append("Every token of these runs counts as new.")
    return notes
