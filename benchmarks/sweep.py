"""A sweep of 24 short runs: `run_sweeps` on all cores, and one process a run.

    python benchmarks/sweep.py [--steps 100 200]

GPTs of width 16, 32, 64 and 128 (depth 2, 2, 2 and 4, heads of 16, context 64, batch 16, bytes of
the standard library's source code), each with three learning rates and two seeds, all of the same
number of steps, evaluated four times on 256 held-out sequences.

- `sweep`: from `run_sweeps` to its summary: workers start, compile, train and publish.
  Nothing has been compiled before.
- `processes`: the same configurations by the same `scaling.run.run`, each in a process of its own
  that ends before the next begins and may use every core: what a shell loop over a training script
  does. Nothing is kept between them but the corpus, which is in the cache for both.

The losses of the first evaluation are compared, except those of the highest rate: a process with
more threads adds in another order, and at that rate the difference shows by then. The longer the
runs, the smaller the saving: compiling once counts for less. Processor time is printed beside wall
time: it shows the work saved, whatever else the machine does.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence

import numpy as np
from figures import Figure, machine, options, report

from scaling.config import RunConfig, canonical_json, load_config, run_id
from scaling.data.text import Text
from scaling.models.transformer import Transformer
from scaling.pretraining import Pretraining
from scaling.training import Adam
from sweeps.plan import make_plan
from sweeps.runner import run_sweeps
from sweeps.space import chain, grid
from sweeps.store import Store

DEPTHS = {16: 2, 32: 2, 64: 2, 128: 4}
RATES = (1e-3, 3e-3, 1e-2)
SEEDS = (0, 1)


def configurations(
    widths: Sequence[int], steps: int, rates: Sequence[float] = RATES, seeds: Sequence[int] = SEEDS
) -> list[RunConfig]:
    """The runs of the sweep."""

    def shape(width: int) -> RunConfig:
        return RunConfig(
            model=Transformer(width=width, depth=DEPTHS[width], head_size=16),
            data=Text(context=64),
            train=Pretraining(
                optimizer=Adam(learning_rate=rates[0]), batch_size=16, steps=steps, evaluations=4
            ),
        )

    varied = {"train.optimizer.learning_rate": rates, "seed": seeds}
    return chain(*(grid(shape(width), varied) for width in widths))


def timed(work: Callable[[], dict[str, float]]) -> tuple[float, float, dict[str, float]]:
    """Wall seconds, processor seconds of the processes it started, and what it returned."""

    def spent() -> float:
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime

    wall, processor = time.perf_counter(), spent()
    found = work()
    return time.perf_counter() - wall, spent() - processor, found


def sweep(configs: Sequence[RunConfig], compiled: str) -> dict[str, float]:
    """Losses of the first evaluation by run, of a sweep in an empty folder.

    Programs are read from and left in the folder `compiled`.
    """
    plan = make_plan("sweep", configs)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["JAX_COMPILATION_CACHE_DIR"] = compiled
        summary = run_sweeps([(folder, plan)])
        del os.environ["JAX_COMPILATION_CACHE_DIR"]
        assert summary.complete, summary.notices
        store = Store.open(folder)
        return {run.run_id: store.curve(run.run_id)[0].eval_loss or np.nan for run in plan.runs}


def processes(configs: Sequence[RunConfig]) -> dict[str, float]:
    """The same, each run in a process of its own."""
    found = {}
    for config in configs:
        command = [sys.executable, __file__, "--one", canonical_json(config)]
        result = json.loads(subprocess.check_output(command))
        found[result["run_id"]] = result["loss"]
    return found


def one(config: RunConfig) -> None:
    """A run in this process."""
    from scaling.run import run

    record, curve = run(config)
    print(json.dumps({"run_id": record.run_id, "loss": curve[0].eval_loss}))


def compare(configs: list[RunConfig], steps: int) -> float:
    """Times both ways; returns how many times as long single processes take."""
    configs[0].data.load(0)  # the corpus is in the cache
    print(f"{len(configs)} runs of {steps} steps")
    with tempfile.TemporaryDirectory() as compiled:
        together, processor, losses = timed(lambda: sweep(configs, compiled))
    print(f"sweep     {together:7.1f} s, processor {processor:7.1f} s", flush=True)
    apart, more_processor, same = timed(lambda: processes(configs))
    print(f"processes {apart:7.1f} s, processor {more_processor:7.1f} s")
    print(f"ratio     {apart / together:7.2f}              {more_processor / processor:7.2f}")
    assert np.isfinite([*losses.values(), *same.values()]).all(), (losses, same)
    for config in configs:
        if config.train.optimizer.learning_rate < max(RATES):
            np.testing.assert_allclose(losses[run_id(config)], same[run_id(config)], rtol=1e-3)
    return apart / together


def main() -> None:
    """Compares runs of every length."""
    parser = options(__doc__)
    parser.add_argument("--steps", type=int, nargs="+", default=[100, 200])
    parser.add_argument("--widths", type=int, nargs="+", choices=DEPTHS, default=list(DEPTHS))
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        one(load_config(json.loads(arguments.one)))
        return
    print(machine())
    runs = [configurations(arguments.widths, steps) for steps in arguments.steps]
    ratios = [compare(each, steps) for each, steps in zip(runs, arguments.steps, strict=True)]
    lengths = ", ".join(map(str, arguments.steps))
    figure = Figure(
        what=f"a sweep of {len(runs[0])} runs over a process a run, one after another, for runs of "
        f"{lengths} steps",
        asked=3, at_least=True, measured=tuple(ratios), unit="times",
        command="python benchmarks/sweep.py",
    )  # fmt: skip
    report([figure], arguments.json)


if __name__ == "__main__":
    main()
