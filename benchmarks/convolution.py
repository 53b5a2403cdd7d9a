"""Training steps with convolutions as products of patches, against the library's own.

    python benchmarks/convolution.py [--rounds 5] [--widths 8 24 50]

The network is the CNN of MNIST-1D (`scaling.models.cnn_1d`) at several numbers of channels, trained
by SGD with momentum on batches of 100, forward and backward, on one core. The two take turns; the
median of their ratios is printed. After ten steps their parameters must agree.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple
from unittest.mock import patch

import jax
import jax.numpy as jnp
import numpy as np
from figures import Figure, machine, options, report

from scaling.keys import key_for
from scaling.models import convolution
from scaling.models.cnn_1d import CNN1D
from scaling.trainers.gradient_step import Batch, State, make_trainer
from scaling.training import SGD, Gradient

BATCH, N_TRAIN = 100, 4_000
CHECKED = 10
TURN_SECONDS = 0.5
ASKED = 5.0


class Contestant(NamedTuple):
    """One way to convolve.

    Attributes:
        advance: Trains for a number of steps.
        params: Parameters after the first steps.
    """

    advance: Callable[[int], State]
    params: Any


def contestant(width: int, convolve: Callable[..., Any]) -> Contestant:
    """The network with one convolution, compiled."""
    with patch.object(convolution, "convolution", convolve):
        model = CNN1D(width=width).build(40, 10)
    plan = Gradient(optimizer=SGD(learning_rate=0.01, momentum=0.9), batch_size=BATCH, steps=1)
    trainer = make_trainer(model, plan, N_TRAIN, 10)
    rng = np.random.default_rng(0)
    labels = jnp.asarray(rng.integers(10, size=N_TRAIN), jnp.int32)
    data = Batch(jnp.asarray(rng.normal(size=(N_TRAIN, 40)), jnp.float32), labels, labels)
    state, order = trainer.init(key_for(0, "init")), key_for(0, "order")
    compiled = jax.jit(trainer.advance)

    def advance(steps: int) -> State:
        numbers = jnp.float32(0.01), jnp.int32(steps), order
        return jax.block_until_ready(compiled(state, jnp.int32(steps), data, *numbers))

    return Contestant(advance, advance(CHECKED).params)


def timed(advance: Callable[[int], State], steps: int) -> float:
    """Milliseconds a step."""
    began = time.perf_counter()
    advance(steps)
    return 1e3 * (time.perf_counter() - began) / steps


def compare(width: int, rounds: int) -> float:
    """How many times as long the library takes for a step; prints what it measures."""
    patches = contestant(width, convolution.convolution)
    library = contestant(width, jax.lax.conv_general_dilated)
    for ours, theirs in zip(*map(jax.tree.leaves, (patches.params, library.params)), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)
    both = [patches.advance, library.advance]
    steps = [max(5, round(1e3 * TURN_SECONDS / timed(advance, 20))) for advance in both]
    turns = [list(map(timed, both, steps)) for _ in range(rounds)]
    ours, theirs = (statistics.median(column) for column in zip(*turns, strict=True))
    ratio = statistics.median(slow / fast for fast, slow in turns)
    print(f"{width:8} {ours:12.3f} {theirs:12.3f} {ratio:8.1f}", flush=True)
    return ratio


def main() -> None:
    """Compares every width."""
    parser = options(__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--widths", type=int, nargs="+", default=[8, 24, 50])
    arguments = parser.parse_args()
    about, core = machine(), max(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {core})  # before JAX starts, which takes a thread for each core
    print(f"{about}; core {core}, one thread")
    print("channels   patches, ms   library, ms   ratio")
    ratios = [compare(width, arguments.rounds) for width in arguments.widths]
    widths = ", ".join(map(str, arguments.widths))
    figure = Figure(
        what=f"a CNN's step by XLA's convolution over one by patches, {widths} channels",
        asked=ASKED, at_least=True, measured=tuple(ratios), unit="times",
        command="python benchmarks/convolution.py",
    )  # fmt: skip
    report([figure], arguments.json)


if __name__ == "__main__":
    main()
