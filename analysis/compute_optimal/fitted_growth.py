"""How the optimum of a fitted Chinchilla law grows with compute: approach 3 of Hoffmann et al."""

import numpy as np

from analysis.compute_optimal.approaches_result import Exponents
from analysis.compute_optimal.growth import growth
from analysis.errors import FitError
from analysis.fitting.result import FitResult
from analysis.laws import CHINCHILLA
from analysis.laws.chinchilla import growth as compute_optimal_growth


def fitted_growth(result: FitResult, *, flops_per_product: float, flops_ref: float) -> Exponents:
    """Power laws of N*, D* and D* / N* in compute, every replicate being a law with its own.

    N* = G (C/k)^a and D* = (C/k)^b / G with C = k N D; `analysis.laws.chinchilla.growth` has G, a
    and b.

    Args:
        result: A fit of the Chinchilla law.
        flops_per_product: k, FLOPs a parameter and token; 6 by the usual count.
        flops_ref: The compute to which the laws are referred, FLOPs.

    Returns:
        The power laws, with intervals at the level of the fit. Replicates without an optimum are
        left out.

    Raises:
        FitError: An exponent of the fit is at or near 0, or of too many replicates for an interval.
    """
    with np.errstate(over="ignore", under="ignore"):
        replicates = CHINCHILLA.to_params(result.replicates)
    params = np.vstack([[result.params[name] for name in CHINCHILLA.params], replicates])
    optimal = compute_optimal_growth(params)
    log_product = np.log(flops_ref / flops_per_product)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        log_n = np.log(optimal["G"]) + optimal["a"] * log_product
    log_d = log_product - log_n
    slopes = (optimal["a"], optimal["b"], optimal["b"] - optimal["a"])
    # (law, replicate, height and slope); the estimate comes first.
    lines = np.stack(
        [
            np.stack(line, axis=-1)
            for line in zip((log_n, log_d, log_d - log_n), slopes, strict=True)
        ]
    )
    defined = np.all(np.isfinite(lines), axis=(0, 2))
    undefined = float(np.mean(~defined[1:]))
    if not defined[0] or undefined > (1 - result.level) / 2:
        raise FitError(
            f"an exponent is at or near 0 in {undefined:.0%} of the replicates, so that no size is "
            "optimal: give rows that span more sizes and more tokens"
        )
    return Exponents(
        *(
            growth(
                (line[0, 0], line[0, 1]),
                line[1:][defined[1:]],
                flops_ref=flops_ref,
                level=result.level,
            )
            for line in lines
        )
    )
