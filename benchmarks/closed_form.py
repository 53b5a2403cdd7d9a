"""`belkin --budget cpu`: shared factorisations against a loop of `numpy.linalg.lstsq`.

    python benchmarks/closed_form.py [--command]

Both compute the same 440 runs (22 sizes x 5 seeds x 4 settings, n = 400) one after another on one
thread, features and test errors included, after imports, with the data in memory:

- `together`: `scaling.trainers.solve.solve_together`, a pack a seed, as workers do it; the feature
  map is compiled within the time.
- `loop`: each run by itself in NumPy: features, `numpy.linalg.lstsq` with the cut-off of the run
  (for a ridge, of the normal equations on the shorter side), outputs, errors.

Processor seconds are compared, since the machine may do other work. Errors must agree to 1e-6.
`--command` times `scaling run belkin` as users start it as well, in an empty folder.
"""

from __future__ import annotations

import os

os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import jax
import numpy as np
from figures import Figure, machine, options, peak_megabytes, report

from experiments.belkin import SWEEP
from scaling.config import RunConfig
from scaling.devices.runtime import compile_quickly
from scaling.keys import key_for
from scaling.models.random_features import RandomFeatures
from scaling.solving import Ridge, Ridgeless
from scaling.trainers.solve import solve_together


class Weights(NamedTuple):
    """Directions and phases of features."""

    directions: np.ndarray
    phases: np.ndarray


Errors = dict[RunConfig, float]
"""Test squared error of each run."""


def together(configs: Sequence[RunConfig]) -> Errors:
    """All runs of a seed at once."""
    found: Errors = {}
    for seed in sorted({config.seed for config in configs}):
        pack = [config for config in configs if config.seed == seed]
        columns = solve_together(pack, [config.data.load(seed) for config in pack])
        found |= {c: each["eval_squared_error"] for c, each in zip(pack, columns, strict=True)}
    return found


def loop(configs: Sequence[RunConfig], weights: Mapping[int, Weights]) -> Errors:
    """Each run by itself."""
    found: Errors = {}
    for config in configs:
        data, (directions, phases) = config.data.load(config.seed), weights[config.seed]
        inputs = np.concatenate([data.train_inputs, data.eval_inputs])
        n, p = len(data.train_inputs), config.model.n_features
        features = np.sqrt(2 / p) * np.cos(inputs @ directions[:, :p] + phases[:p])
        rows, targets = features[:n], np.eye(10)[data.train_targets]
        train = config.train.resolve(config.model, config.data)
        assert isinstance(train, Ridge | Ridgeless)
        if isinstance(train, Ridgeless):
            readout = np.linalg.lstsq(rows, targets, rcond=train.rcond)[0]
        elif p <= n:
            ridged = rows.T @ rows + n * train.ridge * np.eye(p)
            readout = np.linalg.lstsq(ridged, rows.T @ targets)[0]
        else:
            ridged = rows @ rows.T + n * train.ridge * np.eye(n)
            readout = rows.T @ np.linalg.lstsq(ridged, targets)[0]
        off = features[n:] @ readout - np.eye(10)[data.eval_targets]
        found[config] = float(np.mean(np.sum(off**2, axis=1)))
    return found


def weights_of(config: RunConfig) -> Weights:
    """Directions and phases of the largest model of a seed; smaller ones have the first of them."""
    assert isinstance(config.model, RandomFeatures)
    model, key = config.model.feature_map(config.data.n_inputs), key_for(config.seed, "init")
    drawn = compile_quickly(model.init, key)(key)
    return Weights(*(np.asarray(drawn[name], np.float64) for name in ("directions", "phases")))


def timed(work: Callable[[], Errors]) -> tuple[float, Errors]:
    """Processor seconds, and what was found."""
    began = time.process_time()
    found = work()
    return time.process_time() - began, found


def command() -> float:
    """Wall seconds of `scaling run belkin` in an empty folder."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        words = ("run", "belkin", "--budget", "cpu", "--results", folder)
        subprocess.run([sys.executable, "-m", "scaling_descent", *words], check=True)
        return time.perf_counter() - began


def main() -> None:
    """Times both, and prints how they compare."""
    parser = options(__doc__)
    parser.add_argument("--command", action="store_true", help="time the command, too")
    arguments = parser.parse_args()
    print(machine())
    configs = SWEEP["cpu"]()
    configs[0].data.load(0)  # the data are in memory
    jax.block_until_ready(jax.numpy.zeros(1))
    seconds, found = timed(lambda: together(configs))
    memory = peak_megabytes()
    by_size = sorted(configs, key=lambda config: config.model.n_features)  # largest last
    weights = {seed: weights_of(c) for seed, c in {c.seed: c for c in by_size}.items()}
    loop_seconds, expected = timed(lambda: loop(configs, weights))
    print(f"together {seconds:6.1f} s, peak memory {memory:.0f} MB; loop {loop_seconds:6.1f} s")
    np.testing.assert_allclose(
        [found[c] for c in configs], [expected[c] for c in configs], rtol=1e-6
    )
    called = "python benchmarks/closed_form.py"
    figures = [
        Figure(
            what="440 closed-form runs (`belkin --budget cpu`) over a loop of `numpy.linalg.lstsq`",
            asked=5, at_least=True, measured=(loop_seconds / seconds,), unit="times",
            command=called,
            note=f"{seconds:.1f} processor seconds, {memory:.0f} MB",
        )
    ]  # fmt: skip
    if arguments.command:
        figures.append(
            Figure(
                what="`scaling run belkin`, from start to figure", measured=(command(),), unit="s",
                command=f"{called} --command",
            )
        )  # fmt: skip
    for figure in figures:
        print(figure.row())
    report(figures, arguments.json)


if __name__ == "__main__":
    main()
