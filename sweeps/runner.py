"""Runs sweeps: opens the folders, starts workers, watches them, reports what became of every run.

The results folders alone decide which runs are done. The runner may be killed at any instant, run
twice at once or be started again: the table that results is the same.
"""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from scaling.config import own_origins
from sweeps import publishing
from sweeps.claims import LEASE_SECONDS
from sweeps.engines import Engine, oversee
from sweeps.executors.local import LocalExecutor
from sweeps.files import probe
from sweeps.guards import require_positive
from sweeps.plan import Plan
from sweeps.pool import Event, Job, JobSummary, Pool, Stops
from sweeps.signals import PREEMPTING, handling_signals
from sweeps.store import Store

_RUN, _RUN_PACK = "scaling.run:run", "scaling.run:run_pack"


@dataclass(frozen=True)
class Summary:
    """What became of all jobs."""

    jobs: tuple[JobSummary, ...]
    interrupted: bool  # whether a signal ended the call before all was done
    preempted: bool  # whether that signal was a scheduler's (`signals.PREEMPTING`)
    notices: tuple[str, ...]  # for people: conflicts, lost workers, workers that gave up
    seconds: float  # wall time of the call
    settled: bool = True  # whether every run was done as far as asked, or given up

    @property
    def complete(self) -> bool:
        """Whether every planned run is published."""
        return not any(job.failed or job.missing for job in self.jobs)

    def pass_signal_on(self) -> None:
        """Raises the signal again that ended the call early, if one did: the caller ends by it."""
        if self.interrupted:
            signal.raise_signal(signal.SIGTERM if self.preempted else signal.SIGINT)


def run_sweeps(
    jobs: Sequence[tuple[str | os.PathLike[str], Plan]],
    *,
    workers: int | None = None,
    progress: Callable[[Event], None] | None = None,
    run: str | Callable[..., Any] | None = None,
    run_pack: str | Callable[..., Any] | None = None,
    lease: float = LEASE_SECONDS,
    engine: Engine | Literal["together"] | None = None,
    stops: Stops | None = None,
) -> Summary:
    """Does the runs of several plans that are not done yet, in one pool of workers.

    Args:
        jobs: Pairs of a results folder, made where there is none, and a plan.
        workers: Number of workers; None for one a usable core or, where there are accelerators,
            for as many as have some to themselves.
        progress: Called with every event.
        run: Function that does one run, `RunConfig -> (RunRecord, Curve)`: "module:function", or a
            function that can be imported under its own name. None for `scaling.run.run`, with
            `scaling.run.run_pack` for runs that are faster together (`scaling.packs`).
        run_pack: Function that does several runs together,
            `Sequence[RunConfig] -> Sequence[(RunRecord, Curve)]`; None to do each alone.
        lease: Seconds after which a claim without a heartbeat is over.
        engine: Cluster whose machines have the workers; None for processes of this machine;
            "together" where this is the first of several processes that compute every run together
            (`sweeps.processes`), instead of workers that compute one each.
        stops: The only runs to do, each with the step after which it is to pause, None for its end;
            None for all runs. A run that paused resumes from there in any later call.

    Returns:
        What became of every run. Ctrl-C and SIGTERM end the call early, in good order.

    Raises:
        ValueError: impossible arguments, a folder that is no results folder, or `run` or a family
            of models that workers cannot load.
        StoreError: a results folder cannot be written or has another schema version.
    """
    began = time.monotonic()
    if run is None:
        run, run_pack = _RUN, _RUN_PACK
    code = {
        "run": _importable("run", run),
        "run_pack": None if run_pack is None else _importable("run_pack", run_pack),
    }
    if workers is not None and workers < 1:
        raise ValueError(
            f"workers = {workers}: give at least 1, or None for one a core or accelerator"
        )
    require_positive("lease", lease)
    # 1. Everything that can be refused is refused before anything is written.
    origins = own_origins(config for _, plan in jobs for config in plan.configs)
    opened = [
        Job.of(index, Store.create(root), plan, stops) for index, (root, plan) in enumerate(jobs)
    ]
    pool = Pool(opened, progress or (lambda event: None))
    # 2. The folder declares what is to be done; workers read it there.
    waiting = False
    for job, (_, plan) in zip(opened, jobs, strict=True):
        if job.pending:
            waiting = True
            probe(job.store.root)
            publishing.declare(job.store, plan)
            publishing.make_folders(job.store, job.pending)
    settings = {
        **code,
        "lease": lease,
        "compile_cache": True,
        "families": [dataclasses.asdict(origin) for origin in origins],
        "jobs": [job.settings() for job in opened],
    }
    # 3. Workers visit the runs until each is settled.
    if engine == "together":
        from sweeps import processes

        processes.lead(pool, settings)
        pool.finish()
    elif waiting and engine is not None:
        turns = _turns(engine, pool, workers)
        most = max(turn["workers"] for turn in turns)
        oversee(engine, pool, most, json.dumps(settings | {"turns": turns}))
    elif waiting:
        with LocalExecutor() as executor, handling_signals(pool.count_signal):
            for turn in _turns(executor, pool, workers):
                pool.run(executor, range(turn["workers"]), settings | turn)
            pool.finish()
    return Summary(
        jobs=tuple(job.summary() for job in opened),
        interrupted=bool(pool.signals and pool.unsettled),
        preempted=bool(pool.signals and pool.unsettled) and pool.signals[0] in PREEMPTING,
        notices=tuple(pool.notices),
        seconds=time.monotonic() - began,
        settled=not pool.unsettled,
    )


def _turns(where: Engine | LocalExecutor, pool: Pool, asked: int | None) -> list[dict[str, int]]:
    """Number of workers for the runs over each number of devices, which take their turns.

    A processor that emulates several devices gives other last bits than one device. So a worker has
    as many devices as its runs share, and runs over another number of devices come after them.
    """
    return [
        {"devices": devices, "workers": min(where.workers(devices, asked), n_runs)}
        for devices, n_runs in sorted(pool.waiting().items())
    ]


def _importable(argument: str, function: str | Callable[..., Any]) -> str:
    if isinstance(function, str):
        return function
    name = f"{function.__module__}:{function.__qualname__}"
    if function.__module__ == "__main__" or "<" in name:
        raise ValueError(
            f"{argument} = {name} cannot be imported by workers: define it at the top of a module"
        )
    return name
