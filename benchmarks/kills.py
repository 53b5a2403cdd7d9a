"""An experiment run through, and once more with everything killed five times: the same table?

    python benchmarks/kills.py chinchilla --budget smoke

First the command as it is, timed. Then the same into another folder; its process group, runner and
workers, gets SIGKILL at five random instants, each drawn evenly from a fifth of the first one's
time. After each kill the same command resumes; the last one runs to its end. Both begin with
nothing compiled. Prints both times and compares every run's record and learning curve, columns of
time and place aside, and the numbers of the figure. Exit status 1 where anything differs.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from figures import Figure, machine, options, report

KILLS = 5


def command(experiment: str, budget: str, results: Path) -> list[str]:
    """The words of the command that runs an experiment."""
    run = ["run", experiment, "--budget", budget, "--results", str(results)]
    return [sys.executable, "-m", "experiments.cli", *run]


def run_through(words: list[str], log: Path) -> float:
    """Wall time of a command that has to end by itself."""
    began = time.perf_counter()
    with log.open("wb") as file:
        code = subprocess.run(words, stdout=file, stderr=subprocess.STDOUT).returncode
    if code not in (0, 1):  # 1: an expectation failed, which does not matter here
        sys.exit(f"{' '.join(words)}: exit status {code}\n{log.read_text()[-2000:]}")
    return time.perf_counter() - began


def killed_after(seconds: float, words: list[str]) -> bool:
    """Kills a command and its workers after a time; returns whether it was still running."""
    process = subprocess.Popen(
        words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        process.wait(seconds)
        return False
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return True


def lasting(experiment: str, root: Path) -> dict[str, Any]:
    """Records and curves of a results folder by run, without columns of time and place."""
    from scaling.record import VOLATILE_COLUMNS, load_record, published_files, row
    from sweeps.store import Store

    store, found = Store.open(root / experiment), {}
    for path in published_files(root / experiment):
        record = load_record(path.read_bytes())
        columns = {
            name: value
            for name, value in row(record).items()
            if name not in VOLATILE_COLUMNS and not name.startswith("environment.")
        }
        found[record.run_id] = (columns, store.curve(record.run_id))
    return found


def main() -> None:
    """Runs it twice, once with kills, and compares."""
    parser = options(__doc__)
    parser.add_argument("experiment", nargs="?", default="chinchilla")
    parser.add_argument("--budget", default="smoke")
    parser.add_argument("--folder", default=tempfile.gettempdir(), help="where to work")
    parser.add_argument("--seed", type=int, default=0, help="of the instants")
    given = parser.parse_args()
    print(machine())
    draw = random.Random(given.seed)
    with tempfile.TemporaryDirectory(dir=given.folder) as scratch:
        through, killed = Path(scratch, "through"), Path(scratch, "killed")
        os.environ["JAX_COMPILATION_CACHE_DIR"] = str(Path(scratch, "compiled"))
        seconds = run_through(
            command(given.experiment, given.budget, through), Path(scratch, "through.log")
        )
        print(f"{given.experiment}, {given.budget}, run through: {seconds:.1f} s", flush=True)
        os.environ["JAX_COMPILATION_CACHE_DIR"] = str(Path(scratch, "compiled_anew"))
        words = command(given.experiment, given.budget, killed)
        instants = [draw.uniform(0, seconds / KILLS) for _ in range(KILLS)]
        kills = sum(killed_after(instant, words) for instant in instants)
        rest = run_through(words, Path(scratch, "killed.log"))
        shown = ", ".join(f"{instant:.1f}" for instant in instants)
        print(f"killed {kills} times, after {shown} s; then {rest:.1f} s to the end", flush=True)
        one, other = lasting(given.experiment, through), lasting(given.experiment, killed)
        differing = [key for key in one.keys() | other.keys() if one.get(key) != other.get(key)]
        figures = [
            (root / given.experiment / "reports" / given.budget / "figure.csv").read_bytes()
            for root in (through, killed)
        ]
        print(
            f"{len(differing)} of {len(one)} runs differ; the numbers of the figure "
            f"{'are the same' if figures[0] == figures[1] else 'differ'}"
        )
        figure = Figure(
            what=f"runs of {given.experiment} that differ where all is killed {kills} times",
            asked=0, measured=(len(differing),), unit=f"of {len(one)} runs",
            command=f"python benchmarks/kills.py {given.experiment} --budget {given.budget}",
            note=f"{sum(instants) + rest:.0f} s against {seconds:.0f} s",
        )  # fmt: skip
        report([figure], given.json)
        sys.exit(bool(differing) or figures[0] != figures[1] or kills < KILLS)


if __name__ == "__main__":
    main()
