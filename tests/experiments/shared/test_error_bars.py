"""Error bars: the level from repeats where there are enough of them, else the law of seed_noise."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from experiments.shared.error_bars import SPREAD, Spread, error_bars, log_weights

LAW = Spread(sd=0.02, size=1e5, exponent=0.5, degrees_of_freedom=35, between=(1e4, 1e6))
SIZES = np.array([1e4, 4e4, 1.6e5])


def table(n_seeds: int, sd: float) -> pd.DataFrame:
    """Runs of three sizes whose spread over seeds is `sd` (N / 1e5)^1/2."""
    size, seed = (grid.ravel() for grid in np.meshgrid(SIZES, range(n_seeds), indexing="ij"))
    noise = np.random.default_rng(0).standard_normal(len(size))
    return pd.DataFrame(
        {
            "n_params_matmul": size,
            "seed": seed,
            "model.width": np.sqrt(size),
            "train.steps": 100,
            "train.schedule.horizon": None,
            "eval_loss_nats": 2 + sd * np.sqrt(size / 1e5) * noise,
        }
    )


def test_repeats_give_the_level_and_the_law_the_slope():
    bars = error_bars(table(200, sd=0.05), LAW)
    assert bars.degrees_of_freedom == 3 * 199
    assert bars.sd[::200] == pytest.approx(0.05 * np.sqrt(SIZES / 1e5), rel=0.1)
    assert "from repeats" in bars.description


def test_without_enough_repeats_the_law_stands():
    bars = error_bars(table(2, sd=0.05), LAW)
    assert bars.degrees_of_freedom == 35
    assert bars.sd[::2] == pytest.approx(0.02 * np.sqrt(SIZES / 1e5))
    assert "from seed_noise" in bars.description


def test_runs_of_other_configurations_are_no_repeats():
    rows = table(9, sd=0.05)
    bars = error_bars(rows.assign(**{"train.steps": range(len(rows))}), LAW)
    assert bars.degrees_of_freedom == 35


def test_the_law_is_level_beyond_the_sizes_it_was_measured_at():
    rows = pd.concat([table(1, sd=0.0)] * 2).assign(n_params_matmul=[1e2, 1e4, 1e5, 1e6, 1e8, 1e9])
    assert error_bars(rows, LAW).sd == pytest.approx(0.02 * np.sqrt([0.1, 0.1, 1, 10, 10, 10]))
    assert SPREAD.between[0] < SPREAD.size < SPREAD.between[1]


def test_a_level_spread_is_described_without_a_growth():
    bars = error_bars(table(2, sd=0.05))
    assert set(bars.sd) == {SPREAD.sd} and SPREAD.exponent == 0
    assert bars.description == "seed noise 0.016 nats, from seed_noise (35 degrees of freedom)"


def test_weights_of_log_losses_are_inverse_variances():
    loss, sd = np.array([2.0, 2.0, 4.0]), np.array([0.1, 0.2, 0.2])
    weights = log_weights(loss, sd)
    assert weights.mean() == pytest.approx(1)
    assert weights / weights[0] == pytest.approx([1, 0.25, 1])
