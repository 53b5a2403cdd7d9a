"""What the results folder and the runner cost: 1,000 and 10,000 runs that compute nothing.

    python benchmarks/bookkeeping.py [--sizes 1000 10000] [FOLDER]

A tenth of the runs fail, and are tried a second time. Wall time a run from `run_sweeps` to its
summary (plan declared, folders made, workers started, every run claimed, published, fsynced and
read back), beside the fsync of this disk; processor time, of parent and workers; and the peak
memory of both. FOLDER chooses the disk; by default that of temporary files.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from figures import Figure, machine, options, peak_megabytes, report

SIZES = (1_000, 10_000)
N_SHAPES = 50
ONE_FAILS_IN = 10


def nothing(config):
    """A run that computes nothing."""
    from scaling.config import resolved, run_id
    from scaling.record import RunRecord

    plain = resolved(config)
    environment = {"worker_megabytes": peak_megabytes()}
    return RunRecord(run_id=run_id(plain), status="done", config=plain, environment=environment), ()


def mostly(config):
    """A run that computes nothing; of each shape one in ten fails."""
    if config.seed // N_SHAPES % ONE_FAILS_IN == 0:
        raise ValueError("on purpose")
    return nothing(config)


def configs_of(n_runs: int):
    """Runs that differ in seed and size."""
    from scaling.config import RunConfig
    from scaling.data.gaussian import GaussianTeacher, Isotropic
    from scaling.models.linear import Linear
    from scaling.solving import Ridgeless

    data = GaussianTeacher(n_train=20, dimension=60, spectrum=Isotropic(), noise_variance=0.25)
    return [
        RunConfig(model=Linear(n_features=1 + i % N_SHAPES), data=data, train=Ridgeless(), seed=i)
        for i in range(n_runs)
    ]


def measure(folder: Path, n_runs: int) -> dict[str, float]:
    """One sweep, in this process and its workers."""
    from sweeps.plan import make_plan
    from sweeps.runner import run_sweeps
    from sweeps.store import Store

    configs = configs_of(n_runs)
    began = time.perf_counter()
    plan = make_plan("bookkeeping", configs)
    planned, processor = time.perf_counter(), processor_seconds()
    (job,) = run_sweeps([(folder, plan)], run="bookkeeping:mostly").jobs
    ended, processor = time.perf_counter(), processor_seconds() - processor
    assert len(job.failed) == n_runs // ONE_FAILS_IN and job.done + len(job.failed) == n_runs
    peak = peak_megabytes()
    records = Store.open(folder).read(plan)
    return {
        "runs": n_runs,
        "milliseconds_a_run": 1e3 * (ended - planned) / n_runs,
        "processor_milliseconds_a_run": 1e3 * processor / n_runs,
        "plan_milliseconds_a_run": 1e3 * (planned - began) / n_runs,
        "parent_megabytes": peak,
        "worker_megabytes": max(each.environment.get("worker_megabytes", 0) for each in records),
    }


def processor_seconds() -> float:
    """Processor time of this process and of its workers that have ended."""
    used = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(each.ru_utime + each.ru_stime for each in used)


def fsync_milliseconds(folder: Path) -> float:
    """Median time to write and fsync a small file."""
    times = []
    for i in range(50):
        began = time.perf_counter()
        with (folder / f"{i}.probe").open("wb") as file:
            file.write(bytes(2000))
            file.flush()
            os.fsync(file.fileno())
        times.append(1e3 * (time.perf_counter() - began))
    return statistics.median(times)


def main() -> None:
    """Runs every size several times, each in a process of its own; prints medians."""
    parser = options(__doc__)
    parser.add_argument("folder", nargs="?", default=tempfile.gettempdir())
    parser.add_argument("--repeats", type=int, default=3, help="sweeps of each size")
    parser.add_argument("--sizes", type=int, nargs=2, default=SIZES, help="numbers of runs")
    parser.add_argument("--size", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.size:
        print(json.dumps(measure(Path(arguments.folder), arguments.size)))
        return
    medians = []
    path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        fsync = fsync_milliseconds(Path(folder))
        for size in arguments.sizes:
            rows = []
            for repeat in range(arguments.repeats):
                place = str(Path(folder) / f"{size}-{repeat}")
                command = [sys.executable, __file__, place, "--size", str(size)]
                env = os.environ | {"PYTHONPATH": path}
                rows.append(json.loads(subprocess.check_output(command, env=env)))
            medians.append({k: statistics.median(row[k] for row in rows) for k in rows[0]})
    few, many = medians
    print(machine())
    print(f"medians of {arguments.repeats}; one write and fsync on this disk: {fsync:.1f} ms")
    for name in few:
        ratio = many[name] / few[name]
        print(f"{name:28} {few[name]:10.2f} {many[name]:10.2f}   ratio {ratio:.2f}")
    growth = [many[f"{who}_megabytes"] - few[f"{who}_megabytes"] for who in ("worker", "parent")]
    least, most = arguments.sizes
    command = "python benchmarks/bookkeeping.py"
    if arguments.sizes != SIZES:
        command += f" --sizes {least} {most}"
    figures = [
        Figure(
            what=f"bookkeeping a run, of {most:,}, a tenth failing",
            asked=3, measured=(many["milliseconds_a_run"],), unit="ms", command=command,
            note=f"processor {many['processor_milliseconds_a_run']:.2g} ms; one write and fsync "
            f"takes {fsync:.2g} ms",
        ),
        Figure(
            what=f"memory of a worker, of the parent: {most:,} runs take more than {least:,} by",
            asked=50, measured=tuple(growth), unit="MB", command=command,
        ),
    ]  # fmt: skip
    report(figures, arguments.json)


if __name__ == "__main__":
    main()
