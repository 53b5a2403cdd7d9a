"""Signals that ask to stop: whose they are, and what workers and their parents do about them."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Generator

INTERRUPTING = (signal.SIGINT, signal.SIGHUP)
PREEMPTING = (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)
"""Signals of people, whose command has not ended as they wished, and of schedulers, which take the
machine away and start the same command again."""

PARENT_DECIDES = (*INTERRUPTING, signal.SIGUSR1, signal.SIGUSR2)
"""Signals that workers leave to their parent, which asks them by SIGTERM."""


class Stopped(BaseException):
    """A signal wants this worker to stop; no `except Exception` of a run may swallow it."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def stop(number: int, *_: object) -> None:
    """Handles a signal: ends the attempt under way in good order."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise Stopped(number)


@contextlib.contextmanager
def handling_signals(handler: Callable[..., None]) -> Generator[None]:
    """Sets the handler of all signals that ask to stop for a while; in the main thread only.

    A signal that was ignored before, as `nohup` has SIGHUP ignored, stays so.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    wanted = (n for n in (*INTERRUPTING, *PREEMPTING) if signal.getsignal(n) != signal.SIG_IGN)
    before = {number: signal.signal(number, handler) for number in wanted}
    try:
        yield
    finally:
        for number, restored in before.items():
            signal.signal(number, restored)
