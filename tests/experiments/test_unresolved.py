"""What cards say where a curve has no resolved peak, or where a setting has no run."""

import numpy as np
import pandas as pd
import pytest

from experiments import deep_double_descent, deep_double_descent_samples, grokking, label_noise
from experiments.experiment import passes
from scaling.config import resolved, run_id
from scaling.fields import flatten


def runs_of(card, **columns):
    """The runs of a card at smoke size, with columns that are functions of their configuration."""
    rows = []
    for config in card.SWEEP["smoke"]():
        plain = flatten(resolved(config)) | {"run_id": run_id(config), "status": "done"}
        rows.append(plain | {name: of(plain) for name, of in columns.items()})
    return pd.DataFrame(rows)


def jitter(plain):
    """Normal noise of a run."""
    key = plain["seed"], plain["model.width"], plain["data.n_train"]
    return np.random.default_rng(key).standard_normal()


def falling(plain):
    """A curve that falls, with noise of the seed."""
    return 1 + 4 / plain["model.width"] + 0.01 * jitter(plain)


def bumpy(plain):
    """A curve with a bump that is far below the noise of the seed."""
    bump = 0.01 * np.exp(-((np.log(plain["model.width"] / 12)) ** 2))
    return 1 + bump + 0.3 * jitter(plain)


@pytest.mark.parametrize("loss", [falling, bumpy])
def test_noise_without_a_resolved_peak_has_no_ratio(loss):
    table = runs_of(
        label_noise,
        train_error=lambda plain: max(0.0, 0.3 - 0.02 * plain["model.width"]),
        eval_error=lambda _: 0.5,
        eval_loss_nats=loss,
        label_noise_fraction=lambda plain: plain["data.label_noise.fraction"],
    )
    found = label_noise.analyse(table)
    label_noise.figure(found)
    by_name = {each.name: each for each in label_noise.EXPECTED}
    for name in ("nearest_peak", "farthest_peak"):
        assert found.measured[name].value is None
        assert "of 0 kinds" in found.measured[name].note
        assert not passes(by_name[name], found.measured[name])


@pytest.mark.parametrize("loss", [falling, bumpy])
def test_a_loss_without_a_resolved_peak_falls_from_none(loss):
    """Nor is the largest of several differences within seed noise a harm of more samples."""
    table = runs_of(
        deep_double_descent,
        n_outputs=lambda _: 10,
        train_error=lambda plain: max(0.0, 0.3 - 0.02 * plain["model.width"]),
        train_error_clean=lambda _: 0.0,
        eval_error=falling,
        eval_loss_nats=loss,
        weight_norm_l2=lambda _: 1.0,
    )
    assert deep_double_descent.analyse(table).measured["mlp_loss_falls"].value is None
    harm = deep_double_descent_samples.analyse(table).measured["mlp_harm"]
    assert harm.value is None and "within seed noise: width 14" in harm.note


@pytest.mark.parametrize(("kept", "share"), [("with decay", None), ("without", 0.0)])
def test_delays_of_some_weight_decays_alone(kept, share):
    decay = "train.optimizer.weight_decay"
    table = runs_of(grokking, train_error=lambda _: 0.0, eval_error=lambda _: 0.0)
    table = table.loc[(table[decay] > 0) == (kept == "with decay")]
    curves = pd.DataFrame(
        {
            "run_id": run,
            "step": step,
            "train_error": 0.5 * (step < 200),
            "eval_error": 0.9 * (step < 900 or not weight),
            "train_loss": 1.0,
            "weight_norm_l2": 1.0,
        }
        for run, weight in table[["run_id", decay]].itertuples(index=False)
        for step in range(0, 1300, 100)
    )
    found = grokking.analyse(table, curves)
    grokking.figure(found)
    assert found.measured["without_decay"].value == share
    assert "weight decay" in found.verdict
