"""The results folder: the only code that knows its layout. `publishing` writes through it.

    store.json                                   marks the folder and its schema version
    plans/<plan_id>.json                         sweeps as declared and resolved
    runs/<h2>/<run_id>/config.json               the configuration, canonical
    runs/<h2>/<run_id>/attempts/0001/            claim.json, heartbeat, curve.jsonl,
                                                 environment.json, end.json or failure.json
    runs/<h2>/<run_id>/result.json               the one published record
    trunks/<h2>/<trunk_id>/                      checkpoints of trunks, the prefixes that runs share
    quarantine/                                  files that cannot be read or came second, and why

The folder is the database: copy it, rsync it, mount it. A run is done when its result.json is
there; that file is written atomically and never replaces another. Nothing in the folder is ever
executed, and nothing that cannot be read is deleted.
"""

from __future__ import annotations

import dataclasses
import errno
import json
import logging
import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scaling.record import SCHEMA_VERSION, Curve, RunRecord, load_curve, load_record
from scaling.sealed import DamagedFileError, unseal
from sweeps import files
from sweeps.claims import Attempt, attempts_of
from sweeps.files import StoreError, storing
from sweeps.plan import Plan, PlannedRun

log = logging.getLogger(__name__)

_RUN_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class Store:
    """A results folder; `root` is absolute and free of links."""

    root: Path

    @classmethod
    def create(cls, root: str | os.PathLike[str]) -> Store:
        """Opens a results folder, making it if there is none.

        Raises:
            ValueError: a folder that holds something else.
            StoreError: another schema version, or the machine refuses.
        """
        store = cls(Path(os.path.realpath(root)))
        with storing(store.root):
            os.makedirs(store.root, exist_ok=True)
            if store._version() is None:
                store._mark()
        return cls.open(root)

    @classmethod
    def open(cls, root: str | os.PathLike[str]) -> Store:
        """Opens a results folder that exists.

        Raises:
            ValueError: there is no results folder.
            StoreError: it has another schema version.
        """
        store = cls(Path(os.path.realpath(root)))
        version = store._version()
        if version is None:
            raise ValueError(
                f"{root} is no results folder: it holds no readable store.json. Give a folder that "
                "`scaling run` has made"
            )
        if version != SCHEMA_VERSION:
            raise StoreError(
                f"{store.root} has schema version {version}; this program writes "
                f"{SCHEMA_VERSION}. Use the program that made it, or give another folder"
            )
        return store

    def run_folder(self, run_id: str) -> Path:
        """Folder of everything about one run."""
        return self.root / "runs" / run_id[:2] / run_id

    def trunk_folder(self, trunk_id: str) -> Path:
        """Folder of the checkpoints that runs have saved of their trunk."""
        return self.root / "trunks" / trunk_id[:2] / trunk_id

    def result_path(self, run_id: str) -> Path:
        """File of the one published record of a run."""
        return self.run_folder(run_id) / "result.json"

    def plan_path(self, plan_id: str) -> Path:
        """File that declares a sweep."""
        return self.root / "plans" / f"{plan_id}.json"

    @property
    def quarantine(self) -> Path:
        """Folder of the files that could not be read or came second."""
        return self.root / "quarantine"

    def has_result(self, run_id: str) -> bool:
        """Whether a run is published; does not read its file."""
        return os.path.lexists(self.result_path(run_id))

    def attempts(self, run_id: str) -> list[Attempt]:
        """All attempts at a run, oldest first."""
        return attempts_of(self.run_folder(run_id) / "attempts")

    def pending(self, run_ids: Iterable[str]) -> dict[str, int]:
        """The runs that are not published, each with the number of its latest attempt or 0."""
        waiting = [run_id for run_id in run_ids if not self.has_result(run_id)]
        with storing(self.root):
            return {i: max((a.number for a in self.attempts(i)), default=0) for i in waiting}

    def load(self, run_id: str) -> RunRecord | None:
        """The published record of a run; None if there is none.

        Raises:
            DamagedFileError: it could not be read, and has been set aside.
            StoreError: it has another schema version, or the machine refuses to read it.
        """
        path = self.result_path(run_id)
        if not self.has_result(run_id):
            return None
        try:
            return _parse(path, run_id)
        except DamagedFileError as error:
            damage = str(error)
        where = self._set_aside(run_id, damage)
        if where is None:
            return self.load(run_id)
        log.warning("%s: %s; %s", path, damage, where)
        raise DamagedFileError(f"{path}: {damage}; {where}")

    def failure(self, run_id: str) -> RunRecord | None:
        """The last failure of a run that can be read; None if it never failed."""
        with storing(self.run_folder(run_id)):
            attempts = self.attempts(run_id)
        failures = (failure_of(attempt, run_id) for attempt in reversed(attempts))
        return next((failure for failure in failures if failure), None)

    def record(self, run_id: str, config: Mapping[str, Any]) -> RunRecord:
        """The record of a run: `done` or `diverged` as published, `failed`, or `missing`.

        A result that cannot be read is set aside, and the run is missing, with the reason.
        """
        missing = RunRecord(run_id=run_id, status="missing", config=config)
        try:
            return self.load(run_id) or self.failure(run_id) or missing
        except DamagedFileError as error:
            return dataclasses.replace(missing, reason="damaged", message=str(error))

    def read(self, plan: Plan) -> list[RunRecord]:
        """One record for every run of a plan, in its order."""
        return [self.record(run.run_id, run.config) for run in plan.runs]

    def scan(self) -> list[RunRecord]:
        """One record for every run that is in the folder or in one of its plans, by run_id."""
        configs: dict[str, Mapping[str, Any]] = {}
        for folder in self.root.glob("runs/*/*"):
            if _RUN_ID.fullmatch(folder.name) and folder == self.run_folder(folder.name):
                configs[folder.name] = files.read_json(folder / "config.json") or {}
        for path in self.root.glob("plans/*.json"):
            _, runs = self.load_plan(path.stem)
            configs |= {run.run_id: run.config for run in runs}
        return [self.record(run_id, configs[run_id]) for run_id in sorted(configs)]

    def status(self, plan: Plan | None = None) -> dict[str, int]:
        """Numbers of runs of a plan, or of the folder: done, diverged, failed and missing."""
        counts = Counter(record.status for record in (self.read(plan) if plan else self.scan()))
        return {status: counts[status] for status in ("done", "diverged", "failed", "missing")}

    def curve(self, run_id: str) -> Curve:
        """The learning curve of a published run, up to its last good line."""
        record = self.load(run_id)
        if record is None or record.attempt is None:
            return ()
        attempt = Attempt.numbered(self.run_folder(run_id) / "attempts", record.attempt)
        try:
            text = files.read_bytes(attempt.folder / "curve.jsonl").decode("utf-8", "replace")
            return load_curve(text)
        except files.NO_FILE:
            return ()

    def load_plan(self, plan_id: str) -> tuple[str, tuple[PlannedRun, ...]]:
        """Name and runs of a declared sweep; no runs where its file is damaged and set aside."""
        path = self.plan_path(plan_id)
        try:
            with storing(path):
                content = unseal("plan", files.read_bytes(path))
            runs = tuple(PlannedRun(**run) for run in content["runs"])
            names = [name for run in runs for name in (run.run_id, run.trunk_id) if name]
            if all(map(_RUN_ID.fullmatch, names)):
                return str(content["name"]), runs
            damage = "a run_id or trunk_id is not of 32 hex digits"
        except (DamagedFileError, KeyError, TypeError) as error:
            damage = str(error)
        _, where = self._quarantined(path, path.name, damage)
        log.warning("%s: %s; %s", path, damage, where)
        return "", ()

    def _version(self) -> Any:
        """Schema version in store.json; None where there is none or it cannot be read."""
        marker = files.read_json(self.root / "store.json")
        return marker.get("schema_version") if isinstance(marker, dict) else None

    def _mark(self) -> None:
        """Makes a folder a results folder."""
        marker = self.root / "store.json"
        if os.path.lexists(marker):
            files.set_aside(marker, self.quarantine, marker.name, "not readable")
        elif foreign := sorted(n for n in os.listdir(self.root) if not n.startswith(".")):
            raise ValueError(
                f"{self.root} holds {foreign[0]!r} but no store.json, so it is no results folder. "
                "Give a new or an empty folder"
            )
        content = {"schema_version": SCHEMA_VERSION, "holds": "results of scaling runs"}
        data = f"{json.dumps(content)}\n".encode()
        files.publish(marker, data, scratch=self.root, durable=True)
        files.sync_folder(self.root.parent)

    def _set_aside(self, run_id: str, damage: str) -> str | None:
        """Moves a damaged result into quarantine; returns where it is, None if it was good."""
        path = self.result_path(run_id)
        # 1. Move first: another process could replace a file between judging and moving it.
        aside, where = self._quarantined(path, f"{run_id}-result.json", damage)
        if aside is None:
            return where
        # 2. Judge the file that was moved.
        try:
            _parse(aside, run_id)
        except DamagedFileError:
            return where
        # 3. Between reading and moving, another process set it aside and put a good one there.
        files.put_back(aside, path)
        return None

    def _quarantined(self, path: Path, name: str, damage: str) -> tuple[Path | None, str]:
        """Moves a file into quarantine; returns it there, if this call moved it, and a notice."""
        try:
            aside = files.set_aside(path, self.quarantine, name, damage)
        except OSError as error:
            return None, f"it could not be set aside ({error.strerror})"
        return aside, f"set aside as {aside}" if aside else "set aside by another process"


def failure_of(attempt: Attempt, run_id: str) -> RunRecord | None:
    """The failure in which an attempt ended; None if there is none or it cannot be read."""
    try:
        return _parse(attempt.folder / "failure.json", run_id)
    except DamagedFileError:
        return None


def _parse(path: Path, run_id: str) -> RunRecord:
    try:
        data = files.read_bytes(path)
    except OSError as error:
        if isinstance(error, files.NO_FILE) or error.errno == errno.ELOOP:
            raise DamagedFileError(f"no file: {error.strerror}") from None
        raise StoreError(
            f"{path} cannot be read: {error.strerror}. Nothing was changed. Put this right, and "
            "the same command resumes"
        ) from error
    try:
        record = load_record(data)
    except ValueError as error:
        raise StoreError(
            f"{path}: {error}. Nothing is lost; read it with the program that wrote it"
        ) from None
    if record.run_id != run_id:
        raise DamagedFileError(f"it is the record of run {record.run_id}")
    return record
