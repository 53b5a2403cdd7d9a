"""64 real runs on Slurm and on Ray, one worker killed: their table beside that of local workers.

    python benchmarks/engines.py [slurm | ray]

Two-layer networks on MNIST-1D: widths 8, 16, 32 and 64, sixteen seeds each, 100 steps. Two workers
do them on this machine, then two on a Slurm of one node that is started here (slurm-wlm and munge,
as root), then two on a Ray that is started here. One worker is killed by SIGKILL after the first
run is published. The tables are compared number by number, times and machines aside.

Start-up is the time from the command to the first claim; that over the engine's own is what is left
of it without the same of local workers and without what the engine takes to start a process that
does nothing (`srun true`; starting Ray, and an actor).
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from figures import Figure, machine, options, report

from scaling.config import RunConfig
from scaling.data.mnist1d import MNIST1D
from scaling.models.mlp import MLP
from scaling.record import VOLATILE_COLUMNS, row
from scaling.training import SGD, Gradient
from sweeps.engines import Engine
from sweeps.plan import Plan, make_plan
from sweeps.runner import run_sweeps
from sweeps.space import grid
from sweeps.store import Store

TESTS = Path(__file__).resolve().parents[1] / "tests" / "sweeps"


class Measured(NamedTuple):
    """One sweep."""

    table: list[dict[str, Any]]
    seconds_to_claim: float
    seconds: float
    n_failed: int  # attempts, of the worker that was killed


def plan_of_networks() -> Plan:
    """The 64 runs."""
    train = Gradient(optimizer=SGD(learning_rate=0.02, momentum=0.9), batch_size=50, steps=100)
    base = RunConfig(model=MLP(width=8), data=MNIST1D(n_train=500, n_eval=500), train=train)
    return make_plan("engines", grid(base, {"model.width": [8, 16, 32, 64], "seed": range(16)}))


def measure(folder: Path, plan: Plan, engine: Engine | None) -> Measured:
    """One sweep, a worker of which is killed if there is an engine."""
    import sweep_programs

    claimed = threading.Event()
    began = time.perf_counter()
    seconds = [0.0]

    def watch() -> None:
        while not claimed.is_set():
            if next(folder.glob("runs/*/*/attempts/0001"), None):
                seconds[0] = time.perf_counter() - began
                claimed.set()
            time.sleep(0.02)

    def kill() -> None:
        while not (found := sweep_programs.processes_at_work(folder)):
            time.sleep(0.01)
        os.kill(found[0], signal.SIGKILL)

    looking = threading.Thread(target=watch)
    looking.start()
    on = None if engine is None else sweep_programs.at_first(kill)
    summary = run_sweeps([(folder, plan)], workers=2, engine=engine, progress=on)
    looking.join()
    assert summary.complete, summary.notices
    table = [_lasting(record) for record in Store.open(folder).read(plan)]
    n_failed = len(list(folder.glob("runs/*/*/attempts/*/failure.json")))
    return Measured(table, seconds[0], summary.seconds, n_failed)


def _lasting(record: Any) -> dict[str, Any]:
    return {
        name: value
        for name, value in row(record).items()
        if name not in VOLATILE_COLUMNS and not name.startswith("environment.")
    }


@contextlib.contextmanager
def slurm(folder: Path) -> Iterator[tuple[Engine, float]]:
    """Slurm, and what it takes to start a process."""
    import slurm_cluster

    from sweeps.engines.slurm import Slurm

    (folder / "slurm").mkdir()
    with slurm_cluster.slurm(folder / "slurm") as environment:
        os.environ["SLURM_CONF"] = environment["SLURM_CONF"]
        began = time.perf_counter()
        subprocess.run(["srun", "true"], check=True)
        yield Slurm(folder / "logs"), time.perf_counter() - began


@contextlib.contextmanager
def ray(folder: Path) -> Iterator[tuple[Engine, float]]:
    """Ray, and what it takes to start a process."""
    from sweeps.engines.ray import Ray

    engine = Ray()
    import ray as package

    began = time.perf_counter()
    package.get(package.remote(lambda: None).options(num_cpus=1).remote())
    yield engine, time.perf_counter() - began


ENGINES = {"slurm": slurm, "ray": ray}


def main() -> None:
    """Prints whether the tables are equal, and what starting takes."""
    parser = options(__doc__)
    parser.add_argument("engines", nargs="*", default=list(ENGINES), help="slurm, ray")
    arguments = parser.parse_args()
    sys.path.insert(0, str(TESTS))
    plan, figures = plan_of_networks(), []
    print(machine())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        near = measure(folder / "near", plan, None)
        print(f"local: {near.seconds:.1f} s, first claim after {near.seconds_to_claim:.1f} s")
        for engine_name in arguments.engines:
            with ENGINES[engine_name](folder) as (engine, own):
                far = measure(folder / f"far-{engine_name}", plan, engine)
            over = far.seconds_to_claim - near.seconds_to_claim - own
            print(
                f"{engine_name}: {far.seconds:.1f} s, first claim after "
                f"{far.seconds_to_claim:.1f} s, {own:.1f} s of it the engine's own; "
                f"{far.n_failed} attempts lost"
            )
            n_other = sum(one != other for one, other in zip(near.table, far.table, strict=True))
            words = f"python benchmarks/engines.py {engine_name}"
            figures += [
                Figure(
                    what=f"{engine_name}: rows of 64 runs that differ from local ones, "
                    "one worker killed",
                    asked=0, measured=(n_other,), unit="rows", command=words,
                ),
                Figure(
                    what=f"{engine_name}: start-up over the engine's own",
                    asked=10, measured=(over,), unit="s", command=words,
                ),
            ]  # fmt: skip
    report(figures, arguments.json)


if __name__ == "__main__":
    main()
