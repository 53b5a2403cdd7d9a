"""Folders in which runs keep checkpoints for later runs; no result depends on them."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple


class Workspace(NamedTuple):
    """Folders in which a run saves checkpoints, and from which it resumes; where it is to pause.

    Attributes:
        own: Folder of this run alone, with the checkpoints of its earlier attempts.
        trunk: Folder of all runs with its trunk (`scaling.config.trunk_of`), with the checkpoints
            that they saved where they left it. None for a run that shares no trunk.
        init_from: Folder of the final weights of the run that this one starts from, if any.
        distilled_from: Folder of the final weights of the run that is its teacher, if any.
        leaves: Folder in which the run leaves its final weights for those that start from it;
            None where none does.
        pause_at: Number of steps after which a run on tokens saves a checkpoint, is measured and
            ends as `paused`; a later attempt resumes it. None for its end.
    """

    own: Path
    trunk: Path | None = None
    init_from: Path | None = None
    distilled_from: Path | None = None
    leaves: Path | None = None
    pause_at: int | None = None

    @property
    def folders(self) -> tuple[Path | None, ...]:
        """Folders of the workspace, in the order of its fields."""
        return self.own, self.trunk, self.init_from, self.distilled_from, self.leaves
