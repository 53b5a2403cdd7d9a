"""Sweep algebra and plans."""

import dataclasses
import itertools
from typing import ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaling.accounting import account
from scaling.config import RunConfig, run_id
from scaling.data.gaussian import GaussianTeacher
from scaling.data.mnist1d import MNIST1D
from scaling.data.ngram import NGram
from scaling.data.text import Text
from scaling.fields import flatten
from scaling.models.linear import Linear
from scaling.models.mlp import MLP
from scaling.models.transformer import Transformer
from scaling.pretraining import Pretraining
from scaling.solving import Ridgeless
from scaling.training import SGD, Adam, Gradient
from sweeps import space
from sweeps.plan import make_plan
from sweeps.space import chain, folded, grid, overridden, subsample, zipped

BASE = RunConfig(
    model=MLP(width=8),
    data=MNIST1D(n_train=100),
    train=Gradient(optimizer=SGD(learning_rate=0.1), batch_size=20, steps=50),
)
axes = st.dictionaries(
    st.sampled_from(["model.width", "model.depth", "seed", "train.steps"]),
    st.lists(st.integers(1, 9), min_size=1, max_size=3, unique=True),
    max_size=3,
)


def test_grid_runs_its_last_axis_fastest():
    runs = grid(BASE, {"model.width": [2, 3], "seed": range(2)})
    assert [(run.model.width, run.seed) for run in runs] == [(2, 0), (2, 1), (3, 0), (3, 1)]


def test_zipped_takes_values_together():
    runs = zipped([BASE, dataclasses.replace(BASE, seed=9)], {"model.width": [2, 3]})
    assert [(run.seed, run.model.width) for run in runs] == [(0, 2), (0, 3), (9, 2), (9, 3)]
    with pytest.raises(ValueError, match=r"seed has 1"):
        zipped(BASE, {"model.width": [2, 3], "seed": [1]})


@settings(max_examples=30, deadline=None)
@given(axes, axes)
def test_grid_of_a_grid_is_a_grid(first, second):
    shared = first.keys() & second.keys()
    second = {path: values for path, values in second.items() if path not in shared}
    assert grid(grid(BASE, first), second) == grid(BASE, first | second)
    size = 1
    for values in (first | second).values():
        size *= len(values)
    plan = make_plan("x", grid(BASE, first | second))
    assert len(plan.runs) == size


def test_runs_of_a_grid_share_what_they_have_in_common():
    """The same parts are made once, and a plan resolves and prices runs that are alike once."""
    runs = grid(BASE, {"model.width": [2, 3], "seed": range(2)})
    assert runs[0].model is runs[1].model and runs[2].model is runs[3].model
    together = make_plan("x", runs).runs
    alone = [run for each in runs for run in make_plan("x", [each]).runs]
    assert list(together) == alone
    with pytest.raises(
        ValueError, match=r"model\.width = True"
    ):  # equal to 1, and not taken for it
        grid(BASE, {"model.width": [1, True]})


def test_whole_branches_are_axes_too():
    optimizers = [SGD(learning_rate=0.1), Adam(learning_rate=0.1)]
    assert [r.train.optimizer for r in grid(BASE, {"train.optimizer": optimizers})] == optimizers


def test_subsample_keeps_the_order():
    runs = grid(BASE, {"seed": range(20)})
    some = subsample(runs, 7, seed=1)
    assert some == [run for run in runs if run in some]
    assert len(some) == 7
    assert subsample(runs, 7, seed=1) == some != subsample(runs, 7, seed=2)
    with pytest.raises(ValueError, match="give 0 to 20"):
        subsample(runs, 21)


def test_impossible_axes_are_refused():
    with pytest.raises(ValueError, match="did you mean 'width'"):
        grid(BASE, {"model.widht": [2]})
    with pytest.raises(ValueError, match="at least 1"):
        grid(BASE, {"model.width": [2, 0]})


def test_a_grid_that_explodes_is_refused_before_it_is_built(monkeypatch):
    monkeypatch.setattr(space, "MAX_RUNS", 100)
    with pytest.raises(ValueError, match="a grid of 1,000 runs exceeds 100"):
        grid(BASE, {"seed": range(10), "model.width": range(1, 11), "model.depth": range(1, 11)})


def test_overrides_reach_every_run():
    runs = overridden(grid(BASE, {"seed": range(3)}), ["train.steps=7", "model.width=4"])
    assert {(run.train.steps, run.model.width) for run in runs} == {(7, 4)}
    assert run_id(runs[0]) != run_id(BASE)


TOKENS = RunConfig(
    model=Transformer(width=8, depth=1, head_size=8),
    data=Text(context=8, n_tokens=2**10, n_eval=4),
    train=Pretraining(optimizer=SGD(learning_rate=0.1), batch_size=4, tokens=2**9),
)


@pytest.mark.parametrize(
    ("base", "overrides"),
    [
        (TOKENS, {"model.width": "12", "model.head_size": "4"}),
        (TOKENS, {"train.tokens": "4096", "data.repeat": "true"}),
        (TOKENS, {"model.width": "12", "model.head_size": "6", "model.depth": "2"}),
        (BASE, {"data.n_train": "10", "train.batch_size": "5"}),
    ],
)
def test_overrides_that_fit_together_are_taken_in_any_order(base, overrides):
    # Some of them are impossible alone, so that one order or another used to be refused.
    with pytest.raises(ValueError):
        for path, value in overrides.items():
            overridden([base], [f"{path}={value}"])
    texts = [f"{path}={value}" for path, value in overrides.items()]
    found = {overridden([base], order)[0] for order in itertools.permutations(texts)}
    assert len(found) == 1
    (run,) = found
    assert {path: str(flatten(run)[path]).lower() for path in overrides} == overrides
    values = {path: [flatten(run)[path]] for path in overrides}
    assert grid(base, values) == zipped(base, values) == [run]


@pytest.mark.parametrize(
    ("texts", "says"),
    [
        (["model.width=12", "model.depth=2"], "model.depth = '2'.*head_size = 8 does not divide"),
        (["seed=1", "seed=2"], "seed is set to 1 and to 2"),
        (["train.steps=5", "train.tokens=64"], "exactly one of"),
        (["model.width=12", "model.head_size=x"], "^model.head_size = 'x': .*whole number"),
    ],
)
def test_overrides_that_do_not_fit_together_are_refused_in_any_order(texts, says):
    with pytest.raises(ValueError, match=says):
        overridden([TOKENS], texts)
    with pytest.raises(ValueError):
        overridden([TOKENS], texts[::-1])


def test_overrides_that_make_runs_equal_say_which_setting_they_differed_in():
    declared = grid(BASE, {"model.width": [4, 8], "seed": range(4)})
    assert folded(declared, overridden(declared, ["train.steps=7"])) is None
    assert folded(declared, overridden(declared, ["seed=7"])) == (8, 2, ("seed",))
    assert folded(declared, overridden(declared, ["model.width=6"])) == (8, 4, ("model.width",))
    both = folded(declared, overridden(declared, ["model.width=6", "seed=7"]))
    assert both is not None
    assert (both.before, both.after) == (8, 1)
    assert sorted(both.fields) == ["model.width", "seed"]
    # A run that was declared twice is no run lost.
    assert folded(chain(declared, declared), overridden(chain(declared, declared), ["seed=7"])) == (
        folded(declared, overridden(declared, ["seed=7"]))
    )


def test_plan_keeps_one_run_for_each_identity():
    again = overridden([BASE], ["train.epochs=10"])  # 10 epochs of 100 are 50 steps of 20
    plan = make_plan("x", chain(BASE, again, grid(BASE, {"seed": range(3)})))
    assert [config.seed for config in plan.configs] == [0, 1, 2]
    assert plan.n_duplicates == 2
    assert plan.flops == 3 * account(BASE).flops_train
    with pytest.raises(ValueError, match="no runs"):
        make_plan("x", [])


def test_plan_identity_is_that_of_its_runs():
    runs = grid(BASE, {"seed": range(3)})
    assert make_plan("x", runs).plan_id == make_plan("x", runs[::-1]).plan_id
    assert make_plan("x", runs).plan_id != make_plan("x", runs[1:]).plan_id
    assert make_plan("x", runs).plan_id != make_plan("y", runs).plan_id


def test_runs_are_grouped_by_what_is_compiled():
    same = {"seed": range(2), "train.steps": [5, 9], "data.label_noise.fraction": [0.0, 0.3]}
    other = [("model.width", 9), ("data.n_train", 99), ("train.batch_size", 10)]
    runs = grid(BASE, same) + overridden([BASE], ["train.optimizer.learning_rate=0.01"])
    assert make_plan("x", runs).n_groups == 1
    for path, value in other:
        assert make_plan("x", chain(BASE, grid(BASE, {path: [value]}))).n_groups == 2


def test_runs_that_differ_in_their_schedules_horizon_share_what_is_compiled():
    base = RunConfig(
        model=Transformer(width=8, depth=1, heads=2),
        data=NGram(vocab_size=8, context=8, n_tokens=2**12, n_eval=64),
        train=Pretraining(optimizer=Adam(learning_rate=0.01), batch_size=4, steps=8),
    )
    plan = make_plan("x", grid(base, {"train.schedule.horizon": [None, 9, 10]}))
    assert len(plan.runs) == 3 and plan.n_groups == 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Forgetting(Linear):
    """A family with a field that has the name of an argument of schedules."""

    kind: ClassVar[str] = "forgetting"
    decay: float


def test_fields_of_models_are_all_compiled():
    models = [Forgetting(n_features=4, decay=decay) for decay in (0.1, 0.2)]
    data = GaussianTeacher(n_train=20, dimension=4)
    runs = [RunConfig(model=model, data=data, train=Ridgeless()) for model in models]
    assert make_plan("x", runs).n_groups == 2
