"""A pool of workers seen from its parent: their attempts, lost workers, runs still to settle."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

from scaling.record import RunRecord
from sweeps import publishing
from sweeps.executors import Executor
from sweeps.files import StoreError
from sweeps.places import Place
from sweeps.plan import Plan, PlannedRun
from sweeps.retries import FAILURES_BEFORE_A_WORKER_STOPS
from sweeps.store import Store

log = logging.getLogger(__name__)

GRACE_SECONDS = 5.0
"""How long workers may take to stop before they are ended."""

LOSSES_BEFORE_THE_CACHE_IS_DOUBTED = 2
"""Losses of a worker in a row after which the next one compiles anew what it needs."""

_LISTEN_SECONDS = 0.1

Settled = Literal["done", "diverged", "failed", "paused", "elsewhere"]
"""How a run was settled.

- done, diverged: the worker that reports it published it.
- failed: it was tried as often as it may be (`retries`).
- paused: it was done until the step that the call asks for.
- elsewhere: it was found published, by another worker, another runner or a lost worker.
"""

Kind = Literal["planned", "started", "tried", "stopped", "conflict", "passed_over"] | Settled
"""What an event reports.

- planned: a job begins; once for each job that has runs, with the numbers of them and of those
  published.
- started: an attempt at a run began.
- tried: an attempt failed; the run may be tried again.
- stopped: a worker stopped after too many failures in a row.
- conflict: a result differs from the published one, and was set aside.
- passed_over: something is where an attempt would be, and the next one began.
- done, diverged, failed, paused, elsewhere: the run is settled (`Settled`); one for each run.
"""


@dataclass(frozen=True)
class Event:
    """Something that happened in a job, for whoever shows progress."""

    kind: Kind
    job: int
    run_id: str = ""
    message: str = ""
    name: str = ""
    planned: int = 0
    already: int = 0


@dataclass(frozen=True)
class JobSummary:
    """What became of the runs of one plan, read from the results folder afterwards.

    Of the `planned` runs, `already` were published before; the others are done, diverged or paused
    where they were to be, or there is a record of each that failed or is missing (not settled).
    """

    name: str
    root: Place
    planned: int
    already: int
    done: int
    diverged: int
    paused: int
    failed: tuple[RunRecord, ...]
    missing: tuple[RunRecord, ...]


Stops = Mapping[str, int | None]
"""Runs by `run_id`, each with the step after which it is to pause; None for its end."""


class Job:
    """The runs of one plan in its results folder, and those of them that are to be done.

    `stops`, where there are any, are the only runs that it is about, each with the step after which
    it is to pause; None for its end.
    """

    def __init__(
        self,
        index: int,
        store: Store,
        name: str,
        plan_id: str,
        runs: Sequence[PlannedRun],
        stops: Stops | None = None,
    ) -> None:
        self.index, self.store, self.name, self.plan_id = index, store, name, plan_id
        self.stops = stops
        self.runs = {run.run_id: run for run in runs if stops is None or run.run_id in stops}
        self.pending: dict[str, int] = {}
        """The runs to be done, each with the number of its latest attempt before this call."""
        self.unreadable: set[str] = set()
        """Runs whose damaged result is in the way."""

    @classmethod
    def of(cls, index: int, store: Store, plan: Plan, stops: Stops | None = None) -> Job:
        """A plan, as the folder stands."""
        job = cls(index, store, plan.name, plan.plan_id, plan.runs, stops)
        attempts, in_the_way = store.open_runs(job.runs)
        open_runs = {i: n for i, n in attempts.items() if not job.has_paused(i)}
        job.unreadable = in_the_way & open_runs.keys()
        job.pending = {i: n for i, n in open_runs.items() if i not in job.unreadable}
        return job

    @classmethod
    def declared(cls, index: int, settings: Mapping[str, Any]) -> Job:
        """The job that has these `settings` in a call that another process began."""
        store, plan_id = Store.open(settings["root"]), settings["plan_id"]
        name, runs = store.load_plan(plan_id) if plan_id else ("", ())
        job = cls(index, store, name, plan_id or "", runs, settings["stops"])
        before = settings["attempts_before"]
        job.pending = {i: before.get(i, 0) for i in job.runs if not job.is_there(i)}
        return job

    def has_paused(self, run_id: str) -> bool:
        """Whether a run has paused where it is to pause, if it is, by a record that can be read."""
        step = (self.stops or {}).get(run_id)
        return step is not None and self.store.paused(run_id, step) is not None

    def is_there(self, run_id: str, *, closely: bool = False) -> bool:
        """Whether a run is published, or has paused where it is to pause.

        Unless it looks closely, what was published lately may be passed over.
        """
        published = self.store.has_result if closely else self.store.seems_published
        return published(run_id) or self.has_paused(run_id)

    @property
    def already(self) -> int:
        """Number of runs that were published before this call."""
        return len(self.runs) - len(self.pending) - len(self.unreadable)

    def settings(self) -> dict[str, Any]:
        """The settings of a worker for this job."""
        before = {run_id: number for run_id, number in self.pending.items() if number}
        plan_id = self.plan_id if self.pending else None
        return {
            "root": str(self.store.root),
            "plan_id": plan_id,
            "attempts_before": before,
            "stops": self.stops,
        }

    def summary(self) -> JobSummary:
        """Counts what became of its runs; keeps no record of those that are published."""
        counts = Counter[str]()
        kept: dict[str, list[RunRecord]] = {"failed": [], "missing": []}
        open_runs = [*self.pending, *self.unreadable]
        configs = {run_id: self.runs[run_id].config for run_id in open_runs}
        for record in self.store.records(configs):
            if record.status in ("paused", *kept):
                there, status = self.has_paused(record.run_id), record.status
                status = "paused" if there else "missing" if status == "paused" else status
                record = replace(record, status=status)
            counts[record.status] += 1
            if record.status in kept:
                kept[record.status].append(record)
        return JobSummary(
            name=self.name,
            root=self.store.root,
            planned=len(self.runs),
            already=self.already,
            done=counts["done"],
            diverged=counts["diverged"],
            paused=counts["paused"],
            failed=tuple(kept["failed"]),
            missing=tuple(kept["missing"]),
        )


@dataclass
class _Slot:
    """One place in the pool, and the worker in it."""

    started: dict[tuple[int, str], int] = field(default_factory=dict)
    """Number of each attempt under way, by its job and run: several where runs are packed."""
    losses: int = 0  # workers lost in a row without a run settled
    finished: bool = False  # whether the worker found nothing more to do


class Pool:
    """The workers of one call, and the runs that they are to settle."""

    def __init__(
        self, jobs: Sequence[Job], progress: Callable[[Event], None] = lambda event: None
    ) -> None:
        self.signals: list[int] = []
        self.notices: list[str] = []
        self.unsettled: dict[tuple[Place, str], list[int]] = {}
        self._jobs = jobs
        self._progress = progress
        self._slots: dict[int, _Slot] = {}
        self._stopping_since: float | None = None
        self._error: Exception | None = None
        for job in jobs:
            name, planned = job.name, len(job.runs)
            if not planned:
                continue
            progress(Event("planned", job.index, name=name, planned=planned, already=job.already))
            for run_id in job.pending:
                self.unsettled.setdefault((job.store.root, run_id), []).append(job.index)

    def waiting(self) -> Counter[int]:
        """Number of runs to be settled, by the number of devices that share a run."""
        jobs = ((self._jobs[indices[0]], run_id) for (_, run_id), indices in self.unsettled.items())
        return Counter(job.runs[run_id].devices for job, run_id in jobs)

    def run(self, executor: Executor, workers: Iterable[int], settings: dict[str, Any]) -> None:
        """Starts workers, of those that `settings` number, and watches until all have ended."""
        if self._stopping_since is not None:
            return
        for worker in workers:
            self._slots[worker] = _Slot()
            executor.start(worker, settings)
        while executor.alive():
            for worker, report in executor.listen(_LISTEN_SECONDS):
                if report is not None:
                    self.hear(worker, report)
                elif self._lost(worker, executor.why(worker)):
                    # A compiled program that is damaged may be what ends workers.
                    cached = self._slots[worker].losses < LOSSES_BEFORE_THE_CACHE_IS_DOUBTED
                    executor.start(worker, settings | {"compile_cache": cached})
            self._stop_if_wanted(executor)
        if self._error is not None:
            raise self._error

    def count_signal(self, number: int, *_: object) -> None:
        """Takes note of a signal: the first stops the workers, the second ends them at once."""
        self.signals.append(number)

    def finish(self) -> None:
        """Settles runs that a worker published before it died without reporting them."""
        self.look()
        if self.unsettled and not self.signals:
            self.notice(
                f"all workers have stopped, with {len(self.unsettled)} runs to do. The same "
                "command resumes"
            )

    def look(self, *, closely: bool = True, failures: bool = False) -> None:
        """Settles the runs that are published and, with `failures`, those that failed meanwhile.

        Unless it looks closely, some that were published lately may be passed over.
        """
        for (root, run_id), indices in list(self.unsettled.items()):
            job = self._jobs[indices[0]]
            kind, message = "elsewhere", ""
            if not job.is_there(run_id, closely=closely):
                failure = job.store.failure(run_id) if failures else None
                if failure is None or (failure.attempt or 0) <= job.pending[run_id]:
                    continue
                kind, message = "failed", failure.message or ""
            for index in self.unsettled.pop((root, run_id)):
                self._progress(Event(kind, index, run_id, message))

    def notice(self, text: str) -> None:
        """Keeps a message that is printed at the end."""
        log.warning("%s", text)
        self.notices.append(text)

    def _stop_if_wanted(self, executor: Executor) -> None:
        wanted = not self.unsettled or self.signals or self._error
        if wanted and self._stopping_since is None:
            self._stopping_since = time.monotonic()
            executor.stop(at_once=False)
        if self._stopping_since is not None:
            overdue = time.monotonic() - self._stopping_since > GRACE_SECONDS
            if len(self.signals) > 1 or overdue:
                executor.stop(at_once=True)

    def hear(self, worker: int, report: dict[str, Any]) -> None:
        """Takes note of what a worker reports: an event, or that it ends.

        A worker ends with "finished" when it finds nothing more to do, with "trouble" when the
        results folder cannot be used, and with "broken" when it cannot load the code of a run.
        """
        slot = self._slots.setdefault(worker, _Slot())
        match report["kind"]:
            case "finished":
                slot.finished = True
            case "trouble":
                self._error = StoreError(report["message"])
            case "broken":
                self._error = ValueError(report["message"])
            case "warning":
                if report["message"] not in self.notices:  # of other workers, or in another attempt
                    self.notice(report["message"])
            case kind:
                self._pass_on(worker, slot, kind, report)

    def _pass_on(self, worker: int, slot: _Slot, kind: Kind, report: dict[str, Any]) -> None:
        """Passes an event on to whoever shows progress, and settles the run if it is final."""
        job, run_id = self._jobs[report["job"]], report["run_id"]
        message = report.get("message") or ""
        if kind == "started":
            slot.started[job.index, run_id] = report["attempt"]
        elif kind == "tried" or kind in get_args(Settled):
            slot.started.pop((job.index, run_id), None)
        if kind == "stopped":
            self.notice(
                f"worker {worker} stopped after failures of {report['failures']} different runs "
                f"in a row. The last was: {message}"
            )
        elif kind == "conflict":
            self.notice(
                f"run {run_id}: the result of attempt {report['attempt']} differs from the "
                f"published one and was set aside in {job.store.quarantine}"
            )
        elif kind == "passed_over":
            self.notice(
                f"{message} is no folder of this results folder, and was passed over. It may be "
                "deleted"
            )
        if kind in get_args(Settled):
            slot.losses = 0
            for index in self.unsettled.pop((job.store.root, run_id), []):
                self._progress(Event(kind, index, run_id, message))
        else:
            self._progress(Event(kind, job.index, run_id, message))

    def _lost(self, worker: int, why: str | None) -> bool:
        """Takes note of a worker's end; returns whether another is to take its place."""
        slot = self._slots[worker]
        why = why or "it reported nothing"
        held, slot.started = slot.started, {}
        for (job, run_id), number in held.items():
            self._end_for(self._jobs[job], run_id, number, why)
        if slot.finished or self._stopping_since is not None:
            return False
        slot.losses += 1
        self.notice(f"worker {worker} was lost ({why})")
        return slot.losses < FAILURES_BEFORE_A_WORKER_STOPS and bool(self.unsettled)

    def _end_for(self, job: Job, run_id: str, number: int, why: str) -> None:
        """Ends the attempt of a lost worker, which could not do so itself."""
        attempt = job.store.attempt(run_id, number)
        if attempt.ended or job.store.has_result(run_id):
            return
        try:
            if self._stopping_since is not None:
                publishing.end(job.store, attempt, "interrupted")
            else:
                config, message = job.runs[run_id].config, f"worker lost: {why}"
                failure = publishing.failure(run_id, config, "worker_lost", message)
                publishing.fail(job.store, attempt, failure)
        except StoreError as error:
            self._error = self._error or error
