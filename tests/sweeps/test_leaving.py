"""When a worker leaves the rest of a compiled shape to the one that is at it."""

from __future__ import annotations

import dataclasses
import json
import threading
from collections.abc import Callable, Sequence

import pytest
import trivial_runs
from folders import PLAN, RUN, claim, publish

from sweeps import publishing
from sweeps.claims import Attempt
from sweeps.order import Task
from sweeps.store import Store
from sweeps.worker import load_tasks, work

SHAPE_OF_THREE = trivial_runs.plan_of(9)
"""Begins with the runs of PLAN; its shapes have three runs each."""

GROUP = [run.run_id for run in SHAPE_OF_THREE.runs if run.group == RUN.group]


@pytest.fixture
def tasks(store: Store, monkeypatch: pytest.MonkeyPatch) -> list[Task]:
    """All of another worker's share, a second each; compiling takes longer than the tests."""
    monkeypatch.setattr("sweeps.worker.SECONDS_A_SHAPE", 100.0)
    assert GROUP[:2] == [run.run_id for run in PLAN.runs if run.group == RUN.group]
    publishing.declare(store, SHAPE_OF_THREE)
    publishing.make_folders(store, [run.run_id for run in SHAPE_OF_THREE.runs])
    job = {"root": store.root, "plan_id": SHAPE_OF_THREE.plan_id, "attempts_before": {}}
    tasks = [dataclasses.replace(task, of_another=True) for task in load_tasks([job])]
    _lasting(1.0, tasks)
    return tasks


def done_beside(store: Store, held: Attempt, tasks: Sequence[Task], wanted: int) -> set[str]:
    """The runs that a worker does while another is at the first, as long as it is.

    That one gives up when so many are done, or after a time that is long for so few.
    """
    done: list[str] = []
    gave_up_at: list[int] = []

    def give_up() -> None:
        gave_up_at.append(len(done))
        publishing.end(store, held, "interrupted")

    def emit(kind: str, *, run_id: str, **_: object) -> None:
        if kind in ("done", "diverged"):
            done.append(run_id)
            if len(done) == wanted:
                give_up()

    timer = threading.Timer(10, give_up)
    timer.daemon = True
    timer.start()
    work(tasks, trivial_runs.run, lease=60, emit=emit)
    timer.cancel()
    unpublished = {task.run.run_id for task in tasks} - set(done)
    assert all(store.has_result(run_id) for run_id in unpublished)
    return set(done[: gave_up_at[0]])


def rest_of(tasks: Sequence[Task]) -> set[str]:
    return {task.run.run_id for task in tasks} - set(GROUP)


def test_the_rest_of_a_shape_is_left_to_the_process_that_is_at_it(
    store: Store, tasks: list[Task]
) -> None:
    held = claim(store)  # by this very process, which lives
    assert done_beside(store, held, tasks, wanted=6) == rest_of(tasks)


def test_the_rest_is_what_is_not_published_yet(
    store: Store, tasks: list[Task], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sweeps.worker.SECONDS_A_SHAPE", 2.5)  # of three runs, two are left
    publish(store)
    other = next(task for task in tasks if task.run.run_id == GROUP[1])
    held = publishing.claim(store, GROUP[1], 1, other.run.config)
    assert held is not None
    assert done_beside(store, held, tasks, wanted=6) == rest_of(tasks)


def _in_its_own_share(_: Store, tasks: list[Task], __: pytest.MonkeyPatch) -> None:
    tasks[:] = [dataclasses.replace(task, of_another=False) for task in tasks]


def _lasting(seconds: float, tasks: list[Task]) -> None:
    for index, task in enumerate(tasks):
        run = dataclasses.replace(task.run, seconds=seconds)
        tasks[index] = dataclasses.replace(task, run=run)


def _sooner_compiled(_: Store, tasks: list[Task], __: pytest.MonkeyPatch) -> None:
    _lasting(100.0, tasks)


def _after_waiting(_: Store, tasks: list[Task], monkeypatch: pytest.MonkeyPatch) -> None:
    _lasting(0.01, tasks)
    monkeypatch.setattr("sweeps.worker.SECONDS_A_SHAPE", 0.1)


def _compiled_here(_: Store, tasks: list[Task], __: pytest.MonkeyPatch) -> None:
    index = next(i for i, task in enumerate(tasks) if task.run.run_id == GROUP[1])
    tasks.insert(0, dataclasses.replace(tasks.pop(index), of_another=False))


def _of_another_boot(store: Store, _: list[Task], __: pytest.MonkeyPatch) -> None:
    path = store.attempts(RUN.run_id)[0].folder / "claim.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "boot": "another"}))


@pytest.mark.parametrize(
    "where",
    [_in_its_own_share, _sooner_compiled, _after_waiting, _compiled_here, _of_another_boot],
)
def test_nothing_is_left(
    store: Store,
    tasks: list[Task],
    monkeypatch: pytest.MonkeyPatch,
    where: Callable[[Store, list[Task], pytest.MonkeyPatch], None],
) -> None:
    held = claim(store)
    where(store, tasks, monkeypatch)
    everything = {task.run.run_id for task in tasks}
    assert done_beside(store, held, tasks, wanted=8) == everything - {RUN.run_id}


def test_who_has_published_its_run_is_not_at_it_any_more(store: Store, tasks: list[Task]) -> None:
    publish(store)
    attempt = store.attempts(RUN.run_id)[0]
    (attempt.folder / "end.json").unlink()  # its process has not come so far
    everything = {task.run.run_id for task in tasks}
    assert done_beside(store, attempt, tasks, wanted=8) == everything - {RUN.run_id}
