"""Optimizer state in bfloat16 and in the memory of the host: means, losses, bytes, what resumes."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from scaling.accounting import account
from scaling.config import RunConfig, shape_of
from scaling.data.ngram import NGram
from scaling.keys import key_for
from scaling.memory import optimizer_bytes
from scaling.model import Model
from scaling.models.family import Family
from scaling.models.neural_ngram import NeuralNGram
from scaling.overrides import replace_together
from scaling.pretraining import Muon, Pretraining, ScheduleFree, learning_rates
from scaling.run import run
from scaling.schedules import Constant
from scaling.trainers import history, token_programs
from scaling.trainers.optimizer_state import narrowed, of_host, rounded
from scaling.trainers.optimizers import build_optimizer, param_groups
from scaling.training import SGD, Adam
from scaling.workspace import Workspace

ADAM = Adam(learning_rate=0.03)
MODEL = NeuralNGram(width=8, depth=1, order=3)


@dataclass(frozen=True, kw_only=True)
class Bigram(Family):
    """A table of logits of the next token for each token: little to compile."""

    kind: ClassVar[str] = "bigram"
    takes_tokens: ClassVar[bool] = True

    def build(self, n_inputs: int, n_outputs: int) -> Model:
        shape = (n_outputs, n_outputs)
        return Model(
            lambda key: {"table": jax.random.normal(key, shape)},
            lambda params, tokens: params["table"][tokens],
        )

    def count_params(self, n_inputs: int, n_outputs: int) -> dict[str, int]:
        return {"embedding": n_outputs**2, "readout": 0}

    def flops_forward(self, n_inputs: int, n_outputs: int) -> int:
        return n_inputs * n_outputs


RUN = RunConfig(
    model=Bigram(),
    data=NGram(vocab_size=8, context=8, n_tokens=2**14, n_eval=32),
    train=Pretraining(optimizer=ADAM, batch_size=16, steps=80, evaluations=2),
)
NARROW = {"train.optimizer_dtype": "bfloat16", "train.optimizer_memory": "host"}


def test_a_number_becomes_one_of_its_neighbours_and_the_mean_stays():
    """Between 1 and 1 + 2^-7, at a quarter of the way."""
    x = np.full(2**14, 1 + 2.0**-9, np.float32)
    nans = np.array([0x7FFFFFFF, 0xFFFFFFFF, 0x7F800001], np.uint32).view(np.float32)
    numbers = [0.0, 1.5, -(2.0**-100), np.inf, -np.inf]
    kept = np.concatenate([np.float32(numbers), nans])

    @jax.jit
    def both(x: jax.Array, kept: jax.Array) -> Any:
        return rounded(x, jax.random.key(0)), rounded(kept, jax.random.key(1))

    found, same = (np.asarray(each, np.float64) for each in both(np.stack([x, -x]), kept))
    assert set(np.abs(found).flat) == {1.0, 1 + 2.0**-7}
    share = (np.abs(found) > 1).mean(axis=1)
    assert share == pytest.approx([0.25, 0.25], abs=4 * np.sqrt(0.25 * 0.75 / 2**14))
    assert np.array_equal(same[: len(numbers)], numbers) and np.isnan(same[len(numbers) :]).all()


def test_a_slow_average_follows_its_gradient_where_plain_rounding_would_stop():
    """After n steps of gradient 1 the second moment is 1 - 0.999^n."""
    n, adam, gradient = 1500, optax.scale_by_adam(b2=0.999), np.ones(512, np.float32)

    def after(cast: Any) -> float:
        def step(state: Any, key: jax.Array) -> tuple[Any, None]:
            return cast(key).update(gradient, state)[1], None

        @jax.jit
        def mean() -> jax.Array:
            keys = jax.random.split(jax.random.key(0), n)
            state, _ = jax.lax.scan(step, cast(None).init(gradient), keys)
            return jnp.mean(state.nu.astype(jnp.float32))

        return float(mean())

    def nearest(_: Any) -> optax.GradientTransformation:
        def update(gradient: Any, state: Any) -> Any:
            made, state = adam.update(gradient, state)
            return made, jax.tree.map(lambda x: x.astype(jnp.bfloat16).astype(x.dtype), state)

        return optax.GradientTransformation(adam.init, update)

    assert after(lambda key: narrowed(adam, "bfloat16", key)) == pytest.approx(
        1 - 0.999**n, rel=0.01
    )
    assert after(nearest) < 0.5 * (1 - 0.999**n)


@pytest.mark.medium
def test_training_stays_close_resumes_its_bits_and_keeps_half(tmp_path: Path, monkeypatch: Any):
    """Second moments are off by a few per cent at random, and step sizes by half of that."""
    monkeypatch.setattr(history, "SAVE_SECONDS", 0.0)
    monkeypatch.setattr(history, "SAVE_SHARE", float("inf"))
    narrow = replace_together(RUN, NARROW)
    (_, wide), (_, curve) = run(RUN), run(narrow, Workspace(tmp_path))
    losses = [point.eval_loss for point in curve]
    assert losses == pytest.approx([point.eval_loss for point in wide], rel=2.5e-3)
    record, again = run(narrow, Workspace(tmp_path))
    assert again == curve and record.environment["resumed_at_steps"] == [40]

    state = token_programs.compiled(shape_of(narrow), 1).init(key_for(0, "init"))
    arrays = [leaf for leaf in jax.tree.leaves(state.optimizer) if leaf.ndim]
    assert {leaf.sharding.memory_kind for leaf in arrays} == {"pinned_host"}
    kept, n_params = sum(leaf.nbytes for leaf in arrays), account(RUN).n_params_total
    assert kept == optimizer_bytes(narrow.train) * n_params == 4 * n_params


@pytest.mark.parametrize(
    ("optimizer", "wide", "narrow"),
    [
        (SGD(learning_rate=0.1), 0, 0),
        (SGD(learning_rate=0.1, momentum=0.9), 4, 2),
        (ADAM, 8, 4),
        (Muon(learning_rate=0.1, adam=ADAM), 8, 4),
        (ScheduleFree(learning_rate=0.1), 8, 6),
    ],
    ids=lambda each: getattr(each, "kind", ""),
)
def test_bytes_of_what_an_optimizer_keeps(optimizer: Any, wide: int, narrow: int):
    """Of Muon's matrices, which have one average, they are an upper bound."""
    groups = param_groups(optimizer, MODEL, 8, 8)
    params = jax.eval_shape(MODEL.build(8, 8).init, jax.random.key(0))
    for dtype, expected in (("float32", wide), ("bfloat16", narrow)):
        train = dataclasses.replace(
            RUN.train, optimizer=optimizer, optimizer_dtype=dtype, schedule=Constant()
        )
        assert optimizer_bytes(train) == expected
        rates = jnp.array(learning_rates(optimizer))
        made = jax.eval_shape(build_optimizer(optimizer, groups, rates, dtype).init, params)
        arrays = [leaf for leaf in jax.tree.leaves(made) if leaf.ndim > 0]
        kept = sum(leaf.size * leaf.dtype.itemsize for leaf in arrays)
        share = kept / (sum(leaf.size for leaf in jax.tree.leaves(params)) * max(expected, 1))
        assert share < 0.9 if isinstance(optimizer, Muon) else share == (expected > 0)


def test_devices_that_cannot_reach_the_memory_of_the_host_are_refused():
    class Alone:
        device_kind = "accelerator"
        addressable_memories = staticmethod(lambda: [SimpleNamespace(kind="device")])

    devices: Any = SimpleNamespace(devices=np.array([Alone()]))
    with pytest.raises(ValueError, match=r"accelerator has device alone: give 'device', and .*16"):
        of_host(devices, {}, {})
