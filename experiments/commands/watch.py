"""`scaling watch`: a live view of sweeps that run elsewhere, from their results folders alone."""

import math
import time
from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from analysis.errors import visible
from experiments.commands.console import console, write_json
from experiments.commands.folder import stores
from experiments.commands.options.folders import WatchOptions
from experiments.shared.words import shown_seconds
from sweeps.watching import SHARE, Look, Watcher

_BLOCKS = "▁▂▃▄▅▆▇█"
_WIDTH = 40


def watch(options: WatchOptions) -> int:
    """Shows sweeps until nothing is left to do, or until it is interrupted.

    Without a terminal it prints a line a look. With `once` it looks once.

    Returns:
        0; 1 where runs failed.

    Raises:
        ValueError: No results folder.
    """
    if not options.every > 0:
        raise ValueError(f"--every {options.every:g}: give the seconds between two looks, above 0.")
    watchers = [Watcher(store) for store in stores(options.results)]
    if options.once or not console.is_terminal:
        looks = _print(watchers, options.every, options.once)
    else:
        with Live(console=console, refresh_per_second=4) as live:
            looks = _follow(watchers, options.every, live)
    names = [watcher.store.root.name for watcher in watchers]
    sweeps = [_plain(name, look) for name, look in zip(names, looks, strict=True)]
    write_json(options.json, {"sweeps": sweeps})
    return 1 if any(look.counts["failed"] for look in looks) else 0


def _plain(name: str, look: Look) -> dict[str, Any]:
    """A look as JSON values."""
    return {
        "name": name,
        "planned": look.planned,
        "counts": dict(look.counts),
        "under_way": look.n_under_way,
        "runs_a_second": look.rate,
        "seconds_left": look.seconds_left,
        "failures": [{"run_id": run_id, "why": why} for run_id, why in look.failures],
    }


def sparkline(values: Sequence[float], width: int = _WIDTH) -> str:
    """Returns the last values as a line of blocks, the highest as the tallest."""
    shown = [value for value in values if math.isfinite(value)][-width:]
    if not shown:
        return ""
    low, high = min(shown), max(shown)
    span = high - low or 1.0
    return "".join(_BLOCKS[round((len(_BLOCKS) - 1) * (value - low) / span)] for value in shown)


def sentence(name: str, look: Look) -> str:
    """Returns a look in a line: counts, rate and remaining time."""
    words = [f"{look.settled:,}/{look.planned:,} settled"]
    words += [
        f"{n:,} {kind}" for kind in ("diverged", "failed", "paused") if (n := look.counts[kind])
    ]
    words += [f"{look.n_under_way:,} under way"] if look.n_under_way else []
    if look.rate is not None and look.seconds_left is not None:
        words.append(f"{_rate(look.rate)}, about {shown_seconds(look.seconds_left)} left")
    return f"{name}: {', '.join(words)}"


def _looks(watchers: Sequence[Watcher], every: float) -> Iterator[list[Look]]:
    """Looks until all is settled; never more of the time than `SHARE`."""
    while True:
        began = time.monotonic()
        looks = [each.look() for each in watchers]
        took = time.monotonic() - began
        yield looks
        if all(look.is_over for look in looks):
            return
        time.sleep(max(every, took / SHARE))


def _print(watchers: Sequence[Watcher], every: float, once: bool) -> list[Look]:
    looks: list[Look] = []
    for looks in _looks(watchers, every):
        for watcher, look in zip(watchers, looks, strict=True):
            console.print(sentence(watcher.store.root.name, look))
            for run_id, why in look.failures if once else ():
                console.print(f"  {run_id} failed: {why}")
        if once:
            break
    return looks


def _follow(watchers: Sequence[Watcher], every: float, live: Live) -> list[Look]:
    looks: list[Look] = []
    for looks in _looks(watchers, every):
        pairs = zip(watchers, looks, strict=True)
        live.update(Group(*(_panel(watcher.store.root.name, look) for watcher, look in pairs)))
    return looks


def _panel(name: str, look: Look) -> RenderableType:
    rows = Table.grid(padding=(0, 2))
    if look.recent:
        rows.add_row("last settled", sparkline(look.recent), f"{look.recent[-1]:.4g}")
    for each in look.under_way:
        losses = [point.eval_loss for point in each.curve]
        step = f"step {each.curve[-1].step:,}" if each.curve else "begins"
        last = f"{losses[-1]:.4g}" if losses else ""
        rows.add_row(each.run_id[:12], sparkline(losses), last, step)
    for run_id, why in look.failures:
        rows.add_row(run_id[:12], Text(visible(f"failed: {why}"[:100]), "red"))
    return Group(Text(visible(sentence(name, look))), rows)


def _rate(rate: float) -> str:
    return f"{rate:.3g} runs/s" if rate >= 1 else f"{60 * rate:.3g} runs/min"
