"""A trivial sweep as a program of its own, for tests that kill it."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from trivial_runs import plan_of

from sweeps.pool import Event
from sweeps.runner import run_sweeps


def program(
    environment: Mapping[str, str], answers: Connection, root: Path | str, *options: Any
) -> None:
    """Begins a group of processes, says so, and then what `drive` says."""
    os.setsid()
    os.environ.update(environment)
    # Ignored where tests run under nohup, and in the background.
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    os.dup2(nothing, 2)
    answers.send("begun")
    answers.send(drive(root, *options))


def drive(
    root: Path | str, n_runs: int, function: str, workers: int, lease: float
) -> dict[str, Any]:
    """Does the sweep; returns what has become of it."""
    done: list[str] = []
    elsewhere: list[str] = []

    def note(event: Event) -> None:
        if event.kind in ("done", "diverged"):
            done.append(event.run_id)
        elif event.kind == "elsewhere":
            elsewhere.append(event.run_id)

    summary = run_sweeps(
        [(root, plan_of(n_runs))],
        workers=workers,
        run=f"trivial_runs:{function}",
        lease=lease,
        progress=note,
    )
    (job,) = summary.jobs
    return {
        "done": done,
        "elsewhere": elsewhere,
        "already": job.already,
        "missing": len(job.missing),
        "failed": len(job.failed),
        "interrupted": summary.interrupted,
        "preempted": summary.preempted,
        "complete": summary.complete,
        "notices": summary.notices,
    }
