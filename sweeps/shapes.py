"""One size and one length as one run: the nearest shape and the nearest number of steps.

`sweeps.recipes` makes sweeps of such runs.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

from scaling.accounting import Account, account
from scaling.config import RunConfig
from scaling.fields import types_of
from scaling.models.family import SizedFamily
from scaling.overrides import replace_at, replace_together
from scaling.pretraining import Pretraining
from sweeps.guards import require_positive
from sweeps.rules import Cell, Rule

Count = Literal["n_params_matmul", "n_params_total", "n_params_non_embedding"]
"""A way to count parameters (`scaling.accounting.Account`).

- n_params_matmul: those that multiply activations: without embeddings, with the read-out.
- n_params_total: all of them.
- n_params_non_embedding: without embeddings and read-out.
"""

MOST_MULTIPLES = 4096
"""Upper end of the search for widths, in steps of what they are a multiple of."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a size and a length become a run.

    Attributes:
        base: Configuration that the runs share: data, optimizer, schedule, parametrization and, in
            a family with heads, the size of a head. Its width and duration are replaced.
        depth: Number of blocks at a width, to be rounded; None for those of the base.
        multiple_of: Widths are multiples of this and of the size of a head.
        count: Way in which sizes count parameters.
        learning_rate: Rule for the peak; None for that of the base, as under muP.
        batch_size: Rule for the sequences of a batch, rounded to a power of two that gives every
            device of the mesh some; None for the batch of the base.
        warmup_tokens: Rule for the tokens of warm-up; None for those of the base.
        at_once: Sequences that one device has room for; batches that give a device more are split
            into microbatches. None for the microbatches of the base.

    Raises:
        ValueError: the base does not train on tokens; its model has no field for a width, or none
            for a depth where there is a rule of it; its heads have no size; or its mesh divides no
            power of two where there is a rule for the batch.
    """

    base: RunConfig
    depth: Callable[[int], float] | None = None
    multiple_of: int = 64
    count: Count = "n_params_matmul"
    learning_rate: Rule | None = None
    batch_size: Rule | None = None
    warmup_tokens: Rule | None = None
    at_once: int | None = None

    def __post_init__(self) -> None:
        model, train = self.base.model, self.base.train
        fields = types_of(type(model))
        if "width" not in fields or not isinstance(train, Pretraining):
            raise ValueError(
                f"the base of a recipe has model.kind = {model.kind!r} and train.kind = "
                f"{train.kind!r}: give a model with a field width, such as 'transformer', and "
                "'pretraining'"
            )
        if self.depth is not None and "depth" not in fields:
            raise ValueError(
                f"a recipe with a rule for depth, but model.kind = {model.kind!r} has no field "
                "depth: give depth = None"
            )
        if self.batch_size is not None and train.mesh.size.bit_count() != 1:
            raise ValueError(
                f"train.mesh has {train.mesh.size} devices ({train.mesh}), which divides no power "
                "of two, and a rule for batch_size is rounded to one: give 1, 2, 4, ... devices, "
                "or batch_size = None for the batch of the base"
            )
        heads, head_size = getattr(model, "heads", None), getattr(model, "head_size", None)
        if hasattr(model, "head_size") and (heads is not None or head_size is None):
            raise ValueError(
                f"the base of a recipe has model.heads = {heads}, model.head_size = {head_size}: "
                "give head_size alone, so that heads follow the width"
            )
        for name, value in (("multiple_of", self.multiple_of), ("at_once", self.at_once)):
            if value is not None and value < 1:
                raise ValueError(f"{name} = {value}: give 1 or more")

    def model(self, width: int) -> SizedFamily:
        """The model of this width."""
        sizes = {"width": width}
        if self.depth is not None:
            sizes["depth"] = max(1, math.floor(self.depth(width) + 0.5))
        model = replace_together(self.base.model, sizes)
        assert isinstance(model, SizedFamily)
        return model


def nearest_shape(recipe: Recipe, n_params: float, tolerance: float) -> SizedFamily:
    """The model that comes nearest to a number of parameters, in ratio.

    Raises:
        ValueError: no model within the tolerance; names the nearest.
    """
    require_positive("size", n_params)
    step = math.lcm(recipe.multiple_of, getattr(recipe.base.model, "head_size", 1))
    widths = range(step, step * MOST_MULTIPLES + 1, step)

    def count(width: int) -> int:
        return n_params_of(recipe, recipe.model(width))

    deviations = deviations_beside(n_params, widths, count)
    best = min(deviations, key=deviations.__getitem__)
    if deviations[best] > math.log1p(tolerance):
        near = " and ".join(f"{count(w):,} ({_shape(recipe.model(w))})" for w in deviations)
        raise ValueError(
            f"N = {n_params:.4g} is more than {100 * tolerance:g} % from any shape. The nearest "
            f"have {near}: ask for one of these, or give a smaller multiple_of"
        )
    return recipe.model(best)


def deviations_beside(
    target: float, values: Sequence[int], count: Callable[[int], float]
) -> dict[int, float]:
    """The values with counts next to a target: the log ratio of count and target for each.

    Values ascend, and counts grow with them.
    """
    above = bisect.bisect_left(values, target, key=count)
    beside = values[max(above - 1, 0) : above + 1]
    return {value: abs(math.log(count(value) / target)) for value in beside}


def run_of_budget(recipe: Recipe, model: SizedFamily, flops: float, tolerance: float) -> RunConfig:
    """The run of a model that comes nearest to a budget, at a whole number of steps.

    Raises:
        ValueError: no run within the tolerance, or more tokens than the data hold; names the
            nearest budgets.
    """
    data = recipe.base.data
    per_token = _flops_per_token(recipe, model)
    config = run_of_tokens(recipe, model, flops / per_token, flops)
    assert isinstance(config.train, Pretraining)
    a_step = per_token * config.train.batch_size * data.n_inputs
    steps = config.train.steps or 0
    if abs(math.log(steps * a_step / flops)) > math.log1p(tolerance):
        near = " and ".join(f"{n * a_step:.4g}" for n in (steps - 1, steps, steps + 1) if n)
        raise ValueError(
            f"{flops:.4g} FLOPs are more than {100 * tolerance:g} % from any whole number of steps "
            f"of {config.train.batch_size} sequences at width {model.width}. The nearest budgets "
            f"are {near}: ask for one of these, or give a smaller batch"
        )
    return config


def run_of_tokens(
    recipe: Recipe, model: SizedFamily, tokens: float, flops: float | None = None
) -> RunConfig:
    """The run of a model nearest to a number of tokens, by the rules of a recipe.

    The rules go by a budget of FLOPs: that of the tokens, unless another is given.

    Raises:
        ValueError: more tokens than the data hold; names the nearest budgets.
    """
    train, data = recipe.base.train, recipe.base.data
    assert isinstance(train, Pretraining)
    per_token = _flops_per_token(recipe, model)
    counts = _account(recipe.base, model)
    cell = Cell(
        n_params_matmul=counts.n_params_matmul,
        n_params_non_embedding=counts.n_params_non_embedding,
        tokens=tokens,
        flops=per_token * tokens if flops is None else flops,
        context=data.n_inputs,
        width=model.width,
    )
    batch_size, parts = _batch(recipe, train, cell)
    train = replace(train, batch_size=batch_size, microbatches=parts)
    if recipe.learning_rate is not None:
        rate = recipe.learning_rate(cell)
        train = replace(train, optimizer=replace(train.optimizer, learning_rate=rate))
    if recipe.warmup_tokens is not None:
        train = replace(train, warmup_tokens=round(recipe.warmup_tokens(cell)))
    a_step = train.batch_size * data.n_inputs
    steps = max(1, round(tokens / a_step))
    most = data.n_train * data.n_inputs
    if steps * a_step > most and not getattr(data, "repeat", True):
        raise ValueError(
            f"{cell.flops:.4g} FLOPs at N = {getattr(counts, recipe.count):,} take "
            f"{steps * a_step:,} tokens, and the data hold {most:,}. The largest budget of this "
            f"shape is {per_token * (most // a_step) * a_step:.4g}; at this budget a model must "
            f"take {cell.flops / most:.4g} FLOPs a token, and this one takes {per_token:.4g}. Ask "
            "for another budget or size, or give more data or data.repeat = true"
        )
    return replace(recipe.base, model=model, train=replace_at(train, "steps", steps))


def _batch(recipe: Recipe, train: Pretraining, cell: Cell) -> tuple[int, int]:
    """Sequences of a batch, and the number of microbatches; both divide over all devices."""
    batch_size, parts, devices = train.batch_size, train.microbatches, train.mesh.replicas
    if recipe.batch_size is not None:
        least = devices if recipe.at_once is not None else devices * parts
        batch_size = max(2 ** max(0, round(math.log2(recipe.batch_size(cell)))), least)
    if recipe.at_once is not None:
        parts = math.ceil(batch_size / (recipe.at_once * devices))
        while batch_size % (parts * devices):
            parts += 1
    return batch_size, parts


@lru_cache(maxsize=4096)
def _account(base: RunConfig, model: SizedFamily) -> Account:
    """The counts of a model, whatever the length of its training.

    Remembered, since the budgets of a sweep search the same widths.
    """
    train = base.train
    assert isinstance(train, Pretraining)
    shortest = replace_together(train, {"warmup_tokens": 0, "steps": 1})
    return account(replace(base, model=model, train=shortest))


def _shape(model: SizedFamily) -> str:
    depth = getattr(model, "depth", None)
    return f"width {model.width}" if depth is None else f"width {model.width}, depth {depth}"


def n_params_of(recipe: Recipe, model: SizedFamily) -> int:
    """Number of parameters of a model, as a recipe counts them."""
    return getattr(_account(recipe.base, model), recipe.count)


def _flops_per_token(recipe: Recipe, model: SizedFamily) -> float:
    data = recipe.base.data
    shape = (data.n_inputs, data.n_outputs)
    return (model.flops_forward(*shape) + model.flops_backward(*shape)) / data.n_inputs
