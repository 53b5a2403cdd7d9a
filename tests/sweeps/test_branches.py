"""Sweeps of runs that share trunks: recipe, price, order, and the same table as without them."""

from __future__ import annotations

import itertools
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import killed_runs
import pytest
import trivial_runs
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from trivial_runs import as_published, in_order, lasting

import scaling.config
from scaling.accounting import account
from scaling.config import Resolved, RunConfig, run_id, trunk_of
from scaling.data.ngram import NGram
from scaling.models.transformer import Transformer
from scaling.overrides import replace_at
from scaling.pretraining import Pretraining
from scaling.record import Curve, RunRecord
from scaling.run import run
from scaling.schedules import Cosine, StableDecay
from scaling.training import Adam
from scaling.workspace import Workspace
from sweeps import publishing, rules
from sweeps.computing import computing
from sweeps.files import StoreError
from sweeps.plan import PlannedRun, make_plan
from sweeps.pool import Job
from sweeps.recipes import achieved, aspect_ratio, branches, ladder
from sweeps.runner import run_sweeps
from sweeps.shapes import Recipe
from sweeps.space import grid
from sweeps.store import Store
from sweeps.visiting import Task
from sweeps.worker import load_tasks, work

BASE = RunConfig(
    model=Transformer(width=16, depth=2, head_size=16),
    data=NGram(n_tokens=2**24, context=64),
    train=Pretraining(
        optimizer=Adam(learning_rate=1e-3),
        schedule=StableDecay(decay=0.25),
        batch_size=4,
        warmup_tokens=2048,
        tokens=4096,
    ),
)
RECIPE = Recipe(base=BASE, depth=aspect_ratio(32, at_least=2), multiple_of=16)
SIZE = 3e4
OURS = ("scaling.", "sweeps.")


def leaving(configs: list[RunConfig]) -> list[int]:
    """Steps at which runs leave their trunk."""
    return [trunk.steps for trunk in map(trunk_of, configs) if trunk]


def test_branches_are_a_ladder_of_one_size_on_one_trunk():
    runs = branches(SIZE, [4, 1, 2], RECIPE)
    assert runs == ladder([SIZE], [4, 1, 2], RECIPE)
    assert len({trunk.trunk_id for trunk in map(trunk_of, runs) if trunk}) == 1
    assert [row.tokens_per_param for row in achieved(runs)] == pytest.approx([4, 1, 2], rel=0.01)
    steps = [row.steps for row in achieved(runs)]
    assert leaving(runs) == [n - round(n / 4) for n in steps]
    # Rules that go by the size serve all lengths alike.
    by_size = replace(
        RECIPE,
        learning_rate=rules.olmo_learning_rate,
        warmup_tokens=rules.parameters_as_tokens,
    )
    rows = achieved(branches(SIZE, [5, 10], by_size))
    assert rows[0].warmup_tokens == rows[1].warmup_tokens == rows[0].n_params


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        (
            replace(RECIPE, base=replace_at(BASE, "train.schedule", Cosine())),
            r"schedule = Cosine.* has no trunk at .*Give the base schedule.kind = 'stable",
        ),
        (
            replace(RECIPE, warmup_tokens=rules.share_of_run(0.1)),
            r"are \(\d+, 0.001, 4\), \(\d+, 0.001, 4\); runs of one trunk have one of each",
        ),
        (
            replace(RECIPE, learning_rate=rules.deepseek_learning_rate),
            "Give rules that do not depend on the length of a run",
        ),
    ],
)
def test_branches_without_one_trunk_are_refused(recipe: Recipe, message: str):
    with pytest.raises(ValueError, match=message):
        branches(SIZE, [1, 2], recipe)


def test_a_plan_prices_every_trunk_once():
    """The trunk of the longest and the decays of all: at D = 1, 2, 4, 8 and a quarter of decay,
    3/4 of 8 and 1/4 of 15."""
    runs = grid(branches(SIZE, [1, 2, 4, 8], RECIPE), {"seed": range(3)})
    plan = make_plan("branches", runs)
    alone = sum(account(config).flops_train for config in runs)
    a_step = alone / sum(account(config).steps or 0 for config in runs)
    steps = [account(config).steps or 0 for config in branches(SIZE, [1, 2, 4, 8], RECIPE)]
    decays = sum(round(n / 4) for n in steps)
    assert plan.flops == pytest.approx(3 * (decays + steps[-1] - round(steps[-1] / 4)) * a_step)
    assert plan.flops + plan.flops_saved == pytest.approx(alone)
    assert plan.flops / alone == pytest.approx((0.75 * 8 + 0.25 * 15) / 15, rel=0.01)
    assert plan.n_groups == 1
    alone_plans = [make_plan("x", [config]) for config in runs]
    assert plan.seconds < sum(each.seconds for each in alone_plans)
    n_params = account(runs[0]).n_params_total
    without = replace(plan, runs=tuple(replace(run, trunk_id=None) for run in plan.runs))
    assert plan.disk_bytes - without.disk_bytes == 3 * 2 * 12 * n_params


def test_a_run_that_shares_no_trunk_costs_what_it_did():
    lone = branches(SIZE, [2], RECIPE)
    cosine = [replace_at(config, "train.schedule", Cosine()) for config in lone]
    plan = make_plan("x", [*lone, *cosine, replace(lone[0], seed=1), trivial_runs.config(0)])
    assert all((run.trunk_id, run.starts_at) == (None, 0) for run in plan.runs)
    assert plan.flops_saved == 0
    # Runs that differ in their decay alone share all before the first of both.
    other = [replace_at(lone[0], "train.schedule.decay", 0.5), replace_at(lone[0], "seed", 2)]
    plan = make_plan("x", [*lone, *other])
    assert [run.starts_at for run in plan.runs] == [leaving(other)[0], 0, 0]
    assert [run.trunk_id is None for run in plan.runs] == [False, False, True]
    assert plan.n_groups == 1


@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.integers(0, 3), st.integers(1, 99)),
        min_size=1,
        max_size=30,
        unique=True,
    ),
    st.integers(1, 4),
)
@examples(deadline=None, max_examples=50)
def test_runs_of_a_trunk_are_visited_together_the_shortest_first(
    runs: list[tuple[int, int, int]], workers: int
):
    store = Store(Path("/nowhere"))
    tasks = [
        Task(0, store, PlannedRun(f"{i:032x}", str(g), 1, 1.0, {}, f"{g}/{t}", steps), 0)
        for i, (g, t, steps) in enumerate(runs)
    ]
    for worker in range(workers):
        order = in_order(tasks, worker, workers)
        assert sorted(task.run.run_id for task in order) == [task.run.run_id for task in tasks]
        chains = [list(c) for _, c in itertools.groupby(order, key=lambda t: t.run.trunk_id)]
        assert len(chains) == len({task.run.trunk_id for task in tasks})
        for chain in chains:
            starts = [task.run.starts_at for task in chain]
            assert starts == sorted(starts)


def test_workers_do_not_share_a_trunk_before_they_must():
    runs = grid(branches(SIZE, [4, 1, 2], RECIPE), {"seed": range(4)})
    plan = make_plan("x", runs)
    store = Store(Path("/nowhere"))
    tasks = [Task(0, store, run, 0) for run in plan.runs]
    # One shape is one worker's; the other begins with the trunk that this one would take last.
    one, other = (in_order(tasks, worker, 2) for worker in (0, 1))
    assert {t.run.trunk_id for t in one[:6]}.isdisjoint(t.run.trunk_id for t in other[:6])


def test_runs_of_a_trunk_are_given_its_folder_and_others_none(tmp_path: Path):
    given_to: dict[str, Path | None] = {}

    def note(config: RunConfig, workspace: Workspace) -> tuple[RunRecord, Curve]:
        given_to[run_id(config)] = workspace.trunk
        return trivial_runs.run(config)

    runs = [*branches(SIZE, [1, 2], RECIPE), replace(BASE, seed=1), trivial_runs.config(0)]
    store, plan = Store.create(tmp_path / "r"), make_plan("x", runs)
    publishing.declare(store, plan)
    publishing.make_folders(store, [run.run_id for run in plan.runs])
    job = {"root": str(store.root), "plan_id": plan.plan_id, "attempts_before": {}}
    work([[load_tasks([job])]], computing(note), lease=30.0, emit=lambda kind, **more: None)
    trunk = trunk_of(runs[0])
    assert trunk is not None
    folder = store.root / "trunks" / trunk.trunk_id[:2] / trunk.trunk_id
    assert [given_to[run.run_id] for run in plan.runs] == [folder, folder, None, None]


def test_a_link_that_leads_a_trunk_out_of_the_folder_is_not_followed(tmp_path: Path):
    store, trunk_id = Store.create(tmp_path / "r"), "0" * 32
    (tmp_path / "outside").mkdir()
    (store.root / "trunks").symlink_to(tmp_path / "outside")
    with pytest.raises(StoreError, match="leads out of the results folder"):
        publishing.workspace(store, PlannedRun("1" * 32, "", 1, 0.0, {}, trunk_id=trunk_id))


@pytest.fixture
def times_resolved(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each configuration has been resolved, by run_id."""
    counts, resolve = Counter[str](), scaling.config.resolved

    def counted(config: RunConfig) -> Resolved:
        plain = resolve(config)
        counts[run_id(plain)] += 1
        return plain

    for module in [module for name, module in sys.modules.items() if name.startswith(OURS)]:
        if getattr(module, "resolved", None) is resolve:
            monkeypatch.setattr(module, "resolved", counted)
    return counts


def test_a_configuration_is_resolved_once_for_a_plan(times_resolved: Counter[str], tmp_path: Path):
    """Pricing, declaring and reading go by what the plan keeps."""
    plan = make_plan("counted", killed_runs.BRANCHES)
    store = Store.create(tmp_path / "r")
    publishing.declare(store, plan)
    assert plan.flops_saved > 0 and plan.n_groups == 1
    assert Job.of(0, store, plan).summary().missing == tuple(store.read(plan))
    assert times_resolved == {run.run_id: 1 for run in plan.runs}


@pytest.mark.slow
def test_a_worker_resolves_a_configuration_once(times_resolved: Counter[str], tmp_path: Path):
    """Where runs share a trunk and save checkpoints too."""
    configs = [replace_at(killed_runs.BRANCHES[0], "train.steps", steps) for steps in (4, 8)]
    store, plan = Store.create(tmp_path / "r"), make_plan("counted", configs)
    publishing.declare(store, plan)
    publishing.make_folders(store, times_resolved)
    times_resolved.clear()
    job = {"root": str(store.root), "plan_id": plan.plan_id, "attempts_before": {}}
    work([[load_tasks([job])]], computing(run), lease=30.0, emit=lambda kind, **more: None)
    assert store.status(plan)["done"] == 2
    assert times_resolved == {run.run_id: 1 for run in plan.runs}


@pytest.mark.slow
def test_branches_that_are_killed_end_as_the_same_runs_alone(tmp_path: Path):
    """Each of three processes goes on from the trunk and dies beyond it; a fourth ends the last."""
    plan = make_plan("killed", killed_runs.BRANCHES)
    summary = run_sweeps([(tmp_path / "r", plan)], workers=1, run=killed_runs.branch)
    assert summary.complete and sum("SIGKILL" in notice for notice in summary.notices) == 3
    store = Store.open(tmp_path / "r")
    records, alone = store.read(plan), [run(config) for config in plan.configs]
    assert lasting(records) == as_published(alone)
    assert [store.curve(record.run_id) for record in records] == [curve for _, curve in alone]
    environments = [record.environment for record in records]
    assert [each.get("from_trunk_at_step") for each in environments] == [30, None, 45]
    assert [each["resumed_at_steps"] for each in environments] == [[52], [35], [70]]
    assert not list(store.root.glob("runs/*/*/checkpoints"))
    assert len(list(store.root.glob("trunks/*/*/*/*"))) == 2
