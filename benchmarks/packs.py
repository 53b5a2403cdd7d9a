"""Seeds of one small network: trained as one program, and one at a time.

    python benchmarks/packs.py [--members 16] [--widths 4 16 64] [--rounds 5]

The MLP of `double_descent_mlp` (MNIST-1D, 2,000 examples in batches of 100, 15 % wrong labels) for
`--steps` steps from each of `--members` seeds, by `scaling.run.run_pack` and by `scaling.run.run`
one after another, in one process on one core or accelerator, everything compiled before. Both take
turns; the quickest of each counts, in processor seconds on a core, which others may want too.
`scaling.packs.MOST_NETWORKS` follows from this: packs are worth
results that depend on their mates only where they are several times faster.
"""

from __future__ import annotations

import os
import time

import jax
import numpy as np
from figures import Figure, machine, options, report

from scaling.config import RunConfig
from scaling.data.label_noise import LabelNoise
from scaling.data.mnist1d import MNIST1D
from scaling.models.mlp import MLP
from scaling.run import run, run_pack
from scaling.training import SGD, Gradient

TOLERANCE = 1e-3
"""Relative difference of the losses, after steps that rounding grows over."""


def ratio(width: int, members: int, steps: int, rounds: int) -> float:
    """How many times as long runs take one after another as in a pack."""
    configs = [
        RunConfig(
            model=MLP(width=width),
            data=MNIST1D(n_train=2000, label_noise=LabelNoise(fraction=0.15)),
            train=Gradient(
                optimizer=SGD(learning_rate=0.02, momentum=0.9),
                batch_size=100,
                steps=steps,
                evaluations=2,
            ),
            seed=seed,
        )
        for seed in range(members)
    ]

    clock = time.process_time if jax.default_backend() == "cpu" else time.perf_counter

    def seconds(together: bool) -> tuple[float, list[float | None]]:
        began = clock()
        records = run_pack(configs) if together else map(run, configs)
        losses = [record.eval_loss_nats for record, _ in records]
        return clock() - began, losses

    (_, packed), (_, alone) = seconds(True), seconds(False)
    np.testing.assert_allclose(packed[:4], alone[:4], rtol=TOLERANCE)
    times = [(seconds(True)[0], seconds(False)[0]) for _ in range(rounds)]
    best, single = np.min(times, axis=0)
    each = members * steps / 1e6
    print(f"width {width:4}: {best / each:7.1f} and {single / each:7.1f} us a step and member")
    return single / best


def main() -> None:
    """Measures every width."""
    parser = options(__doc__)
    parser.add_argument("--members", type=int, default=16)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--widths", type=int, nargs="+", default=[4, 16, 64])
    given = parser.parse_args()
    print(machine())
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})  # as a worker, before JAX starts
    ratios = [ratio(width, given.members, given.steps, given.rounds) for width in given.widths]
    widths = ", ".join(map(str, given.widths))
    figure = Figure(
        what=f"{given.members} seeds of a network of width {widths} as one program, over one at a "
        "time",
        measured=tuple(ratios), unit="times",
        command="python benchmarks/packs.py",
        note="a worker of a processor therefore trains one at a time",
    )  # fmt: skip
    report([figure], given.json)


if __name__ == "__main__":
    main()
