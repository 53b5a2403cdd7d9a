"""The encoder-decoder Transformer's computation: layers of flax.nnx, blocks stacked."""

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Int

from scaling.model import Model, Params, from_nnx

States = Float[Array, "batch positions features"]

UNROLLED_DEPTH = 3
"""Blocks up to this many are laid out one after another rather than looped over."""

_FREQUENCIES = 10_000.0
_GLOROT = nnx.initializers.glorot_uniform()


class Sizes(NamedTuple):
    """Sizes of a model: its embedding, blocks of either stack, heads, vocabulary and source."""

    width: int
    depth: int
    heads: int
    vocab: int
    source_length: int


class Pair(NamedTuple):
    """States of the target in the decoder, and those of the source that the encoder leaves."""

    target: Float[Array, "batch target features"]
    source: Float[Array, "batch source features"]


def build(sizes: Sizes) -> Model:
    """The model: tokens of source and target so far -> logits of each token of the target."""
    width, length = sizes.width, sizes.source_length
    # Of this size the logits of a normalised state begin with variance 1.
    normal = nnx.initializers.normal(width**-0.5)
    embedding = from_nnx(
        lambda rngs: nnx.Embed(sizes.vocab, width, embedding_init=normal, rngs=rngs)
    )
    norm = from_nnx(lambda rngs: nnx.LayerNorm(width, rngs=rngs))
    encoder = from_nnx(lambda rngs: EncoderBlock(sizes, rngs))
    decoder = from_nnx(lambda rngs: DecoderBlock(sizes, rngs))

    def init(key: Array) -> Params:
        own, of_encoder, of_decoder = jax.random.split(key, 3)
        return {
            "embedding": embedding.init(own),
            "encoder": jax.vmap(encoder.init)(jax.random.split(of_encoder, sizes.depth)),
            "encoder_norm": norm.init(own),
            "decoder": jax.vmap(decoder.init)(jax.random.split(of_decoder, sizes.depth)),
            "decoder_norm": norm.init(own),
        }

    def embedded(params: Params, tokens: Int[Array, "batch positions"]) -> States:
        looked_up = embedding.apply(params["embedding"], tokens)
        return math.sqrt(width) * looked_up + sinusoids(tokens.shape[1], width)

    def apply(
        params: Params, tokens: Int[Array, "batch inputs"]
    ) -> Float[Array, "batch target vocab"]:
        source = embedded(params, tokens[:, :length])
        source = _through(encoder, params["encoder"], source)
        source = norm.apply(params["encoder_norm"], source)
        pair = Pair(embedded(params, tokens[:, length:]), source)
        target = _through(decoder, params["decoder"], pair).target
        target = norm.apply(params["decoder_norm"], target)
        return target @ params["embedding"]["embedding"].T

    return Model(init, apply)


def _through(block: Model, layers: Params, x: Any) -> Any:
    """What comes out of a stack of blocks."""
    depth = len(jax.tree.leaves(layers)[0])

    def step(x: Any, layer: Params) -> tuple[Any, None]:
        return block.apply(layer, x), None

    return jax.lax.scan(step, x, layers, unroll=depth <= UNROLLED_DEPTH)[0]


class EncoderBlock(nnx.Module):
    """A residual block: attention to all positions, and feed-forward layers."""

    def __init__(self, sizes: Sizes, rngs: nnx.Rngs) -> None:
        self.attention_norm = nnx.LayerNorm(sizes.width, rngs=rngs)
        self.attention = _attention(sizes, rngs)
        self.feed_forward = FeedForward(sizes.width, rngs)

    def __call__(self, x: States) -> States:
        """States of the source after the block."""
        x = x + self.attention(self.attention_norm(x))
        return x + self.feed_forward(x)


class DecoderBlock(nnx.Module):
    """A residual block: attention to positions so far, to the source, and feed-forward layers."""

    def __init__(self, sizes: Sizes, rngs: nnx.Rngs) -> None:
        self.attention_norm = nnx.LayerNorm(sizes.width, rngs=rngs)
        self.attention = _attention(sizes, rngs)
        self.source_norm = nnx.LayerNorm(sizes.width, rngs=rngs)
        self.source_attention = _attention(sizes, rngs)
        self.feed_forward = FeedForward(sizes.width, rngs)

    def __call__(self, pair: Pair) -> Pair:
        """States of the target after the block, beside those of the source."""
        x, source = pair
        so_far = jnp.tri(x.shape[1], dtype=bool)[None, None]
        x = x + self.attention(self.attention_norm(x), mask=so_far)
        x = x + self.source_attention(self.source_norm(x), source)
        return Pair(x + self.feed_forward(x), source)


class FeedForward(nnx.Module):
    """A norm and two layers with a ReLU between them, the inner one four times as wide."""

    def __init__(self, width: int, rngs: nnx.Rngs) -> None:
        self.norm = nnx.LayerNorm(width, rngs=rngs)
        linear = functools.partial(nnx.Linear, kernel_init=_GLOROT, rngs=rngs)
        self.into, self.out = linear(width, 4 * width), linear(4 * width, width)

    def __call__(self, x: States) -> States:
        """What the layers add to the states."""
        return self.out(nnx.relu(self.into(self.norm(x))))


def _attention(sizes: Sizes, rngs: nnx.Rngs) -> nnx.MultiHeadAttention:
    return nnx.MultiHeadAttention(
        sizes.heads, sizes.width, kernel_init=_GLOROT, decode=False, rngs=rngs
    )


def sinusoids(n: int, width: int) -> Float[np.ndarray, "1 {n} {width}"]:
    """Position p as pairs sin, cos of p / 10000^(2 i / width) (Vaswani et al. 2017, 3.5)."""
    column = np.arange(width)
    angles = np.arange(n)[:, None] / _FREQUENCIES ** (column // 2 * 2 / width)
    return np.where(column % 2, np.cos(angles), np.sin(angles)).astype(np.float32)[None]
