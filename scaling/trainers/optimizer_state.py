"""How an optimizer's state is kept: in float32 or bfloat16, on devices or on the host.

An average of gradients with a decay of 0.999 moves by less than a thousandth of itself a step,
where numbers of bfloat16 lie a 256th apart: rounded to the nearest, it would stay where it is. It
is rounded up or down at random, in proportion to what is nearer, so that its mean is right (Gupta
et al. 2015, arXiv 1502.02551, section 3).
"""

from __future__ import annotations

from typing import Any, Literal, TypeVar

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, UInt32

from scaling.model import Params

Tree = TypeVar("Tree")

Dtype = Literal["float32", "bfloat16"]
"""Types of the averages of gradients that an optimizer keeps."""

_HOST = "pinned_host"


def narrowed(
    direction: optax.GradientTransformation, dtype: Dtype, key: Array | None
) -> optax.GradientTransformation:
    """A transformation that keeps its averages of gradients in another type.

    Args:
        direction: The transformation, which computes in float32.
        dtype: Type in which its state is kept; what is no average keeps its own.
        key: What is rounded by at this step; not needed to begin.
    """
    if dtype == "float32":
        return direction

    def init(params: Params) -> optax.OptState:
        return optax.tree_map_params(
            direction.init, lambda leaf: leaf.astype(dtype), direction.init(params)
        )

    def update(
        updates: Params, state: optax.OptState, params: Params | None = None
    ) -> tuple[Params, optax.OptState]:
        assert key is not None
        wide = jax.tree.map(
            lambda leaf: leaf.astype(jnp.float32) if leaf.dtype == dtype else leaf, state
        )
        made, wide = direction.update(updates, wide, params)
        kept, structure = jax.tree.flatten(state)
        leaves = zip(jax.random.split(key, len(kept)), kept, jax.tree.leaves(wide), strict=True)
        narrow = [rounded(new, own) if old.dtype == dtype else new for own, old, new in leaves]
        return made, jax.tree.unflatten(structure, narrow)

    return optax.GradientTransformation(init, update)


def rounded(x: Float[Array, "*shape"], key: Array) -> Float[Array, "*shape"]:
    """Numbers of float32 as one of the two nearest of bfloat16, drawn so that the mean stays.

    What is infinite or no number stays so.
    """
    # A bfloat16 is the upper half of a float32, whose lower half is what the noise carries over.
    upper = (jax.lax.bitcast_convert_type(x, jnp.uint32) + _noise(x.shape, key)) >> 16
    drawn = jax.lax.bitcast_convert_type(upper.astype(jnp.uint16), jnp.bfloat16)
    # The NaN of NVIDIA's GPUs has all lower bits set, and would be carried over to -0.
    return jnp.where(jnp.isnan(x), jnp.bfloat16(jnp.nan), drawn)


def _noise(shape: tuple[int, ...], key: Array) -> UInt32[Array, "*shape"]:
    """Numbers below 2^16, by a hash of each place and a key.

    Unlike the bits of `jax.random` they are made where they are added, and never kept.
    """
    first, second = jax.random.bits(key, (2,), jnp.uint32)
    # It begins with the key, since XLA would make a table of what is the same at every step.
    place = jnp.full(shape, first)
    for axis, size in enumerate(shape):
        place = place * size + jax.lax.broadcasted_iota(jnp.uint32, shape, axis)
    return _mixed(_mixed(place) + second) >> 16


def _mixed(x: UInt32[Array, "*shape"]) -> UInt32[Array, "*shape"]:
    """A permutation of numbers below 2^32: the finalizer of MurmurHash3 (Appleby 2011)."""
    x = (x ^ (x >> 16)) * jnp.uint32(0x85EBCA6B)
    x = (x ^ (x >> 13)) * jnp.uint32(0xC2B2AE35)
    return x ^ (x >> 16)


def on_device(state: Tree) -> Tree:
    """A state in the memory of devices, where some of it lies in that of the host."""

    def moved(leaf: Array) -> Array:
        is_here = jax.typeof(leaf).memory_space == jax.memory.Space.Device
        return leaf if is_here else jax.device_put(leaf, jax.memory.Space.Device)

    return jax.tree.map(moved, state)


def on_host(state: Tree) -> Tree:
    """A state in the memory of the host; single numbers stay on devices."""
    return jax.tree.map(
        lambda leaf: jax.device_put(leaf, jax.memory.Space.Host) if leaf.ndim else leaf, state
    )


def of_host(devices: jax.sharding.Mesh, shardings: Tree, state: Any) -> Tree:
    """The shardings of a state that lies in the memory of the host between steps.

    Raises:
        ValueError: The devices have no memory of the host that they can reach.
    """
    device = devices.devices.flat[0]
    kinds = [memory.kind for memory in device.addressable_memories()]
    if _HOST not in kinds:
        raise ValueError(
            f"train.optimizer_memory = 'host' needs devices that reach the host's memory, and "
            f"{device.device_kind} has {', '.join(kinds)} alone: give 'device', and "
            "train.optimizer_dtype = 'bfloat16' or a larger train.mesh.fsdp for less memory"
        )
    return jax.tree.map(
        lambda sharding, leaf: sharding.with_memory_kind(_HOST) if leaf.ndim else sharding,
        shardings,
        state,
    )
