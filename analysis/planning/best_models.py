"""The best model for a budget under any law of parameters and tokens, many laws at once.

| symbol | meaning | unit |
|---|---|---|
| N, D | parameters, training tokens | 1 |
| C | training compute, D c(N), with c(N) = 6 N unless a table paid otherwise | FLOPs |
| T | tokens served at inference, 2 N FLOPs each | 1 |
| K | compute of a model's life, C + 2 N T | FLOPs |
| M | tokens per parameter, D / N | 1 |

A budget leaves one choice, and the least loss is sought over it: along log D, with the N that
spends the rest (`TrainingCost.log_size`; `K / (6 D + 2 T)` for 6 N D), first on a grid from one
token to one parameter, which finds every valley wider than its step, then by Chandrupatla's method
between the grid points beside the least. A law needs neither a derivative nor a closed form, so
that a user's own law works too.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import elementwise

from analysis.estimate import Floats
from analysis.guards import positive
from analysis.laws.law import Law
from analysis.planning.training_cost import SIX_N_D, TrainingCost

_SCALES = frozenset({"N", "D", "C", "M"})  # any two give the others
_STEP = 0.5  # of log D in the grid
_MAX_STEPS = 60  # of a bracket that grows; it doubles each time
_BLOCK = 64  # laws in one call: enough to pay for it, few enough to waste little


class Family(NamedTuple):
    """Laws that differ in their parameters alone, such as a fit and its replicates.

    Attributes:
        law: The law, one that `require_allocatable` accepts.
        theta: Coordinates, shape `(n_laws, n_params)`.
        unique_tokens: Number of tokens beyond which they repeat; None where they never do.
        cost: What training a size costs.
    """

    law: Law
    theta: Floats
    unique_tokens: float | None = None
    cost: TrainingCost = SIX_N_D

    def log_loss(self, member: NDArray[np.intp], log_n: Floats, log_d: Floats) -> Floats:
        """Returns log L of the given laws, each at its own N and D; all arrays of shape `(n,)`."""
        theta = self.theta[member]
        log_x = log_inputs(self.law, log_n, log_d, self.unique_tokens, self.cost)
        found = np.empty(len(theta))
        for start in range(0, len(theta), _BLOCK):
            block = slice(start, start + _BLOCK)
            # A law sees every point under every theta of a batch; the diagonal is each at its own.
            with np.errstate(over="ignore", invalid="ignore"):
                found[block] = np.diagonal(self.law.log_predict(theta[block], log_x[block]))
        return found

    def resized(self, models: "Models", shift: float) -> tuple[Floats, Floats]:
        """Returns log N, longer by a shift, and log D at the same training compute."""
        log_n = models.log_n + shift
        dearer = np.log(self.cost.ratio(log_n)) - np.log(self.cost.ratio(models.log_n))
        return log_n, models.log_d - shift - dearer


class Models(NamedTuple):
    """A model for each law of a family; NaN where it has none.

    Attributes:
        log_n: log N, shape `(n_laws,)`.
        log_d: log D, the same shape.
        log_loss: log L, the same shape.
    """

    log_n: Floats
    log_d: Floats
    log_loss: Floats


def require_allocatable(law: Law, unique_tokens: float | None = None) -> None:
    """Refuses a law whose loss does not follow from N and D.

    Raises:
        ValueError: Such a law; unique tokens for a law in which all tokens are new, or not
            positive.
    """
    if len(_SCALES.intersection(law.inputs)) < 2 or not _SCALES.union({"epochs"}) >= {*law.inputs}:
        raise ValueError(
            f"{law.name} is a law of {', '.join(law.inputs)}, which has no optimum along "
            "C = 6 N D: fit a law of N and D, such as chinchilla."
        )
    if unique_tokens is not None:
        if "epochs" not in law.inputs:
            raise ValueError(
                f"unique_tokens = {unique_tokens:g}, but in {law.name} every token is new: "
                "fit data_constrained, or leave them out."
            )
        positive(
            "unique_tokens", unique_tokens, "give e.g. 1e11, or leave it out where none repeats"
        )


def log_inputs(
    law: Law,
    log_n: Floats,
    log_d: Floats,
    unique_tokens: float | None = None,
    cost: TrainingCost = SIX_N_D,
) -> Floats:
    """Returns log inputs of a law at N and D, each of shape `(n,)`, as `(n, n_inputs)`.

    The law is one that `require_allocatable` accepts. Tokens beyond `unique_tokens` repeat.
    """
    log_unique = math.inf if unique_tokens is None else math.log(unique_tokens)
    known = {
        "N": log_n,
        "D": log_d,
        "C": np.log(cost.ratio(log_n)) + log_n + log_d,
        "M": log_d - log_n,
        "epochs": np.maximum(log_d - log_unique, 0.0),
    }
    return np.stack([known[name] for name in law.inputs], axis=-1)


def best_models(family: Family, flops: float) -> Models:
    """Returns the model of least loss at a compute for each law; NaN where the loss is monotone."""
    # 1. A grid along the budget, from one token to one parameter.
    n_laws = len(family.theta)
    end = family.cost.most_tokens(math.log(flops))
    grid = np.linspace(0.0, end, max(3, math.ceil(end / _STEP) + 1))
    log_n = family.cost.log_size(grid, math.log(flops))
    log_x = log_inputs(family.law, log_n, grid, family.unique_tokens, family.cost)
    with np.errstate(over="ignore", invalid="ignore"):
        losses = family.law.log_predict(family.theta, log_x)
    # 2. The laws whose least loss lies inside it; the others are monotone.
    least = np.argmin(np.where(np.isfinite(losses), losses, np.inf), axis=-1)
    inside = (least > 0) & (least < len(grid) - 1) & np.all(np.isfinite(losses), axis=-1)
    # 3. The minimum between the grid points beside the least.
    member = np.flatnonzero(inside)
    budgets = np.full(len(member), math.log(flops))
    found = _least_loss(family, member, budgets, 0.0, grid[least[member]])
    models = Models(*np.full((3, n_laws), np.nan))
    for values, of_member in zip(models, found, strict=True):
        values[member] = of_member
    return models


def cheapest_models(
    family: Family, log_loss: Floats, served: float, near: Models
) -> tuple[Models, Floats]:
    """Finds the model of a given loss that is cheapest to train and to serve, for each law.

    The least loss on a budget K falls as K grows, so that the cheapest model of a loss is the best
    one on the budget where it is reached; that budget is found as a root. Sardana et al. 2024,
    arXiv 2401.00448, pose the problem.

    Args:
        family: The laws.
        log_loss: log L to reach, shape `(n_laws,)`.
        served: T, 0 or more.
        near: Models as good or better, from which the search starts; NaN where there is none.

    Returns:
        The models, and log K of each; NaN where none was found.
    """
    # 1. The budget of the given models, an upper end for that of the cheapest.
    member = np.flatnonzero(np.isfinite(near.log_loss))
    known = Models(*(values[member] for values in near))
    upper = family.cost.log_budget(known.log_n, known.log_d, served)

    def best(log_budget: Floats, member: NDArray[np.intp]) -> Models:
        return _least_loss(family, member, log_budget, served, near.log_d[member])

    def shortfall(log_budget: Floats, member: NDArray[np.intp]) -> Floats:
        return best(log_budget, member).log_loss - log_loss[member]

    # 2. The budget whose least loss is the one to reach. Where the model given is the cheapest,
    #    rounding may put the root just beyond it.
    end = upper + 1e-6
    bracket = elementwise.bracket_root(
        shortfall, end - _STEP, end, xmax=end, args=(member,), maxiter=_MAX_STEPS
    )
    root = elementwise.find_root(shortfall, bracket.bracket, args=(member,))
    # 3. The best model on that budget.
    models = Models(*np.full((3, len(family.theta)), np.nan))
    log_total = np.full(len(family.theta), np.nan)
    log_total[member] = np.where(root.success, root.x, np.nan)
    for values, of_member in zip(models, best(root.x, member), strict=True):
        values[member] = np.where(root.success, of_member, np.nan)
    return models, log_total


def _least_loss(
    family: Family, member: NDArray[np.intp], log_budget: Floats, served: float, around: Floats
) -> Models:
    """Returns the model of least loss on a budget K of each given law; NaN where none was found.

    The search starts at the log D of `around`; all arrays have the shape `(n,)`.
    """

    def log_n(log_d: Floats, log_budget: Floats) -> Floats:
        return family.cost.log_size(log_d, log_budget, served)

    def loss(log_d: Floats, member: NDArray[np.intp], log_budget: Floats) -> Floats:
        return family.log_loss(member, log_n(log_d, log_budget), log_d)

    ends = {"xl0": around - _STEP, "xr0": around + _STEP}
    args = (member, log_budget)
    bracket = elementwise.bracket_minimum(loss, around, **ends, args=args, maxiter=_MAX_STEPS)
    found = elementwise.find_minimum(loss, bracket.bracket, args=args)
    log_d = np.where(found.success, found.x, np.nan)
    log_loss = np.where(found.success, found.f_x, np.nan)
    return Models(log_n(log_d, log_budget), log_d, log_loss)
