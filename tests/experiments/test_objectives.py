"""The card of objectives: what it trains, and planted differences that it finds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from small_library import unread_library

from analysis.tables import results
from experiments import objectives
from experiments.experiment import passes
from experiments.shared.objective_runs import sweep
from experiments.shared.tuned import RATE
from scaling.accounting import account
from scaling.config import RunConfig, resolved, run_id
from scaling.pretraining import Pretraining
from scaling.record import RunRecord, row

pytestmark = pytest.mark.medium

PLANTED = {
    "causal": {"causal": 1.87, "prefix": 1.87, "masked": 4.4},
    "prefix": {"causal": 1.99, "prefix": 1.98, "masked": 4.3},
    "masked": {"causal": 4.3, "prefix": 4.4, "masked": 2.08},
    "span": {"causal": 3.3, "prefix": 3.5, "masked": 6.8},
}
OWN = {"causal": -0.1, "prefix": -0.08, "masked": -0.05, "span": -0.06}
"""Slopes of own losses in compute."""
ERRORS = {"causal": 0.3, "prefix": 0.29, "masked": 0.32, "span": 0.33, "untrained": 0.4}
BEHIND = {0.1: 0.2, 0.4: 0.05}
"""Nats by which adapted models are behind causal ones, by the share of compute."""


def plan(config: RunConfig) -> Pretraining:
    assert isinstance(config.train, Pretraining)
    return config.train


def planted(config: RunConfig) -> dict[str, Any]:
    """Losses of a run at its best rate, the middle one."""
    kind, parent = plan(config).objective.kind, config.init_from
    compute = account(config).flops_train
    if kind == "labelled":
        before = "untrained" if parent is None else plan(parent).objective.kind
        return {"eval_loss_nats": 1.0, "eval_error": ERRORS[before]}
    if parent is None:
        own = 3 * (compute / 1e11) ** OWN[kind]
        evaluations = dict(PLANTED[kind])
        if kind == "causal":
            evaluations["causal"] *= (500 / (plan(config).steps or 1)) ** 0.1
        return {"eval_loss_nats": own, "eval_by": evaluations}
    share = compute / account(parent).flops_train
    loss = 1.87 * (500 / (plan(parent).steps or 1)) ** 0.1 + BEHIND[round(share, 3)]
    return {"eval_loss_nats": loss, "eval_by": PLANTED["causal"] | {"causal": loss}}


def scaled(value: Any, by: float) -> Any:
    return {k: v * by for k, v in value.items()} if isinstance(value, dict) else value * by


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    size = objectives.MIDDLE._replace(n_seeds=2, shares=(0.1, 0.4))
    rows = []
    with unread_library():
        for config in sweep(size):
            kind, rates = plan(config).objective.kind, size.adapting_rates
            if kind == "labelled":
                rates = size.probe.rates
            elif config.init_from is None:
                rates = size.rates[kind]
            worse = 1.0 if plan(config).optimizer.learning_rate == rates[1] else 1.05
            noise = 1 + 0.002 * rng.standard_normal()
            found = {name: scaled(v, worse * noise) for name, v in planted(config).items()}
            counts = account(config)
            rows.append(
                row(
                    RunRecord(
                        run_id=run_id(config),
                        status="done",
                        config=resolved(config),
                        steps=counts.steps,
                        flops_train=counts.flops_train,
                        **found,
                    )
                )
            )
    return results.frame(rows)


def test_planted_differences_and_slopes_are_found(table):
    findings = objectives.analyse(table)
    for expected in objectives.EXPECTED:
        # The planted gap after a tenth is 0.2 nats, where 0.1 is expected.
        agrees = passes(expected, findings.measured[expected.name])
        assert agrees == (expected.name != "adaptation"), expected.name
    assert findings.measured["infill"].value == pytest.approx(2.32, abs=0.03)
    assert findings.measured["adaptation"].value == pytest.approx(0.2, abs=0.01)
    # Two thirds of the way from a tenth to 0.4, in the logarithm; noise is 5 % of it a seed.
    assert findings.measured["within"].value == pytest.approx(0.1 * 4 ** (2 / 3), rel=0.15)
    # The least gain is that of span, from 0.4 to 0.33.
    assert findings.measured["probe"].value == pytest.approx(0.07, abs=0.005)
    # A tenth reaches the loss of causal training for (1.87 / 2.07)^10 of its compute.
    assert findings.measured["saving"].value == pytest.approx(10 * (1.87 / 2.07) ** 10, rel=0.1)
    for kind, slope in findings.details.slopes.items():
        # Noise of 0.002 over a factor 4 of compute, two seeds each: a standard error of 0.0014.
        assert slope.slope == pytest.approx(OWN[kind], abs=0.005)
        assert slope.low < slope.slope < slope.high
    gaps = findings.details.gaps
    assert dict(gaps.groupby("share").size()) == {0.1: 6, 0.4: 2}
    # The outer rates are worse everywhere, so no run at them is left, and no doubt of their range.
    assert set(findings.details.runs[RATE]) == {5e-3, 1e-2} and set(gaps[RATE]) == {1e-2}
    assert findings.doubts == []
    assert len(objectives.figure(findings).axes) == 6


def test_a_best_rate_at_the_end_of_those_tried_is_doubted(table):
    high = table.assign(eval_loss_nats=table["eval_loss_nats"] - 0.5 * (table[RATE] == 2e-2))
    doubts = objectives.analyse(high).doubts
    assert "causal, 500: the best learning rate, 0.02, is the highest of those tried" in doubts


@pytest.mark.parametrize(
    ("gone", "named"),
    [
        ("`train.objective.kind` == 'masked'", "masked training"),
        ("`data.kind` == 'byte_kinds'", "the probe of causal states"),
    ],
)
def test_what_has_no_runs_is_named(table, gone, named):
    status = table["status"].mask(table.index.isin(table.query(gone).index), "failed")
    with pytest.raises(ValueError, match=f"No run of .*{named}"):
        objectives.analyse(table.assign(status=status))


def test_objectives_without_a_seed_in_common_are_not_compared(table):
    """Of the longest runs masked ones have one seed, and all others another."""
    longest = (table["data.kind"] == "text") & (table["train.steps"] == 500)
    masked = table["train.objective.kind"] == "masked"
    scratch = longest & table["init_from.seed"].isna()
    gone = scratch & ((masked & (table["seed"] == 0)) | (~masked & (table["seed"] == 1)))
    found = objectives.analyse(table.assign(status=table["status"].mask(gone, "failed")))
    assert found.measured["infill"].value is None and found.measured["crossed"].value is None


def test_a_share_is_not_named_where_a_seed_has_not_come_near(table):
    """One seed has the least share alone, after which it is still behind."""
    own = table["train.steps"] * table["train.batch_size"]
    share = own / (table["init_from.train.steps"] * table["init_from.train.batch_size"])
    gone = (share.round(6) == 0.4) & (table["seed"] == 1) & (table["data.kind"] == "text")
    within = objectives.analyse(table.assign(status=table["status"].mask(gone, "failed")))
    assert within.measured["within"].value is None
