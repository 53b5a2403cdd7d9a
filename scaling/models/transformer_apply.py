"""The decoder-only Transformer's computation: plain functions over a pytree, layers stacked.

All but attention works on rows, one a token, (batch * context, features). On a CPU that halves the
time of a step: gradients of weights are then plain products of two matrices, where with batch and
context apart XLA copies one of them transposed first.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from scaling.devices.sharding import all_gather, save_all_but_gathered, weights_are_sharded
from scaling.model import Model, Params
from scaling.models.architecture import Architecture
from scaling.models.initial import drawn
from scaling.models.layers import (
    Rows,
    apply_rotary,
    causal_attention,
    dropout,
    normalise,
    product,
    rotary_angles,
    widened_product,
)
from scaling.models.parametrization import Parameter, Rule, Tree

Tokens = Int[Array, "batch context"]
Branches = dict[str, Rows]

WIDE = ("norm", "router")
"""Endings of the names of parameters that are used in float32 always."""

UNROLLED_DEPTH = 16
"""Blocks up to this many are laid out one after another rather than looped over: on a CPU a step is
a fifth to a quarter faster so, and compiling takes no longer up to about here."""


class Layer(NamedTuple):
    """Parameters of one block, and in training with dropout a key of its own."""

    params: Params
    key: Array | None = None


class Fed(NamedTuple):
    """What a feed-forward layer adds to the residual stream, and to the loss in training."""

    added: Rows
    penalty: Float[Array, ""] | None = None


FeedForward = Callable[[Rows, Params], Fed]
"""(normalised rows, parameters of the block) -> what is added."""

Routed = Callable[[Tokens, bool], FeedForward]
"""(tokens, whether in training) -> a feed-forward layer in which rows go different ways."""


class Block(NamedTuple):
    """What a block added to the residual stream, by name, and what it adds to the loss."""

    branches: Branches
    penalty: Float[Array, ""] | None


def build(
    architecture: Architecture,
    parameters: Tree,
    rule: Callable[[Parameter], Rule],
    routed: Routed | None = None,
) -> Model:
    """The model of an architecture.

    Args:
        architecture: Sizes, choices and multipliers.
        parameters: Every parameter by name.
        rule: Gives the scale at which each is drawn.
        routed: Makes the feed-forward layers, where they are not those of `feed_forward`.
    """

    def init(key: Array) -> Params:
        return drawn(parameters, rule, key)

    def through(
        params: Params,
        tokens: Tokens,
        *,
        in_training: bool,
        segments: Int[Array, "batch context"] | None = None,
        visible: Int[Array, " batch"] | None = None,
        dropout_key: Array | None = None,
    ) -> tuple[Array, Any]:
        layer_of = _feed_forward(architecture, tokens, routed, in_training)
        shown = {"segments": segments, "visible": visible}
        block = _block(architecture, tokens.shape, layer_of, **shown)
        x, keys = _embed(architecture, params, tokens), None
        if dropout_key is not None:
            own, *keys = jax.random.split(dropout_key, 1 + architecture.depth)
            x, keys = dropout(x, architecture.dropout, own), jnp.stack(keys)

        def step(x: Rows, layer: Layer) -> tuple[Rows, Any]:
            x, made = block(x, layer)
            return x, made.penalty

        x, penalties = _over_layers(architecture, step, x, Layer(params["blocks"], keys))
        return _logits(architecture, params, x).reshape(*tokens.shape, -1), penalties

    def apply(params: Params, tokens: Tokens, **shown: Array) -> Array:
        return through(params, tokens, in_training=False, **shown)[0]

    def penalised(params: Params, tokens: Tokens, **shown: Array) -> tuple[Array, Array]:
        logits, penalties = through(params, tokens, in_training=True, **shown)
        return logits, jnp.sum(penalties)

    return Model(init, apply, penalised=penalised if routed else None)


def read_out(
    architecture: Architecture, params: Params, x: Float[Array, "batch context width"]
) -> Float[Array, "batch context outputs"]:
    """Outputs of a Transformer whose tokens are embedded already: all blocks, norm and read-out."""
    block = _block(architecture, x.shape[:2], _plain_feed_forward(architecture))

    def step(rows: Rows, layer: Layer) -> tuple[Rows, None]:
        return block(rows, layer)[0], None

    rows = x.reshape(-1, x.shape[-1])
    rows, _ = _over_layers(architecture, step, rows, Layer(params["blocks"]))
    return _logits(architecture, params, rows).reshape(*x.shape[:2], -1)


def activations(
    architecture: Architecture,
    params: Params,
    tokens: Tokens,
    segments: Int[Array, "batch context"] | None,
    routed: Routed | None = None,
) -> dict[str, Float[Array, "batch context features"]]:
    """Output of every part of the model, by name."""
    embedded = _embed(architecture, params, tokens)
    layer_of = _feed_forward(architecture, tokens, routed, in_training=False)
    block = _block(architecture, tokens.shape, layer_of, segments=segments)
    x, made = _over_layers(architecture, block, embedded, Layer(params["blocks"]))
    named = {"embedding": embedded}
    for i in range(architecture.depth):
        named |= {f"block_{i}.{name}": stacked[i] for name, stacked in made.branches.items()}
    named["logits"] = _logits(architecture, params, x)
    return {name: rows.reshape(*tokens.shape, -1) for name, rows in named.items()}


def feed_forward(
    architecture: Architecture, x: Float[Array, "*rows width"], layer: Params
) -> Float[Array, "*rows width"]:
    """Feed-forward layer of normalised rows; where rows and weights have a first axis, one each."""
    hidden = x @ layer["ff_in"]
    if architecture.activation == "swiglu":
        gate, value = jnp.split(hidden, 2, axis=-1)
        hidden = jax.nn.silu(gate) * value
    else:
        hidden = jax.nn.gelu(hidden)
    return product(hidden, layer["ff_out"])


def _feed_forward(
    architecture: Architecture, tokens: Tokens, routed: Routed | None, in_training: bool
) -> FeedForward:
    if routed is not None:
        return routed(tokens, in_training)
    return _plain_feed_forward(architecture)


def _plain_feed_forward(architecture: Architecture) -> FeedForward:
    return lambda x, layer: Fed(feed_forward(architecture, x, layer))


def _over_layers(
    architecture: Architecture,
    step: Callable[[Rows, Layer], tuple[Rows, Any]],
    x: Rows,
    layers: Layer,
) -> tuple[Rows, Any]:
    unrolled = architecture.depth <= UNROLLED_DEPTH
    if architecture.remat != "none" or weights_are_sharded():
        policies: dict[str, Callable[..., bool] | None] = {
            "none": save_all_but_gathered,
            "dots": jax.checkpoint_policies.dots_with_no_batch_dims_saveable,
            "full": None,
        }
        # Without a loop around it, only barriers keep XLA from merging the two computations.
        step = jax.checkpoint(step, prevent_cse=unrolled, policy=policies[architecture.remat])
    return jax.lax.scan(step, x, layers, unroll=unrolled)


def _embed(architecture: Architecture, params: Params, tokens: Tokens) -> Rows:
    x = all_gather(params["embedding"])[tokens.reshape(-1)]
    if architecture.positions == "learned":
        (batch, context), positions = tokens.shape, all_gather(params["positions"])
        if context > len(positions):
            raise ValueError(
                f"{context} tokens are more than the {len(positions)} learned positions: give "
                "shorter sequences, build for a longer context, or use positions = 'rotary'"
            )
        x = (x.reshape(batch, context, -1) + positions[None, :context]).reshape(x.shape)
    return x.astype(architecture.compute_dtype)


def _logits(architecture: Architecture, params: Params, x: Rows) -> Float[Array, "tokens vocab"]:
    x = normalise(x, all_gather(params["final_norm"]), architecture.norm == "layer")
    matrix = all_gather(params["embedding" if architecture.tied else "readout"].astype(x.dtype))
    matrix = matrix.T if architecture.tied else matrix
    # The plain product where nothing is widened: it has derivatives in forward mode too.
    product = jnp.matmul if x.dtype == jnp.float32 else widened_product
    return architecture.logit_multiplier * product(x, matrix)


def _block(
    architecture: Architecture,
    shape: tuple[int, ...],
    layer_of: FeedForward,
    segments: Array | None = None,
    visible: Array | None = None,
) -> Callable[[Rows, Layer], tuple[Rows, Block]]:
    """A residual block over sequences of a shape: (x, its layer) -> (x, what was added to it)."""
    batch, context = shape
    heads, kv_heads, head_size, _ = architecture.sizes
    scale, multiplier = architecture.attention_scale, architecture.branch_multiplier
    norm = functools.partial(normalise, centred=architecture.norm == "layer")
    head_norm = functools.partial(normalise, centred=False)
    rotate = functools.partial(apply_rotary, angles=rotary_angles(context, head_size))

    def attention(x: Rows, layer: Params) -> Rows:
        # One matrix for all three: fewer, larger products.
        qkv = (x @ layer["qkv"]).reshape(batch, context, heads + 2 * kv_heads, head_size)
        q, k, v = jnp.split(qkv, (heads, heads + kv_heads), axis=2)
        if architecture.qk_norm:
            q, k = head_norm(q, layer["query_norm"]), head_norm(k, layer["key_norm"])
        if architecture.positions == "rotary":
            q, k = rotate(q), rotate(k)
        mixed = causal_attention(q, k, v, scale, segments, visible)
        return mixed.reshape(batch * context, heads * head_size) @ layer["attention_out"]

    def block(x: Rows, given: Layer) -> tuple[Rows, Block]:
        layer = {
            name: all_gather(leaf if name.endswith(WIDE) else leaf.astype(x.dtype))
            for name, leaf in given.params.items()
        }
        attended = multiplier * attention(norm(x, layer["attention_norm"]), layer)
        if given.key is not None:
            attended = dropout(attended, architecture.dropout, jax.random.fold_in(given.key, 0))
        x = x + attended
        fed = layer_of(norm(x, layer["ff_norm"]), layer)
        fed_forward = multiplier * fed.added
        if given.key is not None:
            own = jax.random.fold_in(given.key, 1)
            fed_forward = dropout(fed_forward, architecture.dropout, own)
        x = x + fed_forward
        branches = {"attention": attended, "feed_forward": fed_forward, "residual": x}
        return x, Block(branches, fed.penalty)

    return block
