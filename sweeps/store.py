"""What a results folder holds: read by everybody, written through `publishing`.

The folder is the database: copy it, rsync it, mount it. A run is done when its result.json is
there and as it was written; that file appears atomically and never replaces another. Every file is
doubted: its size and kind before it is read, its checksum before it is believed. Nothing in the
folder is ever executed, and nothing that cannot be read is deleted.
"""

from __future__ import annotations

import json
import logging
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, get_args

from scaling.config import run_id as identity_of
from scaling.record import (
    SCHEMA_VERSION,
    Curve,
    RunRecord,
    Status,
    column,
    load_curve,
    parse_record,
)
from scaling.sealed import DamagedFileError, entry, in_lines, sha256, sign, signed
from sweeps import files
from sweeps.claims import Attempt, attempts_of
from sweeps.files import StoreError, storing
from sweeps.layout import Layout, resolved
from sweeps.places import Place
from sweeps.plan import Plan, PlannedRun
from sweeps.plan_file import PlanFile
from sweeps.record_files import ended_paused, failure_text, last_that_began, missing, read_text

log = logging.getLogger(__name__)

_RUN_ID = re.compile(r"[0-9a-f]{32}")
_PAUSED = re.compile(r"([0-9]{12,20})\.json")


class OpenRuns(NamedTuple):
    """Runs that are not published."""

    attempts: dict[str, int]
    """Number of the latest attempt at each, or 0."""
    in_the_way: set[str]
    """Those whose damaged result cannot be set aside, so that they cannot be done again."""


@dataclass(frozen=True)
class Store(Layout):
    """A results folder; `root` is absolute and free of links."""

    @classmethod
    def create(cls, root: str | os.PathLike[str]) -> Store:
        """Opens a results folder, making it if there is none.

        Raises:
            ValueError: a folder that holds something else.
            StoreError: another schema version, or the machine refuses.
        """
        store = cls(resolved(root))
        with storing(store.root):
            if isinstance(store.root, Path):
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
        store = cls(resolved(root))
        version = store._version()
        if version is None:
            if not store.holds_runs():
                raise ValueError(
                    f"{root} is no results folder: it holds no readable store.json. Give a folder "
                    "that `scaling run` has made"
                )
            log.warning("%s/store.json is missing or damaged; the next run writes it", store.root)
        elif version != SCHEMA_VERSION:
            raise StoreError(
                f"{store.root} has schema version {version}; this program writes "
                f"{SCHEMA_VERSION}. Use the program that made it, or give another folder"
            )
        return store

    @classmethod
    def is_at(cls, root: Place) -> bool:
        """Whether there is a results folder, if perhaps one whose marker is damaged."""
        return files.exists(root / "store.json") or cls(root).holds_runs()

    def holds_runs(self) -> bool:
        """Whether the folder is known as one of results even without its marker."""
        return bool(self.run_ids()) or any(map(_RUN_ID.fullmatch, self.plan_ids()))

    def paused_steps(self, run_id: str) -> list[int]:
        """Steps after which a run has paused, ascending; does not read the files."""
        names = files.names(self.run_folder(run_id) / "paused")
        found = (_PAUSED.fullmatch(name) for name in names)
        return sorted(int(each[1]) for each in found if each)

    def has_paused(self, run_id: str, step: int) -> bool:
        """Whether a run has paused after a step; does not read its file."""
        return files.exists(self.paused_path(run_id, step))

    def paused(self, run_id: str, step: int) -> RunRecord | None:
        """The record of a run that paused after a step; None if it has not.

        One that cannot be read is set aside, and the run is to go there again.

        Raises:
            StoreError: it has another schema version, or the machine refuses to read it.
        """
        text = self._paused_text(run_id, step)
        return None if text is None else parse_record(text)

    def _paused_text(self, run_id: str, step: int) -> bytes | None:
        path = self.paused_path(run_id, step)
        try:
            return read_text(path, run_id)
        except DamagedFileError as error:
            if files.exists(path):
                name = f"{run_id}-{path.name}"
                _, where = self._quarantined(path, name, str(error))
                log.warning("%s: %s; %s", path, error, where)
            return None

    def has_result(self, run_id: str) -> bool:
        """Whether a run is published; does not read its file."""
        return files.exists(self.result_path(run_id))

    def seems_published(self, run_id: str) -> bool:
        """Whether a run is known to be published; where asking is dear, by what was seen lately."""
        return files.seems_published(self.root, run_id, self.result_path(run_id))

    def attempts(self, run_id: str) -> list[Attempt]:
        """All attempts at a run, oldest first."""
        return attempts_of(self.attempts_folder(run_id))

    def is_published(self, run_id: str) -> bool:
        """Whether a run has a result that is complete and as it was written; moves nothing.

        Raises:
            StoreError: the result has another schema version, or the machine refuses to read it.
        """
        try:
            return bool(read_text(self.result_path(run_id), run_id))
        except DamagedFileError:
            return False

    def pending(self, run_ids: Iterable[str]) -> dict[str, int]:
        """The runs that are not published, each with the number of its latest attempt or 0."""
        return self.open_runs(run_ids).attempts

    def open_runs(self, run_ids: Iterable[str]) -> OpenRuns:
        """The runs that are not published."""
        there = set(self.run_ids())
        attempts: dict[str, int] = {}
        in_the_way = set[str]()

        def is_published(run_id: str) -> bool:
            return run_id in there and self.is_published(run_id)

        wanted = list(run_ids)
        published = files.mapped(self.root, is_published, wanted)
        for run_id, done in zip(wanted, published, strict=True):
            if run_id not in there:
                attempts[run_id] = 0
            elif not done:
                with storing(self.root):
                    attempts[run_id] = max((a.number for a in self.attempts(run_id)), default=0)
                if self._is_in_the_way(run_id):
                    in_the_way.add(run_id)
            elif not self.seems_published(run_id):  # it was copied here, without what helps
                files.note_published(self.root, run_id)
        return OpenRuns(attempts, in_the_way)

    def _is_in_the_way(self, run_id: str) -> bool:
        if not self.has_result(run_id):
            return False
        try:
            return self.load(run_id) is None
        except DamagedFileError:
            return self.has_result(run_id)

    def text(self, run_id: str) -> bytes | None:
        """The text of the published record of a run (`scaling.record.record_text`).

        None if there is none.

        Raises:
            DamagedFileError: it could not be read, and has been set aside.
            StoreError: it has another schema version, or the machine refuses to read it.
        """
        path = self.result_path(run_id)
        try:
            return read_text(path, run_id)
        except DamagedFileError as error:
            if not files.exists(path):
                return None
            damage = str(error)
        where = self._set_aside(run_id, damage)
        if where is None:
            return self.text(run_id)
        log.warning("%s: %s; %s", path, damage, where)
        raise DamagedFileError(f"{path}: {damage}; {where}")

    def load(self, run_id: str) -> RunRecord | None:
        """The published record of a run; None if there is none. Raises as `text` does."""
        text = self.text(run_id)
        return None if text is None else parse_record(text)

    def failure(self, run_id: str) -> RunRecord | None:
        """The last failure of a run; None if it never failed.

        Where no record of a failure can be read, it is the fact that one is there.
        """
        with storing(self.run_folder(run_id)):
            text = failure_text(self.attempts(run_id), run_id)
        return None if text is None else parse_record(text)

    def ending(self, run_id: str) -> RunRecord | None:
        """How a run that is not published ended last: in a failure or a pause; None in neither."""
        text = self._unpublished_text(run_id)
        return None if text is None else parse_record(text)

    def _unpublished_text(self, run_id: str) -> bytes | None:
        """Text of the record of the pause in which the last attempt ended, or of a failure."""
        with storing(self.run_folder(run_id)):
            attempts, steps = self.attempts(run_id), self.paused_steps(run_id)
        if steps and (last := last_that_began(attempts)) is not None:
            text = self._paused_text(run_id, steps[-1])
            # An attempt that was killed between its record and its end has paused all the same.
            if text and (column(text, "attempt") == last.number or ended_paused(last)):
                return text
        return failure_text(attempts, run_id)

    def record(self, run_id: str, config: Mapping[str, Any]) -> RunRecord:
        """The record of a run: `done` or `diverged` as published, `failed`, `paused` or `missing`.

        A run is paused where its last attempt was asked to go no further, and did. A result that
        cannot be read is set aside, and the run is missing, with the reason.
        """
        match self._found(run_id):
            case bytes(text):
                return parse_record(text)
            case damage:
                return missing(run_id, config, damage)

    def _found(self, run_id: str) -> bytes | str | None:
        """Text of the record of a run, published or not; else what is damaged, or nothing."""
        try:
            text = self.text(run_id)
        except DamagedFileError as error:
            return str(error)
        return self._unpublished_text(run_id) if text is None else text

    def read(self, plan: Plan) -> list[RunRecord]:
        """One record for every run of a plan, in its order."""
        return list(self.records({run.run_id: run.config for run in plan.runs}))

    def records(self, configs: Mapping[str, Mapping[str, Any]]) -> Iterator[RunRecord]:
        """One record for every run of these configurations, in their order; see `record`."""
        return files.mapped(self.root, lambda run_id: self.record(run_id, configs[run_id]), configs)

    def run_ids(self) -> list[str]:
        """The runs that have a folder here, in order."""
        with storing(self.root):
            names = files.names_below(self.root / "runs")
        return sorted(name for name in names if _RUN_ID.fullmatch(name))

    def plan_ids(self) -> list[str]:
        """The plans that are declared here, in order."""
        names = files.names(self.root / "plans")
        return sorted(name.removesuffix(".json") for name in names if name.endswith(".json"))

    def plans(self) -> Iterator[PlanFile]:
        """The plans that can be read; one that is damaged is set aside."""
        for plan_id in self.plan_ids():
            if (plan := self._plan_file(plan_id)) is not None:
                yield plan

    def texts(self) -> Iterator[bytes]:
        """Text of one record for every run in the folder or in one of its plans, by run_id.

        They are those that `record` would give, read one at a time and not parsed
        (`scaling.record.column`).
        """
        declared = {run_id: plan for plan in self.plans() for run_id in plan.run_ids}
        known = sorted(declared.keys() | self.run_ids())
        for run_id, found in zip(known, files.mapped(self.root, self._found, known), strict=True):
            match found:
                case bytes(text):
                    yield text
                case damage:
                    plan = declared.get(run_id)
                    config = plan.run(run_id).config if plan else self.config(run_id)
                    yield in_lines(vars(missing(run_id, config, damage))).encode()

    def scan(self) -> list[RunRecord]:
        """One record for every run that is in the folder or in one of its plans, by run_id."""
        return [parse_record(text) for text in self.texts()]

    def config(self, run_id: str) -> Mapping[str, Any]:
        """The configuration in the folder of a run; empty where it is not that of the run."""
        plain = files.read_json(self.run_folder(run_id) / "config.json")
        try:
            return plain if identity_of(plain) == run_id else {}
        except (TypeError, KeyError, AttributeError, ValueError):
            return {}

    def status(self, plan: Plan | None = None) -> dict[str, int]:
        """Numbers of runs of a plan, or of the folder, by status."""
        counts = Counter(record.status for record in (self.read(plan) if plan else self.scan()))
        return {status: counts[status] for status in get_args(Status)}

    def curve(self, run_id: str) -> Curve:
        """The learning curve of a published run; empty where it has none.

        Raises:
            DamagedFileError: the file of the curve is not as it was written, or gone.
        """
        record = self.load(run_id)
        if record is None or record.attempt is None or record.n_curve_points == 0:
            return ()
        path = self.curve_path(run_id, record.attempt)
        try:
            data = files.read_bytes(path, files.MANY_BYTES)
        except FileNotFoundError:
            if record.n_curve_points is None:
                return ()
            raise DamagedFileError(f"{path}: the curve is gone") from None
        except OSError as error:
            if not files.is_damage(error):
                raise
            raise DamagedFileError(f"{path}: no file: {error.strerror}") from None
        try:
            return load_curve(data, record)
        except DamagedFileError as error:
            raise DamagedFileError(f"{path}: {error}") from None

    def curve_damage(self, text: bytes) -> str | None:
        """What is wrong with the curve of a published run, whose record has this text, if anything.

        Raises:
            StoreError: the machine refuses to read it.
        """
        if entry(text, "n_curve_points") == b"0":
            return None
        points, run_id = column(text, "n_curve_points"), column(text, "run_id")
        with storing(self.run_folder(run_id)):
            if points:
                path = self.curve_path(run_id, column(text, "attempt"))
                try:
                    found = sha256(files.read_bytes(path, files.MANY_BYTES))
                    if found == column(text, "curve_sha256"):
                        return None
                except OSError as error:
                    if not files.is_damage(error):
                        raise
            try:
                self.curve(run_id)
            except DamagedFileError as error:
                return str(error)
        return None

    def damaged_curves(self, run_ids: Iterable[str]) -> Iterator[tuple[str, str]]:
        """The published runs whose curve is damaged, each with what is wrong."""
        for run_id in run_ids:
            text = self.text(run_id) if self.is_published(run_id) else None
            if text is not None and (damage := self.curve_damage(text)) is not None:
                yield run_id, damage

    def reopen(self, run_id: str, reason: str) -> None:
        """Sets a result aside, for a reason, so that its run is done again."""
        path = self.result_path(run_id)
        with storing(path):
            files.set_aside(path, self.quarantine, f"{run_id}-result.json", reason)

    def load_plan(self, plan_id: str) -> tuple[str, tuple[PlannedRun, ...]]:
        """Name and runs of a declared sweep; no runs where its file is damaged and set aside."""
        plan = self._plan_file(plan_id)
        if plan is None:
            return "", ()
        with storing(plan.path):
            return plan.name, tuple(plan.runs())

    def _plan_file(self, plan_id: str) -> PlanFile | None:
        path = self.plan_path(plan_id)
        try:
            with storing(path):
                return PlanFile.read(path)
        except DamagedFileError as error:
            damage = str(error)
        _, where = self._quarantined(path, path.name, damage)
        log.warning("%s: %s; %s", path, damage, where)
        return None

    def _version(self) -> Any:
        """Schema version in store.json; None where there is none or it cannot be believed."""
        marker = files.read_json(self.root / "store.json")
        if not isinstance(marker, dict):
            return None
        version = marker.get("schema_version")
        if "sha256" not in marker:  # of older code, all of whose folders have this version
            return version if version == SCHEMA_VERSION else None
        try:
            return signed(marker)["schema_version"]
        except (DamagedFileError, KeyError):
            return None

    def _mark(self) -> None:
        """Makes a folder a results folder."""
        marker = self.root / "store.json"
        if files.exists(marker):
            if self._version() is not None:  # another process has made it meanwhile
                return
            files.set_aside(marker, self.quarantine, marker.name, "not readable")
        elif (
            not self.holds_runs()
            and (foreign := sorted(n for n in files.names(self.root) if not n.startswith(".")))
            and not files.exists(marker)  # another process may have made it meanwhile
        ):
            raise ValueError(
                f"{self.root} holds {foreign[0]!r} but no store.json, so it is no results folder. "
                "Give a new or an empty folder"
            )
        content = {"schema_version": SCHEMA_VERSION, "holds": "results of scaling runs"}
        data = f"{json.dumps(sign(content))}\n".encode()
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
            read_text(aside, run_id)
        except DamagedFileError:
            return where
        # 3. Between reading and moving, another process set it aside and put a good one there.
        files.put_back(aside, path)
        return None

    def _quarantined(self, path: Place, name: str, damage: str) -> tuple[Place | None, str]:
        """Moves a file into quarantine; returns it there, if this call moved it, and a notice."""
        try:
            aside = files.set_aside(path, self.quarantine, name, damage)
        except OSError as error:
            return None, f"it could not be set aside ({error.strerror})"
        return aside, f"set aside as {aside}" if aside else "set aside by another process"
