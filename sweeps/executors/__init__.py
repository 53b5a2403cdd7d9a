"""Where workers run, behind five calls; workers claim from the results folder."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Protocol


class Executor(Protocol):
    """Starts and stops workers, numbered from 0, and passes on what they report.

    How a worker gets its work is no business of an executor: it is handed settings, and the
    results folder does the rest.
    """

    def start(self, worker: int, settings: Mapping[str, Any]) -> None:
        """Starts a worker, or starts it again once it has ended."""
        ...

    def alive(self) -> Collection[int]:
        """The workers whose end has not been asked about with `why`."""
        ...

    def stop(self, *, at_once: bool) -> None:
        """Asks all workers to stop and to say so in their attempts, or ends them at once."""
        ...

    def why(self, worker: int) -> str | None:
        """Why a worker ended: None in good order, else in words. Forgets the worker."""
        ...

    def listen(self, seconds: float) -> list[tuple[int, dict[str, Any] | None]]:
        """Waits for reports, at most so long: (worker, report), or (worker, None) on its end."""
        ...
