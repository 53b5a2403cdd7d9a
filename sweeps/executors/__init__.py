"""Executors start workers through five calls; `local` starts them as processes of this machine.

An executor hands a worker its settings; the worker claims its runs from the results folder.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Protocol


class Executor(Protocol):
    """Starts and stops workers, numbered from 0, and passes on what they report."""

    def start(self, worker: int, settings: Mapping[str, Any]) -> None:
        """Starts a worker, or starts it again once it has ended."""
        ...

    def alive(self) -> Collection[int]:
        """Numbers of the workers that `why` has not forgotten."""
        ...

    def stop(self, *, at_once: bool) -> None:
        """Asks all workers to end their attempts and stop, or ends them at once."""
        ...

    def why(self, worker: int) -> str | None:
        """Returns why a worker ended, None if it ended normally, and forgets the worker."""
        ...

    def listen(self, seconds: float) -> list[tuple[int, dict[str, Any] | None]]:
        """Waits at most so long for reports: (worker, report), or (worker, None) on its end."""
        ...
