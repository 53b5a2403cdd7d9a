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

MOST_BEYOND = 1e3
"""Times outside the data of a law beyond which it is not taken without being asked to."""


@dataclass(frozen=True)
class Best:
    """The best model for a budget.

    Attributes:
        parameters: N.
        tokens: D.
        loss: Its loss, in the entry's unit; None where the entry does not give it.
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


def rules(entry: Entry) -> dict[str, Curve]:
    """Returns the paper's own rules for the best model of a budget by what they give, N first."""
    by_output = {curve.output: curve for curve in reversed(entry.curves)}
    if "flops_per_token" in by_output and "D" in by_output:
        return {"flops_per_token": by_output["flops_per_token"], "D": by_output["D"]}
    return {name: by_output[name] for name in ("N", "D") if name in by_output}


def gives_optimum(curve: Curve) -> bool:
    """Whether a curve is a loss in N and D, whose least value gives the best model of a budget."""
    return curve.output == "loss" and {"N", "D"} <= set(curve.law.inputs) <= {"N", "D", "epochs"}


def surface(entry: Entry, curve: str | None = None) -> Curve | None:
    """Returns the loss in N and D whose least value gives the best model of a budget.

    Args:
        entry: The law.
        curve: Name of the curve to take; None for what the paper itself goes by.

    Returns:
        The curve; None where the paper's own rules for N and D come first.

    Raises:
        ValueError: A curve that is no loss in N and D, or an entry that gives no optimum.
    """
    if curve is not None:
        named = entry.curve(curve)
        if not gives_optimum(named):
            others = [each.name for each in entry.curves if gives_optimum(each)]
            choose = "choose " + " or ".join(map(repr, others)) if others else "leave --curve out"
            raise ValueError(
                f"{entry.name}, {named.name} is {named.signature}, no loss of N and D: {choose}"
            )
        return named
    if rules(entry):
        return None
    found = next((each for each in entry.curves if each.output == "loss"), None)
    if found is None or not gives_optimum(found):
        raise ValueError(
            f"{entry.name} gives no best model for a budget: choose a law of N and D, such as "
            "hoffmann2022-approach3"
        )
    return found


def best_model(entry: Entry, flops: float, curve: str | None = None) -> Best:
    """Returns the best model for a budget.

    A paper's own rules for N and D come first; where there are none the optimum of its loss
    in N and D is found at C = 6 N D.

    Args:
        entry: The law.
        flops: C.
        curve: Name of a loss in N and D of the entry, to go by in place of its rules.

    Raises:
        ValueError: The entry gives no optimum.
        FitError: Its loss is monotone along the budget.
    """
    loss = surface(entry, curve)
    if loss is not None:
        return _optimum(entry, loss, flops)
    of_paper = rules(entry)
    at_budget = {name: _at(rule, flops) for name, rule in of_paper.items()}
    product = flops / FLOPS_PER_PARAMETER_AND_TOKEN
    if "flops_per_token" in at_budget:
        size = at_budget["flops_per_token"] / FLOPS_PER_PARAMETER_AND_TOKEN
        return Best(size, at_budget["D"], _loss(entry, flops), _beyond(of_paper["D"], flops), "N")
    n = at_budget.get("N", product / at_budget.get("D", math.nan))
    d = at_budget.get("D", product / at_budget.get("N", math.nan))
    inferred = "" if len(at_budget) == 2 else "D" if "N" in at_budget else "N"
    first = next(iter(of_paper.values()))
    return Best(n, d, _loss(entry, flops), _beyond(first, flops), inferred)


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
