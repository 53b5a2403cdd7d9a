"""What code that runs on every device of a mesh sends along its axes.

A family writes its computation once, for one device's part of each array, and says where something
is sent. Along an axis of one device nothing is, so that the program of one device has no trace of
the mesh. Inside `jax.shard_map` types say along which axes the values of devices differ: what is
sent backwards, for gradients, follows from what is sent forwards.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array

from scaling.devices.mesh import SEQUENCES, TOKENS, Axis, Mesh

Tree = TypeVar("Tree")


@dataclass(frozen=True)
class Axes:
    """The mesh whose devices each run the code that is traced.

    Attributes:
        mesh: Devices along each axis.
        parts: Parts of the sequences that follow each other through a pipeline.
    """

    mesh: Mesh = field(default_factory=Mesh)
    parts: int = 1

    def longer(self, axes: Iterable[Axis]) -> tuple[Axis, ...]:
        """Axes with several devices, among those given."""
        return tuple(axis for axis in axes if self.mesh.along(axis) > 1)

    def place(self, *axes: Axis) -> Array | int:
        """Number of this device along some axes, the first outermost."""
        longer = self.longer(axes)
        return jax.lax.axis_index(longer) if longer else 0

    def sum(self, x: Tree, *axes: Axis) -> Tree:
        """Sum over the devices along some axes."""
        longer = self.longer(axes)
        return jax.lax.psum(x, longer) if longer else x

    def largest(self, x: Array, *axes: Axis) -> Array:
        """Largest of the devices along some axes; no gradient passes through it."""
        longer, x = self.longer(axes), jax.lax.stop_gradient(x)
        return jax.lax.pmax(x, longer) if longer else x

    def mean_over_tokens(self, x: Array) -> Array:
        """Mean over devices that each have as many tokens."""
        longer = self.longer(TOKENS)
        return jax.lax.pmean(x, longer) if longer else x

    def gathered(self, x: Array, dimension: int, *axes: Axis) -> Array:
        """The parts of all devices along some axes, side by side."""
        for axis in reversed(self.longer(axes)):
            x = jax.lax.all_gather(x, axis, axis=dimension, tiled=True)
        return x

    def weight(self, leaf: Array, dimension: int | None) -> Array:
        """A parameter in full, but for its division over `tensor`, `expert` and `pipe`.

        Each device then has a gradient of its own. These are added up where the parameter was, in
        shards along `fsdp`.

        Args:
            leaf: The part of this device.
            dimension: The one that `fsdp` divides; None where it divides none.
        """
        leaf = self.own(leaf)
        if dimension is None:
            return self.varying(leaf, "fsdp")
        return self.gathered(leaf, dimension, "fsdp")

    def own(self, params: Tree) -> Tree:
        """Parameters of which each device with tokens of its own has a gradient of its own.

        These are added up here, over the devices that keep the same shard.
        """
        return self.varying(params, "data", "expert", "context")

    def varying(self, x: Tree, *axes: Axis) -> Tree:
        """Values that may differ along some axes from now on; gradients are added up here."""

        def cast(leaf: Array) -> Array:
            new = tuple(
                a for a in self.longer(axes) if a not in jax.typeof(leaf).manual_axis_type.varying
            )
            return jax.lax.pcast(leaf, new, to="varying") if new else leaf

        return jax.tree.map(cast, x) if self.longer(axes) else x

    def exchanged(self, x: Array, dimension: int) -> Array:
        """Sends part number k along a dimension to device number k of `expert`, in its place."""
        if self.mesh.expert == 1:
            return x
        return jax.lax.all_to_all(x, "expert", dimension, dimension, tiled=True)

    def passed_on(self, x: Array) -> Array:
        """Values of the device before this one on the ring of `pipe`."""
        n = self.mesh.pipe
        return jax.lax.ppermute(x, "pipe", [(k, (k + 1) % n) for k in range(n)])

    def before_this(self, counts: Array) -> Array:
        """Sums over what stands before each sequence of this device.

        Args:
            counts: Of the tokens of this device, by sequence, (sequences, ...).

        Returns:
            For each sequence the sum over all sequences before it, and over its own tokens before
            those of this device.
        """
        n = len(counts)
        everywhere = self.gathered(counts[:, None], 1, "context")
        everywhere = self.gathered(everywhere, 0, *SEQUENCES)
        flat = everywhere.reshape(-1, *counts.shape[1:])
        before = (jnp.cumsum(flat, axis=0) - flat).reshape(everywhere.shape)
        rows: Any = jax.lax.dynamic_slice_in_dim(before, self.place(*SEQUENCES) * n, n)
        return jax.lax.dynamic_index_in_dim(rows, self.place("context"), axis=1, keepdims=False)


ONE = Axes()
"""One device, or the program of one that XLA divides over `data` and `fsdp`."""
