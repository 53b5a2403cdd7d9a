"""The order in which the workers of one pool visit the runs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sweeps.plan import PlannedRun
from sweeps.store import Store


@dataclass(frozen=True)
class Task:
    """A run to be done; `attempts_before` counts the attempts of earlier invocations."""

    job: int
    store: Store
    run: PlannedRun
    attempts_before: int


Chain = Sequence[Task]
"""Runs that one worker is to do one after another."""


class Part(NamedTuple):
    """Runs of one compiled shape that a worker is to do.

    Attributes:
        chains: Of runs.
        is_first: Whether it is the first part of its shape, the one to compile it.
    """

    chains: Sequence[Chain]
    is_first: bool = True


MOST_OF_A_FAIR_SHARE = 1.25
"""A group up to so many times an equal share of all seconds stays whole: what it takes too long
costs less than a second worker's beginning with it."""


def visiting_order(tasks: Sequence[Task], worker: int, workers: int) -> list[Task]:
    """All tasks, in the order in which worker `worker` of `workers` looks at them.

    Runs that share a compiled shape are one group; one that is far more than a worker's fair share
    is cut into parts. Parts are dealt out by cost, the most expensive first, each to the worker
    with the least so far. A worker begins with a shape that it is the first to compile, if it has
    one: meanwhile others compile what it shares with them (`sweeps.compile_cache`). It does its own
    share in order, then helps the others from the end of theirs backwards, so that two of them meet
    only when nearly all is done. Runs that share a trunk stay together, the shortest first, so that
    each goes on from the one before. Runs that were tried before come last: they may fail again.
    """
    largest = MOST_OF_A_FAIR_SHARE * _seconds_of(tasks) / workers
    groups = _by_group(tasks).values()
    parts = [part for group in groups for part in _parts(_chains(group), largest)]
    shares = [_chains_in_order(share) for share in _dealt(parts, workers)]
    others = [chain for step in range(1, workers) for chain in shares[(worker + step) % workers]]
    order = [task for chain in shares[worker] + others[::-1] for task in chain]
    return sorted(order, key=lambda task: task.attempts_before > 0)


def _by_group(tasks: Sequence[Task]) -> dict[str, list[Task]]:
    """Tasks that share a compiled shape together, in their order."""
    groups: dict[str, list[Task]] = {}
    for task in tasks:
        groups.setdefault(task.run.group, []).append(task)
    return groups


def _seconds_of(tasks: Iterable[Task]) -> float:
    """Estimated core-seconds of them all, compilation left out."""
    return sum(task.run.seconds for task in tasks)


def _chains(group: Sequence[Task]) -> list[Chain]:
    """The runs of each trunk together, the shortest first; other runs one by one."""
    chains: dict[str, list[Task]] = {}
    for task in group:
        chains.setdefault(task.run.trunk_id or task.run.run_id, []).append(task)
    return [sorted(chain, key=lambda task: task.run.starts_at) for chain in chains.values()]


def _parts(chains: Sequence[Chain], largest: float) -> list[Part]:
    """A group in as few parts as are to be no larger than given, as equal as chains allow."""
    single = [Part([chain]) for chain in chains]
    wanted = max(1, math.ceil(sum(map(_seconds, single)) / largest)) if largest else 1
    dealt = _dealt(single, min(wanted, len(single)))
    return [
        Part([chain for part in share for chain in part.chains], is_first=number == 0)
        for number, share in enumerate(dealt)
    ]


def _dealt(parts: Sequence[Part], n_shares: int) -> list[list[Part]]:
    """Parts shared out by cost, the most expensive first, each where there is least so far."""
    shares: list[list[Part]] = [[] for _ in range(n_shares)]
    loads = [0.0] * n_shares
    for part in sorted(parts, key=_seconds, reverse=True):
        # Among equals, one that has no shape of its own to begin with yet.
        least = min(range(n_shares), key=lambda k: (loads[k], _begins_a_shape(shares[k])))
        shares[least].append(part)
        loads[least] += _seconds(part)
    return shares


def _begins_a_shape(share: Sequence[Part]) -> bool:
    """Whether a share has a part that is the first of its shape."""
    return any(part.is_first for part in share)


def _chains_in_order(share: Sequence[Part]) -> list[Chain]:
    """The chains of a share, not first those of a shape that is begun elsewhere."""
    first = next((part for part in share if part.is_first), None)
    ordered = sorted(share, key=lambda part: part is not first)
    return [chain for part in ordered for chain in part.chains]


def _seconds(part: Part) -> float:
    return sum(_seconds_of(chain) for chain in part.chains)
