"""Times the main job as its users meet it: first run, run again, and the smallest size.

    python benchmarks/main_job.py

Each figure is the wall time of a whole `scaling` process. The first run starts from an empty
results folder, with nothing compiled before; "again" is the same command on the finished folder,
the median of three, and "redrawn" the same with every report deleted.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection
from pathlib import Path

from figures import Figure, machine, options, report

LIMITS = {
    "scaling --help": 1.0,
    "smoke, first run": 30.0,
    "cpu, first run": 180.0,
    "cpu, again": 5.0,
}


def seconds(*arguments: str, allowed: Collection[int] = (0,)) -> float:
    """Wall time of one `scaling` command, which has to end with one of these exit statuses."""
    start = time.perf_counter()
    command = [sys.executable, "-m", "scaling_descent", *arguments]
    code = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode
    if code not in allowed:
        raise RuntimeError(f"scaling {' '.join(arguments)}: exit status {code}")
    return time.perf_counter() - start


def timed(budget: str) -> dict[str, float]:
    """Seconds of the first run of a size, of the same command again, and without its reports."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["JAX_COMPILATION_CACHE_DIR"] = str(Path(folder, "compiled"))
        command = ("run", "double_descent", "--budget", budget, "--results", folder)
        first = seconds(*command)
        again = statistics.median(seconds(*command) for _ in range(3))
        for reports in Path(folder).glob("*/reports"):
            shutil.rmtree(reports)
        redrawn = seconds(*command)
    return {f"{budget}, first run": first, f"{budget}, again": again, f"{budget}, redrawn": redrawn}


def main() -> None:
    """Measures all, and prints it as it comes."""
    given = options(__doc__).parse_args()
    print(machine())
    found = []
    for part in (lambda: {"scaling --help": seconds("--help")}, lambda: timed("smoke"),
                 lambda: timed("cpu")):  # fmt: skip
        for what, measured in part().items():
            print(f"{what:36} {measured:7.2f} s", flush=True)
            figure = Figure(
                what=what if what.startswith("scaling") else f"main job, {what}",
                asked=LIMITS.get(what), measured=(measured,), unit="s",
                command="python benchmarks/main_job.py",
            )  # fmt: skip
            found.append(figure)
    report(found, given.json)


if __name__ == "__main__":
    main()
