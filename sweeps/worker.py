"""One worker: visits runs, claims one or a pack, computes, publishes, and visits the next.

`python -m scaling_descent worker` reads its settings as one line of JSON from standard input and
reports what happens as lines of JSON on standard output. When standard input ends, the parent is
gone or no longer needs the worker, which exits at once. What runs print goes to standard error. The
code of users that the settings name is loaded before anything is read from a results folder.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from scaling.record import RunRecord
from sweeps import compile_cache, publishing
from sweeps.attempting import Claimed, Failed, Result, computed
from sweeps.claims import Attempt, Heartbeat, Watch
from sweeps.computing import Compute, load_code
from sweeps.files import StoreError, storing
from sweeps.places import Place
from sweeps.plan import PlannedRun
from sweeps.record_files import failure_of
from sweeps.retries import (
    FAILURES_BEFORE_A_WORKER_STOPS,
    back_off_seconds,
    exhausted,
    reason_of,
    says_the_same,
)
from sweeps.signals import PARENT_DECIDES, Stopped, stop
from sweeps.store import Store
from sweeps.visiting import Share, Task, packs, visiting_order, with_packs

Emit = Callable[..., None]
"""A function that reports an event: its kind, and `job`, `run_id` and more as keywords."""

_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.02, 0.5
_LOOKING = 0.25
"""Most time of looking for something to do, as a share of the pause that follows."""

_LOOKING_EVERY, _LOOKING_MEANWHILE = 0.1, 0.2
"""Least time between two looks at the runs of others while there is something to do, as a share of
a lease, and most time of such a look, as a share of the time between two."""

_MET_IN_A_ROW = 3
"""Claims in a row for which others are faster, after which a share is left to them."""

_MESSAGE_LENGTH = 1000


def work(
    shares: Iterable[Share],
    compute: Compute,
    *,
    lease: float,
    emit: Emit,
    patience: int = FAILURES_BEFORE_A_WORKER_STOPS,
) -> None:
    """Visits the tasks of all shares, in their order, until each is published or given up.

    Claims of others are over after `lease` seconds without a heartbeat. The worker stops early
    after failures of `patience` different runs in a row.

    Raises:
        StoreError: the results folder cannot be written; no run is to blame.
    """
    with Heartbeat(lease) as heartbeat:
        between_looks = lease * _LOOKING_EVERY
        worker = _Worker(compute, emit, patience, heartbeat, Watch(lease), between_looks)
        # 1. Every run is visited once. What is left of a pack waits: it failed, or others are at
        #    it. One that is lost to them is met here, long before the end.
        waiting = deque[list[Task]]()
        looked_at = time.monotonic()
        for pack in _met_seldom(shares, worker, waiting):
            waiting.extend(worker.visit(pack))
            if waiting and time.monotonic() - looked_at >= between_looks:
                worker.look_again(waiting, between_looks * _LOOKING_MEANWHILE)
                looked_at = time.monotonic()
        # 2. What is left is visited in turn. Looking takes a small share of the time: there may be
        #    a thousand workers with nothing else to do, and the store slow.
        pause = _SHORTEST_PAUSE
        while waiting and not worker.gives_up:
            if worker.look_again(waiting, pause * _LOOKING):
                pause = _SHORTEST_PAUSE
            elif waiting:
                time.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)


def _met_seldom(
    shares: Iterable[Share], worker: _Worker, waiting: deque[list[Task]]
) -> Iterator[list[Task]]:
    """The packs of shares, in order, but from the other end once another worker was at a run.

    Workers of two commands have the same shares. Without this they would go through them in step,
    each trying to claim what the other has just claimed. What is left of a share in which that
    happens again and again is put with those that wait: others are about to do it.
    """
    for share in shares:
        left, in_a_row = deque(share), 0
        while left and in_a_row < _MET_IN_A_ROW:
            met = worker.n_met
            yield from packs(left.popleft())
            if worker.n_met > met:
                left.reverse()
                in_a_row += 1
            else:
                in_a_row = 0
        waiting.extend(pack for chain in left for pack in packs(chain))


@dataclass
class _Worker:
    """A worker, and what it remembers from one run to the next."""

    compute: Compute
    emit: Emit
    patience: int
    heartbeat: Heartbeat
    watch: Watch
    between_looks: float  # least seconds between two looks at the runs of others
    n_attempts: int = 0
    n_met: int = 0  # claims for which another process was faster
    took: float = 0.0  # seconds, of the last runs that it did
    failing: set[str] = field(default_factory=set)
    """Runs that failed since the last success, each in a way in which it had not failed before."""
    given_up: set[tuple[Place, str]] = field(default_factory=set)
    """Runs that failed too often."""
    blamed: set[tuple[Place, str]] = field(default_factory=set)
    """Runs that may be to blame for the failure of their pack."""
    tried: set[tuple[Place, str]] = field(default_factory=set)
    """Runs that somebody has tried."""
    due: dict[tuple[Place | str, int], float] = field(default_factory=dict)
    """When to try a run, or a pack as one, again after an attempt of this number."""

    @property
    def gives_up(self) -> bool:
        """Whether so many different runs have failed in a row that the machine is at fault."""
        return len(self.failing) >= self.patience

    def visit(self, pack: Sequence[Task]) -> list[list[Task]]:
        """Does the runs of a pack that are free, together.

        Returns:
            Those not settled: in one list, but for each that is from now on done alone.
        """
        if self.gives_up:
            return [list(pack)]
        left: list[Task] = []
        claimed: list[Claimed] = []
        try:
            for task in pack:
                with storing(task.store.run_folder(task.run.run_id)):
                    found = self._look_at(task)
                if isinstance(found, Attempt):
                    claimed.append(Claimed(task, found))
                    self._report(task, "started", attempt=found.number)
                elif found == "later":
                    left.append(task)
            self.n_attempts += len(claimed)
            self.heartbeat.on(*(attempt for _, attempt in claimed))
            began = time.monotonic()
            left += self._do(claimed)
            if claimed:
                self.took = time.monotonic() - began
            together = [task for task in left if not self._is_alone(task)]
            return [*([together] if together else []), *([t] for t in left if self._is_alone(t))]
        except (Stopped, StoreError):
            for task, attempt in claimed:
                with contextlib.suppress(StoreError):
                    if not (attempt.ended or task.store.has_result(task.run.run_id)):
                        publishing.end(task.store, attempt, "interrupted")
            raise
        finally:
            self.heartbeat.on()

    def look_again(self, waiting: deque[list[Task]], seconds: float) -> bool:
        """Visits those that wait, in turn, for a time or until one is tried; returns whether."""
        attempts, began = self.n_attempts, time.monotonic()
        for _ in range(len(waiting)):
            waiting.extend(self.visit(waiting.popleft()))
            if self.n_attempts > attempts or time.monotonic() - began > seconds:
                break
        return self.n_attempts > attempts

    def _is_alone(self, task: Task) -> bool:
        """Whether a run is done alone since it may be to blame for the failure of its pack."""
        return (task.store.root, task.run.run_id) in self.blamed

    def _look_at(self, task: Task) -> Attempt | Literal["settled", "later"]:
        """Claims a run if it is free and due; else says whether to look at it again."""
        store, run_id = task.store, task.run.run_id
        # 1. A published run is settled, whoever published it, and so is one that has paused there.
        if task.is_there:
            return self._settled(task, "elsewhere")
        # A run waits until those before it are published or given up.
        for parent in task.run.parents:
            if (store.root, parent) not in self.given_up and not store.seems_published(parent):
                return "later"
        # 2. A run at which another process works is left alone; look again later.
        #    One that nobody has tried, for all this worker knows, is claimed without looking.
        known = task.attempts_before or (store.root, run_id) in self.tried
        if known and (store.has_result(run_id) or task.is_there):
            return self._settled(task, "elsewhere")
        attempts = store.attempts(run_id) if known else []
        number = attempts[-1].number if attempts else 0
        if attempts and not self._is_free(task, attempts[-1]):
            return "later"
        # 3. A run that failed too often in this invocation is given up; else it waits until it is
        #    due again, and is then done alone: it may be to blame for its pack. A worker that was
        #    lost once was more likely killed.
        recent = [failure_of(a, run_id) for a in attempts if a.number > task.attempts_before]
        failures = [failure for failure in recent if failure]
        reasons = [failure.reason or "" for failure in failures]
        if exhausted(reasons):
            self.given_up.add((store.root, run_id))
            return self._settled(task, "failed", message=failures[-1].message)
        if attempts and not self._is_due(task, attempts[-1], reasons):
            return "later"
        if failures and reasons != ["worker_lost"] and not self._is_alone(task):
            self.blamed.add((store.root, run_id))
            if len(task.mates) > 1:
                return "later"
        # 4. Claim the next attempt; only one of several processes gets it. The last one may have
        #    published and ended between the two questions of step 2.
        if attempts and (store.has_result(run_id) or task.is_there):
            return self._settled(task, "elsewhere")
        attempt = publishing.claim(store, run_id, number + 1, task.run.config)
        self.tried.add((store.root, run_id))
        if attempt is None:
            self.n_met += 1
            if self.took >= self.between_looks:  # where runs take long, its lease begins here
                self.watch.see(store.attempt(run_id, number + 1))
            return "later"
        if attempts and not attempts[-1].is_folder:
            self._report(task, "passed_over", message=str(attempts[-1].folder))
        # 5. Another process may have published since step 1, in an attempt before this one.
        if number and (store.has_result(run_id) or task.is_there):
            publishing.end(store, attempt, "superfluous")
            return self._settled(task, "elsewhere")
        return attempt

    def _is_free(self, task: Task, last: Attempt) -> bool:
        """Whether nobody works on a run, judging by its last attempt; marks a lost attempt."""
        if not self.watch.over(last):
            return False
        if not last.ended:
            if task.store.has_result(task.run.run_id):
                return False
            claim = last.claim()
            message = (
                f"attempt {last.number} (process {claim.get('pid')} on {claim.get('host')}) ended "
                "without a report: killed, out of memory, a crash or a lost machine"
            )
            lost = publishing.failure(task.run.run_id, task.run.config, "worker_lost", message)
            publishing.fail(task.store, last, lost)
        return True

    def _is_due(self, task: Task, last: Attempt, reasons: list[str]) -> bool:
        now = time.monotonic()
        place = last.folder if task.pack is None or self._is_alone(task) else task.pack
        return now >= self.due.setdefault((place, last.number), now + back_off_seconds(reasons))

    def _do(self, claimed: Sequence[Claimed]) -> list[Task]:
        """Does claimed runs together and publishes them; returns those that failed."""
        failed: list[Task] = []
        message = None
        for each, outcome in computed(self.compute, claimed, self._companions(claimed)):
            if failure := self._settle(each, outcome):
                failed.append(each.task)
                message = failure.message
        if failed and self.gives_up:
            self._report(failed[-1], "stopped", message=message, failures=len(self.failing))
        return failed

    def _companions(self, claimed: Sequence[Claimed]) -> Sequence[PlannedRun]:
        """Returns the other runs of the pack, which are computed too so that bits are its own."""
        if not claimed or self._is_alone(claimed[0].task):
            return ()
        ids = {task.run.run_id for task, _ in claimed}
        return [run for run in claimed[0].task.mates if run.run_id not in ids]

    def _settle(self, claimed: Claimed, outcome: Result | Failed) -> RunRecord | None:
        """Publishes the outcome of an attempt; returns the failure of one that failed."""
        task, attempt = claimed
        if isinstance(outcome, Failed):
            message = f"{type(outcome.error).__name__}: {outcome.error}"[:_MESSAGE_LENGTH]
            run, reason = task.run, reason_of(outcome.error)
            failure = publishing.failure(run.run_id, run.config, reason, message)
            return self._failed(claimed, failure, outcome.trace)
        if outcome.record.status == "failed":
            return self._failed(claimed, outcome.record)
        if outcome.record.status == "paused":
            publishing.pause(task.store, attempt, outcome.record, outcome.text)
            self.failing.clear()
            self._settled(task, "paused")
            return None
        ending = publishing.publish(task.store, attempt, *outcome)
        self.failing.clear()
        if ending == "different":
            self._report(task, "conflict", attempt=attempt.number)
        self._settled(task, outcome.record.status if ending == "published" else "elsewhere")
        return None

    def _failed(self, claimed: Claimed, failure: RunRecord, trace: str = "") -> RunRecord:
        task, attempt = claimed
        before = task.store.failure(task.run.run_id)
        publishing.fail(task.store, attempt, failure, trace)
        if before is None or not says_the_same(before, failure):
            self.failing.add(task.run.run_id)
        self._report(task, "tried", message=failure.message)
        return failure

    def _settled(self, task: Task, kind: str, **more: Any) -> Literal["settled"]:
        self._report(task, kind, **more)
        return "settled"

    def _report(self, task: Task, kind: str, **more: Any) -> None:
        self.emit(kind, job=task.job, run_id=task.run.run_id, **more)


def load_tasks(jobs: Sequence[dict[str, Any]], platform: str | None = None) -> list[Task]:
    """The runs of several plans that are not published yet, each run of a folder once.

    Where a job has `stops`, they are those, each until the step that it gives. Runs are in packs
    where the `platform` of the device is given.
    """
    tasks: dict[tuple[Place, str], Task] = {}
    for index, job in enumerate(jobs):
        store, stops, before = Store.open(job["root"]), job.get("stops"), job["attempts_before"]
        planned = [
            Task(
                index, store, run, before.get(run.run_id, 0), pause_at=(stops or {}).get(run.run_id)
            )
            for run in (store.load_plan(job["plan_id"])[1] if job["plan_id"] else ())
            if stops is None or run.run_id in stops
        ]
        if platform is not None:
            planned = with_packs(planned, platform)
        for task in planned:
            if not task.is_there:
                tasks.setdefault((store.root, task.run.run_id), task)
    return list(tasks.values())


class _Warnings(logging.Handler):
    """Reports warnings of this process, which nobody else would read."""

    def __init__(self, emit: Emit) -> None:
        super().__init__(logging.WARNING)
        self._emit = emit

    def emit(self, record: logging.LogRecord) -> None:
        """Reports one."""
        self._emit("warning", message=record.getMessage())


def main() -> int:
    """Runs one worker process."""
    for number in PARENT_DECIDES:  # they may reach all processes of a group or of a job
        signal.signal(number, signal.SIG_IGN)
    events = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    settings = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    signal.signal(signal.SIGTERM, stop)
    if settings["core"] is not None and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {settings["core"]})

    one_at_a_time = threading.Lock()  # heartbeats warn too

    def emit(kind: str, **more: Any) -> None:
        with one_at_a_time:
            events.write(json.dumps({"kind": kind, **more}) + "\n")
            events.flush()

    for room in ("scaling", "sweeps"):
        logging.getLogger(room).addHandler(_Warnings(emit))
    compile_cache.have_checksums()
    try:
        try:
            compute = load_code(settings)
        except ValueError as error:
            emit("broken", message=str(error))
            return 1
        tasks = load_tasks(settings["jobs"], settings["platform"] if settings["run_pack"] else None)
        tasks = [task for task in tasks if task.run.devices == settings["devices"]]
        shares = visiting_order(tasks, settings["worker"], settings["workers"])
        work(shares, compute, lease=settings["lease"], emit=emit)
    except Stopped:
        return 0
    except StoreError as error:
        emit("trouble", message=str(error))
        return 1
    emit("finished")
    return 0


def _exit_with_parent() -> None:
    """Exits when standard input ends. Nothing is tidied up: any moment is safe to exit."""
    while os.read(0, 4096):
        pass
    os._exit(0)
