"""Looking at a sweep that runs elsewhere: what is settled, what is under way, and how fast.

Only files are read, and few of them: a result that was seen once is not looked at again, and the
time between two looks is twenty times that of a look, so that a slow file system is left alone.
"""

import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from scaling.record import CurvePoint, load_curve, load_record
from scaling.sealed import DamagedFileError
from sweeps import files
from sweeps.claims import Attempt
from sweeps.store import Store
from sweeps.survey import choices

SHARE = 0.05
"""Most of the time that is spent looking."""

_MOST_UNDER_WAY = 8
_MOST_FAILURES = 5
_MOST_RECENT = 60


@dataclass(frozen=True)
class UnderWay:
    """A run that a process works on: its configuration and its learning curve so far."""

    run_id: str
    config: Mapping[str, Any]
    curve: Sequence[CurvePoint]


@dataclass(frozen=True)
class Look:
    """What a sweep is like at one moment.

    Attributes:
        planned: Runs of its plans.
        counts: Runs by what became of them: done, diverged, failed, paused.
        n_left: Runs that are not done by decision (`sweeps.survey.Survey`).
        rate: Runs settled a second since the first look; None before there are any.
        under_way: Some of the runs that processes work on.
        n_under_way: How many there are.
        failures: Some of the runs that failed, with reasons.
        recent: Test losses of the runs that were settled last, the newest at the end.
    """

    planned: int
    counts: Mapping[str, int]
    n_left: int
    rate: float | None
    under_way: Sequence[UnderWay]
    n_under_way: int
    failures: Sequence[tuple[str, str]]
    recent: Sequence[float]

    @property
    def settled(self) -> int:
        """Runs that have a result."""
        return self.counts["done"] + self.counts["diverged"]

    @property
    def seconds_left(self) -> float | None:
        """Time until the last run is settled at this rate; None where nothing says."""
        return (self.planned - self.settled - self.n_left) / self.rate if self.rate else None

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to do."""
        return self.settled + self.n_left == self.planned


@dataclass
class Watcher:
    """Looks at one results folder again and again."""

    store: Store
    clock: Callable[[], float] = time.monotonic
    _status: dict[str, str] = field(default_factory=dict)
    _recent: deque[float] = field(default_factory=lambda: deque(maxlen=_MOST_RECENT))
    _began: tuple[float, int] | None = None

    def look(self) -> Look:
        """Returns what the sweep is like now."""
        plans = self.store.plan_ids()
        runs = {run.run_id: run.config for plan in plans for run in self.store.load_plan(plan)[1]}
        chosen = choices(self.store)
        counts: Counter[str] = Counter()
        under_way: list[UnderWay] = []
        failures: list[tuple[str, str]] = []
        n_under_way = 0
        for run_id, config in runs.items():
            if run_id not in self._status and self.store.seems_published(run_id):
                self._note(run_id)
            if run_id in self._status:
                counts[self._status[run_id]] += 1
                continue
            attempts = self.store.attempts(run_id)
            if attempts and not attempts[-1].ended:
                n_under_way += 1
                if len(under_way) < _MOST_UNDER_WAY:
                    under_way.append(UnderWay(run_id, config, _curve(attempts[-1])))
            elif attempts and (record := self.store.ending(run_id)):
                counts[record.status] += 1
                if record.status == "failed" and len(failures) < _MOST_FAILURES:
                    why = record.message or record.reason or "no reason given"
                    failures.append((run_id, why))
        settled = counts["done"] + counts["diverged"]
        now = self.clock()
        began, before = self._began = self._began or (now, settled)
        rate = (settled - before) / (now - began) if settled > before and now > began else None
        return Look(
            planned=len(runs),
            counts=counts,
            n_left=chosen.n_left(counts["paused"]),
            rate=rate,
            under_way=under_way,
            n_under_way=n_under_way,
            failures=failures,
            recent=tuple(self._recent),
        )

    def _note(self, run_id: str) -> None:
        """Remembers how a run ended; a result that cannot be believed is looked at again."""
        try:
            record = load_record(files.read_bytes(self.store.result_path(run_id)))
        except (OSError, DamagedFileError, ValueError):
            return
        self._status[run_id] = record.status
        losses = (record.eval_loss_nats, record.eval_squared_error, record.eval_error)
        self._recent += [loss for loss in losses if loss is not None][:1]


def _curve(attempt: Attempt) -> Sequence[CurvePoint]:
    """The learning curve so far; a line that is being written is left out."""
    try:
        text = files.read_bytes(attempt.folder / "curve.jsonl", files.MANY_BYTES)
        return load_curve(text[: text.rfind(b"\n") + 1])
    except (OSError, DamagedFileError):
        return ()
