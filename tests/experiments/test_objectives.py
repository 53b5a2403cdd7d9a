"""The card of objectives: what it trains, and planted differences that it finds."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis.tables import results
from experiments import objectives
from experiments.experiment import passes
from scaling.accounting import account
from scaling.config import resolved, run_id
from scaling.pretraining import Pretraining
from scaling.record import RunRecord, row

PLANTED = {
    "causal": {"causal": 1.87, "prefix": 1.87, "masked": 4.4},
    "prefix": {"causal": 1.99, "prefix": 1.98, "masked": 4.3},
    "masked": {"causal": 4.3, "prefix": 4.4, "masked": 2.08},
    "span": {"causal": 3.3, "prefix": 3.5, "masked": 6.8},
}
OWN = {"causal": -0.1, "prefix": -0.08, "masked": -0.05, "span": -0.06}
"""Slopes of own losses in compute."""


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    rows = []
    for config in objectives.SWEEP["cpu"]():
        assert isinstance(config.train, Pretraining)
        kind = config.train.objective.kind
        losses = PLANTED[kind] if config.init_from is None else PLANTED["causal"] | {"causal": 1.9}
        counts = account(config)
        worse = 1.05 if config.train.optimizer.learning_rate < 4e-3 else 1.0
        own = 3 * (counts.flops_train / 1e11) ** OWN[kind] * worse
        noise = 1 + 0.002 * rng.standard_normal()
        record = RunRecord(
            run_id=run_id(config),
            status="done",
            config=resolved(config),
            steps=counts.steps,
            flops_train=counts.flops_train,
            eval_loss_nats=own * noise,
            eval_by={name: loss * worse * noise for name, loss in losses.items()},
        )
        rows.append(row(record))
    return results.frame(rows)


def test_planted_differences_and_slopes_are_found(table):
    findings = objectives.analyse(table)
    for expected in objectives.EXPECTED:
        assert passes(expected, findings.measured[expected.name]), expected.name
    assert findings.measured["infill"].value == pytest.approx(2.32, abs=0.03)
    assert findings.measured["adaptation"].value == pytest.approx(0.03, abs=0.02)
    for kind, slope in findings.details.slopes.items():
        # Noise of 0.002 over a factor 4 of compute, two seeds each: a standard error of 0.0014.
        assert slope.slope == pytest.approx(OWN[kind], abs=0.005)
        assert slope.low < slope.slope < slope.high
    # The lower rate is worse everywhere, so no run at it is left.
    assert set(findings.details.runs["train.optimizer.learning_rate"]) == {5e-3}
    assert set(findings.details.runs["objective"]) == {*PLANTED, objectives.ADAPTED}
    assert len(objectives.figure(findings).axes) == 3


def test_an_objective_without_runs_is_named(table):
    done = table["train.objective.kind"] != "masked"
    status = table["status"].where(done, "failed")
    with pytest.raises(ValueError, match="No run by masked is done"):
        objectives.analyse(table.assign(status=status))
