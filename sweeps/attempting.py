"""Claimed runs, computed together: what becomes of each, whatever happens to the others."""

from __future__ import annotations

import dataclasses
import traceback
from collections.abc import Sequence
from typing import NamedTuple

from scaling.record import Curve, RunRecord, dump_curve_line, dump_record, with_curve
from sweeps import publishing
from sweeps.claims import Attempt
from sweeps.computing import Compute
from sweeps.plan import PlannedRun
from sweeps.visiting import Task


class Claimed(NamedTuple):
    """A run, and this worker's attempt at it."""

    task: Task
    attempt: Attempt


class Result(NamedTuple):
    """What an attempt leaves: its record, the text of the record, and the lines of its curve."""

    record: RunRecord
    text: str
    curve: str


class Failed(NamedTuple):
    """An error that ended an attempt, and where it was raised."""

    error: BaseException
    trace: str


def computed(
    compute: Compute, claimed: Sequence[Claimed], companions: Sequence[PlannedRun] = ()
) -> list[tuple[Claimed, Result | Failed]]:
    """What became of claimed runs, computed together, with `companions`.

    A pack that fails is computed again in halves and without companions, so that a run fails
    for itself alone, and a pack that is too large for the memory becomes smaller.
    """
    if not claimed:
        return []
    try:
        store = claimed[0].task.store
        places = [(task.store, task.run, task.pause_at) for task, _ in claimed]
        places += [(store, run, None) for run in companions]
        # Runs of a pack are computed in the order of the plan, whichever are claimed.
        order = {run.run_id: number for number, run in enumerate(claimed[0].task.mates)}
        places.sort(key=lambda place: order.get(place[1].run_id, 0))
        spaces = [
            publishing.workspace(store, run)._replace(pause_at=pause_at)
            for store, run, pause_at in places
        ]
        found = compute([run.config for _, run, _ in places], spaces)
        its = {run.run_id: each for (_, run, _), each in zip(places, found, strict=True)}
        return [(each, _checked(each, *its[each.task.run.run_id])) for each in claimed]
    except (Exception, SystemExit) as error:
        if len(claimed) == 1 and not companions:
            return [(claimed[0], Failed(error, traceback.format_exc()))]
    if len(claimed) == 1:
        return computed(compute, claimed)
    half = len(claimed) // 2
    return computed(compute, claimed[:half]) + computed(compute, claimed[half:])


def _checked(claimed: Claimed, record: RunRecord, curve: Curve) -> Result | Failed:
    """What a run returned, ready to be published; a failure where it is no result of that run."""
    run_id = claimed.task.run.run_id
    try:
        if record.run_id != run_id:
            raise ValueError(
                f"run {run_id} returned the record of run {record.run_id}: make the "
                "record with run_id(config)"
            )
        allowed = ["done", "diverged", "failed"]
        if claimed.task.pause_at is not None and record.steps == claimed.task.pause_at:
            allowed.append("paused")
        if record.status not in allowed:
            raise ValueError(
                f"the run returned a record of status {record.status!r}: return one of "
                f"{', '.join(allowed)}"
            )
        lines = "" if record.status == "paused" else "".join(map(dump_curve_line, curve))
        record = with_curve(dataclasses.replace(record, attempt=claimed.attempt.number), lines)
        return Result(record, dump_record(record), lines)
    except Exception as error:
        return Failed(error, traceback.format_exc())
