"""Claims: which process works on a run, and when that process has gone.

A claim only avoids double work. Safety rests on publishing without replacing (`files`): a claim
that is wrongly judged to be over costs one run done twice, and changes no result.

A claim is over at once when its attempt has ended, or when the process that made it, on this boot
of this machine, is dead. Otherwise it is over when its heartbeat has not changed for the length
of a lease, by the observer's own monotonic clock: no two clocks are ever compared.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import platform
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scaling.sealed import DamagedFileError, sign, signed
from sweeps import files
from sweeps.places import Place

LEASE_SECONDS = 30.0

_CLAIM_OF_OLDER_CODE = {"host", "boot", "namespace", "pid", "start", "token"}
_NUMBER = re.compile(r"[0-9]{4,12}")


@dataclass(frozen=True)
class Attempt:
    """One try at a run, in a separate folder; numbered from 1."""

    folder: Place
    number: int

    @classmethod
    def numbered(cls, folder: Place, number: int) -> Attempt:
        """The attempt with this number in a folder of attempts."""
        return cls(folder / f"{number:04d}", number)

    @property
    def ended(self) -> bool:
        """Whether its process has recorded how it ended, or there is no folder to do so in."""
        names = ("end.json", "failure.json")
        return any(files.exists(self.folder / name) for name in names) or not self.is_folder

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder of this results folder: not a file, nor a link to elsewhere."""
        return files.is_folder(self.folder)

    def claim(self) -> dict[str, Any]:
        """The process that made it; empty where that cannot be believed (power was lost)."""
        claim = files.read_json(self.folder / "claim.json")
        if isinstance(claim, dict) and claim.keys() == _CLAIM_OF_OLDER_CODE:
            return claim
        try:
            return signed(claim)
        except DamagedFileError:
            return {}


def attempts_of(folder: Place) -> list[Attempt]:
    """The attempts in a folder, oldest first."""
    names = files.names(folder)
    numbers = {int(name) for name in names if _NUMBER.fullmatch(name)}
    found = (Attempt.numbered(folder, number) for number in sorted(numbers))
    return [attempt for attempt in found if attempt.folder.name in names]


def take(folder: Place, number: int) -> Attempt | None:
    """Claims attempt `number` for this process; None if another process was faster."""
    attempt = Attempt.numbered(folder, number)
    claim = json.dumps(sign({**identity(os.getpid()), "token": files.token()})) + "\n"
    won = files.make_filled_folder(attempt.folder, "claim.json", claim.encode())
    return attempt if won else None


@functools.cache
def identity(pid: int) -> dict[str, Any]:
    """Facts that distinguish this process, number `pid`, from every other one.

    Without /proc, boot, namespace and start are None, and only a lease ends a claim.
    """
    boot = namespace = None
    with contextlib.suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        namespace = os.readlink("/proc/self/ns/pid")
    host = platform.node()
    return {"host": host, "boot": boot, "namespace": namespace, "pid": pid, "start": start_of(pid)}


def start_of(pid: int) -> int | None:
    """When a process started, in clock ticks since boot; None if there is none, or a zombie.

    With its number, this distinguishes a process from a later one with the same number.
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return None
    fields = text[text.rindex(")") + 2 :].split()  # the name before ')' may hold anything
    return None if fields[0] in "ZX" else int(fields[19])


def is_dead(claim: dict[str, Any]) -> bool:
    """Whether the process that made a claim is known to be dead."""
    here = identity(os.getpid())
    same = all(claim.get(name) == here[name] for name in ("host", "boot", "namespace"))
    pid = claim.get("pid")
    if here["boot"] is None or not same or not isinstance(pid, int):
        return False
    return start_of(pid) != claim.get("start")


class Watch:
    """Judges when attempts of others are over, by what it has seen of them so far."""

    def __init__(self, lease: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._lease = lease
        self._clock = clock
        self._seen: dict[Place, tuple[bytes, float]] = {}

    def over(self, attempt: Attempt) -> bool:
        """Whether nobody works on this attempt any more."""
        if attempt.ended or is_dead(attempt.claim()):
            self._seen.pop(attempt.folder, None)
            return True
        return self.see(attempt) >= self._lease

    def see(self, attempt: Attempt) -> float:
        """Looks at the heartbeat of an attempt; returns for how long it has not changed."""
        beat = b""
        try:
            # Read, not stat: network file systems answer stat from a cache.
            beat = files.read_bytes(attempt.folder / "heartbeat")
        except OSError as error:
            if not files.is_damage(error):
                raise
        now = self._clock()
        last, since = self._seen.setdefault(attempt.folder, (beat, now))
        if last != beat:
            self._seen[attempt.folder] = (beat, now)
            return 0.0
        return now - since


class Heartbeat:
    """Shows, from a daemon thread, that this process still works on its attempts.

    One thread serves all runs of a worker. Nothing is written for attempts shorter than the
    interval, a tenth of the lease.
    """

    def __init__(self, lease: float) -> None:
        self._attempts: tuple[Attempt, ...] = ()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, args=(lease / 10,), daemon=True)

    def __enter__(self) -> Heartbeat:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def on(self, *attempts: Attempt) -> None:
        """Sets the attempts that are being worked on."""
        self._attempts = attempts

    def _beat(self, interval: float) -> None:
        last, count = (), 0
        while not self._stop.wait(interval):
            attempts = self._attempts
            if attempts is last:
                count += 1
                for attempt in attempts:
                    # A heartbeat that cannot be written costs at most one run done twice.
                    with contextlib.suppress(OSError):
                        files.overwrite(attempt.folder / "heartbeat", f"{count:08d}\n".encode())
            last = attempts
