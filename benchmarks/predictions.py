"""What `scaling plan --calibrate` says of a sweep, and what it takes: time, memory, disk.

    python benchmarks/predictions.py [--experiments NAME ...] [--budget smoke]

Each experiment in turn is planned with a calibration and then run, with a cache of measurements and
compiled programs that begins empty. Compared are core-seconds of all runs, which other work on the
machine changes little, with compilation; the most memory of a run's process; and the room that the
results folder takes, as `du` counts it. Published data are where `SCALING_DATA_DIR` says.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from figures import Figure, machine, options, own_command, report

EXPERIMENTS = (
    "double_descent_mlp",
    "label_noise",
    "grokking",
    "lr_transfer",
    "double_descent_random_features",
)


class Amounts(NamedTuple):
    """What a sweep takes."""

    core_seconds: float
    peak_bytes: float  # of the largest run
    disk_bytes: float


LIMITS = Amounts(core_seconds=25, peak_bytes=25, disk_bytes=20)
"""Most difference of a prediction from what is taken, in percent."""


def scaling(*words: str) -> None:
    """Runs a command whose output does not matter; 1 says that a finding was not confirmed."""
    found = subprocess.run(
        [sys.executable, "-m", "scaling_descent", *words], capture_output=True, text=True
    )
    if found.returncode not in (0, 1):
        sys.exit(f"scaling {' '.join(words)}: exit status {found.returncode}\n{found.stderr}")


def predicted(name: str, budget: str, folder: Path) -> Amounts:
    """What a plan says, after a calibration."""
    says = folder / "plan.json"
    scaling("plan", name, "--budget", budget, "--calibrate", "--json", str(says))
    (cost,) = json.loads(says.read_text())["sweeps"]
    return Amounts(cost["seconds"], cost["peak_bytes"], cost["disk_bytes"])


def taken(name: str, budget: str, folder: Path) -> Amounts:
    """What the runs take, by their records, and their folder."""
    from sweeps.speeds import seconds_of
    from sweeps.store import Store

    scaling("run", name, "--budget", budget, "--results", str(folder))
    records = Store.open(folder / name).scan()
    disk = subprocess.check_output(["du", "-s", "--block-size=1", str(folder / name)], text=True)
    return Amounts(
        core_seconds=sum(seconds_of(each) or 0.0 for each in records),
        peak_bytes=max(each.peak_memory_bytes or 0 for each in records),
        disk_bytes=float(disk.split()[0]),
    )


def compare(name: str, budget: str) -> Amounts:
    """By how many percent each prediction is above what is taken."""
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["SCALING_CACHE_DIR"] = str(Path(scratch, "cache"))
        began = time.perf_counter()
        says = predicted(name, budget, Path(scratch))
        calibrated = time.perf_counter() - began
        was = taken(name, budget, Path(scratch, "results"))
    above = Amounts(*(100 * (a / b - 1) for a, b in zip(says, was, strict=True)))
    amounts = ", ".join(
        f"{field} {a:.3g} ({percent:+.0f} %)"
        for field, a, percent in zip(Amounts._fields, was, above, strict=True)
    )
    print(f"{name}: {amounts}; calibrated in {calibrated:.0f} s", flush=True)
    return above


def main() -> None:
    """Compares every experiment."""
    parser = options(__doc__)
    parser.add_argument("--experiments", nargs="+", default=list(EXPERIMENTS))
    parser.add_argument("--budget", default="smoke")
    given = parser.parse_args()
    print(machine())
    above = [compare(name, given.budget) for name in given.experiments]
    command = own_command()
    whats = ("core-seconds", "memory of the largest run", "disk")
    figures = [
        Figure(
            what=f"predicted {what}, off what was taken: {', '.join(given.experiments)}",
            asked=limit, measured=tuple(map(abs, percents)), unit="%", command=command,
            note=" ".join(f"{percent:+.0f}" for percent in percents),
        )
        for what, limit, percents in zip(whats, LIMITS, zip(*above, strict=True), strict=True)
    ]  # fmt: skip
    report(figures, given.json)


if __name__ == "__main__":
    main()
