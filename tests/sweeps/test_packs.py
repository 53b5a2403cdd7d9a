"""Runs done together: one record each, and failures, kills and claims as of runs done alone."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import packed_runs
import pytest
import trivial_runs
from hypothesis import given, settings
from hypothesis import strategies as st
from trivial_runs import config, in_order, lasting, plan_of, truth

from scaling.config import RunConfig
from scaling.packs import Pack
from scaling.record import dump_record, with_curve
from sweeps import publishing, visiting
from sweeps.computing import computing
from sweeps.plan import Plan, PlannedRun, make_plan
from sweeps.runner import run_sweeps
from sweeps.store import Store
from sweeps.visiting import Task, packs, with_packs
from sweeps.worker import load_tasks, work


def sizes(store: Store, plan: Plan) -> list[int]:
    """Number of runs that each was done with."""
    records = store.read(plan)
    return sorted(record.environment.get("pack", {"size": 1})["size"] for record in records)


@pytest.fixture
def declared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Store, Plan, list[Task]]:
    """Four runs that are to be done together, in this process."""
    monkeypatch.setattr(visiting, "pack_of", packed_runs.pack_of)
    store, plan = Store.create(tmp_path / "r"), make_plan("four", list(map(config, range(4))))
    publishing.declare(store, plan)
    publishing.make_folders(store, [run.run_id for run in plan.runs])
    job = {"root": str(store.root), "plan_id": plan.plan_id, "attempts_before": {}}
    return store, plan, in_order(load_tasks([job], "cpu"), 0, 1)


def do(tasks: list[Task], run_pack: Any, run: Any = trivial_runs.run) -> list[tuple[str, int]]:
    """Works on tasks; returns what was reported, by kind and seed."""
    events: list[tuple[str, int]] = []
    seeds = {task.run.run_id: task.run.config["seed"] for task in tasks}

    def emit(kind: str, run_id: str, **more: Any) -> None:
        events.append((kind, seeds[run_id]))

    work([[tasks]], computing(run, run_pack=run_pack), lease=30.0, emit=emit)
    return events


@pytest.mark.parametrize("workers", [1, 2])
def test_runs_are_done_in_packs(tmp_path: Path, workers: int) -> None:
    plan, root = plan_of(10), tmp_path / "r"
    summary = run_sweeps(
        [(root, plan)], workers=workers, run=packed_runs.run, run_pack=packed_runs.run_pack
    )
    assert summary.complete and not summary.notices
    store = Store.open(root)
    assert lasting(store.read(plan)) == truth(plan)
    assert sizes(store, plan) == [3, 3, 3, 3, 3, 3, 4, 4, 4, 4]
    assert store.curve(plan.runs[1].run_id) == trivial_runs.POINTS
    assert all(len(store.attempts(run.run_id)) == 1 for run in plan.runs)


def test_without_a_function_for_packs_each_is_done_alone(tmp_path: Path) -> None:
    plan = plan_of(4)
    assert run_sweeps([(tmp_path, plan)], workers=1, run=packed_runs.run).complete
    assert sizes(Store.open(tmp_path), plan) == [1] * 4


def test_a_member_that_fails_fails_alone(declared: tuple[Store, Plan, list[Task]]) -> None:
    store, plan, tasks = declared

    def failing(config: RunConfig) -> Any:
        assert config.seed != 1, "not this one"
        return trivial_runs.run(config)

    events = do(tasks, lambda configs: [failing(each) for each in configs], failing)
    assert Counter(events)["tried", 1] == 2 and ("failed", 1) in events
    counts = {"done": 2, "diverged": 1, "failed": 1, "missing": 0, "paused": 0}
    assert store.status(plan) == counts
    assert [len(store.attempts(run.run_id)) for run in plan.runs] == [1, 2, 1, 1]
    trace = store.attempts(plan.runs[1].run_id)[0].folder / "traceback.txt"
    assert "not this one" in trace.read_text()


def test_a_pack_too_large_for_the_memory_is_halved(
    declared: tuple[Store, Plan, list[Task]],
) -> None:
    store, plan, tasks = declared

    def hungry(configs: Sequence[RunConfig]) -> Any:
        if len(configs) > 2:
            raise RuntimeError("RESOURCE_EXHAUSTED: out of memory while allocating 1 B")
        return packed_runs.run_pack(configs)

    events = do(tasks, hungry)
    assert Counter(kind for kind, _ in events) == {"started": 4, "done": 3, "diverged": 1}
    assert sizes(store, plan) == [2] * 4
    assert lasting(store.read(plan)) == truth(plan)


@pytest.mark.parametrize("wrong", ["too few", "another", "not a number"])
def test_a_pack_that_returns_something_else_is_not_believed(
    declared: tuple[Store, Plan, list[Task]], wrong: str
) -> None:
    store, plan, tasks = declared

    def confused(configs: Sequence[RunConfig]) -> Any:
        found = packed_runs.run_pack(configs)
        if wrong == "too few":
            return found[:-1]
        if wrong == "another":
            return found[::-1]
        return [trivial_runs.mixed(each) if each.seed == 0 else it for each, it in found]

    do(tasks, confused)
    assert lasting(store.read(plan)) == truth(plan)


def test_what_another_process_is_at_is_left_to_it(
    declared: tuple[Store, Plan, list[Task]],
) -> None:
    store, plan, tasks = declared
    first, config = plan.runs[0], plan.configs[0]
    attempt = publishing.claim(store, first.run_id, 1, first.config)
    assert attempt is not None

    def late(configs: Sequence[RunConfig]) -> Any:
        found = packed_runs.run_pack(configs)
        record, _ = trivial_runs.run(config)
        record = with_curve(record, "")
        publishing.publish(store, attempt, record, dump_record(record), "")
        return found

    events = do(tasks, late)
    assert ("elsewhere", config.seed) in events
    assert lasting(store.read(plan)) == truth(plan)
    assert sizes(store, plan) == [1, 4, 4, 4]  # the first run here was done by `trivial_runs.run`
    assert not store.quarantine.exists()


@pytest.mark.medium
def test_kill_9_in_the_middle_of_a_pack_loses_nothing_that_was_published(tmp_path: Path) -> None:
    plan, root = plan_of(4), tmp_path / "r"
    summary = run_sweeps(
        [(root, plan)],
        workers=1,
        run=packed_runs.run,
        run_pack=packed_runs.run_pack_and_die_while_publishing,
    )
    store = Store.open(root)
    # The two that were published stay. The worker that took its place does the whole pack again,
    # on which last bits depend, for the two others.
    assert summary.complete and any("SIGKILL" in notice for notice in summary.notices)
    assert lasting(store.read(plan)) == truth(plan)
    assert sizes(store, plan) == [4, 4, 4, 4]
    assert sorted(len(store.attempts(run.run_id)) for run in plan.runs) == [1, 1, 2, 2]


def test_a_pack_that_kills_its_worker_is_done_run_by_run(tmp_path: Path) -> None:
    plan = plan_of(4)
    jobs = [(tmp_path, plan)]
    run_pack = packed_runs.run_pack_fatally
    assert run_sweeps(jobs, workers=1, run=packed_runs.run, run_pack=run_pack).complete
    store = Store.open(tmp_path)
    # Lost once, the pack was more likely killed from outside; lost twice, a run may be to blame.
    assert [len(store.attempts(run.run_id)) for run in plan.runs] == [3] * 4
    assert all((store.failure(r.run_id) or r).reason == "worker_lost" for r in store.read(plan))


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.booleans()), max_size=40),
    st.integers(1, 7),
    st.integers(1, 3),
)
def test_packs_are_few_equal_and_visited_whole(
    runs: list[tuple[int, bool]], most: int, workers: int
) -> None:
    """Those of group 3 are done alone; groups 1 and 2 may be packed together, tried or not."""
    keys = {"0": "zero", "1": "both", "2": "both"}
    tasks = [
        Task(0, Store(Path("/nowhere")), PlannedRun(f"{i:032x}", str(group), 1, 1.0, {}), tried)
        for i, (group, tried) in enumerate(runs)
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            visiting, "pack_of", lambda run, shape, _: keys.get(shape) and Pack(keys[shape], most)
        )
        packed = with_packs(tasks, "cpu")
    assert [task.run for task in packed] == [task.run for task in tasks]
    expected: Counter[int] = Counter()
    for key in ("zero", "both"):
        n = sum(keys.get(str(g)) == key for g, _ in runs)
        n_packs = math.ceil(n / most)
        expected.update((n + i) // n_packs for i in range(n_packs))
    expected[1] += sum(group == 3 for group, _ in runs)
    for worker in range(workers):
        groups = list(packs(in_order(packed, worker, workers)))
        assert Counter(map(len, groups)) == +expected
        assert all(
            [t.run for t in group] == list(group[0].mates) for group in groups if len(group) > 1
        )
        assert sum(map(len, groups)) == len(tasks)
