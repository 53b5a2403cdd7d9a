r"""An experiment run through, and again with kill -9 at random instants: the same table?

    python benchmarks/kills.py chinchilla --budget smoke
    python benchmarks/kills.py tests/experiments/tiny.py --kills 200 --kinds group worker parent \
        --within 0.8

First the command as it is, timed. Then the same into other folders, until it was killed so many
times, at most five in each: SIGKILL goes to its process group, runner and workers, to one worker
alone, or to the runner alone, by turns, at an instant drawn evenly from a fifth (`--within`) of the
shortest time that the command took so far. The same command resumes, and the last one runs to its
end. The first of them begins with nothing compiled. Prints times and compares every run's record
and learning curve, columns of time and place aside, and the numbers of the figure. Exit status 1
where anything differs.
"""

from __future__ import annotations

import itertools
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from figures import Figure, machine, options, own_command, report

KILLS = 5
KINDS = ("group", "worker", "parent")


def command(experiment: str, budget: str, results: Path) -> list[str]:
    """The words of the command that runs an experiment."""
    run = ["run", experiment, "--budget", budget, "--results", str(results)]
    return [sys.executable, "-m", "scaling_descent", *run]


def run_through(words: list[str], log: Path) -> float:
    """Wall time of a command that has to end by itself."""
    began = time.perf_counter()
    with log.open("wb") as file:
        code = subprocess.run(words, stdout=file, stderr=subprocess.STDOUT).returncode
    if code not in (0, 1):  # 1: an expectation failed, which does not matter here
        sys.exit(f"{' '.join(words)}: exit status {code}\n{log.read_text()[-2000:]}")
    return time.perf_counter() - began


def kill_in_turn(kinds: Sequence[str], instants: Sequence[float], words: list[str]) -> int:
    """Begins a command and kills of it what is said, after each of these times; counts the kills.

    It ends early where the command does. What is left of it at the end is killed as well.
    """
    process, killed = _begun(words), 0
    for kind, instant in zip(kinds, instants, strict=True):
        try:
            process.wait(instant)
            return killed
        except subprocess.TimeoutExpired:
            killed += _killed(kind, process)
        if process.poll() is not None:
            process = _begun(words)
    _killed("group", process)
    return killed


def _begun(words: list[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )


def _killed(kind: str, process: subprocess.Popen[bytes]) -> bool:
    """Kills the group of a command, one worker or the command alone; whether there was one."""
    if kind == "worker":
        tasks = Path(f"/proc/{process.pid}/task").glob("*/children")
        workers = [int(each) for task in tasks for each in task.read_text().split()]
        for worker in workers[:1]:
            os.kill(worker, signal.SIGKILL)
        return bool(workers)
    if kind == "parent":
        process.kill()
    else:
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


def figure_of(root: Path, experiment: str, budget: str) -> bytes:
    """The numbers of the figure of a report."""
    return (root / experiment / "reports" / budget / "figure.csv").read_bytes()


def main() -> None:
    """Runs it once, then with kills, and compares."""
    parser = options(__doc__)
    parser.add_argument("experiment", nargs="?", default="chinchilla")
    parser.add_argument("--budget", default="smoke")
    parser.add_argument("--kills", type=int, default=KILLS)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=["group"])
    parser.add_argument("--within", type=float, default=1 / KILLS, help="share of a run's time")
    parser.add_argument("--folder", default=tempfile.gettempdir(), help="where to work")
    parser.add_argument("--seed", type=int, default=0, help="of the instants")
    given = parser.parse_args()
    print(machine())
    draw, kinds = random.Random(given.seed), itertools.cycle(given.kinds)
    kills, n_runs, n_differing, spent = 0, 0, 0, 0.0
    with tempfile.TemporaryDirectory(dir=given.folder) as scratch:
        through, name = Path(scratch, "through"), Path(given.experiment).stem
        os.environ["JAX_COMPILATION_CACHE_DIR"] = str(Path(scratch, "compiled"))
        seconds = run_through(
            command(given.experiment, given.budget, through), Path(scratch, "through.log")
        )
        print(f"{given.experiment}, {given.budget}, run through: {seconds:.1f} s", flush=True)
        expected = lasting(name, through)
        os.environ["JAX_COMPILATION_CACHE_DIR"] = str(Path(scratch, "compiled_anew"))
        shortest = seconds
        while kills < given.kills:
            killed = Path(scratch, "killed")
            words = command(given.experiment, given.budget, killed)
            wanted = min(KILLS, given.kills - kills)
            instants = [draw.uniform(0, given.within * shortest) for _ in range(wanted)]
            began = time.perf_counter()
            kills += kill_in_turn([next(kinds) for _ in instants], instants, words)
            shortest = min(shortest, run_through(words, Path(scratch, "killed.log")))
            spent += time.perf_counter() - began
            found = lasting(name, killed)
            n_runs += len(expected)
            n_differing += sum(
                expected.get(key) != found.get(key) for key in expected.keys() | found.keys()
            )
            one, other = (figure_of(root, name, given.budget) for root in (through, killed))
            n_differing += one != other
            print(f"killed {kills} times, {n_differing} of {n_runs} runs differ", flush=True)
            shutil.rmtree(killed)
    figure = Figure(
        what=f"runs of {given.experiment} that differ where it is killed {kills} times",
        asked=0, measured=(n_differing,), unit=f"of {n_runs} runs",
        command=own_command(),
        note=f"{spent:.0f} s with the kills, {seconds:.0f} s for one without",
    )  # fmt: skip
    report([figure], given.json)
    sys.exit(bool(n_differing))


if __name__ == "__main__":
    main()
