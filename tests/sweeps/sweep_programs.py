"""Sweeps as programs of their own, for tests that stop and kill them."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from sweeps.claims import Attempt, is_dead, start_of
from sweeps.pool import Event

HERE = Path(__file__).parent
ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
PATIENCE = 30.0


class Program:
    """A sweep as a program of its own."""

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
        words = [store or str(root), str(n_runs), function, str(workers), str(lease)]
        self.marks = root.with_name("marks")
        self.marks.mkdir(parents=True, exist_ok=True)
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "sweep_driver.py"), *words],
            env=os.environ | ENVIRONMENT | {"TRIVIAL_MARKS": str(self.marks)},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )

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
        out, _ = self.process.communicate(timeout=PATIENCE)
        return json.loads(out)


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
