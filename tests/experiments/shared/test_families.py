"""What `architectures` measures of families: differences by position and exponents, planted."""

import numpy as np
import pandas as pd
import pytest

from experiments.shared import by_position
from experiments.shared.family_exponents import family_exponents

RATES = {"lstm": 0.02, "transformer": 0.01}
ALPHA, BETA = {"lstm": 0.3, "transformer": 0.5}, {"lstm": 0.5, "transformer": 0.5}


def runs(kinds, rate=1.0):
    """Runs of every family at three sizes and three budgets, over a floor of 1.2 nats."""
    sizes = [(kind, n, c) for kind in kinds for n in (1e4, 4e4, 16e4) for c in (1e11, 4e11, 16e11)]
    return pd.DataFrame(
        [
            {
                "model.kind": kind,
                "train.optimizer.learning_rate": rate * RATES[kind],
                "flops_train": c,
                "n_params_matmul": n,
                "n_tokens_seen": c / (6 * n),
                "eval_loss_nats": rate
                * (1.2 + 30 * n ** -ALPHA[kind] + 900 * (c / (6 * n)) ** -BETA[kind]),
                "run_id": f"{kind}{n:.0f}{c:.0f}",
            }
            for kind, n, c in sizes
        ]
    )


def test_planted_exponents_of_two_families_come_back_from_the_runs_at_their_rates():
    table = pd.concat([runs(RATES), runs(RATES, rate=2.0)])
    found = family_exponents(table, RATES)
    assert len(found.cells) == 18
    assert found.law.params["E"] == pytest.approx(1.2, rel=1e-3)
    exponents = {name: a.value for name, a in found.of_parameters().items()}
    planted = {name: BETA[name] / (ALPHA[name] + BETA[name]) for name in RATES}
    assert exponents == pytest.approx(planted, rel=1e-3)
    assert "one floor of 1.20 nats grow as C^a: lstm 0.6" in found.line()


def test_one_family_has_no_shared_floor():
    found = family_exponents(runs(["lstm"]), RATES)
    assert found.law is None and not found.of_parameters()
    assert "fewer than two families have 5 sizes and lengths" in found.line()


def test_the_lead_of_one_family_over_another_has_a_place_and_two_means():
    ends = [1, 2, 4, 8, 16, 32, 64]
    values = [[-0.3, -0.1, -0.1, 0.0, 0.02, 0.05], [-0.3, -0.1, -0.1, -0.04, 0.02, 0.05]]
    difference = pd.DataFrame(
        [
            {"seed": seed, "first": first, "end": end, "difference": value}
            for seed, row in enumerate(values)
            for first, end, value in zip(ends, ends[1:], row, strict=False)
        ]
    )
    early = by_position.mean_difference(difference, 0, 8)
    assert early.value == pytest.approx((-0.3 - 0.1 * 2 - 0.1 * 4) / 7)
    assert by_position.mean_difference(difference, 32, None).value == pytest.approx(0.05)
    assert by_position.mean_difference(difference, 64, None).value is None
    crossing = by_position.crossing(difference)
    assert (crossing.value, crossing.low, crossing.high) == (16, 8, 16)


def test_flat_beyond_a_receptive_field_counts_later_positions_alone():
    parts = pd.DataFrame({"first": [4, 8, 16, 32], "end": [8, 16, 32, 64]})
    table = parts.assign(family="convolutional", gain=np.array([-0.5, -0.1, 0.0, 0.01]))
    assert by_position.rise(table, "convolutional", 17).value == pytest.approx(0.01)
    assert by_position.rise(table, "convolutional", 33).value is None
