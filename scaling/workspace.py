"""Where runs keep what spares later ones work; no result depends on it."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple


class Workspace(NamedTuple):
    """Folders in which a run saves its state, and from which it goes on.

    Attributes:
        own: Of this run alone: what its earlier attempts have saved.
        trunk: Of all runs with its trunk (`scaling.config.trunk_of`): what they have saved where
            they left it. None for a run that shares none.
    """

    own: Path
    trunk: Path | None = None
