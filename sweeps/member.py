"""One member of a call that a cluster works on: a pool of one worker, on whatever machine.

An engine (`sweeps.engines`) starts members wherever the cluster has room. A member is told the
settings of the call and its own number, and finds the rest in the results folders. There it claims
runs like every other worker, of this call or not.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Sequence

from sweeps.executors.local import LocalExecutor
from sweeps.pool import Job, Pool
from sweeps.worker import handling_signals


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
