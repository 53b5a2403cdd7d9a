"""One member of a call that a cluster works on: a pool of one worker, on whatever machine.

An engine (`sweeps.engines`) starts members wherever the cluster has room. A member gets the
settings of the call and its own number, and finds the rest in the results folders. There it claims
runs like every other worker, of this call or not.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Sequence
from pathlib import Path

from sweeps.executors.local import LocalExecutor, code_path
from sweeps.pool import Job, Pool
from sweeps.signals import handling_signals


def member_path() -> str:
    """PYTHONPATH by which a member finds this program, before users' packages of its names."""
    own = Path(__file__).resolve().parents[1]
    return os.pathsep.join([str(own), code_path()])


class Member:
    """A pool of one worker, on the cores and accelerators that a scheduler has given it."""

    def __init__(self) -> None:
        self._pool: Pool | None = None
        self._stopped = False

    def attend(self, settings: str, number: int) -> Sequence[int]:
        """Does its part of a call; returns the signals that ended it early, if any did.

        Args:
            settings: JSON of what workers get, with `turns`: how many workers there are for the
                runs over each number of devices.
            number: Which of the workers this one is.

        Raises:
            ValueError: code of a run that cannot be loaded, or no results folder.
            StoreError: a results folder that cannot be written.
        """
        call = json.loads(settings)
        pool = self._pool = Pool([Job.declared(*each) for each in enumerate(call["jobs"])])
        if self._stopped:
            return (signal.SIGINT,)
        with LocalExecutor(alone=True) as executor, handling_signals(pool.count_signal):
            for turn in call["turns"]:
                if number < turn["workers"]:
                    pool.run(executor, [number], call | turn)
        return tuple(pool.signals)

    def stop(self) -> None:
        """Has it end its attempts and return; for where no signal reaches it."""
        self._stopped = True
        if self._pool is not None:
            self._pool.count_signal(signal.SIGINT)
