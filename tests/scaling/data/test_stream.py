"""Streams of examples: a function of seed and number alone, and what each world says of itself."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from random_parameters import random_parameters

from analysis import theory
from scaling.config import RunConfig
from scaling.data.paired_views import PairedViews
from scaling.data.parity_tasks import ParityTasks
from scaling.data.preferences import Preferences, rank_weights
from scaling.models.built import built
from scaling.models.reward_model import RewardModel
from scaling.models.two_encoders import TwoEncoders
from scaling.streaming import Streaming
from scaling.training import Adam

PARITY = ParityTasks(tasks=5, bits=12, per_task=8)


@pytest.mark.medium
def test_a_stream_is_read_in_any_order():
    stream = PARITY.load(3)
    whole = stream.examples(0, 24)
    for first, count in ((16, 8), (0, 16)):
        part = stream.examples(first, count)
        assert np.array_equal(part.inputs, whole.inputs[first : first + count])
        assert np.array_equal(part.targets, whole.targets[first : first + count])
    assert not np.array_equal(PARITY.load(4).examples(0, 24).inputs, whole.inputs)


def test_a_fixed_set_is_the_beginning_of_the_stream_in_a_new_order_every_pass():
    stream = ParityTasks(n_train=50).load(3)
    first, second = stream.numbers(0, 100).reshape(2, 50)
    assert sorted(first) == sorted(second) == list(range(50))
    assert not np.array_equal(first, second)
    assert np.array_equal(stream.numbers(70, 10), second[20:30])
    assert np.array_equal(ParityTasks().load(3).numbers(70, 10), np.arange(70, 80))


@pytest.mark.medium
def test_parities_are_those_of_each_tasks_own_signs():
    stream = PARITY.load(0)
    counts = np.asarray(PARITY.world(0)["counts"])
    assert np.array_equal(counts.sum(axis=1), [3] * 5)
    held_out = jax.jit(PARITY.held_out)(stream.world, stream.eval_key)
    drawn = stream.examples(0, 4096)
    for inputs, targets in ((held_out.inputs, held_out.targets), (drawn.inputs, drawn.targets)):
        which, signs = np.split(np.asarray(inputs), [5], axis=1)
        assert set(np.unique(signs)) == {-1.0, 1.0}
        odd = ((signs < 0) * counts[which.argmax(axis=1)]).sum(axis=1) % 2
        assert np.array_equal(odd, targets)
    assert np.array_equal(held_out.inputs[:, :5].sum(axis=0), [8] * 5)
    often = np.asarray(drawn.inputs[:, :5]).mean(axis=0)
    error = np.sqrt(PARITY.probabilities * (1 - PARITY.probabilities) / 4096)
    assert (np.abs(often - PARITY.probabilities) < 4 * error).all()


def test_a_task_that_is_known_costs_nothing_and_the_others_log_2():
    stream = PARITY.load(0)
    held_out = jax.jit(PARITY.held_out)(stream.world, stream.eval_key)
    known = np.repeat(np.array([1, 1, 0, 0, 0], "f4"), 8)[:, None]
    outputs = 100 * known * np.eye(2, dtype="f4")[np.asarray(held_out.targets)]
    found = jax.jit(PARITY.measures)({}, held_out, outputs)
    losses = [float(found[f"task {k}"]) for k in range(1, 6)]
    np.testing.assert_allclose(losses, [0, 0, *[np.log(2)] * 3], atol=1e-6)
    p = PARITY.probabilities
    assert float(found["likelihood"]) == pytest.approx(p[:2].sum() + p[2:].sum() / 2, abs=1e-6)


def test_more_signs_that_count_than_there_are_are_refused():
    with pytest.raises(ValueError, match=r"sparse = 9 exceeds bits = 8: give fewer, or more bits"):
        ParityTasks(bits=8, sparse=9)


def test_rank_weights_are_those_of_every_choice():
    gold = np.random.default_rng(0).standard_normal(9)
    for n in (1, 3, 9):
        brute = np.mean([gold[max(chosen)] for chosen in itertools.combinations(range(9), n)])
        assert rank_weights(n, 9) @ gold == pytest.approx(brute, abs=1e-12)
    with pytest.raises(ValueError, match="n = 10 of 9 samples: give 1 to 9"):
        rank_weights(10, 9)


@pytest.mark.slow
def test_preferences_follow_gold_but_for_those_flipped():
    data = Preferences(dimension=3, freedom=2, flipped=0.25, n_eval=200)
    stream = data.load(0)
    for examples, wrong in (
        (jax.jit(data.held_out)(stream.world, stream.eval_key), 0),
        (jax.jit(data.drawn)(stream.world, stream.key, jnp.arange(1000)), 0.25),
    ):
        gold = data.gold(stream.world, examples.inputs.reshape(-1, 2, 3))
        disagree = np.mean((gold[:, 1] > gold[:, 0]) != (examples.targets == 1))
        assert disagree == pytest.approx(wrong, abs=0.05)


def test_a_perfect_proxy_gains_what_the_largest_of_n_does():
    data = Preferences(dimension=3, n_eval=500)
    stream = data.load(0)

    @jax.jit
    def measured(world, key):
        held_out = data.held_out(world, key)
        gold = data.gold(world, held_out.inputs.reshape(-1, 3))
        return gold, data.measures(world, held_out, 3 * gold.reshape(-1, 2) + 7)

    gold, found = measured(stream.world, stream.eval_key)
    gold = np.asarray(gold)
    assert data.best_of == (1, 2, 3, 5, 8, 12, 20, 30, 50)
    assert float(found["correlation"]) == pytest.approx(1, abs=1e-5)
    draws = np.random.default_rng(0).choice(gold, (4000, 20))
    largest = draws.max(axis=1).mean() - float(gold.mean())
    assert float(found["gold best of 20"]) == pytest.approx(largest, abs=0.05)
    scaled = (gold - gold.mean()) / gold.std()
    exact = theory.tilted(scaled, gold - gold.mean(), 2.0)
    for name, value in zip(("kl", "gold"), (exact.kl, exact.gold), strict=True):
        assert float(found[f"{name} tilt 2"]) == pytest.approx(value, rel=1e-3)


def test_a_reward_model_judges_each_response_alone():
    model = RewardModel(width=4).build(6, 2)
    params, apply = random_parameters(model), jax.jit(model.apply)
    pairs = np.random.default_rng(1).normal(size=(5, 6)).astype("f4")
    swapped = np.concatenate([pairs[:, 3:], pairs[:, :3]], axis=1)
    rewards = np.asarray(apply(params, pairs))
    np.testing.assert_allclose(rewards[:, ::-1], apply(params, swapped), rtol=1e-6)
    assert built(RewardModel(width=4), 6, 2)
    with pytest.raises(ValueError, match=r"7 inputs are odd: use data\.kind = 'preferences'"):
        RewardModel(width=4).check(7)
    with pytest.raises(ValueError, match=r"preferences\.n_eval = 9 is impossible.* at least 10"):
        Preferences(n_eval=9)


@pytest.mark.parametrize(
    ("model", "wanted"),
    [(RewardModel(width=4), "preferences"), (TwoEncoders(width=4), "paired_views")],
)
def test_models_of_pairs_refuse_data_that_merely_have_their_size(model, wanted):
    """Both would train on 60 inputs of two classes without a word."""
    data = ParityTasks(tasks=28, bits=32, sparse=3)
    train = Streaming(optimizer=Adam(learning_rate=0.01), batch_size=8, steps=1)
    with pytest.raises(ValueError, match=f"has none: use data.kind = '{wanted}'"):
        RunConfig(model=model, data=data, train=train)


@pytest.mark.slow
def test_the_exact_critic_of_pairs_is_that_of_theory():
    data = PairedViews(among=64, n_eval=128)
    stream = data.load(0)
    held_out = jax.jit(data.held_out)(stream.world, stream.eval_key)
    nothing = jax.jit(data.measures)(stream.world, held_out, jnp.ones((128, 32)))
    u, v = np.split(np.asarray(held_out.targets, np.float64), 2, axis=1)
    losses, found = [], []
    for part in np.split(np.arange(128), 2):
        scores = theory.log_density_ratio(u[part, None], v[part], data.correlations)
        both = np.logaddexp.reduce(scores, axis=1) + np.logaddexp.reduce(scores, axis=0)
        losses.append(np.mean(both / 2 - np.diagonal(scores)))
        found.append(np.mean(scores.argmax(axis=1) == np.arange(64)))
    assert float(nothing["optimum"]) == pytest.approx(np.mean(losses), abs=1e-4)
    assert float(nothing["optimum top-1 share"]) == pytest.approx(np.mean(found), abs=1e-6)
    assert float(nothing["top-1 share"]) == pytest.approx(1 / 64, abs=1e-6)
    with pytest.raises(ValueError, match="n_eval = 100 is not a multiple of among = 64: give one"):
        PairedViews(among=64, n_eval=100)
    with pytest.raises(ValueError, match=r"correlation = 1\.0 is impossible: .* less than 1"):
        PairedViews(correlation=1.0)
    model = built(TwoEncoders(width=32), data.n_inputs, data.n_outputs)
    params = jax.jit(model.init)(jax.random.key(0))
    vectors = np.asarray(jax.jit(model.apply)(params, held_out.inputs))
    np.testing.assert_allclose(np.sum(vectors[:, :16] ** 2, axis=1), 1 / 0.07, rtol=1e-4)
