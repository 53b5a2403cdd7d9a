"""Experiments on language models: planted laws come back."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from analysis.compute_optimal.approaches import three_approaches
from analysis.compute_optimal.envelope_result import EnvelopeResult
from analysis.errors import FitError
from analysis.estimate import Bootstrap
from experiments import chinchilla, kaplan, seed_noise
from experiments.experiment import passes
from experiments.shared import language_models as lm
from scaling.accounting import account

pytestmark = pytest.mark.usefixtures("any_library")

TRUE = {"E": 1.0, "A": 60.0, "B": 300.0, "alpha": 0.42, "beta": 0.45}


def planted(n_params, tokens):
    """A loss like those measured, a = beta / (alpha + beta) = 0.517 of C = 6 N D."""
    return TRUE["E"] + TRUE["A"] * n_params ** -TRUE["alpha"] + TRUE["B"] * tokens ** -TRUE["beta"]


def curves_of(table):
    """Learning curves as if every run were at every moment where it would end."""
    rows = [
        {
            "run_id": run.run_id,
            "step": step,
            "n_examples_seen": 8 * step,
            "train_loss": 9.0,
            "eval_loss": planted(run.n_params_matmul, run.n_tokens_seen * step / run.steps),
        }
        for run in table.itertuples()
        for step in range(run.steps // 16, run.steps + 1, run.steps // 16)
    ]
    return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def isoflop_runs(table_of):
    return table_of(
        chinchilla.SWEEP["cpu"](),
        lambda counts: planted(counts["n_params_matmul"], counts["n_tokens_seen"]),
        noise=0.003,
    )


def test_the_sweep_is_what_its_card_promises():
    runs = chinchilla.SWEEP["cpu"]()
    flops = np.array([account(run).flops_train for run in runs])
    budgets = np.unique(np.round(np.log10(flops), 1))
    assert len(budgets) >= 4
    assert flops.max() / flops.min() > 30
    for budget in budgets:
        near = np.abs(np.log10(flops) - budget) < 0.1
        widths = {run.model.width for run, each in zip(runs, near, strict=True) if each}
        assert len(widths) >= 5
        assert np.ptp(np.log(flops[near])) < 0.02
    assert flops.sum() < 5e13
    assert max(account(run).epochs for run in runs) < 1


@pytest.mark.medium
def test_chinchilla_finds_the_planted_law_and_every_expectation_holds(isoflop_runs):
    findings = chinchilla.analyse(isoflop_runs, curves_of(isoflop_runs))
    truth = TRUE["beta"] / (TRUE["alpha"] + TRUE["beta"])
    # C is exact and above 6 N D by a share that falls with N: a is higher by a few hundredths.
    assert findings.measured["a"].value == pytest.approx(truth, abs=0.05)
    assert findings.measured["a_fit"].value == pytest.approx(truth, abs=0.03)
    assert findings.measured["minima"].value == 5
    for expected in chinchilla.EXPECTED:
        assert passes(expected, findings.measured[expected.name]), expected.name
    first = findings.details.approaches.rows[0]
    assert isinstance(first.detail, EnvelopeResult)
    assert first.exponents.params.exponent.value == pytest.approx(truth, abs=0.08)
    runs = findings.shown[findings.shown["kind"] == "run"]
    assert set(runs["run_ids"]) == set(isoflop_runs["run_id"])
    json.dumps(findings.report, allow_nan=False)
    chinchilla.figure(findings)


def test_an_envelope_that_cannot_be_had_is_a_row_with_its_reason(table_of):
    table = table_of(
        chinchilla.SWEEP["smoke"](),
        lambda counts: planted(counts["n_params_matmul"], counts["n_tokens_seen"]),
        noise=0.003,
    )
    found = three_approaches(lm.points(table), bootstrap=Bootstrap(n=200))
    few = curves_of(table[table["n_params_matmul"] < 3e4])
    first = lm.with_envelope(found, lm.evaluations(table, few)).rows[0]
    assert (first.kind, first.status) == (found.rows[0].kind, "refused")
    assert "needs learning curves of" in first.reason
    assert lm.exponent(first).value is None
    assert lm.half_width(lm.exponent(first)).value is None


def test_learning_curves_end_where_the_runs_end(table_of):
    table = table_of(chinchilla.SWEEP["smoke"]()[:2], lambda counts: 2.0)
    steps = table.set_index("run_id")["steps"]
    curves = pd.DataFrame(
        [
            {"run_id": each, "step": steps[each] // k, "eval_loss": 2.0}
            for each in steps.index
            for k in (1, 2)
        ]
    )
    rows = lm.evaluations(table, curves)
    ends = rows.groupby("run")[["D", "C"]].max()
    by_run = table.set_index("run_id").loc[ends.index]
    assert ends["D"].tolist() == by_run["n_tokens_seen"].tolist()
    assert ends["C"].tolist() == pytest.approx(by_run["flops_train"].tolist())
    halves = rows.groupby("run")["D"].min() / ends["D"]
    assert halves.tolist() == pytest.approx([steps[each] // 2 / steps[each] for each in ends.index])


def test_kaplan_finds_planted_exponents(table_of):
    def loss(counts):
        n, d = counts["n_params_non_embedding"], counts["n_tokens_seen"]
        return ((1e7 / n) ** (0.1 / 0.15) + 3e7 / d) ** 0.15

    table = table_of(kaplan.SWEEP["cpu"](), loss)
    findings = kaplan.analyse(table, curves_of(table))
    joint = findings.details.joint
    assert joint.params["alpha"] == pytest.approx(0.1, rel=1e-3)
    assert joint.params["beta"] == pytest.approx(0.15, rel=1e-3)
    for expected in kaplan.EXPECTED:
        assert passes(expected, findings.measured[expected.name])
    laws = findings.shown.groupby("law")["run_ids"].nunique()
    assert laws["L(N, D)"] == 30
    assert laws["L(N)"] == 6
    assert laws["L(D)"] == 5
    kaplan.figure(findings)


def without(table, why):
    """The same table with runs that came to nothing, by the status of each."""
    lost = why != "done"
    return table.assign(status=why, eval_loss_nats=table["eval_loss_nats"].mask(lost))


def measured_like(counts):
    return planted(counts["n_params_matmul"], counts["n_tokens_seen"])


def test_a_law_that_cannot_be_had_leaves_the_others_standing(table_of):
    table = table_of(kaplan.SWEEP["cpu"](), measured_like, noise=0.003)
    most = table["n_tokens_seen"] > 3e6
    small = table["n_params_matmul"] > table["n_params_matmul"].min()
    lost = most & small
    why = table["status"].mask(lost, "diverged")
    why[lost[lost].index[0]] = "failed"
    table = without(table, why)
    # Of a run that failed nothing was counted.
    counted = [name for name in table if name.startswith(("n_", "flops_"))]
    table.loc[why == "failed", counted] = pd.NA
    findings = kaplan.analyse(table, curves_of(table[table["status"] == "done"]))
    lost_law = findings.measured["straight_N"]
    assert lost_law.value is None and lost_law.note
    for name in ("straight_D", "straight_C", "joint"):
        assert findings.measured[name].value is not None
    assert set(findings.shown["law"].dropna()) == {"L(D)", "L(C)", "L(N, D)"}
    json.dumps(findings.report, allow_nan=False)
    drawn = kaplan.figure(findings)
    assert any("no fit" in text.get_text() for text in drawn.axes[0].texts)
    marks = {line.get_label(): line for line in drawn.axes[3].lines}
    assert len(np.asarray(marks["diverged"].get_xdata())) == 4
    assert np.asarray(marks["failed or missing"].get_xdata()) == pytest.approx([4e6], rel=0.01)


def test_tokens_that_batches_round_are_one_number(table_of):
    table = table_of(kaplan.SWEEP["cpu"](), measured_like)
    rounded = 1 + 0.004 * np.arange(len(table)) / len(table)
    table["n_tokens_seen"] = (table["n_tokens_seen"] * rounded).astype("Int64")
    findings = kaplan.analyse(table, curves_of(table))
    assert len(findings.details.taken["N"]) == 6


@pytest.mark.medium
def test_noise_is_no_straight_line_along_the_frontier(table_of):
    """Runs in order of luck: the frontier falls, and straight, though no loss depends on C."""
    rng = np.random.default_rng(0)
    compute = np.geomspace(2e10, 7e12, 30)
    straight = fitted = 0
    for _ in range(1000):
        ends = pd.DataFrame({"C": compute, "loss": 2.5 + 0.01 * rng.standard_normal(30)})
        lucky = kaplan._frontier(ends)
        line = np.corrcoef(np.log(lucky.T))[0, 1] ** 2 > 0.95 if len(lucky) > 1 else False
        straight += line
        fitted += line and kaplan._too_short(lucky) is None
    assert straight > 200 and fitted < 20
    few = pd.DataFrame({"C": compute[::7], "loss": np.linspace(2.5, 2.4, 5)})
    with pytest.raises(FitError, match="5 runs on the frontier, over a factor 286 of compute"):
        kaplan._alone("C", few)
    with pytest.raises(FitError, match="6 runs on the frontier, over a factor 3 of compute"):
        kaplan._alone("C", pd.DataFrame({"C": compute[:6], "loss": np.linspace(2.5, 2.4, 6)}))
    for budget, least in (("smoke", 6), ("cpu", 15)):
        table = table_of(kaplan.SWEEP[budget](), measured_like, noise=0.003)
        found = kaplan.analyse(table, curves_of(table))
        assert len(found.details.taken["C"]) >= least
        assert found.measured["straight_C"].value > 0.95


def test_seed_noise_finds_a_planted_spread(table_of):
    table = table_of(seed_noise.SWEEP["cpu"](), lambda counts: 2.0, noise=0.01)
    findings = seed_noise.analyse(table)
    spread = findings.details.spread
    assert len(spread) == 5
    inside = (spread["sd_low"] < 0.02) & (spread["sd_high"] > 0.02)
    assert inside.sum() >= 4
    assert findings.measured["ratio"].low < 1 < findings.measured["ratio"].high
    seed_noise.figure(findings)
    with pytest.raises(ValueError, match="two sizes of three seeds"):
        seed_noise.analyse(table[table["seed"] < 2])
