"""Porian et al. (arXiv:2406.19146), RefinedWeb: every step from Kaplan's exponent to Hoffmann's.

The authors' code draws noise of 0.002 nats for every run: it compares the log of the loss with
thresholds meant for the loss, so the noise that grows to 0.05 nats at a loss of 7 never comes in.
The published intervals are those of 0.002.
"""

import numpy as np
import pandas as pd
import pytest
from published_data import published_path

from analysis.compute_optimal.isoflop import isoflop
from analysis.compute_optimal.points import SeedNoise
from analysis.compute_optimal.valley import AKIMA, PARABOLA, Curve, Refusal

NOISE = SeedNoise(0.002)

# hparams, warmup, decay, param_count: a, its 95 % interval where published, budgets on the line.
STEPS = {
    ("base", "long", "kaplan", "kaplan"): (0.8353, (0.824, 0.846), 11),
    ("base", "long", "kaplan", "standard"): (0.7065, (0.691, 0.717), 11),
    ("base", "short", "kaplan", "standard"): (0.6020, (0.591, 0.617), 12),
    ("base", "short", "chinchilla", "standard"): (0.5715, (0.560, 0.589), 12),
    ("tuned", "short", "const", "standard"): (0.4969, (0.491, 0.505), 12),
    ("tuned", "long", "const", "kaplan"): (0.7115, (0.703, 0.721), 11),
    ("base", "long", "kaplan", "attention"): (0.7171, None, 10),
    ("base", "short", "kaplan", "attention"): (0.6223, None, 12),
    ("base", "short", "chinchilla", "attention"): (0.5772, None, 12),
    ("tuned", "short", "const", "attention"): (0.5053, None, 12),
}


@pytest.fixture(scope="module")
def table():
    # A budget that one size alone reached has an empty row in place of its curve.
    return pd.read_csv(published_path("isoflop_refinedweb.csv")).dropna(subset=["n", "loss"])


def analyse(table, step, curve=PARABOLA, noise=None):
    keys = ["hparams", "warmup", "decay", "param_count"]
    rows = table[(table[keys] == list(step)).all(axis=1)]
    return isoflop(
        rows.n, rows.loss, flops=rows.flops, tokens=rows.tokens, curve=curve, noise=noise
    )


@pytest.mark.parametrize("step", STEPS, ids="-".join)
def test_the_published_exponents_and_intervals_come_out(table, step):
    result = analyse(table, step, AKIMA, NOISE)
    published, interval, n_budgets = STEPS[step]
    trend = result.trends.params
    assert trend.n_points == n_budgets
    exponent = trend.by_noise.exponent
    assert exponent.value == pytest.approx(published, abs=0.0016)
    assert trend.r_squared > 0.98
    if interval is not None:
        assert interval[0] <= exponent.value <= interval[1]
        ends = (exponent.low, exponent.high)
        np.testing.assert_allclose(ends, interval, atol=0.002)
    # Tokens are C / 6N here, so the two exponents sum to one.
    assert result.trends.tokens.exponent.value == pytest.approx(1 - trend.exponent.value, abs=1e-9)


def test_the_smallest_budgets_under_kaplans_warmup_have_their_minimum_at_an_edge(table):
    valleys = analyse(table, list(STEPS)[1], AKIMA, NOISE).valleys
    assert [valley.refusal for valley in valleys[:3]] == [Refusal.EDGE, None, None]
    # The second rests on the slope at its smallest size; parabolas refuse it.
    assert "rests on the slope" in valleys[1].reason and valleys[2].reason == ""
    parabola = analyse(table, list(STEPS)[1], Curve(span=6.0))
    assert parabola.valleys[1].refusal is Refusal.EDGE


def test_tuned_runs_have_one_number_of_tokens_a_parameter_by_parabolas_too(table):
    result = analyse(table, ("tuned", "short", "const", "standard"), Curve(span=3.0))
    exponent = result.trends.params.exponent
    assert exponent.low < 0.4969 < exponent.high
    growth = result.trends.tokens_per_param.exponent
    assert growth.low < 0 < growth.high
    ratios = np.array([valley.tokens_per_param.value for valley in result.valleys])
    assert np.all((ratios > 10) & (ratios < 25))
