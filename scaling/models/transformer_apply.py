"""The decoder-only Transformer's computation: plain functions over a pytree, layers stacked.

All but attention works on rows, one a token, (batch * context, features). On a CPU that halves the
time of a step: gradients of weights are then plain products of two matrices, where with batch and
context apart XLA copies one of them transposed first.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from scaling.devices.axes import ONE, Axes
from scaling.devices.mesh import Axis
from scaling.devices.sharding import all_gather, save_all_but_gathered, weights_are_sharded
from scaling.model import Model, Params, Spread
from scaling.models.architecture import Architecture
from scaling.models.initial import drawn
from scaling.models.layers import (
    Rows,
    apply_rotary,
    causal_attention,
    dropout,
    embed,
    normalise,
    product,
    rotary_angles,
    widened_product,
)
from scaling.models.parametrization import Parameter, Rule, Tree
from scaling.models.pipeline import through_pipeline
from scaling.models.placement import gathered_dimension, over_vocabulary

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

Routed = Callable[[Tokens, bool, Axes], FeedForward]
"""(tokens, whether in training, mesh) -> a feed-forward layer in which rows go different ways."""


class Shown(NamedTuple):
    """What a model reads beside its parameters: tokens, and what `Model.apply` takes by name."""

    tokens: Tokens
    segments: Int[Array, "batch context"] | None = None
    visible: Int[Array, " batch"] | None = None


class Block(NamedTuple):
    """What a block added to the residual stream, by name, and what it adds to the loss."""

    branches: Branches
    penalty: Float[Array, ""] | None


class Computation(NamedTuple):
    """A Transformer and where it is computed.

    Attributes:
        architecture: Sizes, choices and multipliers.
        parameters: Every parameter by name; not needed on one device.
        routed: Makes the feed-forward layers, where they are not those of `feed_forward`.
        axes: The mesh whose devices each compute their part.
    """

    architecture: Architecture
    parameters: Tree = MappingProxyType({})
    routed: Routed | None = None
    axes: Axes = ONE

    @property
    def vocabulary(self) -> tuple[Axis, ...]:
        """Axes that divide the vocabulary."""
        if self.axes.mesh.size == 1:
            return ()
        embedding: Any = self.parameters["embedding"]
        return over_vocabulary(self.axes.mesh, embedding.shape[0])

    def weight(self, params: Params, name: str, dtype: Any = jnp.float32) -> Array:
        """A parameter outside of blocks, in full but for the vocabulary."""
        return self._gathered(params[name].astype(dtype), self.parameters.get(name))

    def ready(self, blocks: Params) -> Params:
        """Parameters of all blocks, stacked, as they are gathered and multiplied with.

        Here the gradients of devices are added up, once for all layers.
        """
        if self.axes.mesh.size == 1:
            return blocks
        return self.axes.own(self._narrow(blocks, self.architecture.compute_dtype))

    def of_block(self, params: Params, dtype: Any) -> Params:
        """Parameters of a block in full, but for what devices share."""
        described: Any = self.parameters.get("blocks", {})
        narrow = self._narrow(params, dtype)
        return {name: self._gathered(leaf, described.get(name)) for name, leaf in narrow.items()}

    def _narrow(self, params: Params, dtype: Any) -> Params:
        return {
            name: leaf if name.endswith(WIDE) else leaf.astype(dtype)
            for name, leaf in params.items()
        }

    def _gathered(self, leaf: Array, parameter: Any) -> Array:
        if self.axes.mesh.size == 1:
            return all_gather(leaf)
        return self.axes.weight(leaf, gathered_dimension(parameter))


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
        shown, x, keys = Shown(tokens, segments, visible), _embed(one, params, tokens), None
        if dropout_key is not None:
            own, *keys = jax.random.split(dropout_key, 1 + architecture.depth)
            x, keys = dropout(x, architecture.dropout, own), jnp.stack(keys)
        layers = Layer(params["blocks"], keys)
        x, penalties = _through_blocks(one, in_training, x, layers, shown)
        return _read_out(one, params)(x).reshape(*tokens.shape, -1), penalties

    def apply(params: Params, tokens: Tokens, **shown: Array) -> Array:
        return through(params, tokens, in_training=False, **shown)[0]

    def penalised(params: Params, tokens: Tokens, **shown: Array) -> tuple[Array, Array]:
        logits, penalties = through(params, tokens, in_training=True, **shown)
        return logits, jnp.sum(penalties)

    def spread(axes: Axes) -> Spread:
        return _spread(Computation(architecture, parameters, routed, axes))

    one = Computation(architecture, parameters, routed)
    return Model(init, apply, penalised=penalised if routed else None, spread=spread)


def _spread(computation: Computation) -> Spread:
    """What each device of a mesh computes."""
    axes = computation.axes

    def hidden(
        params: Params,
        tokens: Tokens,
        *,
        in_training: bool,
        segments: Int[Array, "batch context"] | None = None,
        visible: Int[Array, " batch"] | None = None,
    ) -> tuple[Rows, Array]:
        if segments is not None:
            segments = axes.gathered(segments, 1, "context")
        x, blocks = _embed(computation, params, tokens), computation.ready(params["blocks"])
        shown = Shown(tokens, segments, visible)
        step = functools.partial(_through_blocks, computation, in_training)
        if axes.mesh.pipe > 1:
            gathered = jax.vmap(lambda layer: computation.of_block(layer, x.dtype))(blocks)
            step = functools.partial(step, is_ready=True)
            x, penalties = through_pipeline(axes, step, x, Layer(gathered), shown)
        else:
            x, penalties = step(x, Layer(blocks), shown)
        return x, jnp.float32(0) if penalties is None else jnp.sum(penalties)

    return Spread(hidden, functools.partial(_read_out, computation), computation.vocabulary)


def read_out(
    architecture: Architecture, params: Params, x: Float[Array, "batch context width"]
) -> Float[Array, "batch context outputs"]:
    """Outputs of a Transformer whose tokens are embedded already: all blocks, norm and read-out."""
    one = Computation(architecture)
    block = _block(one, x.shape[:2], _plain_feed_forward(architecture))

    def step(rows: Rows, layer: Layer) -> tuple[Rows, None]:
        return block(rows, layer)[0], None

    rows = x.reshape(-1, x.shape[-1])
    rows, _ = _over_layers(one, step, rows, Layer(params["blocks"]))
    return _read_out(one, params)(rows).reshape(*x.shape[:2], -1)


def activations(
    architecture: Architecture,
    params: Params,
    tokens: Tokens,
    segments: Int[Array, "batch context"] | None,
    routed: Routed | None = None,
) -> dict[str, Float[Array, "batch context features"]]:
    """Output of every part of the model, by name."""
    one = Computation(architecture, routed=routed)
    embedded = _embed(one, params, tokens)
    layer_of = _feed_forward(one, tokens, in_training=False)
    block = _block(one, tokens.shape, layer_of, segments=segments)
    x, made = _over_layers(one, block, embedded, Layer(params["blocks"]))
    named = {"embedding": embedded}
    for i in range(architecture.depth):
        named |= {f"block_{i}.{name}": stacked[i] for name, stacked in made.branches.items()}
    named["logits"] = _read_out(one, params)(x)
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


def _feed_forward(computation: Computation, tokens: Tokens, in_training: bool) -> FeedForward:
    if computation.routed is not None:
        return computation.routed(tokens, in_training, computation.axes)
    return _plain_feed_forward(computation.architecture, computation.axes)


def _plain_feed_forward(architecture: Architecture, axes: Axes = ONE) -> FeedForward:
    def layer_of(x: Rows, layer: Params) -> Fed:
        made = feed_forward(architecture, axes.varying(x, "tensor"), layer)
        return Fed(axes.sum(made, "tensor"))

    return layer_of


def _through_blocks(
    computation: Computation,
    in_training: bool,
    x: Rows,
    layers: Layer,
    shown: Shown,
    is_ready: bool = False,
) -> tuple[Rows, Any]:
    """The residual stream after a stack of blocks, and the penalty of each.

    `is_ready` says that the parameters are those that `Computation.of_block` gives.
    """
    layer_of = _feed_forward(computation, shown.tokens, in_training)
    block = _block(
        computation, shown.tokens.shape, layer_of, shown.segments, shown.visible, is_ready
    )

    def step(x: Rows, layer: Layer) -> tuple[Rows, Any]:
        x, made = block(x, layer)
        return x, made.penalty

    return _over_layers(computation, step, x, layers)


def _over_layers(
    computation: Computation,
    step: Callable[[Rows, Layer], tuple[Rows, Any]],
    x: Rows,
    layers: Layer,
) -> tuple[Rows, Any]:
    architecture, axes = computation.architecture, computation.axes
    unrolled = architecture.depth <= UNROLLED_DEPTH
    if architecture.remat != "none" or weights_are_sharded() or axes.longer(("context",)):
        policies: dict[str, Callable[..., bool] | None] = {
            "none": save_all_but_gathered,
            "dots": jax.checkpoint_policies.dots_with_no_batch_dims_saveable,
            "full": None,
        }
        # Without a loop around it, only barriers keep XLA from merging the two computations.
        step = jax.checkpoint(step, prevent_cse=unrolled, policy=policies[architecture.remat])
    return jax.lax.scan(step, x, layers, unroll=unrolled)


def _embed(computation: Computation, params: Params, tokens: Tokens) -> Rows:
    axes, architecture = computation.axes, computation.architecture
    table = computation.weight(params, "embedding")
    x = embed(axes, computation.vocabulary, table, tokens.reshape(-1))
    if architecture.positions == "learned":
        (batch, context), positions = tokens.shape, computation.weight(params, "positions")
        n_devices = axes.mesh.context
        if n_devices * context > len(positions):
            raise ValueError(
                f"{n_devices * context} tokens are more than the {len(positions)} learned "
                "positions: give shorter sequences, build for a longer context, or use positions "
                "= 'rotary'"
            )
        if n_devices > 1:
            first = axes.place("context") * context
            positions = jax.lax.dynamic_slice_in_dim(positions, first, context)
        x = (x.reshape(batch, context, -1) + positions[None, :context]).reshape(x.shape)
    return x.astype(architecture.compute_dtype)


def _read_out(
    computation: Computation, params: Params
) -> Callable[[Rows], Float[Array, "tokens vocab"]]:
    """The function from the residual stream to logits of this device's part of the vocabulary."""
    architecture = computation.architecture
    gain = computation.weight(params, "final_norm")
    name = "embedding" if architecture.tied else "readout"
    matrix = computation.weight(params, name, jnp.dtype(architecture.compute_dtype))
    matrix = matrix.T if architecture.tied else matrix

    def logits(x: Rows) -> Float[Array, "tokens vocab"]:
        x = normalise(x, gain, architecture.norm == "layer")
        x = computation.axes.varying(x, *computation.vocabulary)
        # The plain product where nothing is widened: it has derivatives in forward mode too.
        product = jnp.matmul if x.dtype == jnp.float32 else widened_product
        return architecture.logit_multiplier * product(x, matrix)

    return logits


def _block(
    computation: Computation,
    shape: tuple[int, ...],
    layer_of: FeedForward,
    segments: Array | None = None,
    visible: Array | None = None,
    is_ready: bool = False,
) -> Callable[[Rows, Layer], tuple[Rows, Block]]:
    """A residual block over sequences of a shape: (x, its layer) -> (x, what was added to it)."""
    architecture = computation.architecture
    multiplier = architecture.branch_multiplier
    norm = functools.partial(normalise, centred=architecture.norm == "layer")
    attention = _attention(computation, shape, segments, visible)

    def block(x: Rows, given: Layer) -> tuple[Rows, Block]:
        layer = given.params if is_ready else computation.of_block(given.params, x.dtype)
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


def _attention(
    computation: Computation, shape: tuple[int, ...], segments: Array | None, visible: Array | None
) -> Callable[[Rows, Params], Rows]:
    """Attention of normalised rows by the heads of this device, summed over `tensor`."""
    architecture, axes = computation.architecture, computation.axes
    (batch, context), (heads, kv_heads, head_size, _) = shape, architecture.sizes
    heads, kv_heads = heads // axes.mesh.tensor, kv_heads // axes.mesh.tensor
    first = axes.place("context") * context
    angles = rotary_angles(axes.mesh.context * context, head_size)
    head_norm = functools.partial(normalise, centred=False)

    def attention(x: Rows, layer: Params) -> Rows:
        # One matrix for all three: fewer, larger products.
        qkv = axes.varying(x, "tensor") @ layer["qkv"]
        qkv = qkv.reshape(batch, context, heads + 2 * kv_heads, head_size)
        q, k, v = jnp.split(qkv, (heads, heads + kv_heads), axis=2)
        if architecture.qk_norm:
            q, k = head_norm(q, layer["query_norm"]), head_norm(k, layer["key_norm"])
        if architecture.positions == "rotary":
            q, k = apply_rotary(q, angles, first), apply_rotary(k, angles, first)
        k, v = axes.gathered(k, 1, "context"), axes.gathered(v, 1, "context")
        mixed = causal_attention(
            q, k, v, architecture.attention_scale, segments, visible, first=first
        )
        rows = mixed.reshape(batch * context, heads * head_size)
        return axes.sum(rows @ layer["attention_out"], "tensor")

    return attention
