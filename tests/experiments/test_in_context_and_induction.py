"""What the cards on learning in context measure, on planted tables and by brute force."""

import numpy as np
import pandas as pd
import pytest

from experiments import in_context, induction
from experiments.shared.prompt_errors import floor_of
from scaling.config import RunConfig
from scaling.data.repeated import Repeated
from scaling.data.stream import MOST_EXAMPLES


def by_tasks(ridge, discrete):
    """Distances on new tasks at 4, 16, ... tasks, and at endless ones, where both are one."""
    tasks = [4 * 4**i for i in range(len(ridge))]
    return pd.DataFrame(
        {
            "tasks": [*tasks, MOST_EXAMPLES],
            "new_distance_ridge": [*ridge, 0.1],
            "new_distance_discrete": [*discrete, 0.1],
        }
    )


def test_the_threshold_is_where_both_distances_are_equal():
    """The log ratio falls from log 4 to -log 4 between 16 and 64 tasks: by half at 32."""
    found = in_context._threshold(by_tasks([8.0, 4.0, 1.0], [1.0, 1.0, 4.0]))
    assert found == pytest.approx(32)
    assert in_context._threshold(by_tasks([1.0, 0.5], [2.0, 2.0])) is None


def test_the_floor_is_exact_and_least_squares_is_simulated_about_it():
    floor = floor_of(2, 6, 0.5)
    assert floor.ridge[0] == 2.25
    assert np.array_equal(np.flatnonzero(np.isinf(floor.least_squares)), [1, 2, 3])
    assert (floor.least_squares >= floor.ridge).all()
    assert floor.simulated.argmax() == 2
    assert floor.simulated[0] == pytest.approx(2.25, rel=0.1)


def test_not_knowing_the_period_costs_what_counting_says():
    source = Repeated(
        context=8, vocab_size=3, least_period=3, period=4, n_tokens=80, n_eval=20, repeat=True
    )
    losses = [
        -np.log(np.mean([window[t - p] == window[t] for p in (3, 4)]))
        for window in source.load(0).eval_tokens.tolist()
        for t in range(5, 9)
    ]
    assert induction._blind_loss(source) == pytest.approx(np.mean(losses))


def test_a_drop_is_dated_straight_between_evaluations():
    steps, losses = np.array([100.0, 200.0, 300.0]), np.array([4.0, 3.0, 1.0])
    assert induction._crossing(steps, losses, 2.0) == 250
    assert induction._crossing(steps, losses, 0.5) is None
    assert induction._crossing(steps, losses, 5.0) is None


def test_sequences_are_such_that_all_of_a_part_repeats_and_none_twice():
    for size in ("smoke", "cpu"):
        for run in induction.SWEEP[size]():
            assert isinstance(run, RunConfig) and isinstance(run.data, Repeated)
            half = run.data.context // 2
            tokens = run.data.load(0).eval_tokens
            exact = -run.data.log_chances(tokens)[:, half : 2 * half]
            assert exact.mean() < 0.05
            if run.model.kind != "transformer":
                assert run.data.period == half + 1
