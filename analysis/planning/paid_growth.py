"""How the best model of a Chinchilla-like law grows with compute, under the cost that was paid.

| symbol | meaning | unit |
|---|---|---|
| c(N) | FLOPs a token, `analysis.planning.training_cost` | FLOPs |
| alpha, beta | exponents of the law over N and D | none |
| a, b | d log N* / d log C and d log D* / d log C | none |
| G | N* over (C / 6)^a | as in `analysis.laws.chinchilla` |
"""

from collections.abc import Mapping

import numpy as np

from analysis.estimate import Floats
from analysis.laws.chinchilla import FLOPS_PER_PARAMETER_AND_TOKEN
from analysis.laws.law import Law
from analysis.planning.training_cost import SIX_N_D, TrainingCost

_REACH = 12.0  # of log N about the optimum under k N D, where that under another cost is sought
_HALVINGS = 60
_EXPONENTS = {
    "chinchilla": ("alpha", "beta"),
    "chinchilla_tied": ("alpha", "alpha"),
    "data_constrained": ("alpha", "beta"),
}
"""Parameters of each law that are its exponents over N and D, where tokens are new."""


def counting_paid(law: Law, cost: TrainingCost, flops: float) -> Law:
    """Returns a law whose derived a, b and G are those under the cost that was paid.

    Under 6 N D the optimum grows as a power law. Under another cost it bends: a and b are local, at
    a compute of `flops`, and G makes `N* = G (C / 6)^a` exact there.

    Args:
        law: Any law; one that derives no growth is returned as it is.
        cost: FLOPs a token as a function of N.
        flops: The compute at which the exponents are taken, FLOPs.
    """
    if cost == SIX_N_D or law.name not in _EXPONENTS:
        return law
    places = [law.params.index(name) for name in _EXPONENTS[law.name]]

    def derived(params: Floats) -> dict[str, Floats]:
        log_n, _, a, b = optima(law.derived(params), params[..., places], cost, flops)
        log_g = log_n - a * np.log(flops / FLOPS_PER_PARAMETER_AND_TOKEN)
        with np.errstate(over="ignore"):
            return {"a": a, "b": b, "G": np.exp(log_g)}

    return law._replace(derived=derived)


def optima(
    optimal: Mapping[str, Floats], exponents: Floats, cost: TrainingCost, flops: float
) -> tuple[Floats, Floats, Floats, Floats]:
    """Returns log N*, log D* and their slopes in log C, each of shape `(...)`.

    Args:
        optimal: "a", "b" and "G" under 6 N D, as `analysis.laws.chinchilla.growth` gives them.
        exponents: alpha and beta of the same laws, shape `(..., 2)`.
        cost: FLOPs a token as a function of N.
        flops: The compute, FLOPs.
    """
    log_product = np.log(flops / cost.per_product)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        log_n = np.log(optimal["G"]) + optimal["a"] * log_product
    a, b = optimal["a"], optimal["b"]
    if cost.extra == 0:
        return log_n, log_product - log_n, a, b
    # Along D = C / c(N) the loss is least where alpha A N^-alpha = beta B D^-beta dlog c / dlog N.
    # With the closed form N_k for k N D that is a sum of three terms which rises with log N.
    alpha, beta = exponents[..., 0], exponents[..., 1]
    low, high = log_n - _REACH, log_n + _REACH
    with np.errstate(invalid="ignore", over="ignore"):
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            dearer = beta * np.log(cost.ratio(middle) / cost.per_product)
            excess = (alpha + beta) * (middle - log_n) + dearer + np.log(cost.slope(middle))
            low, high = np.where(excess < 0, middle, low), np.where(excess < 0, high, middle)
        log_n = (low + high) / 2
        slope = cost.slope(log_n)
        a = beta / (alpha + beta * slope + cost.log_slope_change(log_n))
    return log_n, np.log(flops / cost.ratio(log_n)) - log_n, a, 1 - slope * a
