"""The mesh of a run as a configuration: the number of devices that share it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import Annotated, Literal

from scaling.fields import Checked, Count, Newer

Axis = Literal["data", "fsdp", "pipe", "expert", "context", "tensor"]
"""Names of the axes, from the one whose devices lie furthest apart to that of neighbours."""

SEQUENCES: tuple[Axis, ...] = ("data", "fsdp", "expert")
"""Axes whose devices have sequences of their own."""

TOKENS: tuple[Axis, ...] = (*SEQUENCES, "context")
"""Axes whose devices have tokens of their own."""

_FEWER: tuple[Axis, ...] = ("data", "fsdp", "expert", "context", "tensor", "pipe")


@dataclass(frozen=True, kw_only=True)
class Mesh(Checked):
    """Devices that share a run, along six axes; their number is the product.

    Sums over devices are added in another order than on one, so that the mesh decides the last
    bits of a run, and is part of its identity.

    Attributes:
        data: Copies of the weights, each with sequences of its own.
        fsdp: Devices with sequences of their own that each keep a shard of parameters and optimizer
            state, and gather those of the others layer by layer (Rajbhandari et al. 2019, arXiv
            1910.02054, stage 3).
        tensor: Devices that share heads, hidden features and vocabulary (Shoeybi et al. 2019, arXiv
            1909.08053).
        context: Devices that share each sequence, and gather its keys and values.
        expert: Devices with sequences of their own that share the experts, and send each other
            tokens (Lepikhin et al. 2020, arXiv 2006.16668).
        pipe: Devices that share the layers; microbatches follow each other through them (Huang et
            al. 2018, arXiv 1811.06965).
        interleave: Groups of layers of each device along `pipe` (Narayanan et al. 2021, arXiv
            2104.04473, section 2.2).
    """

    data: Count = 1
    fsdp: Count = 1
    tensor: Annotated[Count, Newer()] = 1
    context: Annotated[Count, Newer()] = 1
    expert: Annotated[Count, Newer()] = 1
    pipe: Annotated[Count, Newer()] = 1
    interleave: Annotated[Count, Newer()] = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.interleave > 1 and self.pipe == 1:
            raise ValueError(
                f"mesh.interleave = {self.interleave} divides the stages of a pipeline, and pipe = "
                "1 has none: give interleave = 1, or a larger pipe"
            )

    @property
    def size(self) -> int:
        """Number of devices."""
        return self.replicas * self.tensor * self.context * self.pipe

    @property
    def replicas(self) -> int:
        """Groups of devices with sequences of their own."""
        return self.data * self.fsdp * self.expert

    @property
    def divides_models(self) -> bool:
        """Whether it has axes that a family must offer, beyond `data` and `fsdp`."""
        return self.size > self.data * self.fsdp

    @property
    def order(self) -> tuple[int, ...]:
        """Sizes that decide the order in which arrays are kept (`scaling.models.placement`)."""
        return self.tensor, self.interleave, self.pipe if self.interleave > 1 else 1

    def fitting(self, n_devices: int) -> Iterator[Mesh]:
        """Meshes for fewer devices, the best first: copies go first, the pipeline last.

        Axes but `data` are shortened to their divisors, so that they divide what they divided;
        there are as many copies as there is room for, or fewer.
        """
        axes: list[Axis] = [axis for axis in reversed(_FEWER) if axis != "data"]
        for lengths in itertools.product(*(_divisors(self.along(axis)) for axis in axes)):
            shortened: dict[str, int] = dict(zip(map(str, axes), lengths, strict=True))
            interleave = self.interleave if shortened["pipe"] > 1 else 1
            for data in range(n_devices // math.prod(lengths), 0, -1):
                yield replace(self, data=data, interleave=interleave, **shortened)

    def along(self, axis: Axis) -> int:
        """Devices along an axis."""
        return getattr(self, axis)

    def __str__(self) -> str:
        axes = [(field.name, getattr(self, field.name)) for field in fields(self)]
        return " x ".join(f"{name} = {n}" for name, n in axes if n > 1 or name in ("data", "fsdp"))


def _divisors(n: int) -> list[int]:
    """Divisors of a number, the largest first."""
    return [k for k in range(n, 0, -1) if n % k == 0]
