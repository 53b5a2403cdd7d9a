"""The best model for a budget by a published law.

| symbol | meaning | unit |
|---|---|---|
| N, D | parameters, training tokens of the best model | 1 |
| C | training compute, as the entry counts it | FLOPs |
| M | FLOPs a token, as Bi et al. 2024 measure size | FLOPs |
"""

import math
from dataclasses import dataclass

import numpy as np

from analysis.errors import FitError
from analysis.laws.chinchilla import FLOPS_PER_PARAMETER_AND_TOKEN
from analysis.planning.best_models import Family, best_models
from analysis.published.entry import Curve, Entry, Printed


@dataclass(frozen=True)
class Best:
    """The best model for a budget.

    Attributes:
        parameters: N.
        tokens: D.
        loss: Its loss, in the entry's unit; None where the entry does not tell it.
        factor: Times the largest, or below the least, compute of the data; 1 inside the range,
            None where the range is not known.
        inferred: Which of N and D follows from C = 6 N D because the paper gives the other alone;
            "" where neither does.
    """

    parameters: float
    tokens: float
    loss: float | None
    factor: float | None
    inferred: str = ""

    @property
    def tokens_per_parameter(self) -> float:
        """D / N."""
        return self.tokens / self.parameters


def best_model(entry: Entry, flops: float) -> Best:
    """Returns the best model for a budget.

    A paper's own rules for N and D come first; where there are none the optimum of its loss
    in N and D is found at C = 6 N D.

    Args:
        entry: The law.
        flops: C.

    Raises:
        ValueError: The entry tells no optimum.
        FitError: Its loss is monotone along the budget.
    """
    by_output = {curve.output: curve for curve in reversed(entry.curves)}
    product = flops / FLOPS_PER_PARAMETER_AND_TOKEN
    rules = {name: _at(by_output[name], flops) for name in ("N", "D") if name in by_output}
    if "flops_per_token" in by_output and "D" in rules:
        size = _at(by_output["flops_per_token"], flops) / FLOPS_PER_PARAMETER_AND_TOKEN
        return Best(size, rules["D"], _loss(entry, flops), _beyond(by_output["D"], flops), "N")
    if rules:
        n = rules.get("N", product / rules.get("D", math.nan))
        d = rules.get("D", product / rules.get("N", math.nan))
        inferred = "" if len(rules) == 2 else "D" if "N" in rules else "N"
        curve = by_output["N" if "N" in rules else "D"]
        return Best(n, d, _loss(entry, flops), _beyond(curve, flops), inferred)
    loss = next((curve for curve in entry.curves if curve.output == "loss"), None)
    if loss is not None and {"N", "D"} <= set(loss.law.inputs) <= {"N", "D", "epochs"}:
        return _optimum(entry, loss, flops)
    raise ValueError(
        f"{entry.name} tells no best model for a budget: choose a law of N and D, such as "
        "hoffmann2022-approach3"
    )


def best_compute(curve: Curve, size: float) -> float:
    """Returns the C = 6 N D at which a size is the best, by a law with a closed form.

    Args:
        curve: A curve of Hoffmann's form, whose optimum is N = G (C / 6)^a.
        size: N.
    """
    derived = curve.law.derived(np.array([curve.params[name] for name in curve.law.params]))
    return float(FLOPS_PER_PARAMETER_AND_TOKEN * (size / derived["G"]) ** (1 / derived["a"]))


def _optimum(entry: Entry, curve: Curve, flops: float) -> Best:
    found = best_models(Family(curve.law, curve.theta[None]), flops)
    if not math.isfinite(found.log_loss[0]):
        raise FitError(f"The loss of {entry.name} is monotone along a budget of {flops:.4g} FLOPs.")
    n, d, loss = (math.exp(values[0]) for values in found)
    sizes = curve.ranges
    factor = None
    if {"N", "D"} <= set(sizes):
        outside = curve.beyond({"N": n, "D": d})
        factor = max(outside.values(), default=1.0)
    return Best(n, d, loss, factor)


def _at(curve: Curve, flops: float) -> float:
    return float(curve.predict({"C": flops}))


def _loss(entry: Entry, flops: float) -> float | None:
    for curve in entry.curves:
        if curve.output == "loss" and curve.law.inputs == ("C",):
            return _at(curve, flops)
    return None


def _beyond(curve: Curve, flops: float) -> float | None:
    if "C" not in curve.ranges:
        return None
    return max(curve.beyond({"C": flops}).values(), default=1.0)


def given(entry: Entry, printed: Printed) -> float:
    """Returns what an entry gives where its paper prints a number."""
    if not printed.curve:
        best = best_model(entry, printed.at["C"])
        found = {"N": best.parameters, "D": best.tokens, "loss": best.loss}[printed.quantity]
        return math.nan if found is None else found
    curve = entry.curve(printed.curve)
    if printed.quantity == "y":
        return float(curve.predict(printed.at))
    params = np.array([curve.params[name] for name in curve.law.params])
    return float(curve.law.derived(params)[printed.quantity])
