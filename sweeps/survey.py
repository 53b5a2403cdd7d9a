"""What a results folder holds: how many runs became what, what is damaged, where runs are lacking.

A survey reads every run once, one at a time, and keeps counts: its memory does not grow with the
results.
"""

from __future__ import annotations

import contextlib
import heapq
import re
from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, get_args

from scaling.fields import flatten
from scaling.record import Status, column
from scaling.sealed import entry, parse
from sweeps.decisions import journals
from sweeps.places import Place
from sweeps.store import Store

MOST_TROUBLES = 5
"""Runs that are not done which are described one by one."""

LAST_RUNS = 100
"""Runs whose pace is said: those published last."""

_SEED = re.compile(rb'"seed": (\d+), "train": ')
_STATUS: dict[bytes, Status] = {f'"{each}"'.encode(): each for each in get_args(Status)}


class Trouble(NamedTuple):
    """A run that is not done, or whose learning curve is damaged."""

    run_id: str
    status: Status
    reason: str | None
    message: str | None
    step: int | None  # at which it diverged, or after which it paused


class Chooser(NamedTuple):
    """What chose runs of the folder as results arrived (`sweeps.decisions`).

    Attributes:
        about: JSON values that say which policy it is, with which settings.
        n_decisions: Number of its decisions.
        stop: Why it wants no more runs; None where it has not come to an end.
    """

    about: Mapping[str, Any]
    n_decisions: int
    stop: str | None


class Choices(NamedTuple):
    """What chose runs of a folder, and what it left.

    Attributes:
        choosers: What chose runs.
        are_final: Whether there is something that chose runs, and wants no more of them: those that
            have paused are then left as they are.
        unchosen: Runs that were never chosen, and that nobody has begun; none before that.
    """

    choosers: tuple[Chooser, ...]
    are_final: bool = False
    unchosen: Set[str] = frozenset()

    def leave(self, run_id: str, status: Status) -> bool:
        """Whether a run stays as it is: it has paused for good, or was never chosen."""
        return self.are_final and (status == "paused" or run_id in self.unchosen)

    def n_left(self, n_paused: int) -> int:
        """Number of runs that stay as they are, of a folder where so many have paused."""
        return (n_paused if self.are_final else 0) + len(self.unchosen)


class Pace(NamedTuple):
    """How fast the last runs were published, by the clocks of their machines."""

    n_runs: int
    runs_a_minute: float
    until_utc: str


class Hole(NamedTuple):
    """Runs that are not published, among those with one value of one field."""

    field: str
    value: Any
    n_open: int
    n_runs: int


@dataclass(frozen=True)
class Survey:
    """What a results folder holds.

    Attributes:
        root: The folder.
        counts: Number of runs of each status.
        choices: What chose runs, where they were chosen as results arrived.
        environments: Environments in which runs were computed, as JSON, and how many runs each has.
        troubled: Runs that are not done, and that no decision left as they are; with `everything`,
            all of them, else the first few.
        curves: Runs that are published but whose learning curve is damaged.
        holes: Where runs are lacking: values of a field of which some are complete and some not.
        pace: How fast the last runs were published; None where there are too few.
    """

    root: Place
    counts: Mapping[Status, int]
    choices: Choices
    environments: Mapping[bytes, int]
    troubled: Sequence[Trouble]
    curves: Sequence[Trouble]
    holes: Sequence[Hole]
    pace: Pace | None = None

    @property
    def n_runs(self) -> int:
        """Number of runs in the folder and its plans."""
        return sum(self.counts.values())

    @property
    def n_left(self) -> int:
        """Number of runs that are not done by decision: paused for good, or never chosen."""
        return self.choices.n_left(self.counts.get("paused", 0))

    @property
    def n_troubled(self) -> int:
        """Number of runs that are not done, and that no decision left as they are."""
        return self.n_runs - self.counts.get("done", 0) - self.n_left

    @property
    def is_complete(self) -> bool:
        """Whether every run is published or left by decision, and nothing of it is damaged."""
        return self.n_troubled == self.counts.get("diverged", 0) and not self.curves


def survey(store: Store, *, everything: bool = False) -> Survey:
    """Reads a results folder; with `everything`, describes every run that needs attention."""
    chosen = choices(store)
    counts, environments = Counter[Status](), Counter[bytes]()
    settings, unpublished = Counter[_Setting](), Counter[_Setting]()
    troubled: list[Trouble] = []
    curves: list[Trouble] = []
    ends: list[bytes] = []
    for text in store.texts():
        status = _STATUS[entry(text, "status") or b""]
        counts[status] += 1
        environments[entry(text, "environment") or b"{}"] += 1
        end = entry(text, "finished_at_utc") or b"null"
        if status == "done" and end != b"null":
            (heapq.heappush if len(ends) < LAST_RUNS else heapq.heappushpop)(ends, end)
        setting = _setting(entry(text, "config") or b"{}")
        settings[setting] += 1
        is_left = status != "done" and chosen.leave(column(text, "run_id"), status)
        if status in ("failed", "missing") and not is_left:
            unpublished[setting] += 1
        elif status in ("done", "diverged") and (damage := store.curve_damage(text)) is not None:
            curves.append(_trouble(text, status)._replace(reason="damaged", message=damage))
        if status != "done" and not is_left and (everything or len(troubled) < MOST_TROUBLES):
            troubled.append(_trouble(text, status))
    return Survey(
        root=store.root,
        counts=counts,
        choices=chosen,
        environments=environments,
        troubled=troubled,
        curves=curves,
        holes=_holes(settings, unpublished) if unpublished else (),
        pace=_pace(ends),
    )


def _pace(ends: Sequence[bytes]) -> Pace | None:
    """The pace of runs that were published at these times, as JSON; None where none follows."""
    with contextlib.suppress(ValueError, TypeError, IndexError):
        times = sorted(map(parse, ends))
        first, last = (datetime.fromisoformat(times[place]) for place in (0, -1))
        if seconds := (last - first).total_seconds():
            return Pace(len(times), 60 * (len(times) - 1) / seconds, times[-1])
    return None


def choices(store: Store) -> Choices:
    """What chose runs of a results folder, and the runs that it left."""
    found: list[Chooser] = []
    chosen = set[str]()
    plans = set[str]()
    for journal in journals(store):
        decisions = journal.read()
        stop = decisions[-1].choice.stop if decisions else None
        found.append(Chooser(journal.about, len(decisions), stop))
        chosen.update(run_id for each in decisions for run_id in each.choice.jobs)
        plans.add(journal.about["plan"])
    if not found or any(each.stop is None for each in found):
        return Choices(tuple(found))
    # A command that does all runs makes their folders, and then nobody has left them out.
    chosen.update(store.run_ids())
    left = set[str]()
    for plan in store.plans():
        (left if plan.path.stem in plans else chosen).update(plan.run_ids)
    return Choices(tuple(found), True, left - chosen)


def _trouble(text: bytes, status: Status) -> Trouble:
    names = ("reason", "message", "steps" if status == "paused" else "diverged_at_step")
    return Trouble(column(text, "run_id"), status, *(column(text, name) for name in names))


class _Setting(NamedTuple):
    """A configuration as JSON, its seed apart: seeds alone make most of them differ."""

    seedless: bytes
    seed: int | None  # None where it stays in the configuration


def _setting(config: bytes) -> _Setting:
    *_, found = (None, *_SEED.finditer(config))  # the last: those before it are of parents
    if found is None:
        return _Setting(config, None)
    return _Setting(config[: found.start(1)] + b"null" + config[found.end(1) :], int(found[1]))


def _holes(settings: Mapping[_Setting, int], unpublished: Mapping[_Setting, int]) -> list[Hole]:
    """Where runs are lacking, by field and value; fields that lack runs at every value are not."""
    # Seeds apart, few configurations differ: each is taken to pieces once.
    n_runs, n_open = Counter[bytes | int | None](), Counter[bytes | int | None]()
    for setting, n in settings.items():
        for part in setting:
            n_runs[part] += n
            n_open[part] += unpublished.get(setting, 0)
    fields: dict[str, dict[Any, Hole]] = {}
    for part, n in n_runs.items():
        for field, value in _fields(part).items():
            if not isinstance(value, list):
                values = fields.setdefault(field, {})
                old = values.get(value, Hole(field, value, 0, 0))
                values[value] = Hole(field, value, old.n_open + n_open[part], old.n_runs + n)
    found: list[Hole] = []
    for values in fields.values():
        lacking = [each for each in values.values() if each.n_open]
        if 0 < len(lacking) < len(values):
            found += sorted(lacking, key=lambda each: -each.n_open / each.n_runs)
    return found


def _fields(part: bytes | int | None) -> dict[str, Any]:
    """The fields of one part of a setting, by their dotted names."""
    if isinstance(part, bytes):
        found = flatten(parse(part))
        return {name: value for name, value in found.items() if (name, value) != ("seed", None)}
    return {} if part is None else {"seed": part}
