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
from pathlib import Path


def seconds(*arguments: str) -> float:
    """Wall time of one `scaling` command, which has to succeed."""
    start = time.perf_counter()
    command = [sys.executable, "-m", "experiments.cli", *arguments]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - start


def main() -> None:
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the start")
    told("scaling --help", seconds("--help"))
    for budget in ("smoke", "cpu"):
        with tempfile.TemporaryDirectory() as folder:
            os.environ["JAX_COMPILATION_CACHE_DIR"] = str(Path(folder, "compiled"))
            command = ("run", "double_descent", "--budget", budget, "--results", folder)
            told(f"double_descent, {budget}, first run", seconds(*command))
            again = statistics.median(seconds(*command) for _ in range(3))
            told(f"double_descent, {budget}, again", again)
            for reports in Path(folder).glob("*/reports"):
                shutil.rmtree(reports)
            told(f"double_descent, {budget}, redrawn", seconds(*command))


def told(what: str, measured: float) -> None:
    """Prints one figure."""
    print(f"{what:36} {measured:7.2f} s", flush=True)


if __name__ == "__main__":
    main()
