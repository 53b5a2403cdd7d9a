"""Runs of another results folder, taken into this one: what was computed once is not again.

The other folder is read and never changed. A result is believed as one of this folder is, and
published in an attempt of its own; it never replaces another.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping
from typing import Literal

from scaling.record import column, differences, dump_record, parse_record, record_text
from scaling.sealed import DamagedFileError
from sweeps import files, publishing
from sweeps.files import storing
from sweeps.plan_file import PlanFile
from sweeps.store import Store

Became = Literal["new", "kept", "different", "damaged"]
"""What became of a run of the other folder.

- new: it is published here.
- kept: this folder has the same result.
- different: this folder has another result, which stays.
- damaged: its result or curve cannot be read there.
"""


def import_runs(store: Store, other: Store) -> Mapping[Became, int]:
    """Takes plans and published runs of another folder; returns what became of how many.

    Raises:
        StoreError: a folder cannot be read or written.
    """
    for name in files.names(other.root / "plans"):
        if name.endswith(".json"):
            _import_plan(store, other, name.removesuffix(".json"))
    ids = [run_id for run_id in other.run_ids() if other.has_result(run_id)]
    publishing.make_folders(store, ids)
    return Counter(_import_run(store, other, run_id) for run_id in ids)


def _import_plan(store: Store, other: Store, plan_id: str) -> None:
    path, target = other.plan_path(plan_id), store.plan_path(plan_id)
    try:
        PlanFile.read(path)
        with storing(target):
            files.check_inside(store.root, target.parent)
            files.make_folder(target.parent)
            data = files.read_bytes(path, files.MANY_BYTES)
            files.publish(target, data, scratch=target.parent, durable=True)
    except DamagedFileError:  # its runs come all the same
        return


def _import_run(store: Store, other: Store, run_id: str) -> Became:
    try:
        with storing(other.result_path(run_id)):
            text = record_text(files.read_bytes(other.result_path(run_id)))
        if column(text, "run_id") != run_id or other.curve_damage(text) is not None:
            return "damaged"
        record = parse_record(text)
        with storing(other.run_folder(run_id)):
            curve = _curve(other, run_id, record.attempt) if record.n_curve_points else ""
    except (DamagedFileError, ValueError):
        return "damaged"
    if (here := store.text(run_id)) is not None:
        return "different" if differences(here, record) else "kept"
    number = max((each.number for each in store.attempts(run_id)), default=0) + 1
    attempt = publishing.claim(store, run_id, number, record.config)
    if attempt is None:  # another process began it just now, and will publish it
        return "kept"
    record = dataclasses.replace(record, attempt=number)
    outcome = publishing.publish(store, attempt, record, dump_record(record), curve)
    return "new" if outcome == "published" else "different" if outcome == "different" else "kept"


def _curve(other: Store, run_id: str, attempt: int | None) -> str:
    path = other.curve_path(run_id, attempt or 0)
    return files.read_bytes(path, files.MANY_BYTES).decode()
