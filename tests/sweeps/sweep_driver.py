"""Runs a trivial sweep as its own program, for tests that kill it; prints a summary as JSON.

python sweep_driver.py FOLDER N_RUNS FUNCTION WORKERS LEASE
"""

import json
import signal
import sys

from trivial_runs import plan_of

from sweeps.pool import Event
from sweeps.runner import run_sweeps

if __name__ == "__main__":
    root, n_runs, function, workers, lease = sys.argv[1:]
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # tests may run under nohup, which has it ignored
    done: list[str] = []
    elsewhere: list[str] = []

    def note(event: Event) -> None:
        if event.kind in ("done", "diverged"):
            done.append(event.run_id)
        elif event.kind == "elsewhere":
            elsewhere.append(event.run_id)

    summary = run_sweeps(
        [(root, plan_of(int(n_runs)))],
        workers=int(workers),
        run=f"trivial_runs:{function}",
        lease=float(lease),
        progress=note,
    )
    (job,) = summary.jobs
    print(
        json.dumps(
            {
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
        )
    )
