"""Live progress of sweeps: bars on a terminal, a line every ten seconds elsewhere."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import get_args

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from sweeps.pool import Event, Settled

_SECONDS_BETWEEN_LINES = 10.0
_SHOWN = ("diverged", "failed")


@dataclass
class _Tally:
    """Numbers of settled runs of one sweep: those of before, and those of this call by kind."""

    name: str
    planned: int
    already: int
    began: float = field(default_factory=time.monotonic)
    by_kind: Counter[str] = field(default_factory=Counter)

    @property
    def settled(self) -> int:
        """Number of runs that are settled."""
        return self.already + self.by_kind.total()

    def counts(self) -> str:
        """The numbers as a phrase, with the rate since the start."""
        seconds = time.monotonic() - self.began
        words = [f"{self.settled}/{self.planned}"]
        words += [f"{n} {kind}" for kind in _SHOWN if (n := self.by_kind[kind])]
        if seconds > 1 and self.by_kind:
            words.append(f"{self.by_kind.total() / seconds:.3g} runs/s")
        return ", ".join(words)


def _counted(event: Event, tallies: dict[int, _Tally]) -> _Tally:
    """Takes note of an event; returns the tally of its job, of all by number."""
    if event.kind == "planned":
        tallies[event.job] = _Tally(event.name, event.planned, event.already)
    tally = tallies[event.job]
    if event.kind in get_args(Settled):
        tally.by_kind[event.kind] += 1
    return tally


@contextlib.contextmanager
def show_progress(console: Console | None = None) -> Generator[Callable[[Event], None]]:
    """Yields the function that `run_sweeps` takes as `progress`.

    Args:
        console: Console to write to; standard error where none is given. If it is not a terminal,
            a plain line is written at most every ten seconds, and one when a sweep is settled.
    """
    console = console or Console(stderr=True, markup=False, emoji=False)
    if not console.is_terminal:
        yield _lines(console)
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[counts]}", markup=False),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as bars:
        yield _bars(bars)


def _bars(bars: Progress) -> Callable[[Event], None]:
    tallies, tasks = dict[int, _Tally](), dict[int, TaskID]()

    def on(event: Event) -> None:
        tally = _counted(event, tallies)
        if event.kind == "planned":
            tasks[event.job] = bars.add_task(event.name, total=event.planned, counts="")
        bars.update(tasks[event.job], completed=tally.settled, counts=tally.counts())

    return on


def _lines(console: Console) -> Callable[[Event], None]:
    tallies, last_line = dict[int, _Tally](), time.monotonic()

    def on(event: Event) -> None:
        nonlocal last_line
        tally, now = _counted(event, tallies), time.monotonic()
        due = tally.settled == tally.planned or now - last_line >= _SECONDS_BETWEEN_LINES
        if due and event.kind in ("planned", *get_args(Settled)):
            last_line = now
            console.print(
                f"{tally.name}: {tally.counts()}", markup=False, emoji=False, highlight=False
            )

    return on
