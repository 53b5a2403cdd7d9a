"""A results folder in an object store: 500 trivial runs by eight processes, two of them killed.

    python benchmarks/object_store.py

Two commands with four workers each share a folder on an S3 server on loopback (moto: one process in
Python, which takes 2.2 to 2.5 ms of a processor for a request, and 0.1 ms more for each object that
it lists). Two workers are killed by SIGKILL while they work. Wall time counts from the start of the
commands to the end of the last one. When to kill is read from the server's log.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from bookkeeping import configs_of, nothing
from figures import Figure, machine, options, report

TESTS = Path(__file__).resolve().parents[1] / "tests" / "sweeps"
ROOT = "s3://results/sweeps/bookkeeping"
N_COMMANDS, N_WORKERS, N_KILLED = 2, 4, 2


class Measured(NamedTuple):
    """What the commands left."""

    milliseconds_a_run: float
    requests_a_run: float
    server_processor_milliseconds_a_run: float
    command_processor_milliseconds_a_run: float
    n_second: int  # attempts whose result came after that of another
    n_lost: int  # attempts of the workers that were killed
    is_complete: bool


def brief(config):
    """A run that computes nothing, for a moment: so that a worker can be killed while it works."""
    time.sleep(0.01)
    return nothing(config)


def plan_of(n_runs: int):
    """The runs of `bookkeeping` as a plan."""
    from sweeps.plan import make_plan

    return make_plan("bookkeeping", configs_of(n_runs))


def command(n_runs: int) -> None:
    """Runs the sweep as one of several commands does."""
    from sweeps.runner import run_sweeps

    run_sweeps([(ROOT, plan_of(n_runs))], workers=N_WORKERS, run="object_store:brief")


def measure(n_runs: int) -> Measured:
    """Starts a server and the commands, kills workers, and reads what is left."""
    sys.path.insert(0, str(TESTS))
    import object_server

    with TemporaryDirectory() as folder, object_server.s3(Path(folder, "log")) as environment:
        os.environ.update(environment)
        server = next(_children(os.getpid()))
        before, began = _processor_seconds(server), time.perf_counter()
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
        words = [sys.executable, __file__, "--command", "--runs", str(n_runs)]
        commands = [
            subprocess.Popen(words, env=os.environ | {"PYTHONPATH": path})
            for _ in range(N_COMMANDS)
        ]
        _kill_workers([each.pid for each in commands], Path(folder, "log"), n_runs // 10)
        for each in commands:
            each.wait()
        seconds = time.perf_counter() - began
        now = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent = now.ru_utime + now.ru_stime - children.ru_utime - children.ru_stime
        n_requests = Path(folder, "log").read_bytes().count(b" HTTP/1.1")
        return _look(n_runs, n_requests, seconds, _processor_seconds(server) - before, spent)


def _look(n_runs: int, n_requests: int, seconds: float, server: float, commands: float) -> Measured:
    from sweeps import files
    from sweeps.store import Store

    store, plan = Store.open(ROOT), plan_of(n_runs)
    endings = [
        (files.read_json(attempt.folder / "end.json") or {"ending": "lost"})["ending"]
        for run, record in zip(plan.runs, store.read(plan), strict=True)
        for attempt in store.attempts(run.run_id)
        if attempt.number != record.attempt
    ]
    return Measured(
        milliseconds_a_run=1e3 * seconds / n_runs,
        requests_a_run=n_requests / n_runs,
        server_processor_milliseconds_a_run=1e3 * server / n_runs,
        command_processor_milliseconds_a_run=1e3 * commands / n_runs,
        n_second=endings.count("equal") + endings.count("different"),
        n_lost=endings.count("lost"),
        is_complete=store.status(plan)["done"] == n_runs,
    )


def _kill_workers(commands: list[int], log: Path, n_published: int) -> None:
    """Kills a worker of each command, once so many runs are published, by the server's log."""
    while log.read_bytes().count(b"PUT /results/sweeps/bookkeeping/published/") < n_published:
        time.sleep(0.1)
    for each in commands[:N_KILLED]:
        os.kill(next(_children(each)), signal.SIGKILL)


def _children(parent: int):
    for task in Path(f"/proc/{parent}/task").iterdir():
        yield from map(int, (task / "children").read_text().split())


def _processor_seconds(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Prints wall time a run, and whether every run was published once."""
    parser = options(__doc__)
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--command", action="store_true", help="be one of the commands")
    arguments = parser.parse_args()
    if arguments.command:
        command(arguments.runs)
        return
    found = measure(arguments.runs)
    print(machine())
    print(json.dumps(found._asdict(), indent=1))
    n_other = found.n_second + (not found.is_complete)
    note = (
        f"{found.requests_a_run:.2g} requests; processor time "
        f"{found.server_processor_milliseconds_a_run:.2g} ms of the server, "
        f"{found.command_processor_milliseconds_a_run:.2g} ms of the commands"
    )
    words = "python benchmarks/object_store.py"
    figures = [
        Figure(
            what=f"{arguments.runs} runs in an S3 folder, eight processes, two killed: time a run",
            asked=30, measured=(found.milliseconds_a_run,), unit="ms", command=words, note=note,
        ),
        Figure(
            what="the same: runs not published exactly once",
            asked=0, measured=(n_other,), unit="runs", command=words,
        ),
    ]  # fmt: skip
    report(figures, arguments.json)


if __name__ == "__main__":
    main()
