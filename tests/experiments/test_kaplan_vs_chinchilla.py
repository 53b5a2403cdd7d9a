"""The staircase and the counts: planted causes move the exponent, runs are not trained twice."""

import json

import numpy as np
import pytest

from analysis.errors import FitError
from experiments import chinchilla, kaplan_vs_chinchilla, pipeline, staircase
from experiments.counting import COUNTS, METHODS
from experiments.error_bars import error_bars
from experiments.experiment import passes

ALPHA, BETA = 0.39, 0.45
TRUTH = BETA / (ALPHA + BETA)  # of C = 6 N D


def planted(n_params, tokens):
    """A loss like those measured."""
    return 0.87 + 26 * n_params**-ALPHA + 218 * tokens**-BETA


@pytest.fixture(scope="module")
def runs(table_of):
    """A warm-up teaches what its learning rates add up to: a long one eats short runs.

    Nothing else of what the stages change has an effect.
    """
    table = table_of(kaplan_vs_chinchilla.SWEEP["cpu"](), lambda counts: 1.0)
    table = table.drop_duplicates("run_id", ignore_index=True)
    tokens = table["n_tokens_seen"].to_numpy(np.float64)
    warmup = table["train.warmup_tokens"].to_numpy(np.float64)
    learnt = np.where(tokens < warmup, tokens**2 / (2 * warmup), tokens - warmup / 2)
    loss = planted(table["n_params_matmul"].to_numpy(np.float64), learnt)
    noise = 0.008 * np.random.default_rng(0).standard_normal(len(table))
    return table.assign(eval_loss_nats=loss + noise)


@pytest.fixture(scope="module")
def findings(runs):
    return kaplan_vs_chinchilla.analyse(runs)


def test_stages_are_told_by_their_configuration(runs):
    stage = staircase.stage_of(runs)
    chinchillas = len(chinchilla.SWEEP["cpu"]())
    assert set(stage.iloc[:chinchillas]) == {staircase.TUNED}
    counts = stage.iloc[chinchillas:].value_counts()
    assert counts[1] == counts[2] == counts[3] == 15
    first = runs[stage == 1]
    assert first["train.warmup_tokens"].nunique() == 1
    assert (first["train.warmup_tokens"] > first["n_tokens_seen"]).any()
    assert set(runs.loc[stage == 2, "train.schedule.horizon"]) == {staircase.KAPLAN_HORIZON}
    # Elsewhere a twentieth of the tokens wanted, of which a run takes whole steps.
    scaled = runs[stage > 1]
    off = scaled["train.warmup_tokens"] - 0.05 * scaled["n_tokens_seen"]
    assert (off.abs() <= 0.05 * scaled["train.batch_size"] * 64 / 2 + 1).all()


def test_a_planted_warmup_raises_the_exponent_and_nothing_else_does(findings):
    kaplans, counted, *others = findings.details["steps"]
    for a in others:
        assert a.low < TRUTH < a.high
    assert counted.low > max(a.high for a in others)
    # Without the read-out small models are smaller still.
    assert kaplans.value > counted.value
    assert findings.measured["staircase"].value > 0.99


def test_every_expectation_holds_and_every_number_is_told(runs, findings):
    for expected in kaplan_vs_chinchilla.EXPECTED:
        assert passes(expected, findings.measured[expected.name]), expected.name
    steps = findings.shown["step"].dropna()
    assert set(steps) == {step.says for step in staircase.STEPS} | {"tuned runs recounted"}
    told = " ".join(findings.shown["run_ids"]).split()
    assert set(told) == set(runs["run_id"])
    json.dumps(findings.report, allow_nan=False)
    kaplan_vs_chinchilla.figure(findings)


def test_counting_as_kaplan_did_raises_the_exponent(findings):
    a = findings.details["counts"]
    for method in METHODS:
        read_out_in, total, neither = (a[method, count].value for count in COUNTS)
        # An embedding is as large as the read-out: with both, small models seem larger still.
        assert total < read_out_in < neither
    assert a["fit", "n_params_matmul"].low < TRUTH < a["fit", "n_params_matmul"].high


def test_a_stage_without_runs_is_named(runs):
    left = runs[staircase.stage_of(runs) != 3]
    with pytest.raises(FitError, match="no run of the stage 'cosine ends with the run'"):
        staircase.climb(left, error_bars(left))


def test_runs_of_another_experiment_are_not_trained_again(tmp_path):
    (mine,) = pipeline.jobs_for(kaplan_vs_chinchilla, "smoke", (), str(tmp_path))
    (theirs,) = pipeline.jobs_for(chinchilla, "smoke", (), str(tmp_path))
    assert mine.root == theirs.root == tmp_path / "chinchilla"
    ours = {run.run_id for run in mine.plan.runs}
    assert {run.run_id for run in theirs.plan.runs} < ours
    assert mine.folder == tmp_path / "kaplan_vs_chinchilla" / "reports" / "smoke"
    assert theirs.folder == tmp_path / "chinchilla" / "reports" / "smoke"
