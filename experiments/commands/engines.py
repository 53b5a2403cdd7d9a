"""Where the workers of a command are: on this machine, on a cluster, or in the background."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from experiments.commands.console import console
from experiments.commands.options.training import RunningOptions
from sweeps.engines import Engine
from sweeps.executors.local import code_path
from sweeps.places import Place, shown
from sweeps.runner import Summary


def check(options: RunningOptions) -> None:
    """Refuses options that do not go together, before anything is looked up.

    Raises:
        ValueError: which, and what to do.
    """
    workers, executor = options.workers, options.executor
    if workers is not None and workers < 1:
        raise ValueError(
            f"--workers {workers} must be at least 1. Without it there is one per core or "
            "accelerator."
        )
    if options.hosts and (workers is not None or executor != "local" or options.detach):
        given = (
            "--workers" if workers is not None else "--detach" if options.detach else "--executor"
        )
        raise ValueError(
            f"{given} does not go with --hosts, which makes one worker of all processes: leave "
            f"out {given}"
        )


def engine_of(
    options: RunningOptions, name: str, roots: Sequence[Place]
) -> Engine | Literal["together", "background"] | None:
    """The engine that options ask for, as `run_sweeps` takes it.

    Where workers need this command to live and options want it in the background, the command is
    begun again there, and nothing is left to do here.

    Args:
        options: Of the command.
        name: Of what is run.
        roots: Its results folders. An engine keeps files of its own beside the first.

    Raises:
        ValueError: the engine is not here.
    """
    beside = shown(roots[0]).parent
    if options.executor == "slurm":
        from sweeps.engines.slurm import Slurm

        parameters = _parameters(options.slurm)
        engine = Slurm(beside / ".slurm" / name, parameters, detached=options.detach)
        engine.workers(1, options.workers)
        return engine
    if options.detach:
        _to_background(beside / f"{name}.log")
        _say_where(roots)
        return "background"
    if options.executor == "ray":
        from sweeps.engines.ray import Ray

        return Ray()
    return "together" if options.hosts else None


def _to_background(log: Path) -> None:
    """Begins this command again as a process that outlives the terminal."""
    log.parent.mkdir(parents=True, exist_ok=True)
    words = [word for word in sys.argv[1:] if word != "--detach"]
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "scaling_descent", *words],
            env=os.environ | {"PYTHONPATH": code_path(), "PYTHONSAFEPATH": "1"},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    console.print(f"process {process.pid} works in the background; what it prints is in {log}")


def say_queued(summary: Summary) -> None:
    """Says what workers will do that wait for their place on a cluster."""
    for job in summary.jobs:
        open_runs = len(job.failed) + len(job.missing)
        console.print(
            f"{job.name}: {job.planned:,} runs, of which {open_runs:,} are left to workers"
        )
    for notice in summary.notices:
        console.print(notice)
    _say_where([job.root for job in summary.jobs])
    console.print("when they are done, the same command without --executor analyses the runs")


def _say_where(roots: Sequence[Place]) -> None:
    for root in dict.fromkeys(roots):
        console.print(f"look on with: scaling watch {root}")


def _parameters(given: Sequence[str]) -> Mapping[str, Any]:
    found: dict[str, Any] = {}
    for word in given:
        name, equals, value = word.partition("=")
        if not (name and equals and value):
            raise ValueError(f"--slurm {word} is not NAME=VALUE: give e.g. --slurm partition=gpu")
        found[name.replace("-", "_")] = int(value) if value.isdecimal() else value
    return found
