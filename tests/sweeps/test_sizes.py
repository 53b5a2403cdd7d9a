"""Cells of N and D as runs: sizes found, lengths set, and a design done from fit to rows."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.estimate import Bootstrap
from analysis.fitting.fit import fit
from analysis.laws import CHINCHILLA
from analysis.planning.design import Candidates, next_cells
from scaling.accounting import account
from scaling.config import RunConfig, run_id
from scaling.data.digits import Digits
from scaling.data.gaussian import GaussianTeacher
from scaling.models.linear import Linear
from scaling.models.mlp import MLP
from scaling.solving import Ridgeless
from scaling.training import SGD, Gradient
from sweeps.plan import make_plan
from sweeps.runner import run_sweeps
from sweeps.sizes import at_sizes
from sweeps.store import Store

BASE = RunConfig(
    model=MLP(width=4, depth=1),
    data=Digits(n_train=1000),
    train=Gradient(optimizer=SGD(learning_rate=0.1), batch_size=32, steps=7, evaluations=2),
)


@settings(deadline=None, max_examples=50)
@given(st.floats(150.0, 1e9), st.floats(200.0, 1e9))
def test_no_other_size_is_nearer_and_lengths_are_those_asked_for(n_params, n_examples):
    (run,) = at_sizes(BASE, [(n_params, n_examples)], size="model.width", tolerance=0.5)
    counts = account(run)
    for width in (run.model.width - 1, run.model.width + 1):
        if width >= 1:
            other = MLP(width=width, depth=1).count_params(64, 10)
            off = abs(math.log(sum(other.values()) / n_params))
            # Up to the rounding of logarithms of nearly equal numbers.
            assert off >= abs(math.log(counts.n_params_total / n_params)) - 1e-12
    # Whole batches: at most one of them more than asked for.
    assert 0 <= counts.n_examples_seen - round(n_examples) < 32
    assert run.train.steps is None


def test_a_cell_given_again_is_another_seed():
    runs = at_sizes(BASE, [(1e4, 1e4), (1e3, 1e4), (1e4, 1e4), (1e4, 1e4)], size="model.width")
    assert [run.seed for run in runs] == [0, 0, 1, 2]
    assert len({run_id(run) for run in runs}) == 4


def test_sizes_may_be_chosen_from_a_list():
    (run,) = at_sizes(BASE, [(1e4, 1e4)], size="model.width", values=range(8, 512, 8))
    assert run.model.width == 136
    assert run.model.depth == 1


def test_closed_form_runs_have_their_training_set_for_length():
    base = RunConfig(
        model=Linear(n_features=4),
        data=GaussianTeacher(n_train=20, dimension=60),
        train=Ridgeless(),
    )
    (run,) = at_sizes(base, [(30, 50)], size="model.n_features")
    assert (run.model.n_features, run.data.n_train) == (30, 50)
    with pytest.raises(ValueError, match=r"nearest, model.n_features = 60, has 60 parameters"):
        at_sizes(base, [(100, 50)], size="model.n_features")


@pytest.mark.parametrize(
    ("cell", "size", "message"),
    [
        ((10, 1000), "model.width", r"N = 10 is more than 20 %.*model.width = 1, has 85"),
        ((1e4, 5), "model.width", r"D = 5 is more than 20 %.*32 examples.*smaller train.batch_"),
        ((1e4, 5000), "model.wdth", r"'model.wdth' is no field; did you mean 'model.width'"),
        ((1e4, 5000), "train.optimizer.learning_rate", r"is 0.1, not a whole number"),
        ((-1, 5000), "model.width", r"N of a cell = -1"),
        ((1e4, math.nan), "model.width", r"D of a cell = nan"),
    ],
)
def test_cells_that_cannot_be_had_get_a_sentence(cell, size, message):
    with pytest.raises(ValueError, match=message):
        at_sizes(BASE, [cell], size=size)


def test_a_list_that_holds_no_size_gets_a_sentence():
    for values in ([], [-1]):
        with pytest.raises(ValueError, match=r"mlp allows none of the model\.width given"):
            at_sizes(BASE, [(1e4, 1e4)], size="model.width", values=values)


LINEAR = RunConfig(
    model=Linear(n_features=4),
    data=GaussianTeacher(n_train=20, dimension=400, noise_variance=0.1),
    train=Ridgeless(),
)


@pytest.mark.parametrize(
    ("base", "size", "sizes", "examples"),
    [
        (LINEAR, "model.n_features", (20, 300), (400, 4000)),
        pytest.param(
            BASE, "model.width", (2e3, 2e4), (3e3, 3e4), marks=pytest.mark.slow, id="gradient"
        ),
    ],
)
def test_a_fit_is_followed_by_the_runs_that_it_asks_for(
    tmp_path: Path, base, size, sizes, examples
):
    """Fit, design, configurations, runner, rows."""
    rng = np.random.default_rng(0)
    x = np.exp(rng.uniform(*np.log([[sizes[0], examples[0]], [sizes[1], examples[1]]]), (40, 2)))
    loss = 0.1 + 30 * x[:, 0] ** -0.5 + 60 * x[:, 1] ** -0.5
    fitted = fit(
        CHINCHILLA, x, loss * np.exp(0.01 * rng.standard_normal(40)), bootstrap=Bootstrap(n=200)
    )
    design = next_cells(
        fitted, 1e10, quantity="a", candidates=Candidates(sizes, examples), n_cells=3
    )
    table = design.table()
    each = table.loc[table.index.repeat(table["runs"])]
    runs = at_sizes(base, zip(each["N"], each["D"], strict=True), size=size)
    plan = make_plan("next", runs)
    assert len(plan.runs) == len(each) > 1

    summary = run_sweeps([(tmp_path, plan)], workers=1)
    assert summary.complete
    rows = Store.open(tmp_path).read(plan)
    for row, (_, cell) in zip(rows, each.iterrows(), strict=True):
        assert row.status == "done"
        assert row.n_params_total == pytest.approx(cell["N"], rel=0.2)
        assert row.n_examples_seen == pytest.approx(cell["D"], rel=0.05)
