"""The best learning rate of a cell, and doubts of the range in which it was sought."""

import pandas as pd

from experiments.shared.tuned import RATE, at_best_rates, at_the_edge


def runs(losses):
    """Runs of a cell, each learning rate with the losses of its seeds."""
    each = [(rate, loss) for rate, seeds in losses.items() for loss in seeds]
    return pd.DataFrame(
        {
            "width": 16,
            RATE: [rate for rate, _ in each],
            "eval_loss_nats": [loss for _, loss in each],
            "run_id": [f"run{k}" for k in range(len(each))],
        }
    )


def test_the_rate_with_the_least_mean_is_taken_and_doubted_at_an_end():
    table = runs({1e-3: [2.0, 2.2], 2e-3: [1.9, 2.1], 4e-3: [1.8, 2.5]})
    best = at_best_rates(table, ["width"])
    assert best[RATE].tolist() == [2e-3, 2e-3] and not at_the_edge(table, best, ["width"])
    table = runs({1e-3: [2.0], 2e-3: [1.9], 4e-3: [1.8]})
    doubts = at_the_edge(table, at_best_rates(table, ["width"]), ["width"])
    assert doubts == ["16: the best learning rate, 0.004, is the highest of those tried"]


def test_a_seed_that_is_left_of_a_rate_that_diverged_does_not_win_on_its_own():
    table = runs({1e-3: [2.0, 2.2], 2e-3: [1.9, 2.1], 4e-3: [1.8]})
    assert at_best_rates(table, ["width"])[RATE].tolist() == [2e-3, 2e-3]
    alone = runs({1e-3: [2.0], 2e-3: [1.9]})  # where all rates have one seed, each counts
    assert at_best_rates(alone, ["width"])[RATE].tolist() == [2e-3]
