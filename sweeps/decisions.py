"""Decisions of a sweep that chooses its runs as results arrive: what was seen, and what to do next.

A policy is a pure function: of the outcomes seen and the decisions before it makes a choice. Each
decision is published before it is acted on, as a file of its own that is never replaced. So a
command that was killed continues with the decisions that it had made, and of several commands at
work on one folder the first one decides for all. A decision holds the outcomes that came since the
one before, and can be made again from the file alone.
"""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from scaling.record import Status
from scaling.sealed import DamagedFileError, digest, seal, unseal
from sweeps import files
from sweeps.files import StoreError, storing
from sweeps.places import Place
from sweeps.pool import Stops
from sweeps.store import Store

log = logging.getLogger(__name__)


class Outcome(NamedTuple):
    """The outcome of a run, as far as it is known.

    Attributes:
        run_id: The run.
        status: `paused` where it was measured before its end.
        step: Step after which it paused; None otherwise.
        loss: Held-out loss, in nats; None where there is none.
    """

    run_id: str
    status: Status
    step: int | None = None
    loss: float | None = None


class Choice(NamedTuple):
    """The runs that a policy chooses next, or why it chooses none.

    Attributes:
        jobs: Runs to do next, each with the step after which it is to pause, None for its end.
        stop: Why no more is to be done; None where there are `jobs`.
        facts: Numbers by which it was decided, for people.
    """

    jobs: Stops
    stop: str | None = None
    facts: Mapping[str, float | None] = {}


@dataclass(frozen=True)
class Decision:
    """A choice, and the outcomes that came since the decision before."""

    news: tuple[Outcome, ...]
    choice: Choice


Policy = Callable[[Sequence[Decision], Sequence[Outcome]], Choice]
"""A pure function of the decisions so far, with the news that each saw, and of the news since."""


def seen(past: Iterable[Decision], news: Iterable[Outcome] = ()) -> list[Outcome]:
    """All outcomes that were seen, oldest first."""
    return [*(outcome for decision in past for outcome in decision.news), *news]


@dataclass(frozen=True)
class Journal:
    """The decisions of one policy with one kind of settings about one plan, in a results folder."""

    store: Store
    about: Mapping[str, Any]
    """What decides: JSON values that say plan, policy and settings."""

    @property
    def folder(self) -> Place:
        """Folder of the decisions, named by plan, policy and settings."""
        return self.store.decisions / digest(self.about)[:32]

    def read(self) -> list[Decision]:
        """The decisions so far.

        One that cannot be read is set aside. If it is the last, it is made again; else an empty one
        stands in its place: its runs are known from what the others saw.
        """
        numbers = [int(n.removesuffix(".json")) for n in files.names(self.folder) if _is_name(n)]
        found = {number: self._load(number) for number in numbers}
        readable = [number for number, decision in found.items() if decision is not None]
        lost = Decision((), Choice({}))
        return [found.get(n) or lost for n in range(1, max(readable, default=0) + 1)]

    def append(self, number: int, decision: Decision) -> None:
        """Publishes decision `number`, unless another command has made it.

        Raises:
            StoreError: the machine refuses, or a damaged decision is in the way.
        """
        path = self.folder / _name(number)
        content = {
            "about": self.about,
            "number": number,
            "news": [outcome._asdict() for outcome in decision.news],
            "choice": {**decision.choice._asdict(), "jobs": dict(decision.choice.jobs)},
        }
        with storing(self.folder):
            files.check_inside(self.store.root, self.folder)
            for folder in (self.folder.parent, self.folder):
                files.make_folder(folder)
                files.sync_folder(folder.parent)
            data = seal("decision", content).encode()
            won = files.publish(path, data, scratch=self.folder, durable=True)
        if not won and self._load(number) is None and files.exists(path):
            raise StoreError(
                f"{path} is damaged and cannot be set aside. Move it away by hand, and the same "
                "command resumes"
            )

    def _load(self, number: int) -> Decision | None:
        """Decision `number`; None where it is damaged and set aside."""
        path = self.folder / _name(number)
        try:
            content = _content(path)
            if digest(content["about"]) != digest(self.about) or content["number"] != number:
                raise DamagedFileError("it is another decision")
            return _decision(content)
        except DamagedFileError as error:
            log.warning("%s: %s", path, error)
            with contextlib.suppress(OSError):  # where it stays, it is passed over
                files.set_aside(path, self.store.quarantine, path.name, str(error))
            return None


def journals(store: Store) -> Iterator[Journal]:
    """The journals of a results folder that hold a decision which can be read."""
    for name in sorted(files.names(store.decisions)):
        folder = store.decisions / name
        for each in sorted(filter(_is_name, files.names(folder))):
            with contextlib.suppress(DamagedFileError, StoreError):
                about = _content(folder / each)["about"]
                found = Journal(store, about)
                if found.folder == folder and isinstance(about.get("plan"), str):
                    yield found
                    break


def _content(path: Place) -> dict[str, Any]:
    """What stands in the file of a decision.

    Raises:
        DamagedFileError: it is not as it was written, or no file.
        StoreError: the machine refuses to read it.
    """
    with storing(path):
        try:
            content = unseal("decision", files.read_bytes(path, files.MANY_BYTES))
        except OSError as error:
            if not files.is_damage(error):
                raise
            raise DamagedFileError(f"no file: {error.strerror}") from None
    parts = ("about", "number", "news", "choice")
    if not (isinstance(content, dict) and content.keys() >= {*parts}) or not isinstance(
        content["about"], dict
    ):
        raise DamagedFileError("not a decision")
    return content


def _decision(content: Mapping[str, Any]) -> Decision:
    try:
        news = tuple(Outcome(**each) for each in content["news"])
        return Decision(news, Choice(**content["choice"]))
    except TypeError as error:
        raise DamagedFileError(f"not a decision: {error}") from None


def _name(number: int) -> str:
    return f"{number:06d}.json"


def _is_name(name: str) -> bool:
    return re.fullmatch(r"[0-9]{6}\.json", name) is not None
