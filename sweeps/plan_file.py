"""The file that declares a sweep: one line about it, then a line for each of its runs.

The first line is sealed and holds the checksum of the others, which are read one at a time: a plan
of a hundred thousand runs takes little memory. Older code sealed all runs in the first line.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import IO, Any

from scaling.record import SCHEMA_VERSION
from scaling.sealed import DamagedFileError, parse, seal, unseal
from sweeps import files
from sweeps.places import Place
from sweeps.plan import Plan, PlannedRun

_START = re.compile(rb'\{"run_id": "([0-9a-f]{32})"')
_END = re.compile(rb'"trunk_id": (?:null|"[0-9a-f]{32}"), "starts_at": \d+\}\n\Z')
_LONGEST_END = 100
_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class PlanFile:
    """A plan on disk that was found as it was written."""

    path: Place
    name: str
    command: str | None  # that made it, where that is known
    places: Mapping[str, int]  # where the line of each run begins, by run_id
    old: Mapping[str, PlannedRun]  # runs of a plan of older code

    @classmethod
    def read(cls, path: Place) -> PlanFile:
        """Reads a plan, and checks all of it.

        Raises:
            DamagedFileError: it is not as it was written.
            OSError: the machine refuses to read it.
        """
        try:
            with files.opened(path) as file:
                return cls._checked(path, file)
        except OSError as error:
            if files.is_damage(error) and not isinstance(error, FileNotFoundError):
                raise DamagedFileError(f"no file: {error.strerror}") from None
            raise

    @classmethod
    def _checked(cls, path: Place, file: IO[bytes]) -> PlanFile:
        head = _head(file)
        try:
            if "runs" in head:
                old = {run["run_id"]: _planned(run) for run in head["runs"]}
                return cls(path, str(head["name"]), None, {}, old)
            places, found = _places(file)
            if found != head["runs_sha256"] or len(places) != head["n_runs"]:
                raise DamagedFileError("its runs do not match its checksum")
            return cls(path, str(head["name"]), head["command"], places, {})
        except (KeyError, TypeError) as error:
            raise DamagedFileError(f"not a plan: {error}") from None

    @property
    def run_ids(self) -> list[str]:
        """The runs of the plan, in its order."""
        return list(self.places or self.old)

    def run(self, run_id: str) -> PlannedRun:
        """A run of the plan."""
        if self.old:
            return self.old[run_id]
        with files.opened(self.path) as file:
            file.seek(self.places[run_id])
            return _planned(parse(file.readline(files.MOST_BYTES)))

    def runs(self) -> Iterator[PlannedRun]:
        """All runs of the plan, in its order."""
        if self.old:
            yield from self.old.values()
            return
        with files.opened(self.path) as file:
            file.readline(files.MOST_BYTES)
            for _ in self.places:
                yield _planned(parse(file.readline(files.MOST_BYTES)))


def dump_plan(plan: Plan, created_at_utc: str) -> bytes:
    """The text of a plan's file."""
    lines = "".join(f"{json.dumps(vars(run), allow_nan=False)}\n" for run in plan.runs).encode()
    head = {
        "schema_version": SCHEMA_VERSION,
        "plan_id": plan.plan_id,
        "name": plan.name,
        "command": plan.command,
        "created_at_utc": created_at_utc,
        "n_runs": len(plan.runs),
        "runs_sha256": hashlib.sha256(lines).hexdigest(),
    }
    return seal("plan", head).encode() + lines


def _head(file: IO[bytes]) -> dict[str, Any]:
    line = file.readline(files.MANY_BYTES)
    if not line.endswith(b"\n"):
        raise DamagedFileError("its first line is cut off, or too long")
    head = unseal("plan", line)
    if not isinstance(head, dict):
        raise DamagedFileError("not a plan")
    return head


def _places(file: IO[bytes]) -> tuple[dict[str, int], str]:
    """Where the line of each run begins, and the checksum of all of them."""
    digest = hashlib.sha256()
    places: dict[str, int] = {}
    at = file.tell()
    while line := file.readline(files.MOST_BYTES):
        digest.update(line)
        found = _START.match(line)
        if found is None or not _END.search(line[-_LONGEST_END:]):
            raise DamagedFileError(f"line {len(places) + 2} is no run")
        places[found[1].decode()] = at
        at += len(line)
    return places, digest.hexdigest()


def _planned(plain: Mapping[str, Any]) -> PlannedRun:
    """A run of a plan, whose names make paths and are therefore of hex digits alone."""
    run = PlannedRun(**plain)
    names = filter(None, (run.run_id, *run.parents, run.trunk_id))
    if not all(isinstance(name, str) and _ID.fullmatch(name) for name in names):
        raise DamagedFileError("a run_id, parent_id or trunk_id is not of 32 hex digits")
    return run
