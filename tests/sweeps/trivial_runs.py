"""Runs that cost nothing, and ways for them to go wrong, for the tests of the runner.

Imported by worker processes under its own name; imports neither JAX nor anything heavy.
"""

from __future__ import annotations

import dataclasses
import errno
import logging
import os
import signal
import sys
import time
from collections.abc import Iterable, Sequence

from scaling.config import RunConfig, resolved, run_id
from scaling.data.gaussian import GaussianTeacher, Isotropic
from scaling.models.linear import Linear
from scaling.record import (
    VOLATILE_COLUMNS,
    Curve,
    CurvePoint,
    RunRecord,
    dump_curve_line,
    row,
    with_curve,
)
from scaling.solving import Ridgeless
from sweeps.plan import Plan, make_plan
from sweeps.visiting import Task, visiting_order

SECONDS_A_RUN = 0.02

POINTS = tuple(
    CurvePoint(step=s, n_examples_seen=20 * s, train_loss=1 / (s + 3), eval_loss=1 / (s + 1))
    for s in range(4)
)


def config(seed: int, n_features: int = 5) -> RunConfig:
    return RunConfig(
        model=Linear(n_features=n_features),
        data=GaussianTeacher(n_train=20, dimension=60, spectrum=Isotropic(), noise_variance=0.25),
        train=Ridgeless(),
        seed=seed,
    )


def plan_of(n_runs: int, name: str = "trivial", n_shapes: int = 3) -> Plan:
    return make_plan(name, [config(i, n_features=4 + i % n_shapes) for i in range(n_runs)])


def run(config: RunConfig) -> tuple[RunRecord, Curve]:
    """Seed 3 diverges; the loss is a number with no short decimal form."""
    diverges = config.seed == 3
    record = RunRecord(
        run_id=run_id(config),
        status="diverged" if diverges else "done",
        config=resolved(config),
        eval_loss_nats=None if diverges else 1 / (config.seed + 7),
        diverged_at_step=17 if diverges else None,
        wall_seconds=time.perf_counter(),
        environment={"pid": os.getpid()},
    )
    return record, POINTS if config.seed % 2 else ()


def warning(config: RunConfig) -> tuple[RunRecord, Curve]:
    logging.getLogger("scaling.runs").warning("the memory is short")
    return run(config)


def brief(config: RunConfig) -> tuple[RunRecord, Curve]:
    time.sleep(SECONDS_A_RUN)
    return run(config)


def slow(config: RunConfig) -> tuple[RunRecord, Curve]:
    time.sleep(0.25)
    return run(config)


def held(config: RunConfig) -> tuple[RunRecord, Curve]:
    """Waits for the mark `go` in the folder that the environment names."""
    while not os.path.exists(os.path.join(os.environ["TRIVIAL_MARKS"], "go")):
        time.sleep(0.02)
    return run(config)


def slower(config: RunConfig) -> tuple[RunRecord, Curve]:
    """Says that it has begun, by a mark in the folder that the environment names."""
    _mark(config)
    time.sleep(2)
    return run(config)


def slower_and_different(config: RunConfig) -> tuple[RunRecord, Curve]:
    record, curve = slower(config)
    return dataclasses.replace(record, eval_loss_nats=42.0), curve


def stubborn(config: RunConfig) -> tuple[RunRecord, Curve]:
    """Cannot be stopped but by SIGKILL, as a long computation outside Python; leaves its mark."""
    while True:
        try:
            _mark(config)
            time.sleep(60)
        except BaseException:
            continue


def mixed(config: RunConfig) -> tuple[RunRecord, Curve]:
    """Some seeds go wrong, each in its own way."""
    match config.seed:
        case 1:
            raise ValueError("one is not to be computed")
        case 2:
            raise RuntimeError("RESOURCE_EXHAUSTED: out of memory while allocating 1 B")
        case 4:
            os.kill(os.getpid(), signal.SIGKILL)
        case 5:
            raise OSError(errno.EIO, "the disk under the data has gone")
        case 6:
            record, curve = run(config)
            return dataclasses.replace(record, eval_loss_nats=float("nan")), curve
        case 7:
            raise SystemExit("a run that tries to leave")
    return run(config)


def every_sixth_fails(config: RunConfig) -> tuple[RunRecord, Curve]:
    if config.seed % 6 == 0:
        raise ValueError("on purpose")
    return run(config)


def failing(config: RunConfig) -> tuple[RunRecord, Curve]:
    raise ValueError(f"seed {config.seed} fails like all others")


def failing_once(config: RunConfig) -> tuple[RunRecord, Curve]:
    """Fails while its mark is absent from the folder that the environment names."""
    if not _mark(config):
        return run(config)
    if config.seed == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    raise ValueError("the first time")


def _mark(config: RunConfig) -> bool:
    """Leaves the mark of a run; whether there was none."""
    mark = os.path.join(os.environ["TRIVIAL_MARKS"], str(config.seed))
    try:
        os.close(os.open(mark, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True


def in_order(tasks: Sequence[Task], worker: int, workers: int) -> list[Task]:
    """The tasks as a worker visits them where it meets no other."""
    shares = visiting_order(tasks, worker, workers)
    return [task for share in shares for chain in share for task in chain]


def lasting(records: list[RunRecord]) -> list[dict]:
    """A table without the columns in which two equal runs may differ."""
    volatile = {*VOLATILE_COLUMNS}
    return [
        {k: v for k, v in row(r).items() if k not in volatile and not k.startswith("environment.")}
        for r in records
    ]


def truth(plan: Plan) -> list[dict]:
    """The table that an undisturbed sweep leaves."""
    return as_published(map(run, plan.configs))


def as_published(found: Iterable[tuple[RunRecord, Curve]]) -> list[dict]:
    """The table of runs done alone: in a folder their records know their curves."""
    return lasting([with_curve(r, "".join(map(dump_curve_line, curve))) for r, curve in found])


def describing(config: RunConfig) -> tuple[RunRecord, Curve]:
    """Says what its process is like."""
    record, curve = run(config)
    environment = {
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
        "threads": os.environ["OPENBLAS_NUM_THREADS"],
        "devices": int(os.environ["JAX_NUM_CPU_DEVICES"]),
        "heavy": [name for name in ("jax", "pandas", "scipy") if name in sys.modules],
    }
    return dataclasses.replace(record, environment=environment), curve


def filling(config: RunConfig) -> tuple[RunRecord, Curve]:
    """A run after which this process can write only a few bytes to any file."""
    import resource

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, 64))
    return run(config)


def last_act(config: RunConfig) -> tuple[RunRecord, Curve]:
    """Its process dies right after it has published, before it can say so."""
    from sweeps import publishing

    publish = publishing.publish

    def then_die(*args, **kwargs):
        publish(*args, **kwargs)
        os.kill(os.getpid(), signal.SIGKILL)

    publishing.publish = then_die
    return run(config)
