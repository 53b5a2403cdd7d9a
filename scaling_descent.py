"""The door of the program, under a name that no other package has: `python -m scaling_descent`.

The rooms `scaling`, `sweeps`, `analysis` and `experiments` have names that users' own packages may
have, too. Where one of those comes first on the path, the program finds its own all the same, and
says which package it and the experiments that it runs do not see.
"""

import atexit
import contextlib
import gc
import importlib.abc
import signal
import sys
import threading
from collections.abc import Generator, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType

ROOMS = ("scaling", "sweeps", "analysis", "experiments")
ROOT = Path(__file__).resolve().parent


class _OwnRooms(importlib.abc.MetaPathFinder):
    """Finds the rooms beside this file, wherever else the path leads."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return PathFinder.find_spec(fullname, [str(ROOT)]) if fullname in ROOMS else None


def claim_rooms() -> list[Path]:
    """Makes the names of the rooms those of this program; returns the packages that had them."""
    others = []
    for room in ROOMS:
        spec = PathFinder.find_spec(room)
        places = [] if spec is None else list(spec.submodule_search_locations or [spec.origin])
        if places and Path(str(places[0])).resolve() != ROOT / room:
            others.append(Path(str(places[0])))
    if others and not any(isinstance(finder, _OwnRooms) for finder in sys.meta_path):
        sys.meta_path.insert(0, _OwnRooms())
    return others


def look_for_garbage_seldom() -> None:
    """Has Python look for garbage less often than it does by itself, and not at the end.

    What is imported, planned and traced stays, with JAX some half a million objects. Looking
    through them again and again takes a tenth of a program's time, and most of a second at its
    end, where the system takes all memory back anyway.
    """
    gc.set_threshold(50_000, 10, 10)
    atexit.register(gc.freeze)


_RESUMING = ("run", "sweep", "extend")
"""Commands that resume where they ended, when a scheduler starts them again. They have not failed;
what others were to find they have not found."""


class Preempted(BaseException):
    """A scheduler takes the machine away; no `except Exception` may swallow it."""


@contextlib.contextmanager
def ending_on_signals() -> Generator[None]:
    """Raises on a signal that would kill a command: while it loads, plans or analyses.

    While it trains, the runner handles them (`sweeps.signals.handling_signals`). A signal that is
    ignored, as `nohup` has SIGHUP ignored, stays so.

    Raises:
        KeyboardInterrupt: Ctrl-C, or SIGHUP.
        Preempted: SIGTERM, SIGUSR1 or SIGUSR2.
    """

    def end(number: int, _: object) -> None:
        raise KeyboardInterrupt if number == signal.SIGHUP else Preempted

    not_everywhere = ("SIGHUP", "SIGUSR1", "SIGUSR2")
    handled = [signal.SIGTERM, *(getattr(signal, name, None) for name in not_everywhere)]
    main_thread = threading.current_thread() is threading.main_thread()
    numbers = [n for n in handled if n and main_thread and signal.getsignal(n) == signal.SIG_DFL]
    for number in numbers:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)


def main() -> int:
    """Runs the `scaling` command; returns its exit status."""
    look_for_garbage_seldom()
    try:
        with ending_on_signals():
            for other in claim_rooms():
                print(
                    f"scaling: {other} has the name of a package of this program, which does not "
                    "see it, nor do experiments that it runs. Rename it if one of them imports it",
                    file=sys.stderr,
                )
            from experiments import cli

            return cli.main()
    except KeyboardInterrupt:
        return _ended("interrupted", 130)
    except Preempted:
        return _ended("preempted", 0 if _resumes() else 128 + signal.SIGTERM)


def _resumes() -> bool:
    """Whether this command resumes where it ended."""
    words = (word for word in sys.argv[1:] if not word.startswith("-"))
    return next(words, None) in _RESUMING


def _ended(how: str, status: int) -> int:
    """Says how a command ended before its time; a second Ctrl-C ends it at once."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    does = "resumes" if _resumes() else "begins anew"
    print(f"scaling: {how}; the same command {does}", file=sys.stderr)
    return status


def work() -> int:
    """Runs one worker (`sweeps.worker`)."""
    look_for_garbage_seldom()
    claim_rooms()
    from sweeps import worker

    return worker.main()


if __name__ == "__main__":
    sys.exit(work() if sys.argv[1:] == ["worker"] else main())
