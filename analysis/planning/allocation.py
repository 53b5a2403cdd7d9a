"""Result of `analysis.planning.allocate.allocate`: the model to train on a budget of compute.

| symbol | meaning | unit |
|---|---|---|
| N, D | parameters, training tokens; at the optimum N_opt, D_opt | 1 |
| C | training compute, 6 N D unless a table paid otherwise | FLOPs |
| T | tokens served at inference, 2 N FLOPs each | 1 |
"""

import math
from dataclasses import dataclass

from analysis.estimate import Estimate
from analysis.planning.training_cost import SIX_N_D, TrainingCost
from analysis.writing import JsonResult


@dataclass(frozen=True)
class OffOptimum:
    """A model of another size than the optimal one, at the same compute.

    Attributes:
        factor: Its parameters over N_opt; its tokens spend the same compute.
        loss: Its loss.
        excess_loss: Its loss less that of the optimum.
        compute_ratio: C over the compute at which the optimum reaches its loss; at least 1.
    """

    factor: float
    loss: Estimate
    excess_loss: Estimate
    compute_ratio: Estimate


@dataclass(frozen=True)
class OverTrained:
    """The model as good as the compute-optimal one that is cheapest to train and to serve.

    Attributes:
        inference_tokens: T.
        parameters: N, at most N_opt.
        tokens: D, at least D_opt.
        tokens_per_parameter: D / N.
        training_flops: Its training compute, at least C.
        total_flops: `training_flops` + 2 N T.
        total_ratio: `total_flops` over that of the compute-optimal model; at most 1.
    """

    inference_tokens: float
    parameters: Estimate
    tokens: Estimate
    tokens_per_parameter: Estimate
    training_flops: Estimate
    total_flops: Estimate
    total_ratio: Estimate


@dataclass(frozen=True)
class Allocation(JsonResult):
    """What to train on a budget, from `allocate`.

    Attributes:
        law: Name of the law.
        formula: Its equation.
        flops: C.
        level: Nominal coverage of the intervals; NaN where the law gives none.
        parameters: N_opt.
        tokens: D_opt.
        tokens_per_parameter: D_opt / N_opt.
        epochs: D_opt over the unique tokens, 1 or more; None where tokens never run out.
        loss: L(N_opt, D_opt), in the unit of the fitted losses; None where the law gives none.
        off: Models of half and of twice the optimal size; empty where the law gives no loss of
            them.
        over_trained: The alternative for an inference load; None where none was given.
        notes: Sentences on what to distrust; may be empty.
        cost: How C is counted.
    """

    law: str
    formula: str
    flops: float
    level: float
    parameters: Estimate
    tokens: Estimate
    tokens_per_parameter: Estimate
    epochs: Estimate | None
    loss: Estimate | None
    off: tuple[OffOptimum, ...]
    over_trained: OverTrained | None
    notes: tuple[str, ...]
    cost: TrainingCost = SIX_N_D

    def _compute(self) -> str:
        if self.cost == SIX_N_D:
            return f"compute 6 N D = {self.flops:.6g} FLOPs"
        return f"compute by the table's own FLOPs, {self.cost}: {self.flops:.6g} FLOPs"

    def _heading(self) -> str:
        return "" if math.isnan(self.level) else f"   {100 * self.level:g} % interval"

    def summary(self) -> str:
        """Returns the allocation as a plain-text table."""
        lines = [
            f"{self.law}: {self.formula}",
            self._compute(),
            "",
            f"{'compute-optimal':<21} {'value':>10}{self._heading()}",
            _row("parameters", self.parameters),
            _row("tokens", self.tokens),
            _row("tokens per parameter", self.tokens_per_parameter),
            *([] if self.epochs is None else [_row("epochs", self.epochs)]),
            *([] if self.loss is None else [_row("loss", self.loss)]),
        ]
        for off in self.off:
            lines += [
                "",
                f"{off.factor:g} x the parameters at the same compute",
                _row("loss", off.loss),
                _row("excess loss", off.excess_loss),
                _row("compute over needed", off.compute_ratio),
            ]
        if self.over_trained is not None:
            other = self.over_trained
            lines += [
                "",
                f"cheapest at that loss with {other.inference_tokens:.6g} tokens served",
                _row("parameters", other.parameters),
                _row("tokens", other.tokens),
                _row("tokens per parameter", other.tokens_per_parameter),
                _row("training FLOPs", other.training_flops),
                _row("total FLOPs", other.total_flops),
                _row("total over optimal's", other.total_ratio),
            ]
        if self.notes:
            lines += ["", *self.notes]
        return "\n".join(lines)


def _row(name: str, estimate: Estimate) -> str:
    value = f"{name:<21} {estimate.value:>10.5g}"
    if math.isnan(estimate.level):
        return value
    if math.isnan(estimate.low):
        return f"{value}   unknown"
    return f"{value}   [{estimate.low:.5g}, {estimate.high:.5g}]"
