"""Where the parameters of a family lie on a mesh: what each axis of an array is divided over.

A family says what each axis of a parameter counts (`scaling.models.parametrization.Along`), and
everything else follows: shards, the order of columns, what is gathered.

On a mesh, arrays whose last axis holds several matrices side by side are kept in another order, so
that a shard has its part of each matrix: of queries, keys and values those of its own heads. So are
layers, where a device has several groups of them. `rearranged` goes from one mesh to another.
"""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P
from jax.tree_util import DictKey

from scaling.devices.mesh import Axis, Mesh
from scaling.models.parametrization import Along, Parameter, Tree

VOCABULARY: tuple[Axis, ...] = ("pipe", "tensor")
"""Axes over which the vocabulary is divided, where they divide it."""

_OVER: dict[Along, tuple[Axis, ...]] = {
    "layers": ("pipe",),
    "experts": ("expert",),
    "heads": ("tensor",),
    "hidden": ("tensor",),
    "width": ("fsdp",),
    "vocabulary": VOCABULARY,
}


def over_vocabulary(mesh: Mesh, size: int) -> tuple[Axis, ...]:
    """Axes that divide a vocabulary of a size: all of `VOCABULARY`, one of them, or none."""
    longer: tuple[Axis, ...] = tuple(axis for axis in VOCABULARY if mesh.along(axis) > 1)
    able = [axes for axes in (longer, longer[1:], longer[:1]) if axes]
    return next((axes for axes in able if size % _devices(mesh, axes) == 0), ())


def spec(parameter: Parameter, mesh: Mesh) -> P:
    """The axes of a mesh that divide each axis of a parameter."""

    def over(size: int, what: Along | None) -> Any:
        if what is None:
            return None
        if what == "vocabulary":
            return over_vocabulary(mesh, size) or None
        return tuple(axis for axis in _OVER[what] if mesh.along(axis) > 1) or None

    return P(*map(over, parameter.shape, parameter.along))


def gathered_dimension(parameter: Parameter) -> int | None:
    """The axis of an unstacked parameter that `fsdp` divides, if any."""
    along = parameter.along[parameter.in_block :]
    return along.index("width") if "width" in along else None


def specs(parameters: Tree, mesh: Mesh) -> Any:
    """`spec` of each parameter, in a tree like them."""
    return jax.tree.map(lambda parameter: spec(parameter, mesh), dict(parameters))


def placed(parameters: Tree, mesh: Mesh, devices: jax.sharding.Mesh, state: Any) -> Any:
    """Shardings of a tree of parameters or optimizer state; what is neither is on every device."""

    def sharding(path: Any, leaf: Any) -> NamedSharding:
        parameter = _parameter_at(parameters, path)
        if parameter is None or leaf.shape != parameter.shape:
            return NamedSharding(devices, P())
        return NamedSharding(devices, spec(parameter, mesh))

    return jax.tree.map_with_path(sharding, state)


def rearranged(parameters: Tree, state: Any, before: Mesh, after: Mesh) -> Any:
    """A tree of parameters or optimizer state in the order of another mesh."""

    def moved(path: Any, leaf: Any) -> Any:
        parameter = _parameter_at(parameters, path)
        if parameter is None or leaf.shape != parameter.shape:
            return leaf
        orders = zip(_orders(parameter, before), _orders(parameter, after), strict=True)
        for dimension, (old, new) in enumerate(orders):
            if not np.array_equal(old, new):
                leaf = leaf.take(np.argsort(old)[new], axis=dimension)
        return leaf

    return jax.tree.map_with_path(moved, state)


def _orders(parameter: Parameter, mesh: Mesh) -> list[np.ndarray]:
    """For each axis of a parameter, the place on one device of each of its rows on a mesh."""
    orders = [np.arange(size) for size in parameter.shape]
    if parameter.along and parameter.along[0] == "layers":
        n = parameter.shape[0]
        orders[0] = _divided((n // mesh.interleave,) * mesh.interleave, mesh.pipe)
    if parameter.side_by_side:
        orders[-1] = _divided(parameter.side_by_side, mesh.tensor)
    return orders


def _divided(sizes: tuple[int, ...], devices: int) -> np.ndarray:
    """Numbers of the rows of matrices side by side, those of the first device first."""
    starts = np.cumsum((0, *sizes[:-1]))
    each = [
        start + np.arange(size).reshape(devices, -1)
        for start, size in zip(starts, sizes, strict=True)
    ]
    return np.concatenate(each, axis=1).reshape(-1)


def _parameter_at(parameters: Tree, path: Any) -> Parameter | None:
    """The parameter whose name a path ends with, as paths of optimizer state do."""
    names = [key.key for key in path if isinstance(key, DictKey)]
    for first in range(len(names)):
        found: Any = parameters
        for name in names[first:]:
            found = found.get(name) if isinstance(found, dict) else None
        if isinstance(found, Parameter):
            return found
    return None


def _devices(mesh: Mesh, axes: tuple[Axis, ...]) -> int:
    return int(np.prod([mesh.along(axis) for axis in axes]))
