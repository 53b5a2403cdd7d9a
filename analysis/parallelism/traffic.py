"""Bytes that a device sends in a training step, by axis, and the link that they take.

An all-reduce in a ring of n sends 2 (n - 1) / n of its array, a gather or a scatter half of that.
Axes lie in the order tensor, context, expert, pipe, fsdp, data, the first among neighbours: an axis
takes the fast link where it and all before it divide a node.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from analysis.parallelism.devices import Device
from analysis.parallelism.layout import Layout, Numbers, Recipe
from analysis.parallelism.memory import held, stages, tokens_at_once
from analysis.parallelism.program import all_reduce, messages
from analysis.parallelism.shape import TransformerShape

_ACTIVATION_BYTES = 2  # of weights and gradients on their way, too
_INWARDS = ("tensor", "context", "expert", "pipe", "fsdp", "data")


class Traffic(NamedTuple):
    """Bytes a device sends in a step along each axis."""

    tensor: Numbers
    context: Numbers
    expert: Numbers
    pipe: Numbers
    fsdp: Numbers
    data: Numbers


def traffic(shape: TransformerShape, layout: Layout, recipe: Recipe) -> Traffic:
    """Returns the bytes that a device sends in a step, of this project's program or of others.

    - tensor: two all-reduces of the activations a layer and pass, one where blocks are parallel;
      passes are forward, backward, and forward again where all is computed again (Shoeybi et al.
      2019, section 3). Divided sequences send as much, by gathers and scatters.
    - context: keys and values go round a ring forwards, and they and their gradients backwards.
    - expert: each token to its experts and back, forwards and backwards.
    - pipe: activations forwards and gradients backwards at each boundary between groups of layers,
      a part from each device of `tensor` (Narayanan et al. 2021, section 4.1).
    - fsdp: weights are gathered forwards and backwards and gradients scattered; each microbatch
      anew, except in a pipeline, which keeps them for the step.
    - data: an all-reduce of gradients.
    """
    if recipe.own:
        sent = messages(shape, layout, recipe)
        return Traffic(*(
            sum((each.sent for each in sent if each.axis == axis), start=0.0)
            for axis in Traffic._fields
        ))  # fmt: skip
    t, c, e, p = layout.tensor, layout.context, layout.expert, layout.pipe
    m, n = recipe.microbatches(layout), stages(shape, layout).layers
    tokens, again = tokens_at_once(shape, layout, recipe), recipe.recompute == "full"
    activations = _ACTIVATION_BYTES * tokens * shape.width
    shared = t if recipe.sequence else 1
    reductions = (1 if shape.parallel_blocks else 2) * (3 if again else 2)
    heads_kept = np.maximum(shape.kv_heads / t, 1)
    keys_and_values = 2 * _ACTIVATION_BYTES * tokens * heads_kept * shape.head_size
    sent = 0 if shape.experts == 1 else shape.chosen
    parameters = held(shape, layout)
    kept = parameters.dense + parameters.experts
    often = np.where(p > 1, 1.0, m)
    return Traffic(
        tensor=m * n * reductions * all_reduce(t) * activations,
        context=m * n * (4 if again else 3) * (c - 1) * keys_and_values,
        expert=m * n * (6 if again else 4) * sent * activations / shared * (e - 1) / e,
        pipe=np.where(p > 1, 2 * recipe.interleave * m * activations / t, 0.0),
        fsdp=often * 1.5 * all_reduce(layout.fsdp) * kept * _ACTIVATION_BYTES,
        data=(
            all_reduce(layout.data * e) * parameters.dense
            + all_reduce(layout.data) * parameters.experts
        )
        / layout.fsdp
        * _ACTIVATION_BYTES,
    )  # fmt: skip


class Link(NamedTuple):
    """The link that an axis takes.

    Attributes:
        is_near: Whether it stays inside a node.
        speed: Bytes/s that a device sends along it.
    """

    is_near: NDArray[np.bool_]
    speed: Numbers


def links(layout: Layout, device: Device) -> dict[str, Link]:
    """Returns the link of each axis, by its name.

    Devices fill their nodes evenly. A ring through several devices of each node enters and leaves
    the node by the adapters of all of them, each of which carries a part; of an all-to-all what is
    for other nodes leaves by a device's own, and so do activations of a pipeline.
    """
    node = _filled(layout.size, device.node)
    found, before = {}, np.asarray(1.0)
    for axis in _INWARDS:
        n = np.asarray(getattr(layout, axis))
        inside = np.maximum(node // before, 1.0)
        match axis:
            case "pipe":
                shares = np.ones_like(inside)
            case "expert":
                shares = (n - 1) / np.maximum(n - inside, 1.0)
            case _:
                shares = inside
        before = before * n
        is_near = node % before == 0
        far = np.minimum(device.between * np.maximum(shares, 1.0), device.link)
        found[axis] = Link(is_near, np.where(is_near, device.link, far))
    return found


def _filled(n_devices: Numbers, node: int) -> NDArray[np.float64]:
    """Devices that a job has of each node: the most that divide their number."""
    sizes, places = np.unique(np.asarray(n_devices), return_inverse=True)
    each = [max(k for k in range(1, node + 1) if size % k == 0) for size in sizes.astype(int)]
    return np.asarray(each, np.float64)[places]
