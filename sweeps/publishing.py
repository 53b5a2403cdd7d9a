"""Everything that runners and workers write into a results folder: plans, claims, results, ends.

A step may be cut short anywhere: the same command resumes from what it left.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import json
import shutil
from collections.abc import Collection, Mapping
from typing import Any, Literal

from scaling.record import RunRecord, column, differences, dump_record
from scaling.sealed import DamagedFileError
from scaling.workspace import Workspace
from sweeps import files
from sweeps.claims import Attempt, take
from sweeps.files import StoreError, storing
from sweeps.plan import Plan, PlannedRun
from sweeps.plan_file import dump_plan
from sweeps.retries import Reason
from sweeps.store import Store

Outcome = Literal["published", "equal", "different"]
"""What became of a result.

- published: it is the first for its run.
- equal: the same result was there; this one is dropped.
- different: another result was there; this one is in quarantine.
"""

Ending = Outcome | Literal["interrupted", "superfluous", "paused"]
"""How an attempt ended: in one of the outcomes of its result, or without a result.

- interrupted: its worker was asked to stop.
- superfluous: another attempt published while this one was being claimed.
- paused: it was asked to go no further, and a later attempt resumes it.
"""


def declare(store: Store, plan: Plan) -> None:
    """Publishes a plan, unless the folder has it."""
    path = store.plan_path(plan.plan_id)
    if files.exists(path) and store.load_plan(plan.plan_id)[1]:
        return
    data = dump_plan(plan, now_utc())
    with storing(path):
        files.check_inside(store.root, path.parent)
        files.make_folder(path.parent)
        files.publish(path, data, scratch=path.parent, durable=True)
        files.sync_folder(store.root)


def make_folders(store: Store, run_ids: Collection[str]) -> None:
    """Makes the folders of runs; returns when they are on the disk."""
    changed = set()
    with storing(store.root):
        files.make_folder(store.root / "runs")
        for run_id in run_ids:
            folder, attempts = store.run_folder(run_id), store.attempts_folder(run_id)
            files.check_inside(store.root, attempts)
            for parent in (folder.parent, folder, attempts):
                if files.make_folder(parent) and parent.parent != folder:
                    changed.add(parent.parent)
        for folder in (*sorted(changed), store.root):
            files.sync_folder(folder)


def claim(store: Store, run_id: str, number: int, config: Mapping[str, Any]) -> Attempt | None:
    """Claims attempt `number` at a run; None if another process was faster."""
    folder = store.run_folder(run_id)
    with storing(folder):
        attempt = take(store.attempts_folder(run_id), number)
        if attempt is None or files.costs_requests(folder):
            return attempt
        if number == 1 or not files.exists(folder / "config.json"):
            text = json.dumps(config, indent=1, sort_keys=True) + "\n"
            files.publish(
                folder / "config.json", text.encode(), scratch=attempt.folder, durable=False
            )
    return attempt


def workspace(store: Store, run: PlannedRun) -> Workspace:
    """Folders of checkpoints of a run, until it is published, of its trunk, and of weights."""
    found = Workspace(
        own=store.checkpoint_folder(run.run_id),
        trunk=store.trunk_folder(run.trunk_id) if run.trunk_id else None,
        init_from=store.weights_folder(run.parent_id) if run.parent_id else None,
        distilled_from=store.weights_folder(run.teacher_id) if run.teacher_id else None,
        leaves=store.weights_folder(run.run_id) if run.is_parent else None,
    )
    for folder in found.folders:
        if folder:
            files.check_inside(store.caches, folder)
    return found


def publish(store: Store, attempt: Attempt, record: RunRecord, text: str, curve: str) -> Outcome:
    """Publishes the result of an attempt, or sets it aside where another result came first.

    The record, `done` or `diverged`, comes with its text, as `dump_record` writes it, and the lines
    of its learning curve.

    Raises:
        StoreError: the machine refuses; the run is not done.
    """
    with storing(store.result_path(record.run_id)):
        files.check_inside(store.root, attempt.folder)
        # 1. Files that the record refers to are on the disk before the record is.
        if curve:
            files.write_new(attempt.folder / "curve.jsonl", curve.encode(), durable=True)
            files.sync_folder(attempt.folder)
            files.sync_folder(attempt.folder.parent)
        # 2. The record appears, atomically: from here on the run is done.
        outcome = _publish(store, attempt, record, text.encode())
        files.note_published(store.root, record.run_id)
    # 3. The attempt ends, so that nobody waits for its heartbeat to stop.
    if outcome != "published" or not files.costs_requests(store.root):  # else the result says so
        end(store, attempt, outcome)
    # 4. Checkpoints are no longer needed. Those that cannot be removed cost space, no result;
    #    links are not followed.
    checkpoints = store.checkpoint_folder(record.run_id)
    files.check_inside(store.caches, checkpoints)
    shutil.rmtree(checkpoints, ignore_errors=True)
    return outcome


def pause(store: Store, attempt: Attempt, record: RunRecord, text: str) -> None:
    """Publishes the record of a paused run, with its text, beside those of other steps.

    One that is there already is kept: what was decided by it stands.

    Raises:
        StoreError: the machine refuses; the run has not paused.
    """
    assert record.steps is not None
    path = store.paused_path(record.run_id, record.steps)
    with storing(path):
        files.check_inside(store.root, path.parent)
        if files.make_folder(path.parent):
            files.sync_folder(path.parent.parent)
        files.publish(path, text.encode(), scratch=attempt.folder, durable=True)
    end(store, attempt, "paused")


def fail(store: Store, attempt: Attempt, failure: RunRecord, traceback: str = "") -> None:
    """Records the failure in which an attempt ended; an earlier record of its end is kept."""
    folder = attempt.folder
    with storing(folder):
        files.check_inside(store.root, folder)
        if traceback:
            text = traceback.encode("utf-8", "replace")
            files.publish(folder / "traceback.txt", text, scratch=folder, durable=False)
        data = dump_record(dataclasses.replace(failure, attempt=attempt.number)).encode()
        files.publish(folder / "failure.json", data, scratch=folder, durable=False)


def end(store: Store, attempt: Attempt, ending: Ending) -> None:
    """Records that nobody works on an attempt any more, and why; an earlier record is kept."""
    text = json.dumps({"ending": ending, "at_utc": now_utc()}) + "\n"
    with storing(attempt.folder), contextlib.suppress(FileExistsError):
        files.check_inside(store.root, attempt.folder)
        files.write_new(attempt.folder / "end.json", text.encode(), durable=False)


def failure(run_id: str, config: Mapping[str, Any], reason: Reason, message: str) -> RunRecord:
    """The record of a run that failed."""
    return RunRecord(
        run_id=run_id,
        status="failed",
        config=config,
        reason=reason,
        message=message,
        finished_at_utc=now_utc(),
    )


def _publish(store: Store, attempt: Attempt, record: RunRecord, data: bytes) -> Outcome:
    path = store.result_path(record.run_id)
    while not files.publish(path, data, scratch=attempt.folder, durable=True):
        try:
            first = store.text(record.run_id)
        except DamagedFileError:
            if store.has_result(record.run_id):
                raise StoreError(
                    f"{path} is damaged and cannot be set aside. Move it away by hand, and the "
                    "same command resumes"
                ) from None
            continue
        if first is None:
            continue
        if not differences(first, record):
            return "equal"
        name = f"{record.run_id}-attempt-{attempt.number:04d}-result.json"
        number = column(first, "attempt")
        reason = f"came second: a different result, of attempt {number}, is published"
        files.keep_aside(data, store.quarantine, name, reason)
        return "different"
    return "published"


def now_utc() -> str:
    """The time, for people to read; no decision depends on it."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
