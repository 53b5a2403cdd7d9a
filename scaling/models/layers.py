"""Layers of a Transformer as plain functions: norm, rotary, attention, dropout, read-out."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.backend import get_backend
from jaxtyping import Array, Float, Int

from scaling.devices.axes import Axes
from scaling.devices.mesh import Axis
from scaling.devices.sharding import weights_are_sharded
from scaling.models.architecture import fits_fused_kernel

Rows = Float[Array, "tokens features"]
Heads = Float[Array, "batch context heads head_size"]
SharedHeads = Float[Array, "batch context kv_heads head_size"]

_NORM_EPSILON = 1e-6
_ROTARY_BASE = 10_000.0


def embed(
    axes: Axes,
    vocabulary: tuple[Axis, ...],
    table: Float[Array, "vocab features"],
    tokens: Int[Array, " tokens"],
) -> Rows:
    """Rows of tokens, where devices along the axes `vocabulary` each have some rows of a table."""
    if not vocabulary:
        return table[tokens]
    own = tokens - axes.place(*vocabulary) * len(table)
    is_own = (own >= 0) & (own < len(table))
    return axes.sum(jnp.where(is_own[:, None], table[own], 0), *vocabulary)


def normalise(
    x: Float[Array, "*rows size"], gain: Float[Array, " size"], centred: bool
) -> Float[Array, "*rows size"]:
    """Scales rows to root mean square 1, about their mean where centred, times a gain.

    Statistics are float32.
    """
    wide = x.astype(jnp.float32)
    if centred:
        wide = wide - jnp.mean(wide, axis=-1, keepdims=True)
    power = jnp.mean(jnp.square(wide), axis=-1, keepdims=True)
    gain = jnp.expand_dims(gain, range(x.ndim - 1))
    return (wide * jax.lax.rsqrt(power + _NORM_EPSILON) * gain).astype(x.dtype)


def rotary_angles(context: int, head_size: int) -> np.ndarray:
    """Angle of each position and pair, (context, 1, head_size / 2): position * base^(-2 i / d)."""
    pairs = head_size // 2
    speeds = _ROTARY_BASE ** (-np.arange(pairs) / pairs)
    return (np.arange(context)[:, None] * speeds)[:, None, :]


def apply_rotary(x: Heads, angles: np.ndarray, first: Array | int = 0) -> Heads:
    """Rotates each pair (x_i, x_{i + d/2}) of a head by its angle, in float32.

    `first` is the position of the first row, where there are angles of more.
    """
    cos, sin = (jnp.asarray(f(angles)[None], jnp.float32) for f in (np.cos, np.sin))
    if len(angles) > x.shape[1]:
        cos, sin = (jax.lax.dynamic_slice_in_dim(t, first, x.shape[1], 1) for t in (cos, sin))
    a, b = jnp.split(x.astype(jnp.float32), 2, axis=-1)
    return jnp.concatenate([a * cos - b * sin, b * cos + a * sin], axis=-1).astype(x.dtype)


def dropout(x: Rows, fraction: float, key: Array) -> Rows:
    """Sets a fraction of the numbers to zero and scales up the rest, so that the mean stays."""
    kept = jax.random.bernoulli(key, 1 - fraction, x.shape)
    return jnp.where(kept, x / (1 - fraction), 0).astype(x.dtype)


def causal_attention(
    q: Heads,
    k: SharedHeads,
    v: SharedHeads,
    scale: float,
    segments: Int[Array, "batch context"] | None = None,
    visible: Int[Array, " batch"] | None = None,
    first: Array | int = 0,
) -> Heads:
    """Mixes values by the softmax of scaled inner products with keys no later than the query.

    With `visible`, the first so many keys of a sequence are mixed for every query; then, with
    `segments`, keys of other segments than the query's are left out. Where there are more keys than
    queries, `first` is the position of the first query.

    It uses the fused kernel of cuDNN where that exists, which takes neither. Elsewhere it is
    two products, a fifth of a step faster on a CPU than `jax.nn.dot_product_attention`, whose
    layout costs copies there.
    """
    is_undivided = q.shape[1] == k.shape[1]
    if segments is None and visible is None and is_undivided and _has_fused_kernel(q):
        return jax.nn.dot_product_attention(
            q, k, v, scale=scale, is_causal=True, implementation="cudnn"
        )
    groups = q.shape[2] // k.shape[2]
    if groups > 1:
        k, v = jnp.repeat(k, groups, axis=2), jnp.repeat(v, groups, axis=2)
    logits = jnp.einsum("bqhd,bkhd->bhqk", scale * q, k, preferred_element_type=jnp.float32)
    keys = jnp.arange(k.shape[1])[None, None, None]
    seen: Any = np.tri(q.shape[1], dtype=bool)[None, None]
    if not is_undivided:
        seen = keys <= (first + jnp.arange(q.shape[1]))[None, None, :, None]
    if visible is not None:
        seen = seen | (keys < visible[:, None, None, None])
    if segments is not None:
        own = segments
        if not is_undivided:
            own = jax.lax.dynamic_slice_in_dim(segments, first, q.shape[1], axis=1)
        seen = seen & (own[:, None, :, None] == segments[:, None, None, :])
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
    """Whether cuDNN's flash attention is there, and takes these heads."""
    on_cuda = "cuda" in get_backend().platform_version
    return on_cuda and fits_fused_kernel(q.dtype.name, q.shape[-1])


def product(
    x: Float[Array, "*stack rows features"], matrix: Float[Array, "*stack features out"]
) -> Float[Array, "*stack rows out"]:
    """Rows times a matrix; on a CPU the gradient of one that is taller than wide is transposed.

    There XLA multiplies (features, rows) by (rows, out) two to three times as fast where out is the
    larger of the two, and the barrier keeps it from turning the factors around. Sharded weights are
    multiplied as they are: a transposed copy of what was gathered would be kept for the way back.
    """
    is_tall = matrix.shape[-2] > matrix.shape[-1]
    if not is_tall or get_backend().platform != "cpu" or weights_are_sharded():
        return x @ matrix
    return x @ jax.lax.optimization_barrier(matrix.swapaxes(-1, -2)).swapaxes(-1, -2)


@jax.custom_vjp
def widened_product(x: Rows, matrix: Array) -> Float[Array, "tokens vocab"]:
    """The product in float32 of factors that may be narrower; gradients by products as narrow.

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
