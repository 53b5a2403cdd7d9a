"""Runs that start from other runs: identity, price, order, one training of a parent, its loss."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import killed_runs
import pytest

from scaling.accounting import account
from scaling.config import RunConfig, load_config, resolved, run_id
from scaling.data.gaussian import GaussianTeacher
from scaling.models.linear import Linear
from scaling.overrides import replace_at, replace_together
from scaling.record import Curve, RunRecord
from scaling.run import run
from scaling.solving import Ridgeless
from scaling.trainers import tokens, weights
from scaling.workspace import Workspace
from sweeps import publishing
from sweeps.computing import computing
from sweeps.plan import Plan, make_plan
from sweeps.space import grid
from sweeps.store import Store
from sweeps.survey import Hole, survey
from sweeps.worker import load_tasks, work

PARENT = replace_together(killed_runs.CONFIG, {"train.steps": 8, "train.evaluations": 2})
STILL = replace_at(replace(PARENT, init_from=PARENT), "train.optimizer.learning_rate", 1e-9)
"""A run that learns nothing from where another one ended."""
CHILDREN = grid(STILL, {"seed": range(1, 4)})


def identities(plan: Plan) -> list[tuple[str, str | None, bool]]:
    return [(run.run_id, run.parent_id, run.is_parent) for run in plan.runs]


def test_the_parent_is_part_of_the_identity():
    other = replace_at(PARENT, "seed", 1)
    starts = [replace(PARENT, init_from=each) for each in (None, PARENT, other)]
    assert run_id(starts[0]) == run_id(PARENT)
    assert len(set(map(run_id, starts))) == 3
    grandchild = replace(PARENT, init_from=starts[2])
    assert run_id(grandchild) not in map(run_id, starts)
    plain = resolved(grandchild)
    assert plain["init_from"]["init_from"] == resolved(other)
    assert run_id(load_config(plain)) == run_id(grandchild)
    assert "init_from" not in resolved(PARENT)


def test_a_parent_that_changed_is_named():
    plain = resolved(STILL)
    plain["init_from"]["data"]["fingerprint"] = "ngram/0"
    with pytest.raises(ValueError, match=r"^init_from: data.fingerprint 'ngram/0' was recorded"):
        load_config(plain)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"model.width": 16}, "give both the same model and vocabulary"),
        ({"data.vocab_size": 9}, "for 8 tokens, and the run one of"),
        ({"train.mesh.data": 2}, "init_from takes 1 devices and the run 2"),
    ],
)
def test_a_parent_that_does_not_fit_is_refused(changes, says):
    with pytest.raises(ValueError, match=says):
        replace_together(STILL, changes)


def test_only_runs_on_tokens_start_from_others():
    solved = RunConfig(
        model=Linear(n_features=2), data=GaussianTeacher(n_train=3, dimension=4), train=Ridgeless()
    )
    with pytest.raises(ValueError, match=r"train.kind = 'ridgeless': a run starts from another"):
        replace(solved, init_from=PARENT)


def test_a_parent_is_planned_and_priced_once_and_before_its_children():
    plan = make_plan("x", CHILDREN)
    parent = run_id(PARENT)
    assert identities(plan) == [
        (parent, None, True),
        *((run_id(child), parent, False) for child in CHILDREN),
    ]
    assert plan.n_duplicates == 0
    assert plan.flops == 4 * account(PARENT).flops_train
    # Listed too, or with its other children, it is the same run of the same plan.
    again = make_plan("x", [*CHILDREN, PARENT])
    assert (again.plan_id, again.runs) == (plan.plan_id, plan.runs)
    alone = make_plan("x", [PARENT])
    assert not alone.runs[0].is_parent and alone.runs[0].run_id == parent


def sweep(store: Store, plan: Plan, compute: Any) -> list[RunRecord]:
    """Does a plan in this process, a child first."""
    publishing.declare(store, plan)
    publishing.make_folders(store, [run.run_id for run in plan.runs])
    job = {"root": str(store.root), "plan_id": plan.plan_id, "attempts_before": {}}
    tasks = load_tasks([job])[::-1]
    work([[tasks]], computing(compute), lease=30.0, emit=lambda kind, **more: None)
    return store.read(plan)


@pytest.mark.slow
def test_ten_children_train_their_parent_once_and_start_where_it_ended(store: Store):
    trained: Counter[str] = Counter()

    def failing_once(config: RunConfig, workspace: Workspace) -> tuple[RunRecord, Curve]:
        trained[run_id(config)] += 1
        result = run(config, workspace)
        if config.init_from is None and trained[run_id(config)] == 1:
            raise OSError("the weights are saved, and nothing is published")
        return result

    plan = make_plan("x", [replace_at(STILL, "seed", 1 + seed) for seed in range(10)])
    parent, *children = sweep(store, plan, failing_once)
    assert all(record.status == "done" for record in (parent, *children))
    assert trained == Counter({run_id(PARENT): 2, **{c.run_id: 1 for c in children}})
    for child in children:
        assert child.eval_loss_nats == pytest.approx(parent.eval_loss_nats, abs=1e-6)
        assert child.flops_train == parent.flops_train
    # Without a results folder, or without the weights in it, the same bits.
    alone, _ = run(plan.configs[1])
    for name in ("eval_loss_nats", "train_loss_nats", "weight_norm_l2"):
        assert getattr(alone, name) == getattr(children[0], name)


def test_a_reader_of_weights_removes_none_that_are_being_saved(tmp_path: Path, monkeypatch):
    import orbax.checkpoint.experimental.v1 as ocp

    folder, name, params = tmp_path / "weights", run_id(PARENT), {"w": jnp.arange(3.0)}
    write = ocp.save

    def read_meanwhile(*given: Any) -> None:
        write(*given)
        assert weights.load(folder, name, params) is None

    monkeypatch.setattr(ocp, "save", read_meanwhile)
    weights.save(folder, name, params, tmp_path / "own")
    found = weights.load(folder, name, params)
    assert found is not None and found["w"].tolist() == [0.0, 1.0, 2.0]


@pytest.mark.slow
def test_time_on_a_parent_is_no_time_on_steps(monkeypatch):
    final_weights = tokens._final_weights

    def slowly(*given: Any) -> Any:
        time.sleep(1.0)
        return final_weights(*given)

    monkeypatch.setattr(tokens, "_final_weights", slowly)
    record, _ = run(STILL)
    assert record.train_seconds is not None and record.train_seconds < 1.0
    assert record.wall_seconds is not None and record.wall_seconds > 1.0


@pytest.mark.slow
def test_children_of_a_parent_that_diverged_say_so_without_training_it_again(store: Store):
    wild = replace_together(
        PARENT, {"train.optimizer.learning_rate": 1e30, "train.clip_norm": None}
    )
    plan = make_plan("x", [replace(PARENT, init_from=wild)])
    parent, child = sweep(store, plan, run)
    assert (parent.status, child.status) == ("diverged", "failed")
    assert child.message is not None
    assert f"the run {run_id(wild)}, which init_from names, diverged at step" in child.message
    folder = store.weights_folder(run_id(wild))
    assert weights.diverged_at(folder, run_id(wild)) == parent.diverged_at_step
    assert weights.diverged_at(folder, run_id(PARENT)) is None


def test_children_of_a_parent_that_fails_do_not_wait_for_ever(store: Store):
    def broken(config: RunConfig) -> tuple[RunRecord, Curve]:
        raise RuntimeError("no")

    plan = make_plan("x", CHILDREN[:1])
    assert [record.status for record in sweep(store, plan, broken)] == ["failed", "failed"]


def test_runs_that_are_lacking_are_found_by_their_own_seed(tmp_path: Path):
    def all_but_one(config: RunConfig) -> tuple[RunRecord, Curve]:
        if config.seed == 2:
            raise RuntimeError("no")
        return RunRecord(run_id=run_id(config), status="done", config=resolved(config)), ()

    store = Store.create(tmp_path / "seeds")
    sweep(store, make_plan("x", CHILDREN), all_but_one)
    assert Hole("seed", 2, 1, 1) in survey(store).holes
