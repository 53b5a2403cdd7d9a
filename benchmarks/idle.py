"""How long the device waits for the host in a training on tokens.

    python benchmarks/idle.py [--rounds 7] [--steps 240] [--widths 64 128]

A GPT (depth 2, at width 128 and above 4; heads of 16, context 64, batch 16, bytes of the standard
library's source code) is trained for `--steps` steps with ten evaluations on 256 held-out
sequences, twice: by `scaling.trainers.tokens.train_on_tokens`, which draws, gathers and pads
batches, hands them over, fetches evaluations and keeps the curve; and by the same compiled
functions, called one after another on blocks that are on the device already, with nothing fetched
until the end. The difference of their wall times, over the first, is the share of time that the
device waits: it counts everything that the host does while the device does nothing, even the calls.
Both run on one core, which host and device share, as in a worker. They take turns; the median over
the rounds is printed, with the quartiles.
"""

from __future__ import annotations

import os
import time

import jax
import jax.numpy as jnp
import numpy as np
from figures import Figure, machine, options, report

from scaling.config import RunConfig, shape_of
from scaling.data.text import Text
from scaling.keys import key_for
from scaling.models.transformer import Transformer
from scaling.pretraining import Pretraining
from scaling.trainers.token_programs import compiled, steps_in_block
from scaling.trainers.token_step import Arguments
from scaling.trainers.tokens import train_on_tokens
from scaling.training import Adam

EVALUATIONS = 10
MOST_STEPS = 256 * EVALUATIONS  # an interval is to be one block


def idle_shares(width: int, steps: int, rounds: int) -> np.ndarray:
    """Share of its wall time that the device waits, in each round."""
    config = RunConfig(
        model=Transformer(width=width, depth=4 if width >= 128 else 2, head_size=16),
        data=Text(context=64),
        train=Pretraining(
            optimizer=Adam(learning_rate=3e-3), batch_size=16, steps=steps, evaluations=EVALUATIONS
        ),
    )
    plan, data = config.train, config.data
    assert isinstance(plan, Pretraining) and isinstance(data, Text)
    dataset = data.load(config.seed)
    trainer = compiled(shape_of(config))
    in_block, in_interval = steps_in_block(plan, data.context), steps // EVALUATIONS
    sequences = dataset.sequences(config.seed, 0, steps * plan.batch_size)
    blocks = []
    for part in sequences.reshape(EVALUATIONS, in_interval, plan.batch_size, -1):
        block = np.zeros((in_block, *part.shape[1:]), np.int32)
        block[:in_interval] = part
        blocks.append(jnp.asarray(block))
    held_out = jnp.asarray(dataset.eval_tokens, jnp.int32)
    arguments = Arguments(jnp.array([3e-3]), *map(jnp.int32, (steps, 0, 0)))
    count = jnp.int32(in_interval)

    def device_alone() -> float:
        state = trainer.init(key_for(config.seed, "init"))
        began = time.perf_counter()
        evaluations = []
        for block in blocks:
            state, _ = trainer.advance(state, block, count, arguments)
            evaluations.append(trainer.measure(state, held_out))
        jax.block_until_ready(evaluations)
        return time.perf_counter() - began

    def with_host() -> float:
        began = time.perf_counter()
        columns, _ = train_on_tokens(config, dataset)
        assert columns["status"] == "done"
        return time.perf_counter() - began

    device_alone(), with_host()
    pairs = []
    for turn in range(rounds):
        first, second = (device_alone, with_host) if turn % 2 else (with_host, device_alone)
        times = first(), second()
        pairs.append(times if turn % 2 else times[::-1])
    alone, total = np.array(pairs).T
    return 1 - alone / total


def main() -> None:
    """Measures every width and prints its shares."""
    parser = options(__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=240, help=f"in tens, at most {MOST_STEPS:,}")
    parser.add_argument("--widths", type=int, nargs="+", default=[64, 128])
    given = parser.parse_args()
    if not EVALUATIONS <= given.steps <= MOST_STEPS:
        parser.error(f"--steps {given.steps}: give {EVALUATIONS} to {MOST_STEPS:,}")
    about = machine()
    core = max(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {core})  # before JAX starts, which takes a thread for each core
    print(f"{about}\ncore {core}; idle share of wall time: median [quartiles]")
    found = []
    for width in given.widths:
        shares = idle_shares(width, given.steps // EVALUATIONS * EVALUATIONS, given.rounds)
        low, median, high = np.quantile(shares, [0.25, 0.5, 0.75])
        print(f"width {width:4}   {median:6.2%} [{low:.2%}, {high:.2%}]", flush=True)
        figure = Figure(
            what=f"device idle between steps, width {width}",
            asked=3.0, measured=(100 * float(median),), unit="%",
            command="python benchmarks/idle.py",
        )  # fmt: skip
        found.append(figure)
    report(found, given.json)


if __name__ == "__main__":
    main()
