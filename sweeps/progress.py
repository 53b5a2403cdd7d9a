"""Live progress of sweeps: bars on a terminal, now and then a line elsewhere."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from sweeps.pool import Event

_SECONDS_BETWEEN_LINES = 10.0


@dataclass
class _Tally:
    """Numbers of settled runs of one sweep."""

    name: str
    planned: int
    already: int
    began: float
    done: int = 0
    diverged: int = 0
    failed: int = 0

    @property
    def settled(self) -> int:
        """Number of runs that are settled."""
        return self.already + self.done + self.diverged + self.failed

    def count(self, kind: str) -> None:
        """Counts a run if the event settles it."""
        if kind in ("done", "elsewhere"):
            self.done += 1
        elif kind == "diverged":
            self.diverged += 1
        elif kind == "failed":
            self.failed += 1

    def counts(self) -> str:
        """The numbers as a phrase, with the rate since the start."""
        seconds = time.monotonic() - self.began
        words = [f"{self.settled}/{self.planned}"]
        words += [f"{self.diverged} diverged"] * (self.diverged > 0)
        words += [f"{self.failed} failed"] * (self.failed > 0)
        if seconds > 1 and self.settled > self.already:
            words.append(f"{(self.settled - self.already) / seconds:.3g} runs/s")
        return ", ".join(words)


@contextlib.contextmanager
def show_progress(console: Console | None = None) -> Iterator[Callable[[Event], None]]:
    """Yields the function that `run_sweeps` takes as `progress`.

    Args:
        console: Console to write to; standard error where none is given. If it is not a terminal,
            a plain line is written at most every ten seconds, and one when a sweep is settled.
    """
    console = console or Console(stderr=True)
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
    tallies: dict[int, tuple[TaskID, _Tally]] = {}

    def on(event: Event) -> None:
        if event.kind == "planned":
            tally = _Tally(event.name, event.planned, event.already, time.monotonic())
            task = bars.add_task(event.name, total=event.planned, counts=tally.counts())
            tallies[event.job] = (task, tally)
        task, tally = tallies[event.job]
        tally.count(event.kind)
        bars.update(task, completed=tally.settled, counts=tally.counts())

    return on


def _lines(console: Console) -> Callable[[Event], None]:
    tallies: dict[int, _Tally] = {}
    last_line = time.monotonic()

    def on(event: Event) -> None:
        nonlocal last_line
        now = time.monotonic()
        if event.kind == "planned":
            tallies[event.job] = _Tally(event.name, event.planned, event.already, now)
        tally = tallies[event.job]
        before = tally.settled
        tally.count(event.kind)
        complete = tally.settled == tally.planned
        news = tally.settled > before or event.kind == "planned"
        if news and (complete or now - last_line >= _SECONDS_BETWEEN_LINES):
            last_line = now
            console.print(f"{tally.name}: {tally.counts()}", markup=False, highlight=False)

    return on
