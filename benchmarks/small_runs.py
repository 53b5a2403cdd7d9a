"""48 small Transformers: `run_sweeps`, one process that uses every core, and a process a run.

    python benchmarks/small_runs.py [--steps 800]

GPTs of width 16, 32 and 64, of four learning rates and four seeds, otherwise those of
`benchmarks/sweep.py`, which does the first and the last:

- `sweep`: from `run_sweeps` to its summary, a worker a core. Nothing has been compiled before.
- `again`: the same from four other seeds, with the programs that `sweep` left.
- `one`: all runs one after another in one process, by the same `scaling.run.run`.
- `processes`: a process a run, one after another, as a shell loop would.

The losses of the first evaluation, after a quarter of the steps, are compared. Processor time is
printed beside wall time: how the wall times compare depends on whatever else the machine does.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from figures import Figure, machine, options, report
from sweep import configurations, processes, sweep, timed

from scaling.config import RunConfig, canonical_json, load_config, run_id
from scaling.overrides import replace_at

WIDTHS = (16, 32, 64)
RATES = (1e-3, 2e-3, 4e-3, 8e-3)
SEEDS = (0, 1, 2, 3)


def one_process(configs: Sequence[RunConfig]) -> dict[str, float]:
    """Losses of the first evaluation by run, where one process does all of them."""
    text = "\n".join(map(canonical_json, configs))
    command = [sys.executable, __file__, "--all"]
    return json.loads(subprocess.check_output(command, input=text, text=True))


def all_here(lines: Sequence[str]) -> dict[str, float]:
    """The same, in this process."""
    from scaling.run import run

    found = {}
    for line in lines:
        record, curve = run(load_config(json.loads(line)))
        found[record.run_id] = curve[0].eval_loss
    return found


def main() -> None:
    """Compares the three ways, and counts what is compiled the second time."""
    parser = options(__doc__)
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("--all", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.all:
        print(json.dumps(all_here(sys.stdin.read().splitlines())))
        return
    print(machine())
    configs = configurations(WIDTHS, given.steps, RATES, SEEDS)
    other = [replace_at(config, "seed", config.seed + len(SEEDS)) for config in configs]
    configs[0].data.load(0)  # the corpus is in the cache
    with tempfile.TemporaryDirectory() as compiled:
        seconds, processor, losses, n_compiled = {}, {}, {}, {}
        for name, work in (
            ("sweep", lambda: sweep(configs, compiled)),
            ("again", lambda: sweep(other, compiled)),
            ("one", lambda: one_process(configs)),
            ("processes", lambda: processes(configs)),
        ):
            n_before = len(list(Path(compiled).iterdir()))
            seconds[name], processor[name], losses[name] = timed(work)
            n_compiled[name] = len(list(Path(compiled).iterdir())) - n_before
            print(
                f"{name:9} {seconds[name]:7.1f} s, processor {processor[name]:7.1f} s, "
                f"{n_compiled[name]} programs compiled anew",
                flush=True,
            )
    # The same runs, to rounding: of the least stable ones it grows 100,000-fold in 200 steps.
    for name in ("one", "processes"):
        apart = [
            abs(losses[name][each] / losses["sweep"][each] - 1) for each in map(run_id, configs)
        ]
        print(
            f"{name}: losses apart by {np.median(apart):.0e} (median), {max(apart):.0e} (largest)"
        )
        assert np.median(apart) < 1e-6
    figures = [
        Figure(
            what=f"{len(configs)} small Transformers of {given.steps} steps as a sweep, over {way}",
            asked=asked, at_least=True, measured=(seconds[name] / seconds["sweep"],), unit="times",
            command="python benchmarks/small_runs.py",
            note=f"processor time {processor[name] / processor['sweep']:.2g} times",
        )
        for name, way, asked in (
            ("one", "one process that uses every core", 1.8),
            ("processes", "a process a run, one after another", 4.0),
        )
    ]  # fmt: skip
    figures.append(
        Figure(
            what="the same from other seeds: programs compiled anew",
            asked=0, measured=(n_compiled["again"],), unit="programs",
            command="python benchmarks/small_runs.py",
        )
    )  # fmt: skip
    report(figures, given.json)


if __name__ == "__main__":
    main()
