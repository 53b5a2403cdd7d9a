"""Budgets and sizes as runs: solved exactly, snapped, refused with what is near; rules."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaling.accounting import account
from scaling.config import RunConfig
from scaling.data.ngram import NGram
from scaling.devices.mesh import Mesh
from scaling.models.family import Family
from scaling.models.mlp import MLP
from scaling.models.transformer import Transformer
from scaling.pretraining import Pretraining
from scaling.training import Adam
from sweeps import rules
from sweeps.plan import make_plan
from sweeps.recipes import achieved, around, aspect_ratio, crossed, iso_flop, ladder
from sweeps.rules import Cell
from sweeps.shapes import Recipe
from sweeps.sizes import at_sizes

BASE = RunConfig(
    model=Transformer(width=16, depth=2, head_size=16),
    data=NGram(n_tokens=2**24, context=64),
    train=Pretraining(optimizer=Adam(learning_rate=1e-3), batch_size=4, tokens=4096),
)
RECIPE = Recipe(base=BASE, depth=aspect_ratio(32, at_least=2), multiple_of=16)
CELL = Cell(
    n_params_matmul=108_000_000,
    n_params_non_embedding=108_000_000,
    tokens=2e9,
    flops=1e18,
    context=2048,
    width=768,
)


@settings(deadline=None, max_examples=40)
@given(st.floats(1e10, 1e12), st.floats(3e4, 3e5))
def test_every_run_costs_its_budget_and_has_the_nearest_shape(flops, n_params):
    (run,) = iso_flop([flops], [n_params], RECIPE, size_tolerance=1.0)
    counts = account(run)
    # Half a step is the most that rounding can miss by.
    a_step = counts.flops_train / counts.steps
    assert abs(counts.flops_train - flops) <= a_step / 2 * (1 + 1e-12)
    assert run.model.width % 16 == 0
    assert run.model.depth == max(2, math.floor(run.model.width / 32 + 0.5))
    off = abs(math.log(counts.n_params_matmul / n_params))
    for width in (run.model.width - 16, run.model.width + 16):
        if width >= 16:
            other = account(replace(run, model=RECIPE.model(width)))
            assert off <= abs(math.log(other.n_params_matmul / n_params)) + 1e-12


def test_sizes_follow_the_budget_and_shapes_that_coincide_are_one_run():
    runs = iso_flop([1e12, 4e12], around(1e5, 1e12, n_sizes=5), RECIPE, size_tolerance=1.0)
    rows = achieved(runs)
    by_budget = [
        [row.n_params for row in rows if abs(row.flops / c - 1) < 0.05] for c in (1e12, 4e12)
    ]
    assert [len(set(sizes)) for sizes in by_budget] == [len(sizes) for sizes in by_budget]
    assert sum(map(len, by_budget)) == len(runs)
    # Four times the compute, twice the size.
    assert max(by_budget[1]) / max(by_budget[0]) == pytest.approx(2, rel=0.3)
    again = iso_flop([1e12], [1e5, 1.01e5], RECIPE, size_tolerance=1.0)
    assert len(again) == 1


@pytest.mark.parametrize("n_sizes", [2, 5, 6])
def test_around_is_the_part_of_one_series_nearest_to_a_power_of_compute(n_sizes):
    factor = 2.0 ** ((n_sizes - 1) / 2)
    sizes = around(1e6, 1e15, exponent=0.4, factor=factor, n_sizes=n_sizes)
    for budget in (1e15, 3e15, 1e17):
        found = np.log2(np.array(sizes(budget)) / 1e6)
        assert len(found) == n_sizes
        np.testing.assert_allclose(found, np.round(found[0]) + np.arange(n_sizes), atol=1e-9)
        assert abs(found.mean() - 0.4 * math.log2(budget / 1e15)) < 0.5 + 1e-9
    for wrong in ({"n_sizes": 1}, {"factor": 1}):
        with pytest.raises(ValueError, match="give at least 2 sizes and a factor above 1"):
            around(1e6, 1e15, **wrong)


def test_around_decides_a_tie_the_same_way_for_every_budget():
    sizes = around(1e6, 1e15, exponent=1, factor=8, n_sizes=4)  # an even number: always a tie
    firsts = [round(math.log(sizes(1e15 * 4.0**k)[0] / 1e6, 4)) for k in range(4)]
    assert np.diff(firsts).tolist() == [1, 1, 1]


def test_around_takes_positive_numbers_alone():
    for wrong in ((math.nan, 1e15, 4), (1e6, 0, 4), (1e6, 1e15, math.nan)):
        with pytest.raises(ValueError, match="give a positive number"):
            around(*wrong[:2], factor=wrong[2])
    with pytest.raises(ValueError, match="give a positive number"):
        around(1e6, 1e15)(-1.0)


@pytest.mark.parametrize("count", ["n_params_matmul", "n_params_total", "n_params_non_embedding"])
def test_a_ladder_has_so_many_tokens_a_parameter_as_the_recipe_counts_them(count):
    recipe = replace(RECIPE, count=count)
    runs = ladder([1e5, 2e5], [5, 10], recipe, size_tolerance=1.0)
    for row, multiple in zip(achieved(runs, count), (5, 10, 5, 10), strict=True):
        assert row.tokens_per_param == pytest.approx(multiple, rel=1e-3)
        assert row.epochs == pytest.approx(row.tokens / 2**24)


def test_crossed_sizes_share_their_tokens():
    rows = achieved(crossed([3e4, 1e5], [2**16, 2**18], RECIPE, size_tolerance=1.0))
    assert [row.tokens for row in rows] == [2**16, 2**18] * 2
    assert rows[0].n_params == rows[1].n_params < rows[2].n_params


def test_rules_decide_rate_batch_and_warm_up_and_the_rest_is_the_base():
    recipe = replace(
        RECIPE,
        learning_rate=rules.tuned({1e4: 1e-2, 1e6: 1e-3}),
        batch_size=lambda cell: cell.tokens / 2e4 / cell.context,
        warmup_tokens=rules.share_of_run(0.1),
        at_once=3,
    )
    (run,) = crossed([1e5], [2**21], recipe, size_tolerance=1.0)
    n = account(run).n_params_matmul
    assert run.train.optimizer.learning_rate == pytest.approx(1e-2 * (n / 1e4) ** -0.5)
    assert run.train.batch_size == 2  # 1.6 sequences, to a power of two
    assert run.train.microbatches == 1
    assert run.train.warmup_tokens == round(0.1 * 2**21)
    assert replace(run.train.optimizer, learning_rate=1e-3) == BASE.train.optimizer
    assert (run.data, run.seed) == (BASE.data, BASE.seed)
    whole = replace(recipe, batch_size=lambda cell: 33, at_once=5)
    (run,) = crossed([1e5], [2**21], whole, size_tolerance=1.0)
    assert (run.train.batch_size, run.train.microbatches) == (32, 8)


@pytest.mark.parametrize(
    ("train", "rule", "at_once", "expected"),
    [
        ({"batch_size": 12}, None, 6, (12, 1)),
        ({"batch_size": 12}, None, 2, (12, 3)),  # not in 2, which leave no whole number each
        ({"batch_size": 16, "microbatches": 4}, 8, 8, (8, 1)),
        ({"batch_size": 16, "microbatches": 4}, 8, None, (16, 4)),
        ({"batch_size": 16}, 1, 8, (4, 1)),
        ({"batch_size": 16}, 60, 5, (64, 4)),
    ],
)
def test_batches_and_their_parts_are_divided_over_the_mesh(train, rule, at_once, expected):
    base = replace(BASE, train=replace(BASE.train, mesh=Mesh(data=4), **train))
    recipe = replace(
        RECIPE, base=base, at_once=at_once, batch_size=None if rule is None else lambda cell: rule
    )
    (run,) = crossed([1e5], [2**17], recipe, size_tolerance=1.0)
    assert (run.train.batch_size, run.train.microbatches) == expected


def test_runs_of_a_shape_share_a_compilation():
    runs = crossed(
        [1e5],
        [2**16, 2**17, 2**18],
        replace(RECIPE, warmup_tokens=rules.share_of_run(0.1)),
        size_tolerance=1.0,
    )
    assert len(runs) == 3
    assert make_plan("crossed", runs).n_groups == 1


@pytest.mark.parametrize(
    ("budget", "size", "message"),
    [
        (1e12, 1e3, r"N = 1000 is more than 25 %.*nearest have [\d,]+ \(width 16, depth 2\)"),
        (1e7, 1e5, r"1e\+07 FLOPs.*whole number of steps of 4 seq.*nearest budgets are [\d.e+]+"),
        (1e15, 1e5, r"1e\+15 FLOPs.*data hold 16,777,216\. The largest budget of this shape is"),
        (-1.0, 1e5, r"budget = -1.0 is not positive"),
        (1e12, math.nan, r"size = nan is not positive"),
    ],
)
def test_what_no_shape_meets_is_refused_with_what_is_near(budget, size, message):
    with pytest.raises(ValueError, match=message):
        iso_flop([budget], [size], RECIPE)


def test_the_nearest_budgets_of_a_refusal_can_be_had():
    with pytest.raises(ValueError, match="nearest budgets") as refusal:
        iso_flop([1e7], [1e5], RECIPE, size_tolerance=1.0)
    near = float(str(refusal.value).split("nearest budgets are ")[1].split(" ")[0].rstrip(":"))
    assert len(iso_flop([near], [1e5], RECIPE, size_tolerance=1.0)) == 1
    with pytest.raises(ValueError, match="largest budget of this shape") as refusal:
        iso_flop([1e15], [1e5], RECIPE, size_tolerance=1.0)
    near = float(str(refusal.value).split("of this shape is ")[1].split(";")[0])
    assert len(iso_flop([0.999 * near], [1e5], RECIPE, size_tolerance=1.0)) == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": Transformer(width=16, depth=2, heads=2)}, "give head_size alone"),
        ({"multiple_of": 0}, "multiple_of = 0"),
        ({"at_once": 0}, "at_once = 0"),
    ],
)
def test_a_recipe_that_cannot_be_followed_is_refused(changes, message):
    base = replace(BASE, model=changes.pop("model", BASE.model))
    with pytest.raises(ValueError, match=message):
        Recipe(base=base, **changes)


def test_a_mesh_that_divides_no_power_of_two_is_refused_with_a_rule_for_the_batch():
    base = replace(BASE, train=replace(BASE.train, mesh=Mesh(data=3), batch_size=6))
    Recipe(base=base, at_once=1)
    with pytest.raises(ValueError, match=r"mesh has 3 devices .* divides no power of two"):
        Recipe(base=base, batch_size=lambda cell: 6)


@dataclass(frozen=True)
class Squarish(Family):
    """A family whose width and depth follow from another field."""

    kind: ClassVar[str] = "squarish"
    takes_tokens: ClassVar[bool] = True
    depth: ClassVar[int] = 2
    area: int = 16

    @property
    def width(self) -> int:
        return self.area // 2

    def build(self, n_inputs, n_outputs):
        raise NotImplementedError

    def count_params(self, n_inputs, n_outputs):
        return {"readout": self.area}

    def flops_forward(self, n_inputs, n_outputs):
        return self.area


@dataclass(frozen=True)
class Wide(Squarish):
    """The same with a width of its own."""

    width: int = 8


def test_a_width_or_depth_that_is_no_field_is_refused():
    with pytest.raises(ValueError, match="give a model with a field width"):
        Recipe(base=replace(BASE, model=Squarish()))
    Recipe(base=replace(BASE, model=Wide()))
    with pytest.raises(ValueError, match=r"rule for depth, but .* 'squarish' has no field depth"):
        Recipe(base=replace(BASE, model=Wide()), depth=aspect_ratio(2))


def test_a_base_without_tokens_is_refused():
    from scaling.data.digits import Digits
    from scaling.training import Gradient

    plain = RunConfig(
        model=MLP(width=4, depth=1),
        data=Digits(n_train=100),
        train=Gradient(optimizer=Adam(learning_rate=1e-3), steps=7),
    )
    with pytest.raises(ValueError, match=r"'mlp' and train.kind = 'gradient'"):
        Recipe(base=plain)


def test_rules_give_the_published_numbers():
    # Each formula at a size where its paper's constants can be read off.
    assert rules.kaplan_learning_rate(CELL._replace(n_params_non_embedding=1)) == 0.003239
    at_gpt2_xl = rules.kaplan_learning_rate(CELL._replace(n_params_non_embedding=1.5e9))
    assert at_gpt2_xl == pytest.approx(0.000291, rel=0.01)
    assert rules.deepseek_learning_rate(CELL._replace(flops=1.0)) == 0.3118
    # DeepSeek LLM 7B, 2e12 tokens: 4.2e-4 and 2304 sequences of 4096 tokens were trained with.
    deepseek = CELL._replace(flops=6 * 6.9e9 * 2e12, context=4096)
    assert rules.deepseek_learning_rate(deepseek) == pytest.approx(4.2e-4, rel=0.2)
    assert rules.deepseek_batch_size(deepseek) == pytest.approx(2304, rel=0.2)
    assert rules.olmo_learning_rate(CELL) == pytest.approx(0.0047)
    assert rules.olmo_batch_size(CELL) == pytest.approx(160)
    assert rules.olmo_batch_size(CELL._replace(context=1024)) == pytest.approx(320)
    assert rules.parameters_as_tokens(CELL) == 108_000_000
    assert rules.parameters_as_tokens(CELL._replace(tokens=1e8)) == 2e7


def test_a_rate_falls_beyond_so_many_tokens():
    rule = rules.falling_beyond(80, 0.5, lambda cell: 0.01)
    rates = [rule(CELL._replace(tokens=tokens)) for tokens in (2, 80, 320)]
    assert rates == pytest.approx([0.01, 0.01, 0.005])


def test_rules_refuse_what_they_cannot_say():
    with pytest.raises(ValueError, match="no positive learning rate at N = 1e"):
        rules.kaplan_learning_rate(CELL._replace(n_params_non_embedding=10**11))
    with pytest.raises(ValueError, match="rates is empty: give"):
        rules.tuned({})
    with pytest.raises(ValueError, match="rate at size 100 = -1 is not positive"):
        rules.tuned({100: -1})
    with pytest.raises(ValueError, match="exponent = 0 is not positive"):
        rules.falling_beyond(80, 0, rules.olmo_learning_rate)
    with pytest.raises(ValueError, match="share = 1 of a run"):
        rules.share_of_run(1)


def test_cells_of_tokens_are_pre_training_runs():
    runs = at_sizes(
        BASE, [(5e4, 2**17), (5e4, 2**17)], size="model.width", values=range(16, 256, 16)
    )
    assert [run.seed for run in runs] == [0, 1]
    assert account(runs[0]).n_tokens_seen == 2**17
    with pytest.raises(ValueError, match=r"D = 5 is more than 20 %"):
        at_sizes(BASE, [(5e4, 5)], size="model.width", values=range(16, 256, 16))
