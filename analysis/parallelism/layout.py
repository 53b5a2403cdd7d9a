"""How a run is divided over devices, and how it is computed there.

| symbol | meaning | unit |
|---|---|---|
| d, f, e | devices along data, fsdp and expert: each has sequences of its own | 1 |
| t, c, p | devices along tensor, context and pipe: they share sequences | 1 |
| b, m | sequences of a microbatch, microbatches of a step | 1 |
| v | groups of layers that a pipeline stage holds | 1 |

Numbers may be arrays of one shape, so that thousands of layouts are judged at once.
"""

from dataclasses import dataclass, fields
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from analysis.errors import nearest_name
from analysis.parallelism.shape import TransformerShape

Numbers: TypeAlias = "float | NDArray[np.floating[Any]]"
"""A number, or an array with one for each layout."""

Recompute = Literal["none", "selective", "full"]
"""What the backward pass computes again: nothing; scores of attention; all inside a layer."""


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Devices along each axis.

    Attributes:
        data: Copies of the weights, each with its own sequences.
        fsdp: Devices that share one copy of the weights and gather them layer by layer (Rajbhandari
            et al. 2019, arXiv 1910.02054, stage 3), each with its own sequences.
        tensor: Devices that share each product (Shoeybi et al. 2019, arXiv 1909.08053).
        context: Devices that share each sequence (Liu et al. 2023, arXiv 2310.01889).
        expert: Devices that share the experts, each with its own sequences (Lepikhin et al. 2020,
            arXiv 2006.16668).
        pipe: Devices that share the layers (Narayanan et al. 2021, arXiv 2104.04473).
    """

    data: Numbers = 1
    fsdp: Numbers = 1
    tensor: Numbers = 1
    context: Numbers = 1
    expert: Numbers = 1
    pipe: Numbers = 1

    @property
    def size(self) -> Numbers:
        """Number of devices."""
        return self.replicas * self.tensor * self.context * self.pipe

    @property
    def replicas(self) -> Numbers:
        """Groups of devices with sequences of their own."""
        return self.data * self.fsdp * self.expert

    def __str__(self) -> str:
        """The axes longer than 1."""
        axes = {axis: getattr(self, axis) for axis in AXES}
        return ", ".join(f"{name}={n:g}" for name, n in axes.items() if n != 1) or "one device"


AXES = tuple(field.name for field in fields(Layout))
"""Axes of a layout."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a step is computed.

    Attributes:
        batch: Sequences of a step.
        microbatch: b, sequences that a group of devices computes at once.
        interleave: v, the interleaved schedule's groups of layers a stage.
        recompute: What the backward pass computes again.
        sequence: Whether what lies between products is divided over `tensor` too (Korthikanti et
            al. 2022, arXiv 2205.05198).
        flash: Whether scores of attention stay inside a kernel (Dao et al. 2022, arXiv 2205.14135);
            this project's program has none for a sequence that devices share.
        dropout: Whether masks of dropout are kept.
        weight_bytes: Bytes of a weight as it is kept.
        gradient_bytes: Bytes of a gradient.
        optimizer_bytes: Bytes of optimizer state and master weights, for a parameter.
        shard_optimizer: Whether optimizer state is divided over `data` (stage 1).
        activation_bytes: Bytes of a number among activations, and of weights and gradients on their
            way.
        own: Whether this project's own program computes it (`analysis.parallelism.program`).
    """

    batch: int
    microbatch: Numbers = 1
    interleave: Numbers = 1
    recompute: Recompute = "full"
    sequence: bool = True
    flash: bool = True
    dropout: bool = False
    weight_bytes: int = 2
    gradient_bytes: int = 4
    optimizer_bytes: int = 12
    shard_optimizer: bool = True
    activation_bytes: int = 2
    own: bool = False

    def writes_scores(self, layout: Layout) -> Numbers:
        """1 where scores of attention are written to memory, else 0."""
        shared = np.asarray(layout.context) > 1 if self.own else False
        return np.where(shared, 1.0, 0.0 if self.flash else 1.0)

    def microbatches(self, layout: Layout) -> Numbers:
        """m, microbatches of a step that one group of devices computes."""
        return self.batch / (layout.replicas * self.microbatch)


class Mesh(NamedTuple):
    """A layout as it is written, and the groups of layers a stage, None unless given."""

    layout: Layout
    interleave: int | None


def parse_mesh(text: str) -> Mesh:
    """Reads a mesh such as data=16,fsdp=8,tensor=8,pipe=2,interleave=4.

    Raises:
        ValueError: Another form, an unknown axis, one given twice, or a number not positive.
    """
    names = [*AXES, "interleave"]
    axes: dict[str, int] = {}
    for part in text.split(","):
        name, equals, number = part.strip().partition("=")
        if not equals or not number.isdigit() or int(number) < 1:
            raise ValueError(f"{part!r} is no axis of a mesh: give e.g. data=16,tensor=8")
        if name not in names:
            raise ValueError(f"a mesh has no axis {name!r}: {nearest_name(name, names)}")
        if name in axes:
            raise ValueError(f"{text!r} gives {name} twice: give it once")
        axes[name] = int(number)
    interleave = axes.pop("interleave", None)
    return Mesh(Layout(**axes), interleave)


def misfits(shape: TransformerShape, layout: Layout, recipe: Recipe) -> list[str]:
    """What a layout does not divide, each with the nearest numbers that do; empty if nothing."""
    found = []
    # Other programs copy heads of keys and values beyond their number, and have uneven stages.
    of_own = (
        ("heads of keys and values", shape.kv_heads, "tensor"),
        ("features of the residual stream", shape.width, "fsdp"),
    )
    for what, size, axis in (
        *(of_own if recipe.own else ()),
        ("heads", shape.heads, "tensor"),
        ("features of a feed-forward layer", shape.ff_width, "tensor"),
        ("tokens of the context", shape.context, "context"),
        ("experts", shape.experts, "expert"),
    ):
        n = int(getattr(layout, axis))
        if size == 1 < n:
            found.append(f"{axis} = {n} divides {what}, and there is one: give {axis} = 1")
        elif size % n:
            found.append(f"{axis} = {n} does not divide {size:,} {what}: {_nearest(size, n)}")
    groups, m = int(layout.pipe * recipe.interleave), recipe.microbatches(layout)
    if recipe.interleave > 1 and layout.pipe == 1:
        found.append(
            f"interleave = {recipe.interleave:g} divides stages, and pipe = 1 has none: give "
            "interleave = 1, or a longer pipe"
        )
    elif recipe.own and recipe.interleave > 1 and m % layout.pipe:
        found.append(
            f"interleave = {recipe.interleave:g} takes microbatches through the pipeline "
            f"{layout.pipe:g} at a time, and there are {m:g}: give a multiple, or interleave = 1"
        )
    pipe = f"pipe = {layout.pipe:g}"
    if recipe.interleave > 1:
        pipe += f" with {recipe.interleave:g} groups a stage"
    if groups > shape.layers:
        found.append(f"{pipe} needs {groups} layers, and there are {shape.layers}: give fewer")
    elif recipe.own and shape.layers % groups:
        found.append(
            f"{pipe} does not divide {shape.layers} layers: {_nearest(shape.layers, groups)} in all"
        )
    together = int(layout.replicas * recipe.microbatch)
    if recipe.batch % together:
        found.append(
            f"data x fsdp x expert = {layout.replicas:g} with {recipe.microbatch:g} sequences a "
            f"microbatch does not divide the {recipe.batch:,} sequences of a batch: "
            f"{_nearest(recipe.batch, together)} together"
        )
    return found


def _nearest(size: int, n: int) -> str:
    below = next(k for k in range(min(n, size), 0, -1) if size % k == 0)
    above = next((k for k in range(n + 1, size + 1) if size % k == 0), None)
    return f"give {below}" + ("" if above is None else f" or {above}")
