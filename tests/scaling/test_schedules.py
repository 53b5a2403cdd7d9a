"""Learning-rate schedules against their closed forms and optax's."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaling.schedules import (
    Constant,
    Cosine,
    InverseSqrt,
    Linear,
    Schedule,
    StableDecay,
    WarmupInverseSqrt,
    share_of_peak,
    steps_of_trunk,
)

EVERY = [
    Constant(),
    Cosine(),
    Cosine(floor=0.0),
    Linear(),
    Linear(floor=0.25),
    StableDecay(),
    InverseSqrt(),
    WarmupInverseSqrt(),
]


LONGEST = 300


@functools.cache
def compiled(schedule: Schedule) -> Callable[..., jax.Array]:
    """The shares of the first 300 steps, whatever the length of the run."""
    return jax.jit(lambda *lengths: share_of_peak(schedule, jnp.arange(LONGEST), *lengths))


def shares(schedule: Schedule, steps: int, warmup: int) -> np.ndarray:
    lengths = (steps, warmup, steps_of_trunk(schedule, steps))
    if isinstance(schedule, StableDecay):
        schedule = StableDecay()  # its decay is an argument
    return np.asarray(compiled(schedule)(*map(jnp.int32, lengths)))[:steps]


def test_warm_up_climbs_in_equal_steps_to_the_peak():
    for schedule in EVERY:
        got = shares(schedule, 50, 9)
        assert np.allclose(got[:10], np.arange(1, 11) / 10, rtol=1e-6), schedule


@pytest.mark.parametrize(
    ("schedule", "peer"),
    [
        (Constant(), optax.constant_schedule(1.0)),
        (Cosine(floor=0.1), optax.cosine_decay_schedule(1.0, 40, alpha=0.1)),
        (Linear(floor=0.25), optax.linear_schedule(1.0, 0.25, 40)),
        (
            StableDecay(decay=0.25),
            optax.join_schedules(
                [optax.constant_schedule(1.0), optax.linear_schedule(1.0, 0.0, 10)], [30]
            ),
        ),
    ],
    ids=["constant", "cosine", "linear", "stable_decay"],
)
def test_shapes_are_those_of_optax(schedule, peer):
    assert np.allclose(shares(schedule, 40, 0), peer(jnp.arange(40)), atol=2e-7)


def test_closed_forms_after_a_warm_up():
    done = np.arange(90) / 90
    cosine = 0.2 + 0.8 * np.cos(np.pi * done / 2) ** 2
    assert np.allclose(shares(Cosine(floor=0.2), 100, 10)[10:], cosine, atol=2e-7)
    assert np.allclose(shares(Linear(floor=0.2), 100, 10)[10:], 1 - 0.8 * done, atol=2e-7)
    # The decay is a share of the run, whatever the warm-up.
    stable = shares(StableDecay(decay=0.2), 100, 10)
    assert np.allclose(stable[10:81], 1) and np.allclose(stable[80:], np.arange(20, 0, -1) / 20)


@pytest.mark.parametrize("warmup", [0, 7, 40])
def test_an_inverse_root_falls_by_steps_after_the_warm_up(warmup):
    """Nakkiran et al. 2019, appendix B.1: 1 / sqrt(1 + floor(t / stride))."""
    after = np.arange(LONGEST - warmup)
    found = shares(InverseSqrt(stride=8), LONGEST, warmup)[warmup:]
    np.testing.assert_allclose(found, 1 / np.sqrt(1 + after // 8), rtol=1e-6)


@pytest.mark.parametrize("warmup", [0, 7, 40])
def test_the_transformers_schedule_is_the_published_one(warmup):
    """Vaswani et al. 2017, equation 3, over its peak: the least of two terms, met at the peak."""
    step, peak = np.arange(1, LONGEST + 1), warmup + 1
    published = np.minimum(step**-0.5, step * peak**-1.5) * peak**0.5
    found = shares(WarmupInverseSqrt(), LONGEST, warmup)
    np.testing.assert_allclose(found, published, rtol=1e-6)


@settings(deadline=None, max_examples=60)
@given(
    schedule=st.sampled_from(EVERY),
    steps=st.integers(1, LONGEST),
    share=st.floats(0, 1, exclude_max=True),
)
def test_shares_climb_then_fall_between_0_and_1(schedule, steps, share):
    warmup = int(share * steps)
    got = shares(schedule, steps, warmup)
    assert np.all((got > 0) & (got <= 1))
    peak = int(np.argmax(got))
    assert np.all(np.diff(got[: peak + 1]) >= 0) and np.all(np.diff(got[peak:]) <= 1e-7)
    assert np.all(got[warmup:] <= got[: warmup + 1].max() + 1e-7)


@settings(deadline=None, max_examples=40)
@given(
    decays=st.tuples(*[st.floats(0, 1, exclude_min=True)] * 2),
    lengths=st.tuples(*[st.integers(1, LONGEST)] * 2),
    warmup=st.integers(0, LONGEST),
)
def test_shares_on_a_trunk_are_the_same_bits_for_every_length_and_decay(decays, lengths, warmup):
    schedules = [StableDecay(decay=decay) for decay in decays]
    trunks = [steps_of_trunk(*each) for each in zip(schedules, lengths, strict=True)]
    common = min(trunks)
    one, other = (
        shares(schedule, steps, warmup) for schedule, steps in zip(schedules, lengths, strict=True)
    )
    assert one[:common].tobytes() == other[:common].tobytes()
    for steps, trunk, got in zip(lengths, trunks, (one, other), strict=True):
        assert 0 <= trunk < steps
        if warmup < trunk:
            # XLA may multiply by a reciprocal: only what is not divided is exact.
            assert np.all(got[warmup + 1 : trunk] == 1) and np.all(np.diff(got[trunk:]) < 0)
            assert got[[warmup, trunk]] == pytest.approx(1, abs=1e-7)


def test_only_a_stable_decay_has_a_trunk():
    assert [steps_of_trunk(schedule, 100) for schedule in EVERY] == [0, 0, 0, 0, 0, 80, 0, 0]
    assert [steps_of_trunk(StableDecay(decay=0.2), steps) for steps in (1, 2, 5, 7)] == [0, 1, 4, 6]
    assert steps_of_trunk(StableDecay(decay=1.0), 9) == 0


def test_lengths_are_arguments_of_one_compilation():
    schedule = Cosine(floor=0.3)
    for steps, warmup in [(10, 0), (200, 7), (33, 32)]:
        done = np.arange(steps - warmup) / (steps - warmup)
        falling = 0.3 + 0.7 * np.cos(np.pi * done / 2) ** 2
        assert np.allclose(shares(schedule, steps, warmup)[warmup:], falling, atol=2e-7)
    assert compiled(schedule)._cache_size() == 1


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (
            lambda: Cosine(floor=1.5),
            "cosine.floor = 1.5 is impossible: give a value at least 0 and",
        ),
        (lambda: Linear(floor=-0.1), "linear.floor = -0.1 is impossible: give a value at least 0"),
        (lambda: StableDecay(decay=0), "stable_decay.decay = 0.0 is impossible: give a value gr"),
    ],
)
def test_impossible_schedules_are_refused(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()
