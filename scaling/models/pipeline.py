"""A pipeline: devices that each have some layers, through which parts of a batch follow each other.

At every tick each device takes one part through one of its groups of layers and passes it on to the
next. Device i of p begins at tick i. With v groups a device, group r of device i holds the layers
r p + i, and parts go round the ring v times, p of them at once, so that none waits: m parts take
m v + p - 1 ticks, and the bubble is (p - 1) / (m v) of the work (Narayanan et al. 2021, arXiv
2104.04473, section 2.2). The backward pass goes through the same ticks in reverse; what it needs of
all parts is kept until then (Huang et al. 2018, arXiv 1811.06965).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from scaling.devices.axes import Axes

Passed = Float[Array, "first *rest"]
"""What layers pass on: its first axis counts tokens or sequences, those of the first part first."""


def through_pipeline(
    axes: Axes,
    stage: Callable[[Passed, Any, Any], tuple[Passed, Any]],
    x: Passed,
    layers: Any,
    shown: Any,
) -> tuple[Passed, Array | None]:
    """Returns the output of all layers, on every device.

    Args:
        axes: The mesh, and the number of parts.
        stage: (what enters of a part, a group of layers, what is shown with that part) -> (what
            leaves, penalties of the layers or None).
        x: What enters the first layer.
        layers: Layers of this device, stacked, group after group.
        shown: Arrays whose first axis counts the sequences of `x`; every layer reads them.

    Returns:
        What leaves the last layer, and the mean over parts of the penalty of all layers.
    """
    p, v, m = axes.mesh.pipe, axes.mesh.interleave, axes.parts
    place = axes.place("pipe")

    def by_part(leaf: Array) -> Array:
        return leaf.reshape(m, -1, *leaf.shape[1:])

    def part(leaves: Any, k: Array) -> Any:
        return jax.tree.map(lambda leaf: jax.lax.dynamic_index_in_dim(leaf, k, 0, False), leaves)

    # Said here, so that gradients of what enters are added up once, not at every tick.
    parts, shown = axes.varying(jax.tree.map(by_part, (x, shown)), "pipe")
    groups = jax.tree.map(lambda leaf: leaf.reshape(v, -1, *leaf.shape[1:]), layers)

    def tick(before: Passed, time: Array) -> tuple[Passed, Any]:
        # 1. Which part, and which group of layers.
        done = time - place
        is_busy = (done >= 0) & (done < m * v)
        done = jnp.clip(done, 0, m * v - 1)
        lap, within = jnp.divmod(done, p * v)
        group, ahead = jnp.divmod(within, p)
        k = lap * p + ahead
        layer = part(groups, group) if v > 1 else jax.tree.map(lambda leaf: leaf[0], groups)
        # 2. Through it, and on to the next device.
        enters = (place == 0) & (group == 0)
        passed = jnp.where(enters, part(parts, k), before)
        passed, penalties = stage(passed, layer, part(shown, k))
        if penalties is not None:
            penalties = jnp.where(is_busy, jnp.sum(penalties), 0)
        return axes.passed_on(passed), (passed, penalties)

    ticks = jnp.arange(m * v + p - 1)
    _, (out, penalties) = jax.lax.scan(tick, jnp.zeros_like(parts[0]), ticks)
    # The last device is done with part k at this tick.
    lap, ahead = jnp.divmod(jnp.arange(m), p)
    ends = lap * p * v + (v - 1) * p + ahead + p - 1
    leaves = jnp.where(place == p - 1, out[ends].reshape(x.shape), 0)
    penalty = None if penalties is None else axes.sum(jnp.sum(penalties), "pipe") / m
    return axes.sum(leaves, "pipe"), penalty
