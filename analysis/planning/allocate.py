"""From a fitted law and a budget of compute to the model to train, with intervals."""

import math

import numpy as np

from analysis.errors import FitError
from analysis.estimate import Estimate, Floats
from analysis.fitting.bootstrap.replicates import percentiles, require_resolvable
from analysis.fitting.result import FitResult
from analysis.fitting.verdict import Verdict
from analysis.guards import non_negative, positive
from analysis.planning.allocation import Allocation, OffOptimum, OverTrained
from analysis.planning.best_models import (
    Family,
    Models,
    best_models,
    cheapest_models,
    require_allocatable,
)
from analysis.planning.training_cost import (
    INFERENCE_FLOPS_PER_PARAMETER_AND_TOKEN,
    SIX_N_D,
    TrainingCost,
)

FAR = 10.0
"""Times the largest compute of a fit beyond which an allocation is called an extrapolation."""

TOO_FAR = 1e6
"""Times the largest compute beyond which a budget is refused: more likely the units are wrong."""

_MOST_TOKENS = 1e100  # to serve: their FLOPs stay within float64
_OFF_FACTORS = (0.5, 2.0)


def allocate(
    result: FitResult,
    flops: float,
    *,
    inference_tokens: float | None = None,
    unique_tokens: float | None = None,
    level: float | None = None,
    largest_flops: float | None = None,
    far: bool = False,
    cost: TrainingCost = SIX_N_D,
) -> Allocation:
    """Finds the compute-optimal model for a budget, and what leaving it costs.

    Every interval is one of percentiles: each bootstrap replicate of the fit is a law of its own,
    with an optimum of its own (`analysis.planning.best_models`).

    Args:
        result: A fit of any law whose loss follows from N and D, counted one by one.
        flops: C, the training compute, counted as `cost` does.
        inference_tokens: T, tokens that the model will serve. Adds the over-trained alternative.
        unique_tokens: U, tokens there are to train on; more are repeats. None where they never
            run out. Only for a law that distinguishes repeats from new tokens.
        level: Nominal coverage of the intervals; that of the fit unless given.
        largest_flops: Largest compute of the fitted rows. The notes name a budget more than `FAR`
            times as large.
        far: Whether a budget more than `TOO_FAR` times the largest compute is allowed.
        cost: What training a size costs.

    Raises:
        ValueError: A law without an optimum, an impossible level, a number out of range, or a
            budget too far beyond the rows.
        FitError: The fitted loss is monotone along the budget, so that no model is optimal.
    """
    family, level = laws_of(result, unique_tokens, level, cost)
    positive("flops", flops, "give e.g. 1e21")
    notes = []
    if result.verdict is not Verdict.CONVERGED:
        notes.append(f"The fit is doubtful ({result.verdict}): {result.reason}")
    if largest_flops is not None:
        positive("largest_flops", largest_flops, "give e.g. 1e21, or leave it out")
        if flops > TOO_FAR * largest_flops and not far:
            raise ValueError(
                f"flops = {flops:.4g} is {flops / largest_flops:.3g} times the largest compute of "
                f"the fit, {largest_flops:.4g}; at most {TOO_FAR:g} times is allowed. Fit again "
                "with the units of N and D declared, as --columns 'N=NAME[M],D=NAME[B]'; if they "
                "are right, allow it by --far (far=True in Python)"
            )
        if flops > FAR * largest_flops:
            notes.append(
                f"{flops:.4g} FLOPs: extrapolated {flops / largest_flops:.3g} times beyond the "
                f"largest compute of the fit, {largest_flops:.4g}; the intervals assume that the "
                "law still holds there."
            )
    return allocate_by(
        family, flops, level=level, inference_tokens=inference_tokens, notes=tuple(notes)
    )


def allocate_by(
    family: Family,
    flops: float,
    *,
    level: float = math.nan,
    inference_tokens: float | None = None,
    notes: tuple[str, ...] = (),
) -> Allocation:
    """Finds the compute-optimal model for a budget by a law, and what leaving it costs.

    Args:
        family: The law, followed by its replicates, of which the intervals are percentiles; a law
            without replicates, such as a published one, gives none.
        flops: C, the training compute, counted as `family.cost` does.
        level: Nominal coverage of the intervals; NaN without replicates.
        inference_tokens: T, tokens that the model will serve. Adds the over-trained alternative.
        notes: What is known to distrust; what is found here follows.

    Raises:
        ValueError: A number out of range.
        FitError: The loss is monotone along the budget, so that no model is optimal.
    """
    law, unique_tokens = family.law, family.unique_tokens
    positive("flops", flops, "give e.g. 1e21")
    if inference_tokens is not None:
        non_negative("inference_tokens", inference_tokens, "give e.g. 1e12, or leave it out")
        if inference_tokens > _MOST_TOKENS:
            raise ValueError(
                f"inference_tokens = {inference_tokens:g}, but it is at most {_MOST_TOKENS:g}: "
                "give e.g. 1e12, or leave it out."
            )
    best = best_models(family, flops)
    if not np.isfinite(best.log_loss[0]):
        params = zip(law.params, law.to_params(family.theta[0]), strict=True)
        found = ", ".join(f"{name} = {value:.4g}" for name, value in params)
        raise FitError(
            f"No compute-optimal model at {flops:.4g} FLOPs: the loss of {law.name} with "
            f"{found} is monotone along this budget, as with an exponent at or near 0. Fit rows "
            "that span more sizes and more tokens."
        )
    size, tokens = float(np.exp(best.log_n[0])), float(np.exp(best.log_d[0]))
    if min(size, tokens) < 1:
        raise ValueError(
            f"flops = {flops:.4g} buys {size:.3g} parameters on {tokens:.3g} tokens, but a model "
            "has at least one of each: give e.g. 1e21"
        )
    served = None
    if inference_tokens is not None:
        served = _over_trained(family, best, flops, inference_tokens, level)
    return Allocation(
        law=law.name,
        formula=law.formula,
        flops=float(flops),
        cost=family.cost,
        level=float(level),
        parameters=_estimate(np.exp(best.log_n), level),
        tokens=_estimate(np.exp(best.log_d), level),
        tokens_per_parameter=_estimate(np.exp(best.log_d - best.log_n), level),
        epochs=None if unique_tokens is None else _estimate(_epochs(best, unique_tokens), level),
        loss=_estimate(np.exp(best.log_loss), level),
        off=tuple(_off_optimum(family, best, flops, factor, level) for factor in _OFF_FACTORS),
        over_trained=served,
        notes=(*notes, *_notes(family, best, level)),
    )


def laws_of(
    result: FitResult,
    unique_tokens: float | None,
    level: float | None,
    cost: TrainingCost = SIX_N_D,
) -> tuple[Family, float]:
    """Returns the fitted law followed by its replicates, and the level that these can resolve.

    Args:
        result: A fit of any law whose loss follows from N and D.
        unique_tokens: Tokens beyond which they repeat; None where they never do.
        level: Nominal coverage of intervals; that of the fit unless given.
        cost: What training a size costs.

    Raises:
        ValueError: A law without an optimum, or an impossible level.
    """
    require_allocatable(result.law, unique_tokens)
    level = result.level if level is None else level
    require_resolvable(level, len(result.replicates))
    estimate = np.array([result.params[name] for name in result.law.params])
    theta = np.vstack([result.law.to_theta(estimate), result.replicates])
    return Family(result.law, theta, unique_tokens, cost), level


def interval_of(replicates: Floats, level: float) -> tuple[float, float]:
    """Returns percentiles of a number over the replicates that have it.

    Args:
        replicates: Shape `(n_replicates,)`; NaN where there is no such number.
        level: Share of the replicates between the ends.

    Returns:
        The ends; NaN where more replicates lack the number than lie beyond an end, or where there
        are no replicates.
    """
    if not len(replicates):
        return math.nan, math.nan
    defined = replicates[np.isfinite(replicates)]
    if 1 - len(defined) / len(replicates) > (1 - level) / 2:
        return math.nan, math.nan
    low, high = percentiles(defined[:, None], level)
    return float(low[0]), float(high[0])


def _estimate(values: Floats, level: float) -> Estimate:
    """Returns the value of the fit, with the interval of its replicates."""
    return Estimate(float(values[0]), *interval_of(values[1:], level), level)


def _epochs(models: Models, unique_tokens: float) -> Floats:
    return np.maximum(np.exp(models.log_d) / unique_tokens, 1.0)


def _off_optimum(
    family: Family, best: Models, flops: float, factor: float, level: float
) -> OffOptimum:
    shift = math.log(factor)
    everyone = np.arange(len(best.log_n))
    log_loss = family.log_loss(everyone, *family.resized(best, shift))
    _, log_needed = cheapest_models(family, log_loss, 0.0, best)
    with np.errstate(over="ignore"):  # a loss that hardly falls is reached for next to nothing
        wasted = np.exp(math.log(flops) - log_needed)
    return OffOptimum(
        factor,
        _estimate(np.exp(log_loss), level),
        _estimate(np.exp(log_loss) - np.exp(best.log_loss), level),
        _estimate(wasted, level),
    )


def _over_trained(
    family: Family, best: Models, flops: float, inference_tokens: float, level: float
) -> OverTrained:
    models = best
    if inference_tokens > 0:
        models, _ = cheapest_models(family, best.log_loss, inference_tokens, best)
    per_parameter = INFERENCE_FLOPS_PER_PARAMETER_AND_TOKEN * inference_tokens
    n, d = np.exp(models.log_n), np.exp(models.log_d)
    training = family.cost.ratio(models.log_n) * n * d
    total = training + per_parameter * n
    return OverTrained(
        float(inference_tokens),
        _estimate(n, level),
        _estimate(d, level),
        _estimate(d / n, level),
        _estimate(training, level),
        _estimate(total, level),
        _estimate(total / (flops + per_parameter * np.exp(best.log_n)), level),
    )


def _notes(family: Family, best: Models, level: float) -> list[str]:
    notes = []
    if "epochs" in family.law.inputs and family.unique_tokens is None:
        notes.append("No unique tokens are given: every token counts as new.")
    n_undefined, n = int(np.sum(np.isnan(best.log_loss[1:]))), len(family.theta) - 1
    if n_undefined:
        known = n_undefined / n <= (1 - level) / 2
        consequence = "they are left out" if known else "the intervals are unknown"
        notes.append(
            f"{n_undefined} of {n} bootstrap replicates have an exponent at or near 0 and no "
            f"optimum: {consequence}."
        )
    return notes
