"""The layout of a results folder: where each thing lies. Paths are made of hashes alone.

    store.json                                   marks the folder and its schema version
    plans/<plan_id>.json                         sweeps as declared and resolved
    runs/<h2>/<run_id>/config.json               the configuration, canonical
    runs/<h2>/<run_id>/attempts/0001/            claim.json, heartbeat, curve.jsonl,
                                                 end.json or failure.json
    runs/<h2>/<run_id>/result.json               the one published record
    runs/<h2>/<run_id>/paused/<step>.json        its record when it paused there
    trunks/<h2>/<trunk_id>/                      checkpoints of trunks, the prefixes that runs share
    weights/<h2>/<run_id>/                       final weights of runs that others start from
    decisions/<digest>/000001.json               what a sweep that chooses its runs saw and chose
    quarantine/                                  files that cannot be read or came second, and why

Everything stands below one folder, or one prefix of an object store; what only saves time stands
on this machine.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from sweeps import objects
from sweeps.claims import Attempt
from sweeps.places import ObjectPath, Place, local, place


@dataclass(frozen=True)
class Layout:
    """The places of a results folder; `root` is absolute and free of links."""

    root: Place

    @property
    def caches(self) -> Path:
        """Folder of what only saves time: checkpoints, trunks, weights. It is on this machine."""
        return local(self.root)

    def run_folder(self, run_id: str) -> Place:
        """Folder of everything about one run."""
        return type(self.root)(f"{self.root}/runs/{run_id[:2]}/{run_id}")

    def checkpoint_folder(self, run_id: str) -> Path:
        """Folder of the checkpoints of a run under way."""
        return self.caches / "runs" / run_id[:2] / run_id / "checkpoints"

    def trunk_folder(self, trunk_id: str) -> Path:
        """Folder of the checkpoints that runs have saved of their trunk."""
        return self.caches / "trunks" / trunk_id[:2] / trunk_id

    def weights_folder(self, run_id: str) -> Path:
        """Folder of the final weights that a run leaves for those that start from it."""
        return self.caches / "weights" / run_id[:2] / run_id

    def attempts_folder(self, run_id: str) -> Place:
        """Folder of the attempts at a run."""
        return self.run_folder(run_id) / "attempts"

    def attempt(self, run_id: str, number: int) -> Attempt:
        """The attempt at a run that has this number."""
        return Attempt.numbered(self.attempts_folder(run_id), number)

    def result_path(self, run_id: str) -> Place:
        """File of the one published record of a run."""
        return type(self.root)(f"{self.root}/runs/{run_id[:2]}/{run_id}/result.json")

    def paused_path(self, run_id: str, step: int) -> Place:
        """File of the record of a run that paused after a step."""
        return self.run_folder(run_id) / "paused" / f"{step:012d}.json"

    def plan_path(self, plan_id: str) -> Place:
        """File that declares a sweep."""
        return self.root / "plans" / f"{plan_id}.json"

    @property
    def decisions(self) -> Place:
        """Folder of the decisions of sweeps that choose their runs."""
        return self.root / "decisions"

    @property
    def quarantine(self) -> Place:
        """Folder of the files that could not be read or came second."""
        return self.root / "quarantine"

    def curve_path(self, run_id: str, attempt: int) -> Place:
        """File of the learning curve of a run, as an attempt left it."""
        return self.attempt(run_id, attempt).folder / "curve.jsonl"


def resolved(root: str | os.PathLike[str]) -> Place:
    """The place with this name, absolute and free of links."""
    where = place(root)
    if isinstance(where, ObjectPath):
        objects.require()
        return where
    return Path(os.path.realpath(where))
