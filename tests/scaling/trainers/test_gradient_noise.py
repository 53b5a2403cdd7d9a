"""The noise of gradients: expectations come out exactly, and runs report it at every evaluation.

Here the model is a softmax without inputs: where its distribution is p and tokens are drawn from q,
G = p - q and Sigma = diag(q) - q q^T, so that |G|^2 = |p - q|^2 and tr(Sigma) = 1 - |q|^2.
"""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from scaling.config import RunConfig
from scaling.data.ngram import NGram
from scaling.devices.runtime import compile_quickly
from scaling.keys import key_for
from scaling.model import Model
from scaling.models.transformer import Transformer
from scaling.objectives.objective import SpecialTokens
from scaling.pretraining import Pretraining
from scaling.record import dump_curve_line, load_curve
from scaling.run import run
from scaling.schedules import Constant
from scaling.trainers import gradient_noise
from scaling.trainers.optimizers import ParamGroup
from scaling.trainers.token_programs import make_trainer
from scaling.trainers.token_setup import Setup
from scaling.trainers.token_step import Arguments, State
from scaling.training import SGD, Adam

POPULATION = (0, 0, 1, 2)
Q = np.array([0.5, 0.25, 0.25])
LOGITS = np.array([0.3, -0.2, 0.9])
P = np.exp(LOGITS) / np.exp(LOGITS).sum()

SOFTMAX = Model(
    init=lambda key: {"logits": jnp.asarray(LOGITS, jnp.float32)},
    apply=lambda params, tokens: jnp.broadcast_to(params["logits"], (*tokens.shape, 3)),
)


def after_every_batch(batch_size: int, **changes: Any) -> State:
    """The state after a step of no length on each batch that can be drawn from the population."""
    drawn = np.array(list(itertools.product(POPULATION, repeat=batch_size)))
    block = jnp.asarray(np.stack([np.zeros_like(drawn), drawn], axis=-1), jnp.int32)
    optimizer = SGD(learning_rate=1.0)
    plan = Pretraining(
        optimizer=optimizer, schedule=Constant(), batch_size=batch_size, steps=1, **changes
    )
    trainer = make_trainer(
        Setup(SOFTMAX, plan, {"logits": ParamGroup(1.0, 0.0)}, 1, SpecialTokens(0))
    )
    still = Arguments(jnp.zeros(1), jnp.int32(len(block)), *2 * [jnp.int32(0)])
    given = (trainer.init(key_for(0, "init")), block, jnp.int32(len(block)), still)
    state, _ = compile_quickly(trainer.advance, *given)(*given)
    assert int(state.step) == len(POPULATION) ** batch_size
    return state


@pytest.mark.parametrize(
    ("batch_size", "changes"),
    [
        (2, {"microbatches": 2}),
        (4, {"microbatches": 2}),
        (4, {"microbatches": 4, "clip_norm": 0.01}),
        (4, {"microbatches": 2, "z_loss": 0.3}),
    ],
    ids=["pairs", "halves", "quarters, clipped", "z-loss"],
)
def test_over_all_batches_that_can_be_drawn_the_mean_is_the_expectation(
    batch_size: int, changes: dict[str, Any]
):
    state = after_every_batch(batch_size, **changes)
    found = gradient_noise.columns(
        state.norms, int(state.step), batch_size, changes["microbatches"]
    )
    # The z-loss moves G, and every token alike.
    log_normaliser = np.log(np.exp(LOGITS).sum())
    mean = P - Q + 2 * changes.get("z_loss", 0.0) * log_normaliser * P
    signal, noise = mean @ mean, 1 - Q @ Q
    assert found["gradient_squared_norm"] == pytest.approx(signal, rel=1e-4)
    assert found["gradient_covariance_trace"] == pytest.approx(noise, rel=1e-4)
    assert found["gradient_noise_scale_tokens"] == pytest.approx(noise / signal, rel=2e-4)


def test_a_batch_in_one_part_tells_nothing_and_carries_nothing():
    state = after_every_batch(2)
    assert state.norms is None and state.summed_anew().norms is None
    found = gradient_noise.columns(state.norms, 1, 2, 1)
    assert found == dict.fromkeys(gradient_noise.COLUMNS)


def norms(parts: float, whole: float) -> gradient_noise.SquaredNorms:
    return gradient_noise.SquaredNorms(jnp.float32(parts), jnp.float32(whole))


def test_where_noise_drowns_the_gradient_there_is_no_scale():
    found = gradient_noise.columns(norms(30.0, 10.0), 10, 64, 2)
    assert found["gradient_squared_norm"] == pytest.approx(-1.0)
    assert found["gradient_covariance_trace"] == pytest.approx(128.0)
    assert found["gradient_noise_scale_tokens"] is None
    unknown = optax.tree.add(norms(30.0, 10.0), gradient_noise.unknown_norms())
    for sums in (norms(np.inf, 1.0), unknown):
        beyond = gradient_noise.columns(sums, 10, 64, 2)
        assert beyond == dict.fromkeys(gradient_noise.COLUMNS)


RUN = RunConfig(
    model=Transformer(width=8, depth=1, heads=2),
    data=NGram(vocab_size=8, context=8, n_tokens=2**13, n_eval=16),
    train=Pretraining(
        optimizer=Adam(learning_rate=0.01),
        schedule=Constant(),
        batch_size=8,
        microbatches=8,
        steps=60,
        evaluations=3,
    ),
)


def changed(**values: Any) -> RunConfig:
    return dataclasses.replace(RUN, train=dataclasses.replace(RUN.train, **values))


@pytest.mark.slow
def test_every_evaluation_tells_the_noise_since_the_one_before():
    record, curve = run(RUN)
    _, every = run(changed(evaluations=60))
    for name in ("gradient_squared_norm", "gradient_covariance_trace"):
        each = np.array([getattr(point, name) for point in every])
        thirds = [getattr(point, name) for point in curve]
        assert thirds == pytest.approx(each.reshape(3, 20).mean(axis=1), rel=1e-4)
        assert getattr(record, name) == thirds[-1]
    last = curve[-1]
    assert last.gradient_covariance_trace is not None and last.gradient_squared_norm is not None
    assert last.gradient_noise_scale_tokens == pytest.approx(
        last.gradient_covariance_trace / last.gradient_squared_norm
    )
    assert record.gradient_noise_scale_tokens == last.gradient_noise_scale_tokens
    assert load_curve("".join(map(dump_curve_line, curve))) == curve


@pytest.mark.slow
def test_it_is_that_of_gradients_taken_one_sequence_at_a_time():
    """The first step of a run against per-sequence gradients and their sample covariance."""
    config = changed(steps=1, evaluations=1)
    record, _ = run(config)
    model = RUN.model.build(8, 8)
    params = model.init(key_for(0, "init"))
    batch = jnp.asarray(RUN.data.load(0).sequences(0, 0, 8))

    def loss(params: Any, sequence: jax.Array) -> jax.Array:
        chances = jax.nn.log_softmax(model.apply(params, sequence[None, :-1])[0])
        return -jnp.take_along_axis(chances, sequence[1:, None], axis=-1).mean()

    by_leaf = jax.jit(jax.vmap(jax.grad(loss), in_axes=(None, 0)))(params, batch)
    each = np.concatenate(
        [np.asarray(leaf, np.float64).reshape(8, -1) for leaf in jax.tree.leaves(by_leaf)], axis=1
    )
    trace = each.var(axis=0, ddof=1).sum()
    assert record.gradient_covariance_trace == pytest.approx(8 * trace, rel=1e-4)
    signal = np.sum(each.mean(axis=0) ** 2) - trace / 8
    assert record.gradient_squared_norm == pytest.approx(signal, rel=1e-3)
