"""The order in which the workers of one pool visit the runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sweeps.store import DeclaredRun, Store


@dataclass(frozen=True)
class Task:
    """A run to be done; `attempts_before` counts the attempts of earlier invocations."""

    job: int
    store: Store
    run: DeclaredRun
    attempts_before: int


def visiting_order(tasks: Sequence[Task], worker: int, workers: int) -> list[Task]:
    """All tasks, in the order in which worker `worker` of `workers` looks at them.

    Runs that share a compiled shape are one group. Groups are dealt out by cost, the most
    expensive first, each to the worker with the least so far. A worker does its own share in
    order, then helps the others from the end of theirs backwards, so that two of them meet only
    when nearly all is done. Runs that share a trunk stay together, the shortest first, so that
    each goes on from the one before. Runs that were tried before come last: they may fail again.
    """
    groups: dict[str, list[Task]] = {}
    for task in tasks:
        groups.setdefault(task.run.group, []).append(task)
    shares: list[list[list[Task]]] = [[] for _ in range(workers)]
    loads = [0.0] * workers
    for group in sorted(groups.values(), key=_seconds, reverse=True):
        least = loads.index(min(loads))
        shares[least] += _chains(group)
        loads[least] += _seconds(group)
    others = [chain for step in range(1, workers) for chain in shares[(worker + step) % workers]]
    order = [task for chain in shares[worker] + others[::-1] for task in chain]
    return sorted(order, key=lambda task: task.attempts_before > 0)


def _chains(group: list[Task]) -> list[list[Task]]:
    """The runs of each trunk together, the shortest first; other runs one by one."""
    chains: dict[str, list[Task]] = {}
    for task in group:
        chains.setdefault(task.run.trunk_id or task.run.run_id, []).append(task)
    return [sorted(chain, key=lambda task: task.run.starts_at) for chain in chains.values()]


def _seconds(group: list[Task]) -> float:
    return sum(task.run.seconds for task in group)
