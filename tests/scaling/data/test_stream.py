"""Streams of examples: a function of seed and number alone, and what each world says of itself."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scaling.data.parity_tasks import ParityTasks

PARITY = ParityTasks(tasks=5, bits=12, per_task=8)


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


def test_parities_are_those_of_each_tasks_own_signs():
    stream = PARITY.load(0)
    counts = np.asarray(PARITY.world(0)["counts"])
    assert np.array_equal(counts.sum(axis=1), [3] * 5)
    held_out = PARITY.held_out(stream.world, stream.eval_key)
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
    held_out = PARITY.held_out(stream.world, stream.eval_key)
    known = jnp.repeat(jnp.array([1.0, 1, 0, 0, 0]), 8)[:, None]
    outputs = 100 * known * jax.nn.one_hot(held_out.targets, 2)
    found = PARITY.measures({}, held_out, outputs)
    losses = [float(found[f"task {k}"]) for k in range(1, 6)]
    np.testing.assert_allclose(losses, [0, 0, *[np.log(2)] * 3], atol=1e-6)
    p = PARITY.probabilities
    assert float(found["likelihood"]) == pytest.approx(p[:2].sum() + p[2:].sum() / 2, abs=1e-6)


def test_more_signs_that_count_than_there_are_are_refused():
    with pytest.raises(ValueError, match=r"sparse = 9 exceeds bits = 8: give fewer, or more bits"):
        ParityTasks(bits=8, sparse=9)
