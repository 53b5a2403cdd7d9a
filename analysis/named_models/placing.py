"""Named models against the compute optimum of a law.

| symbol | meaning | unit |
|---|---|---|
| N, D | parameters that a token uses, tokens seen | 1 |
| C | compute of the model, 6 N D | FLOPs |
"""

from dataclasses import dataclass

from analysis.laws.chinchilla import FLOPS_PER_PARAMETER_AND_TOKEN
from analysis.named_models.registry import Model
from analysis.published.entry import Entry
from analysis.published.optimum import Best, best_model


@dataclass(frozen=True)
class Placed:
    """A model beside the best one of its compute.

    Attributes:
        model: The model.
        flops: C = 6 N D.
        best: The best model for C by the law.
        overtraining: Its tokens a parameter over those of the best: above 1 it is over-trained.
        loss: Its loss by the law; None where the law gives none.
        excess: That loss less the best's; None where the law gives none.
    """

    model: Model
    flops: float
    best: Best
    overtraining: float
    loss: float | None
    excess: float | None


def placed(model: Model, entry: Entry) -> Placed | None:
    """Returns a model beside the best of its compute; None where its N or D is not known.

    The law was found on other data with another tokenizer: losses are those of its data.

    Raises:
        ValueError: A law that gives no best model.
        FitError: A law whose loss is monotone along the budget.
    """
    if model.active is None or model.tokens is None or model.confidence == "speculative":
        return None
    flops = FLOPS_PER_PARAMETER_AND_TOKEN * model.active * model.tokens
    best = best_model(entry, flops)
    ratio = model.tokens / model.active
    loss = excess = None
    curve = next((each for each in entry.curves if each.output == "loss"), None)
    if curve is not None and best.loss is not None and curve.law.inputs == ("N", "D"):
        loss = float(curve.predict({"N": model.active, "D": model.tokens}))
        excess = loss - best.loss
    return Placed(model, flops, best, ratio / best.tokens_per_parameter, loss, excess)
