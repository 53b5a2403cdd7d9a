"""Double descent in translation: planted curves at two numbers of pairs are told and compared."""

import numpy as np
import pandas as pd
import pytest

from experiments import deep_double_descent_transformer as card
from scaling.config import resolved, run_id
from scaling.fields import flatten


def planted(moves=1.4, bump=2.0):
    """Runs of the sweep whose loss peaks at d = 11 with fewer pairs, `moves` times that with more.

    Train error reaches 1 % just there.
    """
    rng = np.random.default_rng(0)
    rows = []
    for config in card.SWEEP["cpu"]():
        plain = flatten(resolved(config))
        many = plain["data.n_train"] == 250
        x = np.log(plain["model.width"] / (11 * (moves if many else 1)))
        noise = rng.normal(0, 0.03, 2)
        loss = 4 - 0.3 * many - 0.4 * x + bump * np.exp(-(x**2) / 0.1)
        rows.append(
            plain
            | {
                "run_id": run_id(config),
                "status": "done",
                "n_outputs": 33,
                "train_error": max(0.0, 0.01 - 0.5 * x),
                "train_loss_nats": 0.1 + max(0.0, -x),
                "eval_loss_nats": loss + noise[0],
                "eval_error": 0.9 - 0.05 * x + 0.1 * noise[1],
                "weight_norm_l2": 10.0,
            }
        )
    return pd.DataFrame(rows)


def test_peaks_their_move_and_the_harm_of_more_pairs_are_those_planted():
    found = card.analyse(planted())
    numbers = found.measured
    assert numbers["few_threshold"].value == pytest.approx(11, abs=1)
    assert numbers["few_loss_ratio"].low <= 1 <= numbers["few_loss_ratio"].high
    assert numbers["peak_moves"].low <= 1.4 <= numbers["peak_moves"].high
    # At d = 16: 2 exp(-.003) - 2 exp(-1.4) - .3 + .4 log 1.4
    assert numbers["harm"].value == pytest.approx(1.33, abs=0.15) and numbers["harm"].low > 1
    assert "250 pairs have a higher mean test loss than 125 at d = " in found.verdict
    assert "16 (shown by seeds)" in found.verdict.splitlines()[-1]


def test_without_a_bump_no_peak_moves_and_more_pairs_do_no_harm():
    numbers = card.analyse(planted(moves=1.0, bump=0.0)).measured
    assert numbers["peak_moves"].value is None
    assert numbers["harm"].value is None and numbers["few_loss_ratio"].value is None
    assert numbers["few_fitted"].value == 0


def test_full_is_the_papers_network_and_training():
    sweep = card.SWEEP["full"]()
    assert {config.model.depth for config in sweep} == {6}
    assert {config.model.heads for config in sweep} == {8}
    assert {config.train.steps for config in sweep} == {80_000}
    assert {config.data.n_train for config in sweep} == {4_000, 18_000}
    assert {8, 200} <= {config.model.width for config in sweep}
