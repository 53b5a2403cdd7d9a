"""Workers as processes of this machine, each with its own core or accelerators.

A worker is a fresh interpreter, not a fork: JAX does not survive a fork. Without an accelerator it
sees one core, which emulates as many devices as its runs share, and runs numerical libraries with
one thread, so that results do not depend on the number of workers. With accelerators it sees its
share of them and all cores, since compiling for them takes many. Its standard input stays open
while this process needs it. When this process dies, in whatever way, the operating system closes
that input, and the worker exits.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import selectors
import signal
import subprocess
import sys
import tempfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import IO, Any

from sweeps import compile_cache
from sweeps.accelerators import accelerators

log = logging.getLogger(__name__)

_ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "NPROC": "1",  # XLA's thread pools, where a process cannot be pinned
}
_TAIL_BYTES = 2000
_SECONDS_TO_EXIT = 5.0


def usable_cores() -> list[int]:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def code_path() -> str:
    """PYTHONPATH of a process that is to find all code that this one finds."""
    return os.pathsep.join(entry or os.getcwd() for entry in sys.path)


@dataclass
class _Process:
    process: subprocess.Popen[bytes]
    errors: IO[bytes]
    unread: bytearray = field(default_factory=bytearray)


class LocalExecutor:
    """Workers as local processes; see `sweeps.executors.Executor` for the calls.

    With `alone`, a scheduler has given this process the cores and accelerators of one worker, which
    gets all of them.
    """

    def __init__(self, *, alone: bool = False) -> None:
        self._alone = alone
        self._cores = usable_cores()
        self._accelerators = accelerators()
        self._running: dict[int, _Process] = {}
        self._selector = selectors.DefaultSelector()

    def __enter__(self) -> LocalExecutor:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop(at_once=True)
        for worker in list(self._running):
            self.why(worker)
        self._selector.close()

    def workers(self, devices: int, asked: int | None) -> int:
        """Number of workers to start; None asks for as many as share no core or accelerator.

        Raises:
            ValueError: what `Accelerators.workers` refuses, where there are accelerators.
        """
        found = self._accelerators
        return asked or len(self._cores) if found is None else found.workers(devices, asked)

    def start(self, worker: int, settings: Mapping[str, Any]) -> None:
        """Starts a worker, or starts it again once it has ended."""
        errors = tempfile.TemporaryFile()
        devices, found = settings["devices"], self._accelerators
        own = {
            "PYTHONPATH": code_path(),
            "PYTHONSAFEPATH": "1",
            **compile_cache.environment(os.environ),
        }
        if not settings["compile_cache"]:
            own["JAX_ENABLE_COMPILATION_CACHE"] = "false"
        core, platform = None, "cpu"
        if found is None:
            core = None if self._alone else self._cores[worker % len(self._cores)]
            own |= _ONE_THREAD | {"JAX_NUM_CPU_DEVICES": str(devices)}
        else:
            platform = found.platform
            if not self._alone:
                own |= found.environment(worker, settings["workers"], devices, os.environ)
        process = subprocess.Popen(
            [sys.executable, "-m", "scaling_descent", "worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=os.environ | own,
            bufsize=0,
        )
        assert process.stdin is not None and process.stdout is not None
        self._running[worker] = _Process(process, errors)
        os.set_blocking(process.stdout.fileno(), False)
        self._selector.register(process.stdout, selectors.EVENT_READ, worker)
        own_settings = {**settings, "worker": worker, "core": core, "platform": platform}
        line = json.dumps(own_settings).encode() + b"\n"
        with contextlib.suppress(BrokenPipeError):  # it is dead already: `listen` reports its end
            view = memoryview(line)
            while view:
                view = view[process.stdin.write(view) or 0 :]

    def alive(self) -> Collection[int]:
        """Numbers of the workers that `why` has not forgotten."""
        return tuple(self._running)

    def stop(self, *, at_once: bool) -> None:
        """Asks all workers to end their attempts and stop, or ends them at once."""
        for running in self._running.values():
            if at_once:
                running.process.kill()
            else:
                running.process.terminate()

    def why(self, worker: int) -> str | None:
        """Returns why a worker ended, None if it ended normally, and forgets the worker."""
        running = self._running.pop(worker)
        try:
            code = running.process.wait(_SECONDS_TO_EXIT)
        except subprocess.TimeoutExpired:  # it closed its output, but hangs
            running.process.kill()
            code = running.process.wait()
        for stream in (running.process.stdin, running.process.stdout):
            assert stream is not None
            stream.close()
        with running.errors as errors:
            size = errors.seek(0, os.SEEK_END)
            errors.seek(max(0, size - _TAIL_BYTES))
            tail = errors.read().decode("utf-8", "replace").strip()
        if code == 0:
            if tail:
                log.info("worker %d wrote: %s", worker, tail)
            return None
        cause = f"exit status {code}"
        if code < 0:
            with contextlib.suppress(ValueError):
                cause = f"killed by {signal.Signals(-code).name}"
        return f"{cause}; it last wrote: {tail}" if tail else cause

    def listen(self, seconds: float) -> list[tuple[int, dict[str, Any] | None]]:
        """Waits at most so long for reports: (worker, report), or (worker, None) on its end."""
        reports: list[tuple[int, dict[str, Any] | None]] = []
        for key, _ in self._selector.select(seconds):
            worker, running = key.data, self._running[key.data]
            try:
                data = os.read(key.fd, 65536)
            except BlockingIOError:
                continue
            running.unread += data
            *lines, rest = bytes(running.unread).split(b"\n")
            running.unread[:] = rest
            reports += [(worker, json.loads(line)) for line in lines]
            if not data:
                self._selector.unregister(key.fileobj)
                reports.append((worker, None))
        return reports
