"""Deep double descent: one sweep cut three ways, on planted runs and on runs that are trained."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from analysis.estimate import Estimate
from experiments import deep_double_descent, deep_double_descent_epochs, deep_double_descent_samples
from experiments.shared.deep_descent import Slice, judged, usable
from experiments.shared.panels import measured
from scaling.config import resolved, run_id
from scaling.fields import flatten
from scaling.overrides import replace_together
from scaling.record import row
from scaling.run import run

SLOPE = 1.8


def planted(threshold=58.0, peak_over_threshold=0.77, noise_of_seed=0.004):
    """Runs of the MLP's part of the sweep whose train error is 0 from a width ~ sqrt(n) on."""
    rng = np.random.default_rng(0)
    rows = []
    for config in deep_double_descent.SWEEP["cpu"]():
        plain = flatten(resolved(config))
        if plain["model.kind"] != "mlp":
            continue
        x = np.log(plain["model.width"] / (threshold * np.sqrt(plain["data.n_train"] / 4000)))
        noise = plain["data.label_noise.fraction"]
        bump = np.exp(-((x - np.log(peak_over_threshold)) ** 2) / 0.3)
        jitter = rng.normal(0, noise_of_seed, 2)
        rows.append(
            plain
            | {
                "run_id": run_id(config),
                "status": "done",
                "n_outputs": 10,
                "train_error": max(0.0, -0.4 * x / SLOPE),
                "train_error_clean": 0.0,
                "eval_error": 0.45 + 0.12 * bump * (noise > 0) + 0.02 * np.exp(-x) + jitter[0],
                "eval_loss_nats": 1 + 4 * np.exp(-(x**2) / 0.3) + 10 * jitter[1],
                "weight_norm_l2": 10.0,
            }
        )
    return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def table():
    return planted()


def test_threshold_and_peaks_over_width_are_those_planted(table):
    found = deep_double_descent.analyse(table).measured
    assert found["mlp_threshold"].value == pytest.approx(57, abs=3)
    assert found["mlp_loss_ratio"].low <= 1 <= found["mlp_loss_ratio"].high
    assert found["mlp_error_ratio"].value == pytest.approx(0.8, abs=0.15)
    assert found["mlp_end"].high < 0


def test_emc_and_the_harm_of_more_data_are_those_planted(table):
    found = deep_double_descent_samples.analyse(table)
    assert found.measured["mlp_peak_over_emc"].value == pytest.approx(1, abs=0.7)
    assert found.measured["mlp_harm"].low > 1
    emc = found.report["MLP of width 36, 15% noise, eval_loss_nats"]["emc"]
    # A train error of 1 % is that of a width 4 % below the threshold: n = 4,000 (36/58/0.956)^2.
    assert emc["low"] <= 4000 * (36 / 58 / 0.956) ** 2 <= emc["high"]


def test_a_peak_that_the_grid_does_not_bound_has_an_open_end(table):
    """Strict JSON has no infinity, and a report is strict JSON."""
    groups = {Slice("mlp", 0.15, width=36): table}
    emc = Estimate(value=1000.0, low=0.0, high=np.inf, level=0.95)
    rows = table[(table["model.width"] == 36) & (table["data.label_noise.fraction"] > 0)]
    found = {each: judged(rows["data.n_train"], rows) for each in groups}
    ratio = deep_double_descent_samples._peak_over_emc(found, dict.fromkeys(groups, emc))
    assert ratio.value is not None and ratio.high is None and ratio.low == 0
    open_peak = replace(found[next(iter(groups))]["eval_loss_nats"].threshold, high=np.inf)
    assert measured(replace(open_peak, censored=None)).high is None


def test_error_against_noisy_labels_is_that_of_corrupted_test_labels(table):
    """Counted on a simulated test set, for both conventions."""
    rng = np.random.default_rng(1)
    n, k, fraction, error = 400_000, 10, 0.3, 0.4
    truth = rng.integers(k, size=n)
    answer = np.where(rng.random(n) < error, (truth + rng.integers(1, k, n)) % k, truth)
    chosen = rng.random(n) < fraction
    drawn = {"any_class": rng.integers(k, size=n), "wrong_class": truth + rng.integers(1, k, n)}
    for convention, replacement in drawn.items():
        counted = np.mean(answer != np.where(chosen, replacement % k, truth))
        one = table.iloc[:1].assign(
            **{
                "eval_error": error,
                "data.label_noise.fraction": fraction,
                "data.label_noise.convention": convention,
            }
        )
        assert usable(one)[0]["noisy_eval_error"].iloc[0] == pytest.approx(counted, abs=0.004)


@pytest.mark.medium
def test_a_history_cut_at_an_epoch_is_the_run_trained_to_that_epoch():
    """And the runs of the three cards are the same, so that nothing is trained for one of them."""
    longest = next(c for c in deep_double_descent.SWEEP["smoke"]() if c.model.kind == "mlp")
    small = {"train.steps": 24, "train.evaluations": 6, "data.n_eval": 200}
    longest = replace_together(longest, small)
    record, curve = run(longest)
    curves = pd.DataFrame([{"run_id": record.run_id, **vars(point)} for point in curve])
    table = pd.DataFrame([row(record)])
    history = deep_double_descent_epochs.histories(usable(table)[0], curves)
    for step in history["step"].iloc[[1, 3, -1]]:
        shorter = run(replace_together(longest, {"train.steps": int(step)}))[0]
        cut = history.loc[history["step"] == step].iloc[0]
        for name in ("train_error", "train_error_clean", "eval_error", "eval_loss_nats"):
            assert cut[name] == getattr(shorter, name)
        assert cut["epochs"] == shorter.epochs
        assert cut["weight_norm_l2"] == shorter.weight_norm_l2
    assert deep_double_descent_epochs.SWEEP is deep_double_descent_samples.SWEEP


def test_runs_that_are_missing_leave_the_others_judged(table):
    """A sweep under way: sizes with one seed, and slices with two sizes, are named as left out."""
    lost = (table["model.width"] == 61) & (table["seed"] > 0) & (table["data.n_train"] == 4000)
    clean = (table["data.label_noise.fraction"] == 0) & (table["model.width"] > 21)
    found = deep_double_descent.analyse(table.loc[~(lost | clean)])
    assert found.measured["mlp_loss_ratio"].value == pytest.approx(1, abs=0.3)
    assert [doubt for doubt in found.doubts if "15% noise: 1 sizes have one seed" in doubt]
    assert [doubt for doubt in found.doubts if "0% noise: 2 sizes are done" in doubt]
