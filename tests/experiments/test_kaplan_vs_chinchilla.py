"""The staircase and the counts: planted causes move the exponent, runs are not trained twice."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from experiments import catalogue, chinchilla, kaplan_vs_chinchilla
from experiments.commands.jobs import jobs_for
from experiments.commands.options.training import PlanOptions
from experiments.experiment import passes
from experiments.shared import staircase
from experiments.shared.counting import COUNTS, METHODS, Exponent

pytestmark = pytest.mark.usefixtures("any_library")

ALPHA, BETA = 0.39, 0.45
TRUTH = BETA / (ALPHA + BETA)  # of C = 6 N D


def planted(n_params, tokens, size=26):
    """A loss like those measured; the optimum grows with what size there is to gain."""
    return 0.87 + size * n_params**-ALPHA + 218 * tokens**-BETA


def random_of(n):
    return np.random.default_rng(0).standard_normal(n)


def planted_runs(table_of, budget, size=26):
    table = table_of(kaplan_vs_chinchilla.SWEEP[budget](), lambda counts: 1.0)
    table = table.drop_duplicates("run_id", ignore_index=True)
    sizes, tokens = (
        table[name].to_numpy(np.float64) for name in ("n_params_matmul", "n_tokens_seen")
    )
    loss = planted(sizes, tokens, size)
    return table.assign(eval_loss_nats=loss + 0.008 * random_of(len(table)))


@pytest.fixture(scope="module")
def runs(table_of):
    """A warm-up teaches what its learning rates add up to: a long one eats short runs.

    Nothing else of what the stages change has an effect.
    """
    table = planted_runs(table_of, "cpu")
    tokens = table["n_tokens_seen"].to_numpy(np.float64)
    warmup = table["train.warmup_tokens"].to_numpy(np.float64)
    learnt = np.where(tokens < warmup, tokens**2 / (2 * warmup), tokens - warmup / 2)
    loss = planted(table["n_params_matmul"].to_numpy(np.float64), learnt)
    return table.assign(eval_loss_nats=loss + 0.008 * random_of(len(table)))


@pytest.fixture(scope="module")
def findings(runs):
    return kaplan_vs_chinchilla.analyse(runs)


def test_stages_follow_from_the_configuration(runs):
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
    kaplans, counted, *others = findings.details.steps
    for a in others:
        assert a.low < TRUTH < a.high
    assert counted.low > max(a.high for a in others)
    # Without the read-out small models are smaller still.
    assert kaplans.value > counted.value
    training = findings.measured["staircase"]
    assert training.value > 0.99
    # Counted alike, so that training alone is compared.
    assert f"from {others[-1].value:.3f} to {counted.value:.3f}" in training.note


@pytest.mark.parametrize("budget", ["smoke", "cpu"])
def test_training_without_an_effect_is_not_found_to_raise_the_exponent(table_of, budget):
    table = planted_runs(table_of, budget, size=20)  # whose optima every grid holds
    training = kaplan_vs_chinchilla.analyse(table).measured["staircase"]
    assert 0.02 < training.value < 0.95


def test_training_that_lowers_the_exponent_is_refuted(runs):
    """In the first stage the loss favours small models, the more so the larger the budget."""
    first = (staircase.stage_of(runs) == 1).to_numpy()
    size, flops = (runs[name].to_numpy(np.float64) for name in ("n_params_matmul", "flops_train"))
    smallest = 2e4 * (flops / 5e11) ** 0.2
    loss = 2 + 0.1 * np.log(size / smallest) ** 2
    table = runs.assign(eval_loss_nats=np.where(first, loss, runs["eval_loss_nats"]))
    expected = next(e for e in kaplan_vs_chinchilla.EXPECTED if e.name == "staircase")
    assert not passes(expected, kaplan_vs_chinchilla.analyse(table).measured["staircase"])


def test_the_shift_of_a_count_has_the_interval_of_pairs(findings):
    a = findings.details.counts
    for method in METHODS:
        shift = findings.measured[f"moves_{method}"]
        kaplans, ours = a[method, "n_params_non_embedding"], a[method, "n_params_matmul"]
        assert shift.value == pytest.approx(kaplans.value - ours.value)
        assert 0 < shift.low < shift.value < shift.high
        # Noise moves both alike.
        assert shift.high - shift.low < 0.7 * (ours.high - ours.low)


@pytest.mark.slow
def test_an_optimum_that_does_not_grow_is_not_moved(table_of):
    """Only grids that grow move its parabolas; the expectation fails."""
    table = planted_runs(table_of, "cpu")
    off = np.log(table["n_params_matmul"].to_numpy(np.float64) / 5e4)
    table = table.assign(eval_loss_nats=2 + 0.1 * off**2 + 0.001 * random_of(len(table)))
    findings = kaplan_vs_chinchilla.analyse(table)
    expected = next(e for e in kaplan_vs_chinchilla.EXPECTED if e.name == "moves_minima")
    assert not passes(expected, findings.measured["moves_minima"])


def test_replicates_that_came_to_nothing_are_no_vote():
    above = Exponent(0.6, 0.5, 0.7, 0.95, replicates=np.array([0.6, np.nan] * 500))
    below = Exponent(0.5, 0.4, 0.6, 0.95, replicates=np.array([0.5, 0.5] * 500))
    climbed = [above, above, above, above, below]
    assert kaplan_vs_chinchilla._training(climbed, "").value == 1
    assert kaplan_vs_chinchilla._shift(above, below).low == pytest.approx(0.1)
    with pytest.raises(ValueError, match="broadcast"):
        kaplan_vs_chinchilla._shift(above, replace(below, replicates=below.replicates[1:]))


def test_every_expectation_holds_and_every_number_is_shown(runs, findings):
    for expected in kaplan_vs_chinchilla.EXPECTED:
        assert passes(expected, findings.measured[expected.name]), expected.name
    steps = findings.shown["step"].dropna()
    assert set(steps) == {step.says for step in staircase.STEPS} | {"tuned runs recounted"}
    named = " ".join(findings.shown["run_ids"]).split()
    assert set(named) == set(runs["run_id"])
    json.dumps(findings.report, allow_nan=False)
    kaplan_vs_chinchilla.figure(findings)


def test_counting_as_kaplan_did_raises_the_exponent(findings):
    a = findings.details.counts
    for method in METHODS:
        read_out_in, total, neither = (a[method, count].value for count in COUNTS)
        # An embedding is as large as the read-out: with both, small models seem larger still.
        assert total < read_out_in < neither
    assert a["fit", "n_params_matmul"].low < TRUTH < a["fit", "n_params_matmul"].high


def test_a_stage_without_an_exponent_leaves_the_others(runs):
    """The first, whose smallest models are the best of all, and one without runs that are done."""
    stage = staircase.stage_of(runs)
    rising = 2 + 0.1 * np.log(runs["n_params_matmul"].to_numpy(np.float64))
    table = runs.assign(
        status=runs["status"].mask(stage == 3, "diverged"),
        eval_loss_nats=runs["eval_loss_nats"].mask(stage == 1, pd.Series(rising, runs.index)),
    )
    findings = kaplan_vs_chinchilla.analyse(table)
    steps = dict(zip(staircase.STEPS, findings.details.steps, strict=True))
    refused = [step.runs for step, a in steps.items() if isinstance(a, str)]
    assert refused == [1, 1, 3]
    training = findings.measured["staircase"]
    assert training.value is None
    assert training.note.startswith("read-out counted: No curve of")
    assert findings.measured["moves_minima"].value > 0
    json.dumps(findings.report, allow_nan=False)
    drawing = kaplan_vs_chinchilla.figure(findings)
    texts = [text.get_text() for text in drawing.axes[0].texts]
    assert texts.count("not found") == 3
    assert "15 runs left out" in texts


def test_runs_of_another_experiment_are_not_trained_again(tmp_path):
    options = PlanOptions(name="", budget="smoke", results=str(tmp_path))
    (mine,) = jobs_for(catalogue.load("kaplan_vs_chinchilla"), options)
    (theirs,) = jobs_for(catalogue.load("chinchilla"), options)
    assert mine.root == theirs.root == tmp_path / "chinchilla"
    ours = {run.run_id for run in mine.plan.runs}
    assert {run.run_id for run in theirs.plan.runs} < ours
    assert mine.folder == tmp_path / "kaplan_vs_chinchilla" / "reports" / "smoke"
    assert theirs.folder == tmp_path / "chinchilla" / "reports" / "smoke"
