"""How the arrays of a run are sharded over several devices, and which are sent between devices.

Arrays are global: programs are written as for one device, and XLA divides them. XLA is given the
shardings of a run's state and batches, and an all-gather of a layer's weights where they are used.
With those it divides everything else by sequences, and reduces gradients into their shards. Without
them it would send activations.
"""

from __future__ import annotations

from typing import Any, TypeVar, get_args

import jax
import numpy as np
from jax.sharding import AxisType, NamedSharding, get_abstract_mesh
from jax.sharding import PartitionSpec as P
from jax.tree_util import DictKey
from jaxtyping import Array

from scaling.devices.mesh import SEQUENCES, Axis, Mesh

AXES: tuple[Axis, ...] = get_args(Axis)
"""Axes of a mesh of devices, the outermost first."""

Tree = TypeVar("Tree")


def mesh_of_devices(mesh: Mesh) -> jax.sharding.Mesh:
    """The devices of a run: the first ones of the machine, or all of several hosts.

    Raises:
        ValueError: there are too few devices, or some hosts would have no part in the run.
    """
    there = jax.device_count()
    if mesh.size > there:
        raise ValueError(
            f"train.mesh = ({mesh}) needs {mesh.size} devices; JAX sees {there}. Give a smaller "
            f"mesh. To emulate devices on a CPU set JAX_NUM_CPU_DEVICES={mesh.size}"
        )
    if jax.process_count() > 1 and mesh.size != there:
        raise ValueError(
            f"train.mesh = ({mesh}) has {mesh.size} devices, but the {jax.process_count()} "
            f"processes of this run have {there}, and all must take part: give a mesh of {there}"
        )
    return jax.make_mesh(
        tuple(map(mesh.along, AXES)),
        AXES,
        axis_types=(AxisType.Auto,) * len(AXES),
        devices=jax.devices()[: mesh.size],
    )


def replicated(devices: jax.sharding.Mesh) -> NamedSharding:
    """Sharding of values that every device holds in full."""
    return NamedSharding(devices, P())


def put(values: np.ndarray, sharding: NamedSharding) -> Array:
    """Puts an array, the same in every process, on the devices."""
    return jax.make_array_from_callback(values.shape, sharding, lambda index: values[index])


def by_sequence(devices: jax.sharding.Mesh, axis: int) -> NamedSharding:
    """Sharding of arrays whose axis `axis` counts sequences: over the axes `SEQUENCES`."""
    return NamedSharding(devices, _by_sequence(axis))


def sharded(devices: jax.sharding.Mesh, state: Any) -> Any:
    """Shardings of a tree of parameters or optimizer state: every leaf over "fsdp".

    Each leaf is divided along its longest axis that "fsdp" divides. Leaves of stacked blocks are
    never divided along the first axis, which counts blocks: a layer is used in full, and its
    devices would take turns. A leaf is stacked if it is a direct entry of a dict named "blocks";
    a list of blocks is not stacked, nor is what lies deeper.
    """

    def sharding(path: Any, leaf: Any) -> NamedSharding:
        stacked = leaf.ndim > 0 and _is_stacked(path)
        spec = _over_longest(leaf.shape[stacked:], devices.shape["fsdp"])
        return NamedSharding(devices, P(None, *spec) if stacked else spec)

    return jax.tree.map_with_path(sharding, state)


def shard_sequences(sequences: Array, axis: int) -> Array:
    """Divides an array made on the devices, whose axis `axis` counts sequences, among them."""
    if get_abstract_mesh().size <= 1:
        return sequences
    return jax.lax.with_sharding_constraint(sequences, _by_sequence(axis))


def weights_are_sharded() -> bool:
    """Whether the code being traced is for devices that each keep one part of the weights."""
    return get_abstract_mesh().shape.get("fsdp", 1) > 1


def all_gather(weights: Tree) -> Tree:
    """Weights in full on every device; each device gets its own part of their gradient.

    The leaves of the tree must not be stacked. Replicated weights are returned as they are.
    """
    return jax.tree.map(_gathered, weights) if weights_are_sharded() else weights


def save_all_but_gathered(primitive: Any, *_: Any, **__: Any) -> bool:
    """A policy of `jax.checkpoint`: everything is kept for the backward pass but gathered weights.

    The backward pass gathers them again, and inside `jax.shard_map` whatever else was gathered.
    """
    # A gathered weight of one expert is squeezed next, and would be kept in that shape.
    return primitive.name not in ("sharding_constraint", "all_gather", "squeeze")


@jax.custom_vjp
def _gathered(weight: Array) -> Array:
    return jax.lax.with_sharding_constraint(weight, P())


def _gathered_forward(weight: Array) -> tuple[Array, None]:
    return jax.lax.with_sharding_constraint(weight, P()), None


def _gathered_backward(_: None, gradient: Array) -> tuple[Array]:
    spec = _over_longest(gradient.shape, get_abstract_mesh().shape["fsdp"])
    return (jax.lax.with_sharding_constraint(gradient, spec),)


_gathered.defvjp(_gathered_forward, _gathered_backward)


def _is_stacked(path: tuple[Any, ...]) -> bool:
    return path[-2:-1] == (DictKey("blocks"),) and isinstance(path[-1], DictKey)


def _by_sequence(axis: int) -> P:
    return P(*[None] * axis, SEQUENCES)


def _over_longest(shape: tuple[int, ...], devices: int) -> P:
    able = [axis for axis, size in enumerate(shape) if size % devices == 0]
    if not able:
        return P()
    longest = max(able, key=lambda axis: (shape[axis], axis))
    return P(*[None] * longest, "fsdp")
