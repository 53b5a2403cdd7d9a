"""The order in which the workers of one pool visit the runs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from sweeps.store import DeclaredRun, Store


@dataclass(frozen=True)
class Task:
    """A run to be done.

    Attributes:
        job: Number of the sweep that wants it.
        store: Where its result goes.
        run: What is to be done.
        attempts_before: Attempts of earlier invocations.
        of_another: Whether it is of another worker's share.
    """

    job: int
    store: Store
    run: DeclaredRun
    attempts_before: int
    of_another: bool = False


Chain = Sequence[Task]
"""Runs that one worker is to do one after another."""

MOST_OF_A_FAIR_SHARE = 1.25
"""A group up to so many times an equal share of all seconds stays whole: what it takes too long
costs less than compiling it twice."""


def visiting_order(tasks: Sequence[Task], worker: int, workers: int) -> list[Task]:
    """All tasks, in the order in which worker `worker` of `workers` looks at them.

    Runs that share a compiled shape are one group; one that is far more than a worker's fair share
    is cut into parts, which are compiled more than once. Groups are dealt out by cost, the most
    expensive first, each to the worker with the least so far. A worker does its own share in
    order, then helps the others from the end of theirs backwards (`of_another`), so that two of
    them meet only when nearly all is done. Runs that share a trunk stay together, the shortest
    first, so that each goes on from the one before. Runs that were tried before come last: they
    may fail again.
    """
    largest = MOST_OF_A_FAIR_SHARE * seconds_of(tasks) / workers
    parts = [part for group in by_group(tasks).values() for part in _parts(_chains(group), largest)]
    shares = _dealt(parts, workers)
    others = [chain for step in range(1, workers) for chain in shares[(worker + step) % workers]]
    helped = [replace(task, of_another=True) for chain in others[::-1] for task in chain]
    order = [task for chain in shares[worker] for task in chain] + helped
    return sorted(order, key=lambda task: task.attempts_before > 0)


def by_group(tasks: Sequence[Task]) -> dict[str, list[Task]]:
    """Tasks that share a compiled shape together, in their order."""
    groups: dict[str, list[Task]] = {}
    for task in tasks:
        groups.setdefault(task.run.group, []).append(task)
    return groups


def seconds_of(tasks: Iterable[Task]) -> float:
    """Estimated core-seconds of them all, compilation left out."""
    return sum(task.run.seconds for task in tasks)


def _chains(group: Sequence[Task]) -> list[Chain]:
    """The runs of each trunk together, the shortest first; other runs one by one."""
    chains: dict[str, list[Task]] = {}
    for task in group:
        chains.setdefault(task.run.trunk_id or task.run.run_id, []).append(task)
    return [sorted(chain, key=lambda task: task.run.starts_at) for chain in chains.values()]


def _parts(chains: Sequence[Chain], largest: float) -> list[list[Chain]]:
    """A group in as few parts as are to be no larger than given, as equal as chains allow."""
    wanted = max(1, math.ceil(_seconds(chains) / largest)) if largest else 1
    return _dealt([[chain] for chain in chains], min(wanted, len(chains)))


def _dealt(pieces: Sequence[Sequence[Chain]], n_shares: int) -> list[list[Chain]]:
    """Pieces shared out by cost, the most expensive first, each where there is least so far."""
    shares: list[list[Chain]] = [[] for _ in range(n_shares)]
    loads = [0.0] * n_shares
    for piece in sorted(pieces, key=_seconds, reverse=True):
        least = loads.index(min(loads))
        shares[least] += piece
        loads[least] += _seconds(piece)
    return shares


def _seconds(chains: Sequence[Chain]) -> float:
    return sum(seconds_of(chain) for chain in chains)
