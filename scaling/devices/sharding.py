"""Where the arrays of a run over several devices lie, and which of them are sent between devices.

Arrays are global: programs are written as for one device, and XLA divides them. It is told where a
run's state and batches lie, and that a layer's weights are gathered where they are used. With
those it divides all else by sequences, and adds gradients up into shares; left to itself it sends
activations.
"""

from __future__ import annotations

from typing import Any, TypeVar

import jax
import numpy as np
from jax.sharding import AxisType, NamedSharding, get_abstract_mesh
from jax.sharding import PartitionSpec as P
from jax.tree_util import DictKey
from jaxtyping import Array

from scaling.devices.mesh import Mesh

AXES = ("data", "fsdp")
"""Axes of a mesh of devices; sequences of a batch are divided over both."""

Tree = TypeVar("Tree")


def mesh_of_devices(mesh: Mesh) -> jax.sharding.Mesh:
    """The devices of a run: the first ones of the machine, or all of several hosts.

    Raises:
        ValueError: there are fewer, or some of the hosts would have no part in the run.
    """
    there = jax.device_count()
    if mesh.size > there:
        raise ValueError(
            f"train.mesh of {mesh.size} devices ({mesh}) is more than the {there} that there are: "
            "give a smaller one, or more devices; a processor stands for several with the "
            f"environment variable JAX_NUM_CPU_DEVICES={mesh.size}"
        )
    if jax.process_count() > 1 and mesh.size != there:
        raise ValueError(
            f"train.mesh of {mesh.size} devices ({mesh}) leaves some of the {there} of "
            f"{jax.process_count()} processes without a part in the run: give one of {there}"
        )
    return jax.make_mesh(
        (mesh.data, mesh.fsdp),
        AXES,
        axis_types=(AxisType.Auto, AxisType.Auto),
        devices=jax.devices()[: mesh.size],
    )


def everywhere(devices: jax.sharding.Mesh) -> NamedSharding:
    """Of what every device holds in full."""
    return NamedSharding(devices, P())


def put(whole: np.ndarray, sharding: NamedSharding) -> Array:
    """An array that is the same in every process on the devices."""
    return jax.make_array_from_callback(whole.shape, sharding, lambda index: whole[index])


def by_sequence(devices: jax.sharding.Mesh, axis: int) -> NamedSharding:
    """Of arrays whose axis `axis` counts sequences, divided over all devices."""
    return NamedSharding(devices, _by_sequence(axis))


def shared_out(devices: jax.sharding.Mesh, state: Any) -> Any:
    """Of a tree of parameters or what an optimizer keeps of them: every leaf over "fsdp".

    Each is divided along its longest axis that can be, those of stacked blocks never along the
    first, which counts them: a layer is used as a whole, and its devices would take turns. Stacked
    is what hangs by its name from "blocks", a list of blocks or what lies deeper is not.
    """

    def sharding(path: Any, leaf: Any) -> NamedSharding:
        stacked = leaf.ndim > 0 and _hangs_from_blocks(path)
        spec = _shared(leaf.shape[stacked:], devices.shape["fsdp"])
        return NamedSharding(devices, P(None, *spec) if stacked else spec)

    return jax.tree.map_with_path(sharding, state)


def divided(sequences: Array, axis: int) -> Array:
    """An array made on the devices whose axis `axis` counts sequences, divided over all."""
    if get_abstract_mesh().size <= 1:
        return sequences
    return jax.lax.with_sharding_constraint(sequences, _by_sequence(axis))


def shares_weights() -> bool:
    """Whether what is traced is for devices that each keep but a share of the weights."""
    return get_abstract_mesh().shape.get("fsdp", 1) > 1


def whole(weights: Tree) -> Tree:
    """Weights as devices use them, gathered from their shares; of the gradient each gets its share.

    Of a tree whose leaves are not stacked. Where every device has all weights, so they stay.
    """
    return jax.tree.map(_gathered, weights) if shares_weights() else weights


def all_but_whole(primitive: Any, *_: Any, **__: Any) -> bool:
    """A policy of `jax.checkpoint`: backward passes find all as it was, but gather weights anew."""
    return primitive.name != "sharding_constraint"


@jax.custom_vjp
def _gathered(weight: Array) -> Array:
    return jax.lax.with_sharding_constraint(weight, P())


def _gathered_forward(weight: Array) -> tuple[Array, None]:
    return jax.lax.with_sharding_constraint(weight, P()), None


def _gathered_backward(_: None, gradient: Array) -> tuple[Array]:
    spec = _shared(gradient.shape, get_abstract_mesh().shape["fsdp"])
    return (jax.lax.with_sharding_constraint(gradient, spec),)


_gathered.defvjp(_gathered_forward, _gathered_backward)


def _hangs_from_blocks(path: tuple[Any, ...]) -> bool:
    match path:
        case (*_, DictKey(key="blocks"), DictKey()):
            return True
        case _:
            return False


def _by_sequence(axis: int) -> P:
    return P(*[None] * axis, AXES)


def _shared(shape: tuple[int, ...], devices: int) -> P:
    able = [axis for axis, size in enumerate(shape) if size % devices == 0]
    if not able:
        return P()
    longest = max(able, key=lambda axis: (shape[axis], axis))
    return P(*[None] * longest, "fsdp")
