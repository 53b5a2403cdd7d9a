"""The mesh of a run as a configuration: the number of devices that share it."""

from __future__ import annotations

from dataclasses import dataclass

from scaling.fields import Checked, Count


@dataclass(frozen=True, kw_only=True)
class Mesh(Checked):
    """Devices that share a run: `data` groups of `fsdp` devices each.

    Every device works on its own part of each batch. Within a group, each keeps its own shard of
    parameters and optimizer state, and gathers those of the others layer by layer as it needs them
    (Rajbhandari et al. 2019, arXiv 1910.02054, stage 3); groups keep copies of each other.

    Sums over devices are added in another order than on one, so that the mesh decides the last
    bits of a run, and is part of its identity.
    """

    data: Count = 1
    fsdp: Count = 1

    @property
    def size(self) -> int:
        """Number of devices."""
        return self.data * self.fsdp

    def __str__(self) -> str:
        return f"data = {self.data} x fsdp = {self.fsdp}"
