"""Sweeps of runs that several processes share, on one host or many: together they are one worker.

Every process is started by the same command and joins the others
(`scaling.devices.processes.join`). The first is the worker: it alone claims, publishes and decides
what is next. It sends each run to the others, which compute it in step and write nothing.

A process that fails leaves the others waiting for it, so a failure ends all of them: at once where
all failed alike, else when JAX finds that one has gone. The same command resumes from the last
checkpoint.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from scaling.devices.processes import broadcast_from_first, leave
from scaling.record import Curve, RunRecord
from scaling.workspace import Workspace
from sweeps.computing import load_code
from sweeps.pool import Pool
from sweeps.signals import Stopped, handling_signals, stop
from sweeps.visiting import visiting_order
from sweeps.worker import load_tasks, work

_CODE = ("run", "run_pack", "families")


def lead(pool: Pool, settings: Mapping[str, Any]) -> None:
    """Does the pending runs of a pool, in this process (the first) and all others together.

    The pool gets every event, and counts a signal that ends the work. Settings are those that
    workers get.

    Raises:
        StoreError: a results folder cannot be written.
    """
    failed = False
    compute = load_code(broadcast_from_first(lambda: {name: settings[name] for name in _CODE}))

    def compute_with_others(
        configs: Sequence[Mapping[str, Any]], workspaces: Sequence[Workspace]
    ) -> Sequence[tuple[RunRecord, Curve]]:
        (config,), (workspace,) = configs, workspaces  # runs that processes share are not packed
        folders = [folder and str(folder) for folder in workspace.folders]
        message = {"config": config, "folders": folders, "pause_at": workspace.pause_at}
        broadcast_from_first(lambda: message)
        return compute(configs, workspaces)

    def emit(kind: str, **more: Any) -> None:
        nonlocal failed
        failed |= kind == "tried"
        pool.hear(0, {"kind": kind, **more})

    shares = visiting_order(load_tasks(settings["jobs"]), 0, 1)
    with handling_signals(stop):
        try:
            work(shares, compute_with_others, lease=settings["lease"], emit=emit, patience=1)
        except Stopped as stopped:
            pool.count_signal(stopped.number)
            return
        if not failed:
            broadcast_from_first(lambda: None)
        leave()


def follow() -> None:
    """Takes part in every run that the first process begins, until there are no more."""
    compute = load_code(_received())
    while (task := _received()) is not None:
        folders = [folder and Path(folder) for folder in task["folders"]]
        compute([task["config"]], [Workspace(*folders, pause_at=task["pause_at"])])
    leave()


def _received() -> Any:
    """The value that the first process sends to all."""
    return broadcast_from_first(lambda: None)
