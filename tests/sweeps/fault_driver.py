"""Makes every call that changes a results folder fail in turn; prints what went wrong as JSON.

    python fault_driver.py FOLDER FAULT STEP [choosing]

A sweep of two runs, or one of three that chooses which of them go on, is done in a forked child in
which the n-th call, for n = 1, 1 + STEP, ..., meets the fault: `kill` (SIGKILL instead of the
call), `tear` (SIGKILL when half of the n-th write is written) or the name of an error, which is
raised once (`ENOSPC`) or from then on (`ENOSPC+`). Then the same sweep is run again, undisturbed,
and what it leaves compared. fsync is only counted: what SIGKILL leaves does not depend on it, and
the tests are to be quick.
"""

from __future__ import annotations

import errno
import functools
import itertools
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
import paused_runs
from trivial_runs import config, lasting, run

from sweeps import files, publishing
from sweeps.computing import computing
from sweeps.deciding import run_deciding
from sweeps.decisions import Journal
from sweeps.files import StoreError
from sweeps.halving import contest
from sweeps.plan import Plan, make_plan
from sweeps.pool import Stops
from sweeps.runner import Summary
from sweeps.store import Store
from sweeps.visiting import visiting_order
from sweeps.worker import load_tasks, work

CALLS = ("mkdir", "open", "write", "fsync", "link", "unlink", "rename", "rmdir")
PLAN = make_plan("faults", [config(3), config(4)])
CHOSEN = paused_runs.plan_of(0.001, 0.01, 0.1)
ABOUT = {"policy": "halving"}
STOPPED, NOT_MET = 10, 11
Sweep = Callable[[Path], None]


def choosing(root: Path) -> None:
    """A sweep that chooses its runs, in this process."""
    store = Store.create(root)
    policy = contest(CHOSEN, [paused_runs.RATE], 3, 2).policy

    def perform(stops: Stops) -> Summary:
        return paused_runs.perform(store, CHOSEN, stops)

    run_deciding(store, CHOSEN, policy, ABOUT, perform)


def plainly(root: Path) -> None:
    """What `run_sweeps` does, in this process."""
    store = Store.create(root)
    pending = store.pending(r.run_id for r in PLAN.runs)
    if pending:
        files.probe(store.root)
        publishing.declare(store, PLAN)
        publishing.make_folders(store, pending)
        job = {"root": str(root), "plan_id": PLAN.plan_id, "attempts_before": pending}
        shares = visiting_order(load_tasks([job]), 0, 1)
        work(shares, computing(run), lease=30.0, emit=lambda kind, **more: None)


def inject(fault: str, n: int) -> Callable[[], bool]:
    """Arms the n-th call of this process; returns a function that says whether it has come."""
    count = itertools.count(1)

    def wrap(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(call)
        def faulty(*args: Any, **kwargs: Any) -> Any:
            if fault == "tear" and name != "write":
                return call(*args, **kwargs)
            i = next(count)
            if fault == "kill" and i == n:
                os.kill(os.getpid(), signal.SIGKILL)
            elif fault == "tear" and i == n:
                call(args[0], bytes(args[1])[: len(args[1]) // 2])
                os.kill(os.getpid(), signal.SIGKILL)
            elif fault.startswith("E") and (i == n or (fault.endswith("+") and i > n)):
                number = getattr(errno, fault.rstrip("+"))
                raise OSError(number, os.strerror(number))
            return call(*args, **kwargs)

        return faulty

    for name in CALLS:
        setattr(os, name, wrap(name, getattr(os, name)))
    return lambda: next(count) > n


def child(sweep: Sweep, root: Path, fault: str, n: int) -> int:
    """Exit status: NOT_MET, or STOPPED by an error that says what it should, or a mistake."""
    met = inject(fault, n)
    try:
        sweep(root)
    except StoreError as error:
        text = str(error)
        # Space is of interest where something could not be written.
        why = "free" in text or "cannot be read" in text
        said = str(root.parent) in text and why and "resumes" in text
        return STOPPED if said else 1
    return 2 if met() else NOT_MET


def published(root: Path) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in root.glob("runs/*/*/result.json")}


def left(root: Path, plan: Plan) -> Any:
    """What a sweep leaves: its table and its decisions."""
    store = Store.open(root)
    journal = Journal(store, {"plan": plan.plan_id, **ABOUT})
    return lasting(store.read(plan)), journal.read()


def main(folder: Path, fault: str, step: int, kind: str = "plain") -> dict[str, Any]:
    os.fsync = lambda descriptor: None
    sweep, plan = (choosing, CHOSEN) if kind == "choosing" else (plainly, PLAN)
    sweep(folder / "undisturbed")
    truth = left(folder / "undisturbed", plan)
    assert {r["status"] for r in truth[0]} == (
        {"done", "paused"} if truth[1] else {"done", "diverged"}
    )
    problems: list[str] = []
    for n in itertools.count(1, step):
        root = folder / str(n)
        pid = os.fork()
        if pid == 0:
            try:
                os._exit(child(sweep, root, fault, n))
            finally:
                os._exit(3)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        if code not in (NOT_MET, STOPPED, -signal.SIGKILL):
            problems.append(f"{fault} at call {n}: exit status {code}")
        before = published(root)
        sweep(root)
        store = Store.open(root)
        if left(root, plan) != truth:
            problems.append(f"{fault} at call {n}: another table, or other decisions")
        if before.items() - published(root).items():
            problems.append(f"{fault} at call {n}: a result that was published has changed")
        if any(store.quarantine.glob("*")) or store.scan() != store.scan():
            problems.append(f"{fault} at call {n}: something in quarantine")
        if code == NOT_MET:
            return {"calls": n - 1, "problems": problems}
    raise AssertionError


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), *sys.argv[4:])))
