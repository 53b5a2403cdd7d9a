"""Attempts at a run hand on to each other what spares work; it goes when the run is published."""

from __future__ import annotations

from pathlib import Path

import killed_runs
import pytest
import trivial_runs
from folders import RUN, claim, publish
from trivial_runs import as_published, lasting, plan_of

from scaling.config import RunConfig
from scaling.record import Curve, RunRecord
from scaling.run import run
from scaling.workspace import Workspace
from sweeps import publishing
from sweeps.computing import computing
from sweeps.files import StoreError
from sweeps.plan import make_plan
from sweeps.runner import run_sweeps
from sweeps.store import Store
from sweeps.worker import load_tasks, work


def halves(config: RunConfig, workspace: Workspace | None = None) -> tuple[RunRecord, Curve]:
    """Does half of its work an attempt, and fails after the first half."""
    assert workspace is not None and workspace.trunk is None
    if workspace.own.is_dir():
        assert (workspace.own / "half").read_text() == f"of seed {config.seed}"
        return trivial_runs.run(config)
    workspace.own.mkdir()
    (workspace.own / "half").write_text(f"of seed {config.seed}")
    raise ValueError("half of it is done")


def workspaces(root: Path) -> list[Path]:
    return list(root.glob("runs/*/*/checkpoints"))


def test_a_second_attempt_finds_what_the_first_left(store: Store):
    plan = plan_of(6)
    job = {"root": str(store.root), "plan_id": plan.plan_id, "attempts_before": {}}
    while tasks := load_tasks([job]):
        # Two at a time: five different runs that fail in a row would stop the worker.
        work([[tasks[:2]]], computing(halves), lease=30.0, emit=lambda kind, **more: None)
    assert lasting(store.read(plan)) == trivial_runs.truth(plan)
    assert all(len(store.attempts(run.run_id)) == 2 for run in plan.runs)
    assert not workspaces(store.root)


def test_a_run_that_takes_no_workspace_gets_none(tmp_path: Path):
    assert run_sweeps([(tmp_path / "r", plan_of(3))], workers=1, run=trivial_runs.run).complete
    assert not workspaces(tmp_path / "r")


def test_what_a_late_attempt_left_goes_too(store: Store):
    publish(store)
    folder = publishing.workspace(store, RUN).own
    folder.mkdir()
    (folder / "late").write_text("x")
    assert publish(store, number=2) == "equal"
    assert not workspaces(store.root)


def test_a_link_that_leads_out_is_not_followed(store: Store, tmp_path: Path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("x")
    claim(store)
    (store.run_folder(RUN.run_id) / "checkpoints").symlink_to(outside)
    with pytest.raises(StoreError, match="leads out of the results folder"):
        publishing.workspace(store, RUN)
    with pytest.raises(StoreError, match="leads out of the results folder"):
        publish(store, number=2)
    assert (outside / "precious").exists()


@pytest.mark.slow
def test_a_run_on_tokens_that_is_killed_again_and_again_ends_as_if_it_had_not_been(tmp_path: Path):
    """Three workers in turn take it from step 0 to 20, to 40 and to the end."""
    plan = make_plan("killed", [killed_runs.CONFIG])
    summary = run_sweeps([(tmp_path / "r", plan)], workers=1, run=killed_runs.run)
    assert summary.complete and sum("SIGKILL" in notice for notice in summary.notices) == 2
    store = Store.open(tmp_path / "r")
    (record,) = store.read(plan)
    whole, curve = run(killed_runs.CONFIG)
    assert lasting([record]) == as_published([(whole, curve)])
    assert store.curve(record.run_id) == curve
    assert record.environment["resumed_at_steps"] == [20, 40] and record.attempt == 3
    assert not workspaces(tmp_path / "r")
