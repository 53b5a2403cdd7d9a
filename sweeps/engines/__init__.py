"""Engines start members of a call on the machines of a cluster; `oversee` looks after them.

A member (`sweeps.member`) gets the settings of the call and its number, claims its runs from the
results folder by itself, and reports to nobody: what became of the runs is read from the folder.
So an engine needs four calls, members may come, go and be started again at any time, and the
process that started them may end before they do.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from typing import Protocol

from sweeps.pool import Pool
from sweeps.retries import FAILURES_BEFORE_A_WORKER_STOPS
from sweeps.signals import handling_signals
from sweeps.watching import SHARE

SECONDS_BETWEEN_LOOKS = 0.5
"""Least time between two looks at the results folders; more where a look takes long."""


class Engine(Protocol):
    """A cluster, as the process sees it that a user has started."""

    detached: bool
    """Whether members work on by themselves, and nobody waits for them."""

    def workers(self, devices: int, asked: int | None) -> int:
        """Number of workers for runs over so many devices; None asks for what the cluster offers.

        Raises:
            ValueError: the cluster offers none, or does not say how many.
        """
        ...

    def start(self, members: Sequence[int], settings: str) -> Sequence[int]:
        """Starts members, or starts them again; returns those that the cluster accepts.

        Raises:
            ValueError: it accepts none, and why.
        """
        ...

    def alive(self) -> Collection[int]:
        """The members that work, or wait for a place to do so."""
        ...

    def why(self, member: int) -> str | None:
        """Returns why a member ended; None if it ended normally."""
        ...

    def stop(self) -> None:
        """Asks all members to end their attempts and stop; those that wait never begin."""
        ...


def oversee(engine: Engine, pool: Pool, workers: int, settings: str) -> None:
    """Starts members and watches until every run is settled or all of them have ended.

    A member that ends otherwise than normally is started again, as often as workers are.
    """
    members = set(engine.start(range(workers), settings))
    if len(members) < workers:
        pool.notice(f"the cluster accepted {len(members)} of {workers} workers")
    if engine.detached:
        return
    losses, open_runs = 0, len(pool.unsettled)
    with handling_signals(pool.count_signal):
        while members and pool.unsettled and not pool.signals:
            began = time.monotonic()
            pool.look(closely=False)
            took = time.monotonic() - began
            if len(pool.unsettled) < open_runs:
                losses, open_runs = 0, len(pool.unsettled)
            for member in members - set(engine.alive()):
                members.remove(member)
                if (why := engine.why(member)) is not None and pool.unsettled:
                    pool.notice(f"worker {member} was lost ({why})")
                    losses += 1
                    if losses < FAILURES_BEFORE_A_WORKER_STOPS:
                        members |= set(engine.start([member], settings))
            time.sleep(max(SECONDS_BETWEEN_LOOKS, took / SHARE))
        engine.stop()
    pool.look(failures=True)
    pool.finish()
