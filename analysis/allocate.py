"""From a fitted law and a budget of compute to the model to train, with intervals."""

import math

import numpy as np

from analysis.allocation import Allocation, OffOptimum, OverTrained
from analysis.errors import FitError
from analysis.fit_result import FitResult
from analysis.fit_verdict import Verdict
from analysis.laws import CHINCHILLA, CHINCHILLA_TIED
from analysis.laws.chinchilla import FLOPS_PER_PARAMETER_AND_TOKEN, compute_optimal
from analysis.laws.law import Floats, Law
from analysis.laws.off_optimum import (
    INFERENCE_FLOPS_PER_PARAMETER_AND_TOKEN,
    compute_ratio_of,
    excess_of,
    over_trained,
)
from analysis.replicates import Estimate
from analysis.uncertainty import percentiles, require_resolvable

__all__ = ["FAR", "Allocation", "OffOptimum", "OverTrained", "allocate"]

FAR = 10.0
"""Times the largest compute of a fit beyond which an allocation is called an extrapolation."""

# Which parameters of a law are E, A, B, alpha and beta.
_CHINCHILLA_COLUMNS: dict[Law, list[int]] = {
    CHINCHILLA: [0, 1, 2, 3, 4],
    CHINCHILLA_TIED: [0, 1, 2, 3, 3],
}
_OFF_FACTORS = (0.5, 2.0)


def allocate(
    result: FitResult,
    flops: float,
    *,
    inference_tokens: float | None = None,
    level: float | None = None,
    largest_flops: float | None = None,
) -> Allocation:
    """The compute-optimal model for a budget, and what leaving it costs.

    Every interval is one of percentiles: each bootstrap replicate of the fit is a law of its own,
    with an optimum of its own.

    Args:
        result: A fit of the Chinchilla law or of its tied form, to N and D counted one by one.
        flops: C, the training compute, as 6 N D.
        inference_tokens: T, tokens that the model will serve. Adds the over-trained alternative.
        level: Probability of an interval to cover; that of the fit unless given.
        largest_flops: Largest compute of the fitted rows. A budget more than `FAR` times as large
            is told in the notes.

    Returns:
        The allocation.

    Raises:
        ValueError: A law without a known optimum, an impossible level, or a number out of range.
        FitError: An exponent of the fit is 0, or its optimum is beyond the range of float64.
    """
    if result.law not in _CHINCHILLA_COLUMNS:
        known = ", ".join(law.name for law in _CHINCHILLA_COLUMNS)
        raise ValueError(f"{result.law.name} has no known compute optimum: fit one of {known}.")
    _require_positive("flops", flops)
    if largest_flops is not None:
        _require_positive("largest_flops", largest_flops)
    if inference_tokens is not None and not (
        math.isfinite(inference_tokens) and inference_tokens >= 0
    ):
        raise ValueError(
            f"inference_tokens = {inference_tokens}, but it is finite and at least 0: give e.g. "
            "1e12, or leave it out."
        )
    level = result.level if level is None else level
    require_resolvable(level, len(result.replicates))

    params, n_undefined = _defined_laws(result, flops)
    # Too many replicates without an optimum leave no percentile to be an end.
    ends_known = n_undefined / len(result.replicates) <= (1 - level) / 2

    def estimate(values: Floats) -> Estimate:
        low = high = math.nan
        if ends_known:
            low, high = (float(end[0]) for end in percentiles(values[1:, None], level))
        return Estimate(float(values[0]), low, high, level)

    best = compute_optimal(params, flops)
    off = []
    for factor in _OFF_FACTORS:
        excess = excess_of(params, factor) * (best.loss - params[:, 0])
        off.append(
            OffOptimum(
                factor,
                estimate(best.loss + excess),
                estimate(excess),
                estimate(compute_ratio_of(params, factor)),
            )
        )
    other = None
    if inference_tokens is not None:
        n, d = over_trained(params, flops, inference_tokens)
        training = FLOPS_PER_PARAMETER_AND_TOKEN * n * d
        served = INFERENCE_FLOPS_PER_PARAMETER_AND_TOKEN * inference_tokens
        total = training + served * n
        other = OverTrained(
            float(inference_tokens),
            estimate(n),
            estimate(d),
            estimate(d / n),
            estimate(training),
            estimate(total),
            estimate(total / (flops + served * best.parameters)),
        )
    return Allocation(
        law=result.law.name,
        formula=result.law.formula,
        flops=float(flops),
        level=float(level),
        parameters=estimate(best.parameters),
        tokens=estimate(best.tokens),
        tokens_per_parameter=estimate(best.tokens / best.parameters),
        loss=estimate(best.loss),
        off=tuple(off),
        over_trained=other,
        notes=tuple(_notes(result, flops, largest_flops, n_undefined, ends_known)),
    )


def _defined_laws(result: FitResult, flops: float) -> tuple[Floats, int]:
    """Chinchilla parameters of the estimate, then of each replicate that has an optimum.

    Returns:
        Shape `(1 + n_defined, 5)`, and the number of replicates without an optimum.
    """
    law = result.law
    estimate = np.array([result.params[name] for name in law.params])
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        params = np.vstack([estimate, law.to_params(result.replicates)])
        params = params[:, _CHINCHILLA_COLUMNS[law]]
        best = np.stack(compute_optimal(params, flops), axis=-1)
    defined = np.all(np.isfinite(best) & (best > 0), axis=-1)
    if not defined[0]:
        found = ", ".join(f"{name} = {value:.4g}" for name, value in result.params.items())
        raise FitError(
            f"{law.name} with {found} has no optimum at {flops:.4g} FLOPs in the range of float64: "
            "an exponent is at or near 0. Fit rows that span more sizes and more tokens."
        )
    return params[defined], int(np.sum(~defined))


def _notes(
    result: FitResult,
    flops: float,
    largest_flops: float | None,
    n_undefined: int,
    ends_known: bool,
) -> list[str]:
    notes = []
    if result.verdict is not Verdict.CONVERGED:
        notes.append(f"The fit is doubtful ({result.verdict}): {result.reason}")
    if largest_flops is not None and flops > FAR * largest_flops:
        notes.append(
            f"{flops:.4g} FLOPs are {flops / largest_flops:.3g} times the largest compute of the "
            f"fit, {largest_flops:.4g}: the intervals take the law to hold that far, which no row "
            "shows."
        )
    if n_undefined:
        consequence = "they are left out" if ends_known else "too many to know an interval"
        notes.append(
            f"{n_undefined} of {len(result.replicates)} bootstrap replicates have an exponent at "
            f"or near 0 and no optimum: {consequence}."
        )
    return notes


def _require_positive(name: str, value: float) -> None:
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"{name} = {value}, but compute is positive and finite: give e.g. 1e21.")
