"""Planning a pool of workers, doing sweeps, going on, and failing."""

from __future__ import annotations

import io
import itertools
import math
import subprocess
import sys
from collections import Counter, defaultdict, deque
from pathlib import Path
from types import SimpleNamespace

import pytest
import shared_runs
import trivial_runs
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from rich.console import Console
from trivial_runs import config, in_order, lasting, plan_of, truth

from scaling.devices.mesh import Mesh
from scaling.overrides import replace_at
from sweeps import retries, worker
from sweeps.executors.local import LocalExecutor
from sweeps.plan import Plan, PlannedRun, make_plan
from sweeps.pool import Event
from sweeps.progress import show_progress
from sweeps.runner import run_sweeps
from sweeps.space import grid
from sweeps.store import Store
from sweeps.visiting import MOST_OF_A_FAIR_SHARE, Task


@pytest.mark.medium
def test_several_sweeps_share_a_pool_and_a_second_call_does_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plans = [plan_of(6, "small"), plan_of(9, "larger"), plan_of(4, "in a folder of its own")]
    jobs = [(tmp_path / "a", plans[0]), (tmp_path / "a", plans[1]), (tmp_path / "b", plans[2])]
    events: list[Event] = []
    summary = run_sweeps(jobs, workers=2, run=trivial_runs.run, progress=events.append)
    assert summary.complete and not summary.interrupted and not summary.notices
    assert [(j.planned, j.already, j.done, j.diverged) for j in summary.jobs] == [
        (6, 0, 5, 1),
        (9, 0, 8, 1),
        (4, 0, 3, 1),
    ]
    for root, plan in jobs:
        assert lasting(Store.open(root).read(plan)) == truth(plan)
    assert len(list((tmp_path / "a" / "runs").glob("*/*/attempts/*"))) == 9
    settled = Counter(e.job for e in events if e.kind in ("done", "diverged", "elsewhere"))
    assert settled == {0: 6, 1: 9, 2: 4}

    monkeypatch.delattr(LocalExecutor, "start")
    again = run_sweeps(jobs, run="no.such.module:run")
    assert [(j.already, j.done) for j in again.jobs] == [(6, 0), (9, 0), (4, 0)]


@pytest.mark.medium
def test_a_sweep_is_extended_and_only_what_is_new_is_done(tmp_path: Path) -> None:
    run_sweeps([(tmp_path, plan_of(4))], workers=1, run=trivial_runs.run)
    before = {p: p.read_bytes() for p in tmp_path.glob("runs/*/*/result.json")}
    (job,) = run_sweeps([(tmp_path, plan_of(6))], workers=1, run=trivial_runs.run).jobs
    assert (job.already, job.done) == (4, 2)
    assert all(path.read_bytes() == content for path, content in before.items())
    assert len(list((tmp_path / "plans").iterdir())) == 2


def test_workers_are_fresh_single_threaded_and_pinned(tmp_path: Path) -> None:
    plan = plan_of(1)
    run_sweeps([(tmp_path, plan)], run="trivial_runs:describing", workers=3)
    (record,) = Store.open(tmp_path).read(plan)
    environment = record.environment
    assert environment["cores"] in (1, None)
    assert environment["threads"] == "1"
    assert environment["heavy"] == []


@pytest.mark.medium
def test_what_workers_warn_of_is_said_once(tmp_path: Path) -> None:
    summary = run_sweeps([(tmp_path, plan_of(4))], run="trivial_runs:warning", workers=2)
    assert summary.complete and summary.notices == ("the memory is short",)


@pytest.mark.medium
def test_a_worker_stands_for_as_many_devices_as_its_runs_share(tmp_path: Path) -> None:
    """Runs over one, two and four devices in one plan, and none left out."""
    run = replace_at(shared_runs.PLAN.configs[0], "train.mesh", Mesh())
    meshes = {"train.mesh.data": (1, 2), "train.mesh.fsdp": (1, 2), "seed": range(2)}
    plan = make_plan("devices", grid(run, meshes))
    events: list[Event] = []
    jobs = [(tmp_path / "a", plan)]
    summary = run_sweeps(jobs, run="trivial_runs:describing", workers=2, progress=events.append)
    assert summary.complete and not summary.notices
    # One worker may see a result of the other before the other reports it.
    assert sum(event.kind in ("done", "elsewhere") for event in events) == 8
    for planned, record in zip(plan.runs, Store.open(tmp_path / "a").read(plan), strict=True):
        assert (
            record.environment["devices"]
            == planned.devices
            == math.prod(planned.config["train"]["mesh"].values())
        )
        assert record.environment["cores"] in (1, None)
    assert Counter(planned.devices for planned in plan.runs) == {1: 2, 2: 4, 4: 2}


def attempts_and_reasons(root: Path, plan: Plan) -> dict[int, tuple[int, str | None]]:
    """The number of attempts and the reason of failure, by seed."""
    store = Store.open(root)
    table = zip(plan.runs, store.read(plan), strict=True)
    return {p.config["seed"]: (len(store.attempts(p.run_id)), r.reason) for p, r in table}


@pytest.mark.medium
def test_failures_are_recorded_by_kind_and_the_others_go_on(tmp_path: Path) -> None:
    plan = make_plan("mixed", [config(seed) for seed in (0, 1, 2, 3, 6, 7, 8)])
    (job,) = run_sweeps([(tmp_path, plan)], workers=2, run=trivial_runs.mixed).jobs
    assert attempts_and_reasons(tmp_path, plan) == {
        0: (1, None),
        1: (2, "exception"),
        2: (1, "out_of_memory"),
        3: (1, None),
        6: (2, "exception"),
        7: (2, "exception"),
        8: (1, None),
    }
    assert (job.done, job.diverged, len(job.failed), len(job.missing)) == (2, 1, 4, 0)
    first = next(record for record in job.failed if record.config["seed"] == 1)
    assert first.message == "ValueError: one is not to be computed"
    trace = Store.open(tmp_path).attempts(first.run_id)[0].folder / "traceback.txt"
    assert "trivial_runs.py" in trace.read_text()

    (job,) = run_sweeps([(tmp_path, plan)], workers=1, run=trivial_runs.run).jobs
    assert (job.already, job.done, job.failed, job.missing) == (3, 4, (), ())
    assert lasting(Store.open(tmp_path).read(plan)) == truth(plan)


@pytest.mark.medium
def test_the_machines_trouble_is_met_with_five_tries(tmp_path: Path) -> None:
    plan = make_plan("machine", [config(seed) for seed in (0, 4, 5, 8)])
    # One worker: a second could end a dead one's attempt before the parent says what killed it.
    summary = run_sweeps([(tmp_path, plan)], workers=1, run="impatient_runs:mixed")
    assert attempts_and_reasons(tmp_path, plan) == {
        0: (1, None),
        4: (5, "worker_lost"),
        5: (5, "infrastructure"),
        8: (1, None),
    }
    assert any("SIGKILL" in notice for notice in summary.notices)
    lost = next(record for record in summary.jobs[0].failed if record.reason == "worker_lost")
    assert "SIGKILL" in (lost.message or "") and lost.config["seed"] == 4


@pytest.mark.medium
def test_a_run_that_fails_once_is_done_by_the_same_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "marks").mkdir()
    monkeypatch.setenv("TRIVIAL_MARKS", str(tmp_path / "marks"))
    plan = plan_of(4)
    summary = run_sweeps([(tmp_path / "r", plan)], workers=1, run=trivial_runs.failing_once)
    assert summary.complete
    assert lasting(Store.open(tmp_path / "r").read(plan)) == truth(plan)
    assert Store.open(tmp_path / "r").curve(plan.runs[1].run_id) == trivial_runs.POINTS


@pytest.mark.medium
def test_a_worker_stops_after_five_failures_in_a_row_and_the_next_call_begins_elsewhere(
    tmp_path: Path,
) -> None:
    plan = plan_of(12)
    summary = run_sweeps([(tmp_path, plan)], workers=1, run=trivial_runs.failing)
    (job,) = summary.jobs
    assert (len(job.failed), len(job.missing)) == (5, 7)
    assert any("failures of 5 different runs in a row" in notice for notice in summary.notices)
    assert any("all workers have stopped" in notice for notice in summary.notices)
    first = {record.run_id for record in job.failed}
    (job,) = run_sweeps([(tmp_path, plan)], workers=1, run=trivial_runs.failing).jobs
    assert len({record.run_id for record in job.failed} - first) == 5


@pytest.mark.medium
def test_runs_that_fail_as_before_raise_no_alarm(tmp_path: Path) -> None:
    """Of 36 runs six fail: they are tried again one after another, and so by the next call."""
    plan = plan_of(36)
    for call in (1, 2):
        summary = run_sweeps([(tmp_path, plan)], workers=1, run=trivial_runs.every_sixth_fails)
        (job,) = summary.jobs
        assert (len(job.failed), len(job.missing), summary.notices) == (6, 0, ())
        assert len(list(tmp_path.glob("runs/*/*/attempts/*/failure.json"))) == 12 * call


@pytest.mark.medium
def test_a_worker_that_dies_right_after_publishing_has_published(tmp_path: Path) -> None:
    events: list[Event] = []
    summary = run_sweeps(
        [(tmp_path, plan_of(1))], run="trivial_runs:last_act", progress=events.append
    )
    assert summary.complete and summary.jobs[0].done == 1
    assert not any("to do" in notice for notice in summary.notices)
    assert [event.kind for event in events] == ["planned", "started", "elsewhere"]


@pytest.mark.medium
def test_impossible_arguments_are_refused_before_anything_is_made(tmp_path: Path) -> None:
    jobs = [(tmp_path / "r", plan_of(2))]
    with pytest.raises(ValueError, match="at least 1"):
        run_sweeps(jobs, workers=0)
    with pytest.raises(ValueError, match=r"lease = 0\.0 is not positive"):
        run_sweeps(jobs, lease=0.0)
    with pytest.raises(ValueError, match="top of a module"):
        run_sweeps(jobs, run=lambda c: c)
    assert not (tmp_path / "r").exists()
    for engine in (None, "together"):
        with pytest.raises(ValueError, match="cannot load trivial_runs:absent: AttributeError"):
            run_sweeps(jobs, run="trivial_runs:absent", engine=engine)
        with pytest.raises(ValueError, match="cannot load trivial_runs:POINTS: TypeError"):
            run_sweeps(jobs, run="trivial_runs:POINTS", engine=engine)


@pytest.mark.medium
def test_a_script_without_a_main_guard_can_run_a_sweep(tmp_path: Path) -> None:
    code = (
        "from trivial_runs import plan_of\nfrom sweeps.runner import run_sweeps\n"
        f"s = run_sweeps([({str(tmp_path / 'r')!r}, plan_of(2))], run='trivial_runs:run')\n"
        "print(s.complete)"
    )
    (tmp_path / "script.py").write_text(code)
    env = {"PYTHONPATH": ":".join(sys.path)}
    out = subprocess.run(
        [sys.executable, str(tmp_path / "script.py")], env=env, capture_output=True, text=True
    )
    assert out.stdout == "True\n", out.stderr


@given(
    st.lists(st.tuples(st.integers(0, 5), st.floats(0, 100)), min_size=1, max_size=40),
    st.integers(1, 6),
)
@examples(deadline=None, max_examples=50)
def test_every_worker_visits_every_run_and_groups_of_a_fair_share_are_dealt_out_uncut(
    runs: list[tuple[int, float]], workers: int
) -> None:
    store = Store(Path("/nowhere"))
    tasks = [
        Task(0, store, PlannedRun(f"{i:032x}", str(group), 1, seconds, {}), 0)
        for i, (group, seconds) in enumerate(runs)
    ]
    orders = [in_order(tasks, k, workers) for k in range(workers)]
    for order in orders:
        assert sorted(t.run.run_id for t in order) == [t.run.run_id for t in tasks]
    cost: dict[str, float] = defaultdict(float)
    for group, seconds in runs:
        cost[str(group)] += seconds
    if max(cost.values()) <= MOST_OF_A_FAIR_SHARE * sum(cost.values()) / workers:
        firsts = [order[0].run.group for order in orders[: len(cost)]]
        assert len(set(firsts)) == len(firsts)
    alone = [task.run.group for task in in_order(tasks, 0, 1)]
    assert [group for group, _ in itertools.groupby(alone)] == sorted(
        cost, key=lambda group: -sum(t.run.seconds for t in tasks if t.run.group == group)
    )


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        ({"large": 8.0, "small": 1.0}, [["large"], ["small", "large"]]),
        ({"large": 8.0, "middle": 1.5, "small": 0.5}, [["large", "small"], ["middle", "large"]]),
    ],
)
def test_a_group_far_above_a_fair_share_is_cut_and_compiled_by_one_while_another_does_its_own(
    seconds: dict[str, float], expected: list[list[str]]
) -> None:
    store = Store(Path("/nowhere"))
    tasks = [
        Task(0, store, PlannedRun(f"{i:032x}", group, 1, seconds[group], {}), 0)
        for i, group in enumerate([group for group in seconds for _ in range(6)])
    ]
    orders = [in_order(tasks, k, 2) for k in range(2)]
    # Each does its own share, and only then what is left of the other's.
    own = [3 + 6 * sum(name != "large" for name in names) for names in expected]
    shares = [order[:n] for order, n in zip(orders, own, strict=True)]
    groups = [[group for group, _ in itertools.groupby(t.run.group for t in s)] for s in shares]
    assert groups == expected
    assert [sum(t.run.group == "large" for t in share) for share in shares] == [3, 3]
    assert {t.run.run_id for t in shares[0]}.isdisjoint(t.run.run_id for t in shares[1])


def test_runs_that_were_tried_before_come_last() -> None:
    store = Store(Path("/nowhere"))
    tasks = [
        Task(0, store, PlannedRun(f"{i:032x}", "g", 1, 1.0, {}), before)
        for i, before in enumerate((2, 0, 1, 0))
    ]
    assert [t.attempts_before for t in in_order(tasks, 0, 1)] == [0, 0, 2, 1]


@pytest.mark.parametrize(
    ("met", "visited"), [("YYYY", "061"), ("YYNYYY", "061253"), ("", "0123456")]
)
def test_a_share_is_taken_from_the_other_end_where_others_are_faster_and_left_after_three_times(
    met: str, visited: str
) -> None:
    store = Store(Path("/nowhere"))
    tasks = [Task(0, store, PlannedRun(f"{i:032x}", "g", 1, 1.0, {}), 0) for i in range(7)]
    others, order, waiting = SimpleNamespace(n_met=0), "", deque[list[Task]]()
    for (task,), was_met in zip(
        worker._met_seldom([[[task] for task in tasks]], others, waiting),
        itertools.chain(met, itertools.repeat("N")),
        strict=False,
    ):
        order += task.run.run_id[-1]
        others.n_met += was_met == "Y"
    assert order == visited
    assert sorted(order + "".join(t.run.run_id[-1] for (t,) in waiting)) == [*"0123456"]


@pytest.mark.parametrize(
    ("reasons", "given_up"),
    [
        ([], False),
        (["exception"], False),
        (["exception"] * 2, True),
        (["out_of_memory"], True),
        (["infrastructure"] * 4, False),
        (["infrastructure", "worker_lost"] * 2 + ["worker_lost"], True),
        (["exception", "worker_lost"], False),
        (["something else"], True),
    ],
)
def test_tries_by_kind(reasons: list[str], given_up: bool) -> None:
    assert retries.exhausted(reasons) is given_up


def test_back_off_doubles_with_jitter_for_the_machines_trouble_alone() -> None:
    for k in range(1, 5):
        waits = {retries.back_off_seconds(["infrastructure"] * k) for _ in range(200)}
        assert len(waits) > 100
        assert 0.25 * 2 ** (k - 1) <= min(waits) < max(waits) <= 0.75 * 2 ** (k - 1)
    assert retries.back_off_seconds(["exception"]) == 0 == retries.back_off_seconds([])


@pytest.mark.parametrize("terminal", [False, True])
def test_progress_counts_what_is_settled(terminal: bool) -> None:
    text = io.StringIO()
    console = Console(file=text, force_terminal=terminal, width=120)
    with show_progress(console) as show:
        show(Event("planned", 0, name="peak [bold]", planned=5, already=1))
        for kind in ("started", "tried", "failed", "started", "done", "elsewhere", "diverged"):
            show(Event(kind, 0, run_id="x"))
    assert "peak [bold]" in text.getvalue()
    assert "5/5, 1 diverged, 1 failed" in text.getvalue().strip().splitlines()[-1 - terminal]


def test_an_empty_call_is_fine() -> None:
    assert run_sweeps([]).jobs == ()
    with pytest.raises(ValueError, match="no runs"):
        make_plan("empty", [])
