"""Time of a training step by a roofline of products, memory and links.

The bubble of a pipeline is (p - 1) / (v m) of its work, with p stages of v groups of layers and m
microbatches (Narayanan et al. 2021, arXiv 2104.04473, section 2.2).

Three constants say what of the makers' numbers a training step gets. They were set on other runs
than those that `published_runs` holds the plan against, and are the same for all devices.
"""

from typing import NamedTuple

import numpy as np

from analysis.parallelism.devices import Device, speed
from analysis.parallelism.layout import Layout, Numbers, Recipe
from analysis.parallelism.memory import held, stages, tokens_at_once
from analysis.parallelism.shape import TransformerShape
from analysis.parallelism.traffic import Traffic, links, traffic

PRODUCTS = 0.76
"""Share of the best product's speed that those of a step reach: the median over nine rows of
Narayanan et al. 2021 (arXiv 2104.04473, table 1, 1.7B to 530B)."""

LINKS = 0.8
"""Share of a link that a collective reaches: of tenths the one by which the same nine rows are
planned best, 0.8 points off in root mean square; by 0.7 they are 1.2 off, by 0.9 they are 1.0."""

HIDDEN = 0.5
"""Share of gathered weights that travel while products run, as long as these last. Twelve runs with
weights sharded over 16 to 128 devices (MosaicML, llm-foundry, benchmarks of training) are planned
within 8 points by it; shares from a quarter to all of it differ by half a point of their root mean
square, and none at all by one."""


class StepTime(NamedTuple):
    """Seconds of a step, by what they are spent on.

    Attributes:
        products: Matrix products.
        memory: Norms, residuals, activations, scores outside a kernel: bound by memory.
        tensor: Waiting for each axis.
        bubble: Idle time of the pipeline.
        optimizer: The update.
    """

    products: Numbers
    memory: Numbers
    tensor: Numbers
    context: Numbers
    expert: Numbers
    pipe: Numbers
    bubble: Numbers
    fsdp: Numbers
    data: Numbers
    optimizer: Numbers

    @property
    def total(self) -> Numbers:
        """Seconds in all."""
        return sum(self[1:], start=self[0])


def repeats(shape: TransformerShape, recipe: Recipe) -> float:
    """Returns the passes of a block, in forward passes: 3, and what is computed again."""
    again = {"none": 0.0, "selective": shape.score_flops / shape.block_flops, "full": 1.0}
    return 3 + again[recipe.recompute]


def step_time(shape: TransformerShape, layout: Layout, recipe: Recipe, device: Device) -> StepTime:
    """Returns the seconds of a step on many devices.

    The stage with the read-out is the slowest of a pipeline, and all wait for it. Gathering weights
    hides behind products in part; all other traffic is waited for.
    """
    m, p, t = recipe.microbatches(layout), layout.pipe, layout.tensor
    sent = traffic(shape, layout, recipe)
    of = links(layout, device)
    seconds = Traffic(*(
        amount / (LINKS * of[axis].speed)
        for axis, amount in zip(Traffic._fields, sent, strict=True)
    ))  # fmt: skip
    tokens, (n, lighter) = m * tokens_at_once(shape, layout, recipe), stages(shape, layout)
    passes = repeats(shape, recipe)
    reached = speed(device, recipe.activation_bytes) * device.best_product * PRODUCTS
    block, readout = passes * shape.block_flops, 3 * shape.readout_flops
    slowest = n * block + np.where(lighter, np.maximum(readout - block, 0.0), readout)
    products = tokens * slowest / t / reached
    moved = n * passes * _streamed(shape, layout, recipe) + _of_logits(shape, layout, recipe)
    streamed = tokens * moved / device.memory_bandwidth
    busy = products + streamed + seconds.tensor + seconds.context + seconds.expert + seconds.pipe
    bubble = busy * (p - 1) / (recipe.interleave * m)
    kept = sum(held(shape, layout), start=0.0) / layout.fsdp
    each = kept / (layout.data if recipe.shard_optimizer else 1)
    state = 2 * recipe.optimizer_bytes + recipe.gradient_bytes + recipe.weight_bytes
    return StepTime(
        products=products,
        memory=streamed,
        tensor=seconds.tensor,
        context=seconds.context,
        expert=seconds.expert,
        pipe=seconds.pipe,
        bubble=bubble,
        fsdp=seconds.fsdp - np.minimum(HIDDEN * seconds.fsdp, busy),
        data=seconds.data,
        optimizer=each * state / device.memory_bandwidth,
    )


def _streamed(shape: TransformerShape, layout: Layout, recipe: Recipe) -> Numbers:
    """Bytes to and from memory outside products, of one block, forward, a token.

    Each norm, residual sum and activation reads its inputs and writes its output once: fused, as
    compilers and hand-written kernels do.
    """
    t = layout.tensor
    outside = 10 * shape.width / (t if recipe.sequence else 1)
    heads = 4 * (shape.heads + shape.kv_heads) * shape.head_size / t
    inside = (3 if shape.gated else 2) * shape.chosen * shape.ff_width / t
    scores = 6 * shape.heads * shape.context / t * recipe.writes_scores(layout)
    return recipe.activation_bytes * (outside + heads + inside + scores)


def _of_logits(shape: TransformerShape, layout: Layout, recipe: Recipe) -> Numbers:
    """Bytes to and from memory for the logits of a token, in training.

    In float32 they are written, and read for their largest, their sum and their gradient; this is
    written in the type of activations, and read by two products.
    """
    return shape.vocabulary / layout.tensor * (4 * 4 + 3 * recipe.activation_bytes)
