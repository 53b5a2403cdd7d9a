"""The order in which the workers of one pool visit the runs, and the runs they do together.

Workers agree on nothing while they work: each computes the same division of the runs, begins with
its own share, and then helps the others. Claims decide who does a run.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from heapq import heapreplace
from itertools import groupby
from typing import NamedTuple

from scaling.packs import Pack, pack_of
from sweeps.plan import PlannedRun
from sweeps.store import Store


@dataclass(frozen=True)
class Task:
    """A run to be done, in its results folder."""

    job: int  # number of the job in this invocation
    store: Store
    run: PlannedRun
    attempts_before: int  # by earlier invocations
    pack: str | None = None  # name of the runs that are done together with it, if any
    mates: Sequence[PlannedRun] = ()  # all runs of its pack, those that are done among them
    pause_at: int | None = None  # step after which the run is to pause; None to do all of it

    @property
    def is_there(self) -> bool:
        """Whether what is to be done is known to be published."""
        store, run_id = self.store, self.run.run_id
        if store.seems_published(run_id):
            return True
        return self.pause_at is not None and store.has_paused(run_id, self.pause_at)


Chain = Sequence[Task]
"""Runs that one worker does in a row: those of a trunk, the shortest first, those of a pack, or
one run."""

Share = Sequence[Chain]
"""Chains that one worker does, in this order or, where it meets another worker, backwards."""


class Part(NamedTuple):
    """Runs of one compiled shape that one worker does."""

    chains: Sequence[Chain]
    is_first: bool = True  # whether it is the first of its shape: its worker compiles the shape


MOST_OF_A_FAIR_SHARE = 1.25
"""A group of up to this many times an equal share of all seconds is not cut: a second worker that
loads or compiles its shape would cost more than the first one's extra time."""


def with_packs(tasks: Sequence[Task], platform: str) -> list[Task]:
    """The tasks of a plan, all its runs, each with its pack where runs are faster together.

    The runs that may be done together are divided into as few packs as hold them, of equal size as
    nearly as can be, since every size is compiled. Last bits depend on the pack, so it must not
    depend on what is done already: a sweep that was killed ends as one that was not.
    """
    found: dict[Pack, list[Task]] = {}
    for task in tasks:
        if pack := pack_of(task.run.config, task.run.group, platform):
            found.setdefault(pack, []).append(task)
    packed: dict[str, Task] = {}
    for pack, members in found.items():
        n_packs = math.ceil(len(members) / pack.most)
        numbered = ((i * n_packs // len(members), task) for i, task in enumerate(members))
        for number, group in groupby(numbered, lambda each: each[0]):
            together = [task for _, task in group]
            name, mates = f"{pack.key}/{number}", tuple(task.run for task in together)
            packed |= {t.run.run_id: replace(t, pack=name, mates=mates) for t in together}
    return [packed.get(task.run.run_id, task) for task in tasks]


def packs(tasks: Iterable[Task]) -> Iterator[list[Task]]:
    """Neighbours that are done together, in the order of the tasks; other runs one by one."""
    groups = groupby(tasks, lambda task: task.pack or (task.store, task.run.run_id))
    return (list(group) for _, group in groups)


def visiting_order(tasks: Sequence[Task], worker: int, workers: int) -> Iterator[Share]:
    """All tasks, in the order in which worker `worker` of `workers` looks at them.

    A worker does its own share, then helps the others from the end of theirs backwards, so that two
    workers meet only when nearly all is done. In the share of another it first looks at the run at
    which that one should be: if it is lost, so is the run, and the sooner this is seen the better.
    """
    dealt = shares(tasks, workers)
    for tried in (False, True):  # runs that were tried before come last: they may fail again

        def part(number: int, tried: bool = tried) -> Share:
            share = dealt[number % workers]
            kept = ([t for t in chain if _tried(t, chain) == tried] for chain in share)
            return [chain for chain in kept if chain]

        yield part(worker)
        for step in range(workers - 1, 0, -1):
            yield from helping(part(worker + step))


def _tried(task: Task, chain: Chain) -> bool:
    """Whether a run was tried before or, as runs of a pack are done together, one of its pack."""
    return any(each.attempts_before for each in (chain if task.pack else [task]))


def helping(share: Share) -> Iterator[Share]:
    """What another worker leaves of its share: where it should be, then from the end backwards."""
    open_chains = (
        number for number, chain in enumerate(share) if not all(task.is_there for task in chain)
    )
    current = next(open_chains, len(share))
    yield share[current : current + 1]
    yield share[:current:-1]
    yield share[:current]  # published: whoever counts them sees them


def shares(tasks: Sequence[Task], workers: int) -> list[Share]:
    """The chains that each of the workers does first, in their order; every worker deals alike."""
    # 1. Runs that share a compiled shape are one group. A group far above a worker's fair share is
    #    cut into parts; a trunk is never cut, so that each of its runs resumes the one before.
    fair = _seconds_of(tasks) / workers
    shapes: dict[str | None, str] = {}  # a pack of several shapes goes with the first
    for task in tasks:
        if task.pack:
            shapes.setdefault(task.pack, task.run.group)
    groups = _together(tasks, lambda task: shapes.get(task.pack, task.run.group))
    parts = [part for group in groups for part in _parts(_chains(group), fair)]
    # 2. Parts are dealt out by cost, the most expensive first, each to the worker with the least so
    #    far. A worker begins with a shape that it is the first to compile, if it has one: meanwhile
    #    others compile what it shares with them (`sweeps.compile_cache`).
    return [_chains_in_order(share) for share in _dealt(parts, workers)]


def _together(tasks: Sequence[Task], key: Callable[[Task], str]) -> Iterable[list[Task]]:
    """Lists of tasks with one key, in their order."""
    groups: dict[str, list[Task]] = {}
    for task in tasks:
        groups.setdefault(key(task), []).append(task)
    return groups.values()


def _seconds_of(tasks: Iterable[Task]) -> float:
    """Estimated core-seconds of all tasks, compilation left out."""
    return sum(task.run.seconds for task in tasks)


def _chains(group: Sequence[Task]) -> list[Chain]:
    """The runs of each trunk together, the shortest first, and of each pack; others one by one."""
    chains = _together(group, lambda task: task.run.trunk_id or task.pack or task.run.run_id)
    return [sorted(chain, key=lambda task: task.run.starts_at) for chain in chains]


def _parts(chains: Sequence[Chain], fair: float) -> list[Part]:
    """Cuts a group that is far above a worker's `fair` share, as equal as chains allow."""
    single = [Part([chain]) for chain in chains]
    n_shares = sum(map(_seconds, single)) / fair if fair else 1
    # Rounding gives each worker a share of its own where one shape is all there is.
    wanted = max(1, math.ceil(n_shares / MOST_OF_A_FAIR_SHARE), round(n_shares))
    dealt = _dealt(single, min(wanted, len(single)))
    return [
        Part([chain for part in share for chain in part.chains], is_first=number == 0)
        for number, share in enumerate(dealt)
    ]


def _dealt(parts: Sequence[Part], n_shares: int) -> list[list[Part]]:
    """Deals parts out by cost, the most expensive first, each where there is least so far."""
    shares: list[list[Part]] = [[] for _ in range(n_shares)]
    # Among equals, a worker that does not begin with a shape yet gets the next one.
    least = [(0.0, False, k) for k in range(n_shares)]
    for part in sorted(parts, key=_seconds, reverse=True):
        load, begins_a_shape, k = least[0]
        shares[k].append(part)
        heapreplace(least, (load + _seconds(part), begins_a_shape or part.is_first, k))
    return shares


def _chains_in_order(share: Sequence[Part]) -> list[Chain]:
    """The chains of a share, beginning with those of a shape that no other worker begins."""
    first = next((part for part in share if part.is_first), None)
    ordered = sorted(share, key=lambda part: part is not first)
    return [chain for part in ordered for chain in part.chains]


def _seconds(part: Part) -> float:
    return sum(_seconds_of(chain) for chain in part.chains)
