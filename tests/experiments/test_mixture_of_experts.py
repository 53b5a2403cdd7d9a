"""The card of mixtures of experts: planted gains and exponents are found in what it trains."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis.laws.routed import ROUTED
from analysis.tables import results
from experiments import granularity
from experiments import mixture_of_experts as card
from experiments.experiment import passes
from experiments.shared.expert_runs import MIDDLE
from experiments.shared.tuned import RATE
from scaling.config import RunConfig

PLANTED = np.array([-0.08, -0.1, 0.015, 0.55, 1.0, 1e6])
"""a, b, c, d, k, X_max of the law of the hash."""
GAINS = {
    ("hash", 400): 0.06,
    ("hash", 1600): 0.05,
    ("learned", 400): -0.02,
    ("learned", 1600): 0.05,
}
SIZES = {16: 10_240, 24: 19_968, 32: 32_768, 48: 67_584}


def loss_of(config: RunConfig, noise: float) -> float:
    model, steps = config.model, config.train.steps
    worse = 0.1 * (config.train.optimizer.learning_rate != 0.01)
    if steps != MIDDLE.steps:
        router = model.router if model.expansion > 1 else "dense"
        return 1.9 - GAINS.get((router, steps), 0.0) + worse + noise + 0.03 * config.seed
    x = np.array([[SIZES[model.width], model.expansion]], np.float64)
    log = ROUTED.log_predict(ROUTED.to_theta(PLANTED), np.log(x))
    return float(np.exp(log[0])) * (1 + noise) + worse


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    rows = [
        {
            "run_id": f"{number:032x}",
            "status": "done",
            "model.router": config.model.router,
            "model.expansion": config.model.expansion,
            "model.width": config.model.width,
            "n_params_matmul": SIZES[config.model.width],
            "flops_train": 1e11,
            "steps": config.train.steps,
            "seed": config.seed,
            RATE: config.train.optimizer.learning_rate,
            "eval_loss_nats": loss_of(config, 0.001 * rng.standard_normal()),
        }
        for number, config in enumerate(card.SWEEP["cpu"]())
    ]
    return results.frame(rows)


def test_planted_gains_and_exponents_are_found(table):
    findings = card.analyse(table)
    for expected in card.EXPECTED:
        assert passes(expected, findings.measured[expected.name]), expected.name
    for name in ("hash", "learned"):
        gain = findings.measured[name]
        # Five seeds with noise of 0.001 in either run of a pair.
        assert gain.value == pytest.approx(GAINS[name, 1600], abs=0.003)
        each = findings.details.gains.query("router == @name and steps == 1600")["gain"]
        assert gain.high - gain.low == pytest.approx(2 * 2.776 * each.sem(), rel=1e-3)  # t, 4 d.f.
    exponent, planted = findings.measured["exponent"], -0.1 + 0.015 * np.log10(67_584)
    assert exponent.low < planted < exponent.high < 0
    assert set(findings.details.law["model.width"]) == set(SIZES)
    assert set(findings.report["rates"].values()) == {0.01}
    # It is within the rates of the learned router, and at the end of those of the hash.
    assert {doubt.partition(",")[0] for doubt in findings.doubts} == {"dense", "hash"}
    assert len(card.figure(findings).axes) == 3


def test_what_has_nothing_beside_it_is_not_compared(table):
    """The learned router has its shortest training alone, and one width no dense model."""
    longest = (table["model.router"] == "learned") & (table["steps"] == 1600)
    dense = (table["model.expansion"] == 1) & (table["model.width"] == 16)
    findings = card.analyse(table.assign(status=table["status"].mask(longest | dense, "failed")))
    assert findings.measured["later"].value is None
    assert findings.measured["learned"].value == pytest.approx(-0.02, abs=0.003)
    assert findings.measured["worse"].value == 0.0


def test_a_router_without_runs_is_named(table):
    done = table["model.router"] != "learned"
    with pytest.raises(ValueError, match="No run of hash, learned has a dense run"):
        card.analyse(table.assign(status=table["status"].where(done, "failed")))


def test_a_planted_gain_of_finer_experts_is_found():
    gains, rng = {1: 0.0, 2: 0.01, 4: 0.02}, np.random.default_rng(1)
    rows = [
        {
            "run_id": f"{number:032x}",
            "status": "done",
            granularity.GRAIN: (grain := config.model.granularity),
            RATE: (rate := config.train.optimizer.learning_rate),
            "seed": config.seed,
            "flops_train": 1e11 * (1 + 0.01 * grain),
            "eval_loss_nats": 1.7
            - gains[grain]
            + 5 * abs(rate - 0.01)
            + 0.001 * rng.standard_normal(),
        }
        for number, config in enumerate(granularity.SWEEP["cpu"]())
    ]
    findings = granularity.analyse(results.frame(rows))
    gain = findings.measured["gain"]
    # Means of three pairs with noise of 0.001 in either run: a standard error of 0.0008.
    assert gain.low < gain.value < gain.high and gain.value == pytest.approx(0.02, abs=0.003)
    assert findings.measured["more_flops"].value == pytest.approx(0.03 / 1.01)
    assert set(findings.report["rates"].values()) == {0.01}
    assert len(granularity.figure(findings).axes) == 1
    with pytest.raises(ValueError, match="No finer mixture has a run of whole experts"):
        granularity.analyse(results.frame(rows[:6]))
