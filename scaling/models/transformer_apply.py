"""The decoder-only Transformer's computation: plain functions over a pytree, layers stacked.

All but attention works on rows, one a token, (batch * context, features). On a CPU that halves the
time of a step: gradients of weights are then plain products of two matrices, where with batch and
context apart XLA copies one of them transposed first.
"""

from __future__ import annotations

import functools
import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.backend import get_backend
from jaxtyping import Array, Float, Int

from scaling.devices.sharding import all_but_whole, shares_weights, whole
from scaling.model import Model, Params
from scaling.models.parametrization import Parameter, Tree

if TYPE_CHECKING:
    from scaling.models.transformer import Transformer

Rows = Float[Array, "tokens features"]
Heads = Float[Array, "batch context heads head_size"]
Branches = dict[str, Rows]

UNROLLED_DEPTH = 16
"""Blocks up to this many are laid out one after another rather than looped over: on a CPU a step is
a fifth to a quarter faster so, and compiling takes no longer up to about here."""

_NORM_EPSILON = 1e-6
_ROTARY_BASE = 10_000.0


class Layer(NamedTuple):
    """What a block is given: its parameters, and in training with dropout a key of its own."""

    params: Params
    key: Array | None = None


def build(config: Transformer, context: int, vocab: int) -> Model:
    """The model of a configuration, for sequences of `context` tokens from `vocab`."""

    def init(key: Array) -> Params:
        def draw(tree: Tree, prefix: str) -> Params:
            return {
                name: _draw(config, entry, key, f"{prefix}{name}")
                if isinstance(entry, Parameter)
                else draw(entry, f"{prefix}{name}.")
                for name, entry in tree.items()
            }

        return draw(config.parameters(context, vocab), "")

    def apply(
        params: Params,
        tokens: Int[Array, "batch context"],
        *,
        segments: Int[Array, "batch context"] | None = None,
        dropout_key: Array | None = None,
    ) -> Array:
        block = _block(config, *tokens.shape, segments=segments)
        x, keys = _embed(config, params, tokens), None
        if dropout_key is not None:
            own, *keys = jax.random.split(dropout_key, 1 + config.depth)
            x, keys = dropped(x, config.dropout, own), jnp.stack(keys)

        def step(x: Rows, layer: Layer) -> tuple[Rows, None]:
            return block(x, layer)[0], None

        x, _ = _over_layers(config, step, x, Layer(params["blocks"], keys))
        return _logits(config, params, x).reshape(*tokens.shape, -1)

    return Model(init, apply)


def activations(
    config: Transformer,
    params: Params,
    tokens: Int[Array, "batch context"],
    segments: Int[Array, "batch context"] | None,
) -> dict[str, Float[Array, "batch context features"]]:
    """What every part of the model puts out, by name."""
    embedded = _embed(config, params, tokens)
    block = _block(config, *tokens.shape, segments=segments)
    x, branches = _over_layers(config, block, embedded, Layer(params["blocks"]))
    named = {"embedding": embedded}
    for i in range(config.depth):
        named |= {f"block_{i}.{name}": stacked[i] for name, stacked in branches.items()}
    named["logits"] = _logits(config, params, x)
    return {name: rows.reshape(*tokens.shape, -1) for name, rows in named.items()}


def _draw(config: Transformer, parameter: Parameter, key: Array, name: str) -> Array:
    if parameter.role == "gain":
        return jnp.ones(parameter.shape, jnp.float32)
    own = jax.random.fold_in(key, zlib.crc32(name.encode()))
    normal = jax.random.normal(own, parameter.shape, jnp.float32)
    return config.rule(parameter).init_sd * normal


def _over_layers(
    config: Transformer, step: Callable[[Rows, Layer], tuple[Rows, Any]], x: Rows, layers: Layer
) -> tuple[Rows, Any]:
    unrolled = config.depth <= UNROLLED_DEPTH
    if config.remat != "none" or shares_weights():
        policies: dict[str, Callable[..., bool] | None] = {
            "none": all_but_whole,
            "dots": jax.checkpoint_policies.dots_with_no_batch_dims_saveable,
            "full": None,
        }
        # Without a loop around it, only barriers keep XLA from merging the two computations.
        step = jax.checkpoint(step, prevent_cse=unrolled, policy=policies[config.remat])
    return jax.lax.scan(step, x, layers, unroll=unrolled)


def _embed(config: Transformer, params: Params, tokens: Int[Array, "batch context"]) -> Rows:
    x = whole(params["embedding"])[tokens.reshape(-1)]
    if config.positions == "learned":
        (batch, context), positions = tokens.shape, whole(params["positions"])
        if context > len(positions):
            raise ValueError(
                f"{context} tokens are more than the {len(positions)} learned positions: give "
                "shorter sequences, build for a longer context, or use positions = 'rotary'"
            )
        x = (x.reshape(batch, context, -1) + positions[:context]).reshape(x.shape)
    return x.astype(config.compute_dtype)


def _logits(config: Transformer, params: Params, x: Rows) -> Float[Array, "tokens vocab"]:
    x = _normalised(x, whole(params["final_norm"]), centred=config.norm == "layer")
    role = "tied_embedding" if config.tied else "readout"
    output = config.parametrization.rule(role, config.width, False, config.width, config.depth)
    matrix = whole(params["embedding" if config.tied else "readout"].astype(x.dtype))
    matrix = matrix.T if config.tied else matrix
    # The plain product where nothing is widened: it has derivatives in forward mode too.
    product = jnp.matmul if x.dtype == jnp.float32 else widened_product
    return output.output * product(x, matrix)


@jax.custom_vjp
def widened_product(x: Rows, matrix: Array) -> Float[Array, "tokens vocab"]:
    """Their product in float32, of factors that may be narrower; gradients by products as narrow.

    Left to itself, the backward pass multiplies each factor by a cotangent in float32, at half the
    speed or less on an accelerator; reading out is a third of the work of a 124M model.
    """
    return jnp.matmul(x, matrix, preferred_element_type=jnp.float32)


def _widened_forward(x: Rows, matrix: Array) -> tuple[Array, tuple[Array, Array]]:
    return widened_product(x, matrix), (x, matrix)


def _widened_backward(factors: tuple[Array, Array], cotangent: Array) -> tuple[Array, Array]:
    x, matrix = factors
    narrow = cotangent.astype(x.dtype)
    return narrow @ matrix.T, x.T @ narrow


widened_product.defvjp(_widened_forward, _widened_backward)


def _block(
    config: Transformer, batch: int, context: int, segments: Array | None = None
) -> Callable[[Rows, Layer], tuple[Rows, Branches]]:
    """A residual block over sequences of a shape: (x, its layer) -> (x, what was added to it)."""
    heads, kv_heads, head_size, _ = config.sizes
    scale = config.parametrization.attention_scale(head_size)
    branch_out = config.parametrization.rule("branch_out", 1, True, config.width, config.depth)
    norm = functools.partial(_normalised, centred=config.norm == "layer")
    head_norm = functools.partial(_normalised, centred=False)
    turn = functools.partial(turned, angles=rotary_angles(context, head_size))

    def attention(x: Rows, layer: Params) -> Rows:
        # One matrix for all three: fewer, larger products.
        qkv = (x @ layer["qkv"]).reshape(batch, context, heads + 2 * kv_heads, head_size)
        q, k, v = jnp.split(qkv, (heads, heads + kv_heads), axis=2)
        if config.qk_norm:
            q, k = head_norm(q, layer["query_norm"]), head_norm(k, layer["key_norm"])
        if config.positions == "rotary":
            q, k = turn(q), turn(k)
        mixed = causal_attention(q, k, v, scale, segments)
        return mixed.reshape(batch * context, heads * head_size) @ layer["attention_out"]

    def feed_forward(x: Rows, layer: Params) -> Rows:
        hidden = x @ layer["ff_in"]
        if config.activation == "swiglu":
            gate, value = jnp.split(hidden, 2, axis=-1)
            hidden = jax.nn.silu(gate) * value
        else:
            hidden = jax.nn.gelu(hidden)
        return hidden @ layer["ff_out"]

    def block(x: Rows, given: Layer) -> tuple[Rows, Branches]:
        layer = {
            name: whole(leaf if name.endswith("norm") else leaf.astype(x.dtype))
            for name, leaf in given.params.items()
        }
        attended = branch_out.output * attention(norm(x, layer["attention_norm"]), layer)
        if given.key is not None:
            attended = dropped(attended, config.dropout, jax.random.fold_in(given.key, 0))
        x = x + attended
        fed_forward = branch_out.output * feed_forward(norm(x, layer["ff_norm"]), layer)
        if given.key is not None:
            fed_forward = dropped(fed_forward, config.dropout, jax.random.fold_in(given.key, 1))
        x = x + fed_forward
        return x, {"attention": attended, "feed_forward": fed_forward, "residual": x}

    return block


def _normalised(
    x: Float[Array, "*rows size"], gain: Float[Array, " size"], centred: bool
) -> Float[Array, "*rows size"]:
    """Root mean square 1 (about the mean, where centred) times a gain; statistics in float32."""
    wide = x.astype(jnp.float32)
    if centred:
        wide = wide - jnp.mean(wide, axis=-1, keepdims=True)
    power = jnp.mean(jnp.square(wide), axis=-1, keepdims=True)
    return (wide * jax.lax.rsqrt(power + _NORM_EPSILON) * gain).astype(x.dtype)


def rotary_angles(context: int, head_size: int) -> np.ndarray:
    """Angle of each position and pair, (context, 1, head_size / 2): position * base^(-2 i / d)."""
    pairs = head_size // 2
    speeds = _ROTARY_BASE ** (-np.arange(pairs) / pairs)
    return (np.arange(context)[:, None] * speeds)[:, None, :]


def turned(x: Heads, angles: np.ndarray) -> Heads:
    """Each pair (x_i, x_{i + d/2}) of a head turned by its angle, in float32."""
    cos, sin = (jnp.asarray(f(angles), jnp.float32) for f in (np.cos, np.sin))
    a, b = jnp.split(x.astype(jnp.float32), 2, axis=-1)
    return jnp.concatenate([a * cos - b * sin, b * cos + a * sin], axis=-1).astype(x.dtype)


def dropped(x: Rows, share: float, key: Array) -> Rows:
    """A share of the numbers set to zero, the rest scaled so that the mean stays."""
    kept = jax.random.bernoulli(key, 1 - share, x.shape)
    return jnp.where(kept, x / (1 - share), 0).astype(x.dtype)


def causal_attention(
    q: Heads, k: Heads, v: Heads, scale: float, segments: Int[Array, "batch context"] | None = None
) -> Heads:
    """Values mixed by the softmax of scaled inner products with keys no later than the query.

    With `segments`, keys of other segments than the query's are left out too.

    The fused kernel of cuDNN where it has one, which takes no segments; elsewhere two products, a
    fifth of a step faster on a CPU than `jax.nn.dot_product_attention`, whose layout costs copies
    there.
    """
    if segments is None and _has_fused_kernel(q):
        return jax.nn.dot_product_attention(
            q, k, v, scale=scale, is_causal=True, implementation="cudnn"
        )
    groups = q.shape[2] // k.shape[2]
    if groups > 1:
        k, v = jnp.repeat(k, groups, axis=2), jnp.repeat(v, groups, axis=2)
    logits = jnp.einsum("bqhd,bkhd->bhqk", scale * q, k, preferred_element_type=jnp.float32)
    seen: Any = np.tri(q.shape[1], dtype=bool)
    if segments is not None:
        seen = seen & (segments[:, None, :, None] == segments[:, None, None, :])
    logits = jnp.where(seen, logits, -jnp.inf)
    largest = jax.lax.stop_gradient(jnp.max(logits, axis=-1, keepdims=True))
    weights = jnp.exp(logits - largest)
    # Divided by its sum after mixing: a pass over (context, head_size), not (context, context).
    total = jnp.sum(weights, axis=-1).swapaxes(1, 2)[..., None]
    mixed = jnp.einsum(
        "bhqk,bkhd->bqhd", weights.astype(v.dtype), v, preferred_element_type=jnp.float32
    )
    return (mixed / total).astype(v.dtype)


def _has_fused_kernel(q: Heads) -> bool:
    """Whether cuDNN's flash attention takes heads of this type and size."""
    on_cuda = "cuda" in get_backend().platform_version
    return on_cuda and q.dtype == jnp.bfloat16 and q.shape[-1] % 8 == 0 and q.shape[-1] <= 128
