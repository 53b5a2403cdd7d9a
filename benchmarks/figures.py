"""Figures that benchmarks measure: typed records, written and read as JSON, shown as a table."""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import shlex
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

HEAD = "| what | asked | measured | by |\n|---|---|---|---|"


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One row of the README's table of speed.

    Attributes:
        what: What is measured.
        measured: The values, one for each case that `what` lists; empty where it cannot be
            measured here, for the reason in `note`.
        unit: Unit of limit and values; "times" for a ratio of speeds.
        command: The command that measures it.
        asked: Limit in the same unit; None where nothing is asked.
        at_least: Whether the limit is a lower one.
        note: What else the reader should know.
    """

    what: str
    measured: tuple[float, ...]
    unit: str
    command: str
    asked: float | None = None
    at_least: bool = False
    note: str = ""

    @property
    def is_met(self) -> bool:
        """Whether every value keeps to the limit."""
        if self.asked is None:
            return True
        sign = 1 if self.at_least else -1
        return all(sign * value >= sign * self.asked for value in self.measured)

    def row(self) -> str:
        """The figure as a row of the table; values beyond the limit are bold."""
        sign = "≥" if self.at_least else "≤"
        limit = "" if self.asked is None else f"{sign} {self.asked:g} {self.unit}"
        values = ", ".join(f"{value:.3g}" for value in self.measured)
        shown = f"{values} {self.unit}" if values else "not measured"
        shown = shown if self.is_met else f"**{shown}**"
        note = f"; {self.note}" if self.note else ""
        return f"| {self.what} | {limit} | {shown}{note} | `{self.command}` |"


def write(path: Path, figures: Iterable[Figure]) -> None:
    """Writes figures as JSON."""
    path.write_text(json.dumps([asdict(figure) for figure in figures], indent=1) + "\n")


def read(path: Path) -> list[Figure]:
    """The figures that `write` wrote."""
    rows = json.loads(path.read_text())
    return [Figure(**{**row, "measured": tuple(row["measured"])}) for row in rows]


def options(doc: str | None) -> argparse.ArgumentParser:
    """A parser for the options of a benchmark, with the one that every benchmark has."""
    parser = argparse.ArgumentParser(description=(doc or "").partition("\n")[0])
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to this file")
    return parser


def own_command() -> str:
    """The command that is running as a reader would type it: with all options but `--json`."""
    of_json = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    of_json.add_argument("--json")
    _, words = of_json.parse_known_args()
    return shlex.join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *words])


def report(figures: Sequence[Figure], path: Path | None) -> None:
    """Prints figures beside their limits, and writes them where `--json` names a file."""
    if path is not None:
        write(path, figures)
    for figure in figures:
        kept = "figure" if figure.asked is None else "met" if figure.is_met else "missed"
        print(f"{kept}: {figure.row()}")


def machine() -> str:
    """The processor, its cores, versions, and the load now: what figures depend on."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    processor = names[0] if names else platform.processor() or platform.machine()
    return (
        f"{processor}, {n_cores()} cores, Python {platform.python_version()}, "
        f"jax {importlib.metadata.version('jax')}, load {os.getloadavg()[0]:.1f} at the start"
    )


def peak_megabytes() -> float:
    """Peak memory of this process alone: getrusage would count its parent's before exec."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def n_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
