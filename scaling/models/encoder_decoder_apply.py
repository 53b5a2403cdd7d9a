"""The encoder-decoder Transformer's computation: layers of flax.nnx, blocks stacked.

It is written once, for the part of one device of a mesh; on one device that is all.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Int

from scaling.devices.axes import ONE, Axes
from scaling.devices.mesh import Axis
from scaling.devices.sharding import all_gather, save_all_but_gathered, weights_are_sharded
from scaling.model import Model, Params, Spread, from_nnx
from scaling.models.layers import Rows, embed
from scaling.models.parametrization import Tree
from scaling.models.pipeline import through_pipeline
from scaling.models.placement import gathered_dimension, over_vocabulary

States = Float[Array, "batch positions features"]
Source = Float[Array, "batch source features"]

UNROLLED_DEPTH = 3
"""Blocks up to this many are laid out one after another rather than looped over."""

_FREQUENCIES = 10_000.0
_GLOROT = nnx.initializers.glorot_uniform()


class Sizes(NamedTuple):
    """Sizes of a model: its embedding, blocks of either stack, their parts, vocabulary, source."""

    width: int
    depth: int
    heads: int
    ff_width: int
    vocab: int
    source_length: int


class Pair(NamedTuple):
    """States of the target in the decoder, and those of the source that the encoder leaves."""

    target: Float[Array, "batch target features"]
    source: Source


class Computation(NamedTuple):
    """A model and where it is computed: its parameters by name, and the devices of a mesh."""

    sizes: Sizes
    parameters: Tree
    axes: Axes = ONE

    @property
    def vocabulary(self) -> tuple[Axis, ...]:
        """Axes that divide the vocabulary."""
        return over_vocabulary(self.axes.mesh, self.sizes.vocab)

    def gathered(self, params: Params, name: str) -> Params:
        """Parameters of an entry in full, but for what devices share; of a stack, of one layer."""
        if self.axes.mesh.size == 1:
            return all_gather(params)
        return jax.tree.map(
            lambda parameter, leaf: self.axes.weight(leaf, gathered_dimension(parameter)),
            self.parameters[name],
            params,
        )


def build(sizes: Sizes, parameters: Tree) -> Model:
    """The model: tokens of source and target so far -> logits of each token of the target."""
    # Of this size the logits of a normalised state begin with variance 1.
    normal = nnx.initializers.normal(sizes.width**-0.5)
    embedding = from_nnx(
        lambda rngs: nnx.Embed(sizes.vocab, sizes.width, embedding_init=normal, rngs=rngs)
    )
    parts = _parts(sizes, ONE)

    def init(key: Array) -> Params:
        own, of_encoder, of_decoder = jax.random.split(key, 3)
        return {
            "embedding": embedding.init(own),
            "encoder": jax.vmap(parts.encoder.init)(jax.random.split(of_encoder, sizes.depth)),
            "encoder_norm": parts.norm.init(own),
            "decoder": jax.vmap(parts.decoder.init)(jax.random.split(of_decoder, sizes.depth)),
            "decoder_norm": parts.norm.init(own),
        }

    def apply(
        params: Params, tokens: Int[Array, "batch inputs"]
    ) -> Float[Array, "batch target vocab"]:
        rows, _ = one.hidden(params, tokens, in_training=False)
        return one.read_out(params)(rows).reshape(len(tokens), -1, sizes.vocab)

    def spread(axes: Axes) -> Spread:
        return _spread(Computation(sizes, parameters, axes))

    one = spread(ONE)
    return Model(init, apply, spread=spread)


class _Parts(NamedTuple):
    """The layers that a model is made of, each as pure functions."""

    norm: Model
    encoder: Model
    decoder: Model


def _parts(sizes: Sizes, axes: Axes) -> _Parts:
    return _Parts(
        from_nnx(lambda rngs: nnx.LayerNorm(sizes.width, rngs=rngs)),
        from_nnx(lambda rngs: EncoderBlock(sizes, axes, rngs)),
        from_nnx(lambda rngs: DecoderBlock(sizes, axes, rngs)),
    )


def _spread(computation: Computation) -> Spread:
    """What each device of a mesh computes; on one, all."""
    (sizes, _, axes), vocabulary = computation, computation.vocabulary
    norm, encoder, decoder = _parts(sizes, axes)

    def table_of(params: Params) -> Float[Array, "vocab features"]:
        return computation.gathered(params["embedding"], "embedding")["embedding"]

    def normed(params: Params, name: str, x: States) -> States:
        return norm.apply(computation.gathered(params[name], name), x)

    def hidden(
        params: Params, tokens: Int[Array, "batch inputs"], *, in_training: bool
    ) -> tuple[Rows, Array]:
        del in_training
        table = table_of(params)

        def embedded(tokens: Int[Array, "batch positions"]) -> States:
            rows = embed(axes, vocabulary, table, tokens.reshape(-1))
            looked_up = math.sqrt(sizes.width) * rows.reshape(*tokens.shape, -1)
            return looked_up + positions(axes, tokens.shape[1], sizes.width)

        length = sizes.source_length // axes.mesh.context
        source = embedded(tokens[:, :length])
        source = _through(computation, encoder, params, "encoder", source)
        # Said here, so that its gradients are added up once, not in every layer.
        source = axes.varying(normed(params, "encoder_norm", source), "tensor")
        target = embedded(tokens[:, length:])
        target = _through(computation, decoder, params, "decoder", target, source)
        target = normed(params, "decoder_norm", target)
        return target.reshape(-1, sizes.width), jnp.float32(0)

    def read_out(params: Params) -> Callable[[Rows], Float[Array, "tokens vocab"]]:
        table = table_of(params)
        return lambda x: axes.varying(x, *vocabulary) @ table.T

    return Spread(hidden, read_out, vocabulary)


def _through(
    computation: Computation,
    block: Model,
    params: Params,
    name: str,
    x: States,
    source: Source | None = None,
) -> States:
    """Output of a stack of blocks; those of the decoder also read a source.

    Each device along `pipe` has an equal share of the blocks of either stack. Parts of a batch
    follow each other through the encoder, and when all are through it, through the decoder.
    """
    axes, layers = computation.axes, computation.axes.own(params[name])
    if axes.mesh.pipe == 1:

        def of_shard(layer: Params, x: Any) -> Any:
            return block.apply(computation.gathered(layer, name), x)

        return _over_layers(computation, of_shard, layers, x, source)
    gathered = jax.vmap(lambda layer: computation.gathered(layer, name))(layers)

    def stage(x: States, layers: Params, source: Source | None) -> tuple[States, None]:
        return _over_layers(computation, block.apply, layers, x, source), None

    return through_pipeline(axes, stage, x, gathered, source)[0]


def _over_layers(
    computation: Computation,
    block: Callable[[Params, Any], Any],
    layers: Params,
    x: States,
    source: Source | None,
) -> States:
    """Output of stacked blocks, each a function of its parameters and its input."""
    unrolled = computation.sizes.depth <= UNROLLED_DEPTH

    def step(entering: Any, layer: Params) -> tuple[Any, None]:
        return block(layer, entering), None

    if weights_are_sharded() or computation.axes.longer(("context",)):
        # Without a loop around it, only barriers keep XLA from merging the two computations.
        step = jax.checkpoint(step, prevent_cse=unrolled, policy=save_all_but_gathered)
    entering = x if source is None else Pair(x, source)
    leaving = jax.lax.scan(step, entering, layers, unroll=unrolled)[0]
    return leaving.target if isinstance(leaving, Pair) else leaving


class EncoderBlock(nnx.Module):
    """A residual block: attention to all positions, and feed-forward layers."""

    def __init__(self, sizes: Sizes, axes: Axes, rngs: nnx.Rngs) -> None:
        self.attention_norm = nnx.LayerNorm(sizes.width, rngs=rngs)
        self.attention = Attention(sizes, axes, rngs)
        self.feed_forward = FeedForward(sizes, axes, rngs)

    def __call__(self, x: States) -> States:
        """States of the source after the block."""
        normed = self.attention_norm(x)
        x = x + self.attention.over(normed, normed)
        return x + self.feed_forward(x)


class DecoderBlock(nnx.Module):
    """A residual block: attention to positions so far, to the source, and feed-forward layers."""

    def __init__(self, sizes: Sizes, axes: Axes, rngs: nnx.Rngs) -> None:
        self.attention_norm = nnx.LayerNorm(sizes.width, rngs=rngs)
        self.attention = Attention(sizes, axes, rngs)
        self.source_norm = nnx.LayerNorm(sizes.width, rngs=rngs)
        self.source_attention = Attention(sizes, axes, rngs)
        self.feed_forward = FeedForward(sizes, axes, rngs)

    def __call__(self, pair: Pair) -> Pair:
        """States of the target after the block, beside those of the source."""
        x, source = pair
        axes, n = self.attention.axes, x.shape[1]
        own = axes.place("context") * n + jnp.arange(n)
        so_far = jnp.arange(axes.mesh.context * n)[None] <= own[:, None]
        normed = self.attention_norm(x)
        x = x + self.attention.over(normed, normed, so_far[None, None])
        x = x + self.source_attention.over(self.source_norm(x), source)
        return Pair(x + self.feed_forward(x), source)


class Attention(nnx.MultiHeadAttention):
    """Attention by the heads of this device, summed over `tensor`."""

    def __init__(self, sizes: Sizes, axes: Axes, rngs: nnx.Rngs) -> None:
        n = axes.mesh.tensor
        super().__init__(
            sizes.heads // n,
            sizes.width,
            sizes.width // n,
            kernel_init=_GLOROT,
            decode=False,
            rngs=rngs,
        )
        self.axes = axes

    def over(
        self, x: States, seen: Float[Array, "batch seen features"], mask: Array | None = None
    ) -> States:
        """What positions of `x` gather from those of `seen`."""
        x, seen = self.axes.varying((x, seen), "tensor")
        q, k, v = self.query(x), self.key(seen), self.value(seen)
        k, v = (self.axes.gathered(each, 1, "context") for each in (k, v))
        mixed = nnx.dot_product_attention(q, k, v, mask=mask)
        return _summed(self.axes, jnp.tensordot(mixed, self.out.kernel[...], 2), self.out.bias)


class FeedForward(nnx.Module):
    """A norm and two layers with a ReLU between them."""

    def __init__(self, sizes: Sizes, axes: Axes, rngs: nnx.Rngs) -> None:
        width, inner = sizes.width, sizes.ff_width // axes.mesh.tensor
        self.norm = nnx.LayerNorm(width, rngs=rngs)
        linear = functools.partial(nnx.Linear, kernel_init=_GLOROT, rngs=rngs)
        self.into, self.out = linear(width, inner), linear(inner, width)
        self.axes = axes

    def __call__(self, x: States) -> States:
        """What the layers add to the states."""
        hidden = nnx.relu(self.into(self.axes.varying(self.norm(x), "tensor")))
        return _summed(self.axes, hidden @ self.out.kernel[...], self.out.bias)


def _summed(axes: Axes, made: States, bias: Any) -> States:
    """The sum over `tensor` of what devices made, and a bias that each of them has."""
    return axes.sum(made, "tensor") + bias[...][None, None]


def positions(axes: Axes, n: int, width: int) -> Float[Array, "1 {n} {width}"]:
    """What is added to the embeddings of the tokens of this device, of which each has n."""
    waves = jnp.asarray(sinusoids(axes.mesh.context * n, width))
    return jax.lax.dynamic_slice_in_dim(waves, axes.place("context") * n, n, axis=1)


def sinusoids(n: int, width: int) -> Float[np.ndarray, "1 {n} {width}"]:
    """Position p as pairs sin, cos of p / 10000^(2 i / width) (Vaswani et al. 2017, 3.5)."""
    column = np.arange(width)
    angles = np.arange(n)[:, None] / _FREQUENCIES ** (column // 2 * 2 / width)
    return np.where(column % 2, np.cos(angles), np.sin(angles)).astype(np.float32)[None]
