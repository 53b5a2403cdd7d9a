"""The computation that families of `residual_stack` share: plain functions over a pytree.

Time is the first axis of activations: a recurrence takes one row of them after another, a shift in
time is a slice, and products with weights have plain rows, (context * batch, features).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from scaling.devices.sharding import all_gather, save_all_but_gathered, weights_are_sharded
from scaling.model import Model, Params
from scaling.models import layers
from scaling.models.initial import drawn
from scaling.models.layers import normalise, widened_product
from scaling.models.parametrization import Parameter, Rule, Tree

Stream = Float[Array, "context batch features"]


class Stack(NamedTuple):
    """What a family of `residual_stack` is made of.

    Attributes:
        parameters: Every parameter by name.
        rule: Gives the scale at which each is drawn.
        embed: (parameters outside blocks, tokens with time first) -> the residual stream.
        block: (stream, parameters of a block, its number) -> the stream after it.
        compute_dtype: Type of activations and products.
        logit_multiplier: Multiplier of the logits.
    """

    parameters: Tree
    rule: Callable[[Parameter], Rule]
    embed: Callable[[Params, Array], Array]
    block: Callable[[Array, Params, int], Array]
    compute_dtype: str
    logit_multiplier: float


def build(stack: Stack) -> Model:
    """The model of a stack."""

    def init(key: Array) -> Params:
        return drawn(stack.parameters, stack.rule, key)

    def apply(params: Params, tokens: Int[Array, "batch context"]) -> Array:
        ends = {name: all_gather(leaf) for name, leaf in params.items() if name != "blocks"}
        x = stack.embed(ends, tokens.T).astype(stack.compute_dtype)
        for place, layer in enumerate(_unstacked(params["blocks"])):
            x = _through(stack, x, layer, place)
        x = jnp.swapaxes(x, 0, 1).reshape(tokens.size, -1)
        x = normalise(x, ends["final_norm"], centred=False)
        # The plain product where nothing is widened: it has derivatives in forward mode too.
        read_out = jnp.matmul if x.dtype == jnp.float32 else widened_product
        logits = read_out(x, ends["readout"].astype(x.dtype))
        return stack.logit_multiplier * logits.reshape(*tokens.shape, -1)

    return Model(init, apply)


def product(x: Stream, weights: Float[Array, "features out"]) -> Float[Array, "context batch out"]:
    """Rows of activations times a matrix, which takes their type."""
    rows = layers.product(x.reshape(-1, x.shape[-1]), weights.astype(x.dtype))
    return rows.reshape(*x.shape[:-1], -1)


def causal_patches(x: Stream, n: int, apart: int = 1) -> Float[Array, "context batch {n}*features"]:
    """The last `n` rows in time, `apart` steps from one to the next, side by side.

    The oldest comes first; there are zeros before the beginning.
    """
    before = (n - 1) * apart
    padded = jnp.pad(x, ((before, 0), (0, 0), (0, 0)))
    return jnp.concatenate([padded[k * apart :][: len(x)] for k in range(n)], axis=-1)


def causal_convolution(
    x: Stream, window: Float[Array, "{n}*features out"], n: int, apart: int
) -> Float[Array, "context batch out"]:
    """The product of `causal_patches(x, n, apart)` and `window`.

    One product gives what each row adds to the n that see it, and these are shifted in time and
    added: a product as wide as a window is large is a fifth faster on a CPU than one as tall, and
    no patches are copied.
    """
    features, out = x.shape[-1], window.shape[-1]
    side_by_side = window.reshape(n, features, out).swapaxes(0, 1).reshape(features, n * out)
    each = jnp.split(product(x, side_by_side), n, axis=-1)
    later = [
        jnp.pad(part, ((k * apart, 0), (0, 0), (0, 0)))[: len(x)]
        for k, part in zip(range(n - 1, -1, -1), each, strict=True)
    ]
    return functools.reduce(jnp.add, later)


def _unstacked(blocks: Params) -> list[Params]:
    """Parameters block by block; gradients are stacked again as cheaply."""
    split = {name: jnp.split(leaf, len(leaf)) for name, leaf in blocks.items()}
    each = zip(*split.values(), strict=True)
    return [dict(zip(split, (leaf[0] for leaf in layer), strict=True)) for layer in each]


def _through(stack: Stack, x: Stream, layer: Params, place: int) -> Stream:
    def block(x: Stream, layer: Params) -> Stream:
        return stack.block(x, all_gather(layer), place)

    if weights_are_sharded():
        block = jax.checkpoint(block, policy=save_all_but_gathered)
    return block(x, layer)
