"""What it costs to look at a results folder of many runs, a tenth of which failed.

    python benchmarks/large_folder.py [--runs 10000 100000] [FOLDER]

The folder is written as workers write it, but without fsync, which is not the subject here. Then
`scaling status` and `scaling table` are timed as commands, with their peak memory, and
`scaling sweep --plan` of as many runs.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from figures import Figure, machine, options, report

LIMITS = {
    10_000: {"status": 1.0, "table": 2.0},
    100_000: {"status": 5.0, "table": 15.0, "sweep --plan": 20.0},
}


def build(root: Path, n_runs: int) -> None:
    """Writes the folder: plan, claims, results, curves of a few points, failures."""
    from scaling.accounting import account
    from scaling.config import RunConfig, resolved, run_id
    from scaling.data.gaussian import GaussianTeacher, Isotropic
    from scaling.models.linear import Linear
    from scaling.record import RunRecord, dump_record, with_curve
    from scaling.solving import Ridgeless
    from sweeps import publishing
    from sweeps.plan import make_plan
    from sweeps.store import Store

    os.fsync = lambda descriptor: None
    data = GaussianTeacher(n_train=20, dimension=60, spectrum=Isotropic(), noise_variance=0.25)
    configs = [
        RunConfig(model=Linear(n_features=1 + i % 50), data=data, train=Ridgeless(), seed=i)
        for i in range(n_runs)
    ]
    plan, store = make_plan("large", configs), Store.create(root)
    publishing.declare(store, plan)
    publishing.make_folders(store, [run.run_id for run in plan.runs])
    environment = {"python": "3.11.9", "jax": "0.10.2", "numpy": "2.1.0", "git_commit": "a" * 40}
    for number, (config, run) in enumerate(zip(configs, plan.runs, strict=True)):
        attempt = publishing.claim(store, run.run_id, 1, run.config)
        assert attempt is not None and run.run_id == run_id(config)
        if number % 10 == 0:
            failure = publishing.failure(run.run_id, run.config, "exception", "on purpose")
            publishing.fail(store, attempt, failure)
            continue
        counts = account(config)
        record = with_curve(
            RunRecord(
                run_id=run.run_id,
                status="done",
                config=resolved(config),
                attempt=1,
                environment=environment,
                eval_excess_risk=1 / (number + 3),
                n_params_total=counts.n_params_total,
                flops_train=counts.flops_train,
                wall_seconds=number / 7,
            ),
            "",
        )
        publishing.publish(store, attempt, record, dump_record(record), "")


class Cost(NamedTuple):
    """Wall and processor seconds of a command, and its peak memory."""

    wall: float
    processor: float
    megabytes: float


def timed(words: list[str]) -> Cost:
    """What a command takes."""
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "scaling_descent", *words], stdout=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    if os.waitstatus_to_exitcode(status) not in (0, 1):  # 1: runs have failed
        sys.exit(f"{' '.join(words)}: exit status {os.waitstatus_to_exitcode(status)}")
    processor = usage.ru_utime + usage.ru_stime
    return Cost(time.perf_counter() - began, processor, usage.ru_maxrss / 1024)


def main() -> None:
    """Builds a folder of each size, and times the commands."""
    parser = options(__doc__)
    parser.add_argument("folder", nargs="?", default=tempfile.gettempdir())
    parser.add_argument("--runs", type=int, nargs="+", default=[10_000])
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    print(machine())
    figures = []
    for n_runs in given.runs:
        with tempfile.TemporaryDirectory(dir=given.folder) as scratch:
            root = Path(scratch, "large")
            child = os.fork()  # so that its memory is not inherited by what is measured
            if child == 0:
                build(root, n_runs)
                os._exit(0)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
            commands = {
                "status": ["status", str(root)],
                "table": ["table", str(root), "--to", str(Path(scratch, "runs.parquet"))],
                "sweep --plan": [
                    *("sweep", "--plan", "--name", "large", "--model", "linear"),
                    *("--grid", "model.n_features=1..50", "--grid", f"seed=1..{n_runs // 50}"),
                    *("--results", str(Path(scratch, "none"))),
                ],
            }
            for name, words in commands.items():
                found = [timed(words) for _ in range(given.repeats)]
                least = Cost(*map(min, zip(*found, strict=True)))
                print(
                    f"{n_runs:,} runs: {name} {least.wall:.2f} s, processor "
                    f"{least.processor:.2f} s, {least.megabytes:.0f} MB",
                    flush=True,
                )
                command = f"python benchmarks/large_folder.py --runs {n_runs}"
                figures += [
                    Figure(
                        what=f"`scaling {name}` of {n_runs:,} runs, a tenth failed",
                        asked=LIMITS.get(n_runs, {}).get(name),
                        measured=(least.wall,), unit="s", command=command,
                        note=f"processor {least.processor:.2g} s, {least.megabytes:.0f} MB",
                    ),
                ]  # fmt: skip
    report(figures, given.json)


if __name__ == "__main__":
    main()
