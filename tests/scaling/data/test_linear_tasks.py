"""Prompts of linear tasks, both Bayes estimates on the device, and a model that reads prompts."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from analysis import theory
from scaling.config import RunConfig
from scaling.data.linear_tasks import TASKS_AT_ONCE, LinearTasks
from scaling.data.stream import MOST_EXAMPLES
from scaling.models.built import built
from scaling.models.prompt_transformer import PromptTransformer
from scaling.streaming import Streaming
from scaling.training import Adam

DATA = LinearTasks(dimension=2, length=4, prompts=8)
SOME = LinearTasks(dimension=2, length=4, prompts=8, tasks=2 * TASKS_AT_ONCE + 3)


@functools.cache
def compiled():
    """Functions of the shape of `DATA`; the number of tasks is in the world."""
    return jax.jit(DATA.drawn), jax.jit(DATA.held_out), jax.jit(DATA.measures)


@functools.cache
def held_out(source):
    """Held-out prompts of a source, with x, y and its tasks as NumPy arrays."""
    stream = source.load(0)
    found = compiled()[1](stream.world, stream.eval_key)
    tokens = np.asarray(found.inputs).reshape(16, 4, 5)
    tasks = jax.vmap(functools.partial(source.task, stream.world))(
        jnp.arange(min(source.tasks, 256), dtype=jnp.uint32)
    )
    return found, tokens, np.asarray(tasks, np.float64)


@pytest.mark.medium
def test_a_stream_of_tasks_is_read_in_any_order_and_after_a_resume():
    """A fixed set, of which every pass is another order: the third part goes over its end."""
    source = LinearTasks(dimension=2, length=4, prompts=8, tasks=5, n_train=10)

    def read(first):
        stream = source.load(3)
        numbers = jnp.asarray(stream.numbers(first, 4), jnp.uint32)
        return compiled()[0](stream.world, stream.key, numbers)

    in_order = [read(first) for first in (0, 4, 8)]
    for first in (8, 0, 4):
        again = read(first)
        assert np.array_equal(again.inputs, in_order[first // 4].inputs)
        assert np.array_equal(again.targets, in_order[first // 4].targets)


@pytest.mark.medium
def test_tokens_hold_the_example_before_and_the_next_question():
    found, tokens, _ = held_out(SOME)
    before, y, x = np.split(tokens, [2, 3], axis=2)
    assert np.array_equal(before[:, 1:], x[:, :-1]) and np.array_equal(before[:, 0], 0 * x[:, 0])
    assert np.array_equal(y[:, 1:, 0], found.targets[:, :-1]) and not y[:, 0].any()
    assert np.array_equal(found.weights, np.repeat([1 / 8, 0], 8).astype(np.float32))


@pytest.mark.medium
def test_prompts_are_of_the_tasks_of_their_seed():
    stream = LinearTasks(dimension=2, length=4, noise=0.01, tasks=3).load(1)
    low_noise = LinearTasks(dimension=2, length=4, noise=0.01)
    examples = jax.jit(low_noise.drawn)(stream.world, stream.key, jnp.arange(64))
    x, y = np.asarray(examples.inputs).reshape(64, 4, 5)[..., 3:], np.asarray(examples.targets)
    tasks = np.stack([low_noise.task(stream.world, jnp.uint32(k)) for k in range(3)])
    off = np.abs(y[:, None] - np.einsum("nkd,td->ntk", x, tasks)).max(axis=2)
    assert (off.min(axis=1) < 0.06).all()
    assert set(off.argmin(axis=1)) == {0, 1, 2}


@pytest.mark.medium
def test_both_estimates_are_those_of_theory():
    """Tasks are weighed in parts, the last of which is not full."""
    found, tokens, tasks = held_out(SOME)
    x, y = tokens[..., 3:].astype(np.float64), np.asarray(found.targets, np.float64)
    answers = {
        "ridge": theory.ridge_answers(x, y, 0.25),
        "discrete": theory.discrete_answers(x, y, tasks[: SOME.tasks], 0.25),
    }
    outputs = 0.3 * y
    said = compiled()[2](SOME.load(0).world, found, jnp.asarray(outputs, jnp.float32))
    for name, answer in answers.items():
        for kind, one in (("error", y), ("distance", outputs)):
            means = ((answer - one) ** 2).reshape(2, 8, 4).mean(axis=1)
            for part, expected in zip(("own", "new"), means, strict=True):
                measured = [float(said[f"{part} squared {kind} {name} {k}"]) for k in range(4)]
                np.testing.assert_allclose(measured, expected, rtol=2e-4)


@pytest.mark.medium
def test_of_endless_tasks_the_estimate_is_ridge_and_far_off_answers_overflow_nothing():
    found, *_ = held_out(SOME)
    endless = compiled()[2](DATA.load(0).world, found, found.targets)
    far = found._replace(targets=1e6 * found.targets)
    overflown = compiled()[2](SOME.load(0).world, far, far.targets)
    assert all(np.isfinite(float(value)) for value in overflown.values())
    for k in range(4):
        assert endless[f"new squared error ridge {k}"] == endless[f"new squared error discrete {k}"]


@pytest.mark.medium
def test_an_answer_does_not_depend_on_itself_or_on_what_comes_after():
    model = built(PromptTransformer(width=8, depth=1, heads=2), 20, 4)
    params = model.init(jax.random.key(0))
    apply = jax.jit(model.apply)
    prompts = np.asarray(held_out(SOME)[1])
    start = np.asarray(apply(params, prompts.reshape(16, 20)))
    for k in range(3):
        other = prompts.copy()
        other[:, k + 1, 2] += 1.0  # y_k stands in the token after the one that asks for it
        moved = np.asarray(apply(params, other.reshape(16, 20))) != start
        assert not moved[:, : k + 1].any()
        assert moved[:, k + 1 :].all()


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (
            lambda: LinearTasks(tasks=100, n_train=50),
            "tasks = 100 exceeds the n_train = 50 prompts that they come in: give fewer tasks",
        ),
        (lambda: LinearTasks(tasks=MOST_EXAMPLES + 1), "at most 4.29497e[+]09"),
        (lambda: LinearTasks(noise=0.0), "noise = 0.0 is impossible.* at least 0.01"),
        (lambda: PromptTransformer(width=10, heads=4), "heads = 4 does not divide width = 10"),
        (
            lambda: PromptTransformer(width=8).count_params(10, 4),
            "10 inputs are not so many equal parts: use data.kind = 'linear_tasks'",
        ),
        (
            lambda: RunConfig(
                model=PromptTransformer(width=8),
                data=LinearTasks(),
                train=Streaming(optimizer=Adam(learning_rate=1e-3), batch_size=8, steps=1),
            ),
            "which has no classes: use squared_error",
        ),
    ],
)
def test_impossible_settings_are_refused(make, says):
    with pytest.raises(ValueError, match=says):
        make()
