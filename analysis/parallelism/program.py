"""What a step of this project's own program sends, message by message, and what it keeps.

Other programs, such as those of published runs, send what `traffic` says of them and keep what
`memory` says. The forms here follow `scaling.models.transformer_apply` and what it calls;
`benchmarks/meshes.py` holds them against compiled programs.

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
        Message("pipe", "all-reduce", 2 * m * all_reduce(p) * activations),
        *_of_weights(shape, layout, recipe),
    )


def program_memory(
    shape: TransformerShape, layout: Layout, recipe: Recipe, narrow: int | None = None
) -> Memory:
    """Returns the memory of a device, all of which have the same.

    Activations are what automatic differentiation keeps of each block (`kept`) and what the one at
    work needs beside. Logits are gone before the first block is at work on its way back, so that
    the larger of the two counts.

    Args:
        shape: The model.
        layout: Devices along each axis.
        recipe: How a step is computed.
        narrow: Bytes of a number in the compute type; by default those of the recipe. XLA's
            compiler for CPUs keeps bfloat16 in four bytes.
    """
    n, p = stages(shape, layout).layers, np.asarray(layout.pipe)
    m, v = recipe.microbatches(layout), recipe.interleave
    tokens = tokens_at_once(shape, layout, recipe)
    narrow = recipe.activation_bytes if narrow is None else narrow
    # 1. State.
    dense, experts, tables = _parameters(shape, layout)
    held = (n * (dense + experts) + (1 if shape.tied else 2) * tables) / layout.fsdp
    # 2. Activations; a pipeline keeps those of every tick, and rows that go in and come out. What a
    # tick of several layers keeps is there twice, until it lies beside that of the others.
    passes = np.where(p > 1, (m * v + p - np.where(n > 1, 0, 1)) / v, 1.0)
    rows = np.where(p > 1, 2 * m + passes * v, 0.0) * shape.width
    of_layers = passes * n * kept(shape, layout, recipe).bytes(narrow) + narrow * rows
    at_work = _at_work(shape, layout, recipe).bytes(narrow)
    # 3. Logits, their softmax and its gradient, of one microbatch.
    logits = 2 * _FLOAT * shape.vocabulary / _over_vocabulary(shape, layout)
    is_read_out = logits > at_work
    # 4. Blocks in the compute type, where that is narrower. Weights of one layer in full, or their
    # gradient until it lies beside the others; where they are gathered also those of a table, and
    # in a pipeline those of all layers with their gradients. Whole keys and values, and their
    # gradients.
    cast = recipe.activation_bytes * n * (dense + experts) / layout.fsdp
    cast = cast * (recipe.activation_bytes < recipe.weight_bytes)
    whole = np.where(p > 1, 2 * n, 0.0) * (dense + experts) + tables
    gathered = np.where(np.asarray(layout.fsdp) > 1, narrow * whole, 0.0)
    keys = shape.kv_heads * shape.head_size / layout.tensor * tokens * layout.context
    keys = np.where(np.asarray(layout.context) > 1, 4 * narrow * keys, 0.0)
    return Memory(
        held * recipe.weight_bytes,
        held * recipe.gradient_bytes,
        held * recipe.optimizer_bytes,
        tokens * (of_layers + np.where(is_read_out, 0.0, at_work)),
        tokens * np.where(is_read_out, logits, 0.0),
        cast + narrow * (dense + experts) + gathered + keys,
    )


class Kept(NamedTuple):
    """Numbers a token, in float32 and in the compute type."""

    wide: Numbers
    narrow: Numbers

    def bytes(self, narrow: int) -> Numbers:
        """Bytes, with so many of a number in the compute type."""
        return _FLOAT * self.wide + narrow * self.narrow


def kept(shape: TransformerShape, layout: Layout, recipe: Recipe) -> Kept:
    """Returns what the backward pass keeps of a block, without weights and columns of integers.

    Norms compute in float32, and so do softmaxes: of each norm three copies of its rows are kept
    and two statistics, of attention its scores. Of a feed-forward layer its input to the activation
    is kept five times, with the activation's own parts, and once its result.
    """
    w, sizes = shape.width, _sizes(shape, layout, recipe)
    heads, inside = sizes.heads, sizes.inside
    keys = heads * shape.kv_heads / shape.heads
    match recipe.recompute:
        case "none":
            # Keys and values that several heads share are copied for each, of the whole context.
            copied = layout.context - 1 if shape.kv_heads < shape.heads else 0
            # A kernel keeps what goes in and comes out, and one number a query and head.
            plain = recipe.writes_scores(layout)
            statistics = (1 + plain) * shape.heads / layout.tensor
            wide = 6 * w + 4 + statistics + plain * (heads + sizes.scores)
            cast = sizes.scores if recipe.activation_bytes < _FLOAT else 0
            attended = np.where(plain, (4 + 2 * copied) * heads, 2 * (heads + keys))
            narrow = 2 * w + attended + 6 * inside + cast
            if shape.experts == 1:
                return Kept(wide, narrow)
            sent = sizes.at_places + (shape.chosen - 1) * w
            return Kept(wide + w + shape.experts, narrow + sent)
        case "selective":
            products, of_experts = 2 * w + heads + 2 * keys, (1 + shape.gated) * inside
            if shape.experts == 1:
                return Kept(0.0, products + of_experts)
            # Products with the stacked weights of several experts are computed again.
            alone = np.asarray(layout.expert) == shape.experts
            of_experts = np.where(alone, of_experts + sizes.at_places, 0.0)
            return Kept(shape.experts, products + of_experts)
        case "full":
            return Kept(0.0, 1.0 * w)


class _Sizes(NamedTuple):
    """Numbers a token that a device has at once.

    Attributes:
        heads: Queries, or what is mixed for them.
        scores: Scores of all queries with all keys.
        inside: Activations inside feed-forward layers.
        at_places: Rows at the places of experts.
    """

    heads: Numbers
    scores: Numbers
    inside: Numbers
    at_places: Numbers


def _sizes(shape: TransformerShape, layout: Layout, recipe: Recipe) -> _Sizes:
    t, places = layout.tensor, 1.0
    if shape.experts > 1:
        places = _places(shape, layout, recipe) / tokens_at_once(shape, layout, recipe)
    return _Sizes(
        shape.heads * shape.head_size / t,
        shape.heads * shape.context / t * recipe.writes_scores(layout),
        places * shape.ff_width / t,
        places * shape.width,
    )


def _at_work(shape: TransformerShape, layout: Layout, recipe: Recipe) -> Kept:
    """Numbers a token that a block at work on its way back needs beside what is kept.

    How many of each XLA holds at once was read off compiled programs of both families at ten shapes
    each.
    """
    sizes, products = _sizes(shape, layout, recipe), 1 + shape.gated
    rows, heads = 7 * shape.width, 5 * sizes.heads
    if shape.experts > 1:
        rows = 6 * shape.width + 3 * sizes.at_places
        inside = 2 if recipe.recompute == "none" else 4
        return Kept(rows + sizes.scores, heads + inside * products * sizes.inside)
    match recipe.recompute:
        case "none":
            return Kept(rows + 1.25 * sizes.scores, heads + 2 * products * sizes.inside)
        case "selective":
            heads, inside = 2 * sizes.heads, 1.5 * products * sizes.inside
            return Kept(rows + 2 * sizes.scores, heads + inside)
        case "full":
            return Kept(rows + sizes.scores, heads + 3 * products * sizes.inside)


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
    return (Message("tensor", "all-reduce", sums * all_reduce(layout.tensor) * activations),)


def _of_vocabulary(shape: TransformerShape, layout: Layout, recipe: Recipe) -> tuple[Message, ...]:
    """Embedded tokens, gradients of read out states, and what a softmax over all classes needs."""
    n = _over_vocabulary(shape, layout)
    m, tokens = recipe.microbatches(layout), tokens_at_once(shape, layout, recipe)
    # In a pipeline the logits of a microbatch are made twice.
    numbers = np.where((np.asarray(layout.pipe) > 1) & (m > 1), 5, 3)
    a_token = (_FLOAT + recipe.activation_bytes) * shape.width + numbers * _FLOAT
    sent = m * all_reduce(n) * tokens * a_token
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
    added = all_reduce(copies) * (dense + tables) + all_reduce(of_experts) * experts
    return (
        Message("fsdp", "all-gather", gathered),
        Message("fsdp", "reduce-scatter", scattered),
        Message("data", "all-reduce", often * added / f),
    )


def all_reduce(n: Numbers) -> Numbers:
    """Returns what a device in a ring of n sends in an all-reduce, over the size of its array."""
    return 2 * _part(n)


def _part(n: Numbers) -> Numbers:
    return (n - 1) / n
