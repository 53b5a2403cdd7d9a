"""Sweeps as programs of their own, for tests that stop and kill them."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from multiprocessing import forkserver
from pathlib import Path
from unittest import mock

from sweep_driver import program

from sweeps.claims import Attempt, is_dead, start_of
from sweeps.pool import Event

HERE = Path(__file__).parent
ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
PATIENCE = 30.0


FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["sweep_driver"])


class Program:
    """A sweep as a program of its own, forked from a process that has loaded what it needs."""

    def __init__(
        self,
        root: Path,
        n_runs: int,
        function: str,
        workers: int = 2,
        lease: float = 30.0,
        store: str | None = None,
    ) -> None:
        """Starts it in the folder `root`; with `store`, its results lie there."""
        self.marks = root.with_name("marks")
        self.marks.mkdir(parents=True, exist_ok=True)
        with mock.patch.dict(os.environ, ENVIRONMENT):  # by which it finds what it is to load
            forkserver.ensure_running()
        self.answers, theirs = FORKS.Pipe()
        environment = os.environ | ENVIRONMENT | {"TRIVIAL_MARKS": str(self.marks)}
        options = (store or root, n_runs, function, workers, lease)
        self.process = FORKS.Process(target=program, args=(environment, theirs, *options))
        self.process.start()
        theirs.close()
        assert self.answers.recv() == "begun"

    @property
    def members(self) -> list[int]:
        """The living processes of its group: itself and its workers."""
        pids = [int(p.name) for p in Path("/proc").iterdir() if p.name.isdigit()]
        return [pid for pid in pids if self._is_member(pid)]

    @property
    def workers(self) -> list[int]:
        return [pid for pid in self.members if pid != self.process.pid]

    def _is_member(self, pid: int) -> bool:
        with contextlib.suppress(ProcessLookupError):
            return os.getpgid(pid) == self.process.pid and start_of(pid) is not None
        return False

    @property
    def is_within_a_run(self) -> bool:
        """Whether a run that leaves a mark, as `slower`, has begun: a claim alone comes before."""
        return any(self.marks.iterdir())

    def signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)

    def summary(self) -> dict:
        """What it says at its end."""
        assert self.answers.poll(PATIENCE), "waited in vain"
        found = self.answers.recv()
        self.process.join()
        return found

    def end(self) -> None:
        """Kills it and its workers."""
        self.signal(signal.SIGKILL)
        self.process.join()
        self.answers.close()


def wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def under_way(root: Path) -> bool:
    """Whether a living process is at an attempt of a run that is not published."""
    folders = [path for path in root.glob("runs/*/*/attempts/[0-9]*")]
    attempts = [Attempt.numbered(path.parent, int(path.name)) for path in folders]
    return any(
        not (attempt.ended or is_dead(attempt.claim()))
        and not (attempt.folder.parent.parent / "result.json").exists()
        for attempt in attempts
    )


def processes_at_work(root: Path) -> list[int]:
    """The workers whose attempts have not ended."""
    folders = root.glob("runs/*/*/attempts/[0-9]*")
    attempts = [Attempt.numbered(path.parent, int(path.name)) for path in folders]
    return [attempt.claim()["pid"] for attempt in attempts if not attempt.ended]


def endings(root: Path) -> Counter[str]:
    """How often attempts ended in which way."""
    paths = root.glob("runs/*/*/attempts/*/end.json")
    found = Counter(json.loads(path.read_text())["ending"] for path in paths)
    found["failed"] = len(list(root.glob("runs/*/*/attempts/*/failure.json")))
    return found


def at_first(action: Callable[[], object]) -> Callable[[Event], None]:
    """Acts once, when the first run of a cluster has been settled."""
    waiting = [action]

    def on(event: Event) -> None:
        if event.kind == "elsewhere" and waiting:
            waiting.pop()()

    return on


def published(root: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in root.glob("runs/*/*/result.json")}
