"""Kinds of failure, and whether and when a run is tried again."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from typing import Literal

from scaling.memory import is_out_of_memory
from scaling.record import RunRecord

Reason = Literal["exception", "out_of_memory", "infrastructure", "worker_lost", "damaged"]
"""Why an attempt failed.

- exception: the run raised an error; running out of memory and trouble of the machine apart.
- out_of_memory: the machine or its accelerator had no memory left.
- infrastructure: the operating system refused to read or write, through no fault of the run.
- worker_lost: the worker ended without a report: killed, crashed, or on a lost machine.
- damaged: it failed, but the record of the failure cannot be read.
"""

MACHINE: tuple[Reason, ...] = ("infrastructure", "worker_lost", "damaged")
"""Reasons for which the machine is to blame, not the run."""

FAILURES_BEFORE_A_WORKER_STOPS = 5
"""Failures in a row, on different runs, after which a worker stops: its machine is at fault."""

FIRST_WAIT_SECONDS = 0.5
"""Mean wait before the second try where the machine is to blame; it doubles with every failure."""

_TRIES = {"machine": 5, "exception": 2}

_FAULTS_OF_THE_RUN = (
    FileExistsError,
    FileNotFoundError,
    IsADirectoryError,
    NotADirectoryError,
    PermissionError,
)


def reason_of(error: BaseException) -> Reason:
    """The reason for which a run failed that raised this error."""
    if is_out_of_memory(error):
        return "out_of_memory"
    if isinstance(error, OSError) and not isinstance(error, _FAULTS_OF_THE_RUN):
        return "infrastructure"
    return "exception"


def says_the_same(before: RunRecord, now: RunRecord) -> bool:
    """Whether a run failed as it had failed before: by its own fault, not that of the machine."""
    same = (before.reason, before.message) == (now.reason, now.message)
    return same and now.reason not in MACHINE


def exhausted(reasons: Sequence[str]) -> bool:
    """Whether a run that failed for these reasons, in one invocation, is given up.

    A run gets five tries where the machine is to blame, two after an exception, and one after
    anything else (running out of memory above all), which would only happen again.
    """
    counts = Counter("machine" if reason in MACHINE else reason for reason in reasons)
    return any(count >= _TRIES.get(kind, 1) for kind, count in counts.items())


def back_off_seconds(reasons: Sequence[str]) -> float:
    """Seconds to wait before the next try: 0.5, 1, 2, 4, with half as much jitter each way."""
    if not reasons or reasons[-1] not in MACHINE:
        return 0.0
    earlier = sum(reason in MACHINE for reason in reasons) - 1
    return FIRST_WAIT_SECONDS * 2**earlier * random.uniform(0.5, 1.5)
