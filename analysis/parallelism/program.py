"""What a step of this project's own program sends, message by message, and what it keeps.

Other programs, such as those of published runs, send what `traffic` says of them and keep what
`memory` says. The forms here follow `scaling.models.transformer_apply` and what it calls, in
float32; `benchmarks/meshes.py` holds them against compiled programs.

| symbol | meaning |
|---|---|
| n | devices along an axis: a ring sends 2 (n - 1) / n of a sum, (n - 1) / n of a gather |
| m, p, v | microbatches, pipeline stages, groups of layers a stage |
| m v + p - 1 | times that a stage computes a group: those of the bubble send as well |
"""

from typing import NamedTuple

import numpy as np

from analysis.parallelism.layout import Layout, Numbers, Recipe
from analysis.parallelism.memory import Memory, stages, tokens_at_once
from analysis.parallelism.shape import TransformerShape

_FLOAT = 4


class Message(NamedTuple):
    """Bytes that a device sends in a step along an axis, in messages of a kind.

    Attributes:
        axis: Axis of the layout.
        kind: XLA's name of the collective.
        sent: Bytes.
    """

    axis: str
    kind: str
    sent: Numbers


def messages(shape: TransformerShape, layout: Layout, recipe: Recipe) -> tuple[Message, ...]:
    """Returns all that a device sends in a step; messages of a few bytes are left out."""
    m, p, v = recipe.microbatches(layout), layout.pipe, recipe.interleave
    tokens = tokens_at_once(shape, layout, recipe)
    activations = recipe.activation_bytes * tokens * shape.width
    # Times that all layers of a device are computed.
    passes = np.where(np.asarray(p) > 1, (m * v + p - 1) / v, m)
    often = passes * stages(shape, layout).layers
    return (
        *_of_tensor(layout, recipe, often * activations),
        *_of_vocabulary(shape, layout, recipe),
        *_of_context(shape, layout, recipe, often),
        *_of_experts(shape, layout, recipe, often),
        Message("pipe", "collective-permute", np.where(p > 1, 2 * passes * v * activations, 0.0)),
        Message("pipe", "all-reduce", 2 * m * _sum(p) * activations),
        *_of_weights(shape, layout, recipe),
    )


def program_memory(shape: TransformerShape, layout: Layout, recipe: Recipe) -> Memory:
    """Returns the memory of a device, all of which have the same.

    Activations are what automatic differentiation keeps of a block, in float32: two norms with
    three copies of their rows each, the residual stream twice; queries, keys, values, what is mixed
    of them, and scores; of a feed-forward layer its input to the activation five times, with the
    activation's own parts, and once its result. While a layer is at work, three copies of its
    widest rows and two of its scores come on top, also where these are computed again: XLA fuses
    the rest.
    """
    n, p = stages(shape, layout).layers, np.asarray(layout.pipe)
    m, v = recipe.microbatches(layout), recipe.interleave
    tokens = tokens_at_once(shape, layout, recipe)
    # 1. State.
    dense, experts, tables = _parameters(shape, layout)
    kept = (n * (dense + experts) + (1 if shape.tied else 2) * tables) / layout.fsdp
    # 2. Activations; a pipeline keeps those of every tick, and rows that go in and come out.
    kept_of = _kept(shape, layout, recipe)
    # What a tick of several layers keeps is there twice, until it lies beside that of the others.
    passes = np.where(p > 1, (m * v + p - np.where(n > 1, 0, 1)) / v, 1.0)
    rows = np.where(p > 1, 4 * m + 2 * passes * v, 3.0) * shape.width
    activations = _FLOAT * tokens * (passes * n * kept_of.always + kept_of.at_work + rows)
    # 3. Logits, their softmax and its gradient, of one microbatch.
    logits = 2 * _FLOAT * tokens * shape.vocabulary / _over_vocabulary(shape, layout)
    # 4. Weights in full of one layer, in a pipeline of all with their gradients, and of a table;
    # whole keys and values, and their gradients.
    whole = np.where(p > 1, 2 * n, 1.0) * (dense + experts) + tables
    buffers = np.where(np.asarray(layout.fsdp) > 1, recipe.activation_bytes * whole, 0.0)
    keys = shape.kv_heads * shape.head_size / layout.tensor * tokens * layout.context
    buffers = buffers + np.where(np.asarray(layout.context) > 1, 4 * _FLOAT * keys, 0.0)
    return Memory(
        kept * recipe.weight_bytes,
        kept * recipe.gradient_bytes,
        kept * recipe.optimizer_bytes,
        activations,
        logits,
        buffers,
    )


class _Kept(NamedTuple):
    """Numbers a token: of a layer for the backward pass, and while one layer is at work."""

    always: Numbers
    at_work: Numbers


def _kept(shape: TransformerShape, layout: Layout, recipe: Recipe) -> _Kept:
    t = layout.tensor
    tokens = tokens_at_once(shape, layout, recipe)
    heads, scores = shape.heads * shape.head_size / t, shape.heads * shape.context / t
    inside, rows = shape.ff_width / t, 8 * shape.width + 4
    if shape.experts > 1:
        places = _places(shape, layout, recipe) / tokens
        rows = rows + (places + shape.chosen) * shape.width + shape.experts
        inside = places * inside
    every = rows + 5 * heads + 2 * shape.heads / t + scores + 6 * inside
    at_work = 3 * inside + 2 * scores
    products = heads * (1 + 2 * shape.kv_heads / shape.heads) + (1 + shape.gated) * inside
    match recipe.recompute:
        case "none":
            return _Kept(every, at_work)
        case "selective":
            return _Kept(2 * shape.width + products, 2 * shape.width + at_work)
        case "full":
            return _Kept(1.0 * shape.width, 2 * shape.width + at_work)


def _parameters(shape: TransformerShape, layout: Layout) -> tuple[Numbers, Numbers, Numbers]:
    """Parameters of one layer on a device, without and with experts, and of one table of tokens."""
    t = layout.tensor
    attention, own = shape.attention_parameters / t, shape.expert_parameters / t
    tables = shape.readout_parameters / _over_vocabulary(shape, layout)
    if shape.experts == 1:
        return attention + own, 0.0, tables
    router = shape.width * shape.experts
    return attention + router, shape.experts * own / layout.expert, tables


def _over_vocabulary(shape: TransformerShape, layout: Layout) -> Numbers:
    """Devices over which the vocabulary is divided: `scaling.models.placement.over_vocabulary`."""
    p, t = layout.pipe, layout.tensor
    able = [shape.vocabulary % n == 0 for n in (p * t, t)]
    alone = np.where(shape.vocabulary % p == 0, p, 1)
    return np.where(able[0], p * t, np.where(able[1] & (np.asarray(t) > 1), t, alone))


def _places(shape: TransformerShape, layout: Layout, recipe: Recipe) -> Numbers:
    """Places of all experts on one device."""
    tokens = tokens_at_once(shape, layout, recipe)
    together = tokens * layout.replicas * layout.context
    capacity = np.ceil(shape.capacity * together * shape.chosen / shape.experts)
    return shape.experts * np.minimum(tokens, capacity)


def _of_tensor(layout: Layout, recipe: Recipe, activations: Numbers) -> tuple[Message, ...]:
    """Sums after attention and feed-forward layers, and before them on the way back."""
    sums = 4 if recipe.recompute == "none" else 5
    return (Message("tensor", "all-reduce", sums * _sum(layout.tensor) * activations),)


def _of_vocabulary(shape: TransformerShape, layout: Layout, recipe: Recipe) -> tuple[Message, ...]:
    """Embedded tokens, gradients of read out states, and what a softmax over all classes needs."""
    n = _over_vocabulary(shape, layout)
    m, tokens = recipe.microbatches(layout), tokens_at_once(shape, layout, recipe)
    # In a pipeline the logits of a microbatch are made twice.
    numbers = np.where((np.asarray(layout.pipe) > 1) & (m > 1), 5, 3)
    a_token = (_FLOAT + recipe.activation_bytes) * shape.width + numbers * _FLOAT
    sent = m * _sum(n) * tokens * a_token
    # A ring over both axes crosses the links of the one whose devices lie further apart.
    by_tensor = np.asarray(n) == layout.tensor
    return (
        Message("tensor", "all-reduce", np.where(by_tensor, sent, 0.0)),
        Message("pipe", "all-reduce", np.where(by_tensor, 0.0, sent)),
    )


def _of_context(
    shape: TransformerShape, layout: Layout, recipe: Recipe, often: Numbers
) -> tuple[Message, ...]:
    """Keys and values, gathered on either way; their gradients are scattered."""
    heads = shape.kv_heads / layout.tensor
    tokens = tokens_at_once(shape, layout, recipe)
    both = 2 * recipe.activation_bytes * tokens * heads * shape.head_size
    once = often * (layout.context - 1) * both
    return Message("context", "all-gather", 2 * once), Message("context", "reduce-scatter", once)


def _of_experts(
    shape: TransformerShape, layout: Layout, recipe: Recipe, often: Numbers
) -> tuple[Message, ...]:
    """Rows at the places of experts, there and back, and so their gradients."""
    if shape.experts == 1:
        return ()
    places = _places(shape, layout, recipe)
    times = 4 if recipe.recompute == "none" else 6
    sent = times * often * _part(layout.expert) * places * shape.width * recipe.activation_bytes
    return (Message("expert", "all-to-all", sent),)


def _of_weights(shape: TransformerShape, layout: Layout, recipe: Recipe) -> tuple[Message, ...]:
    """Weights that are gathered, and gradients that are scattered and added up over copies.

    Every microbatch anew, except in a pipeline. Embedding and read-out are used once each, tied or
    not; blocks are gathered again for the backward pass.
    """
    f, n, p = layout.fsdp, stages(shape, layout).layers, np.asarray(layout.pipe)
    often = np.where(p > 1, 1.0, recipe.microbatches(layout))
    again = np.where(p > 1, 1.0, 2.0)
    width = recipe.activation_bytes
    dense, experts, table = _parameters(shape, layout)
    dense, experts = n * width * dense, n * width * experts
    tables = (_FLOAT + width) * table
    # In float32 a tied table is gathered once for both uses.
    of_tables = tables / 2 if shape.tied and width == _FLOAT else tables
    gathered = often * _part(f) * (again * (dense + experts) + of_tables)
    scattered = often * _part(f) * (dense + experts + tables)
    copies, of_experts = layout.data * layout.expert * layout.context, layout.data * layout.context
    added = _sum(copies) * (dense + tables) + _sum(of_experts) * experts
    return (
        Message("fsdp", "all-gather", gathered),
        Message("fsdp", "reduce-scatter", scattered),
        Message("data", "all-reduce", often * added / f),
    )


def _sum(n: Numbers) -> Numbers:
    return 2 * _part(n)


def _part(n: Numbers) -> Numbers:
    return (n - 1) / n
