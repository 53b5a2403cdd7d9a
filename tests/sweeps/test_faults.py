"""Kill it, fill the disk, run it twice at once: the same command gives the same table.

Every program that a test starts is in a process group of its own, which the test ends.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trivial_runs
from sweep_programs import ENVIRONMENT, HERE, Program, published, under_way, wait_until
from trivial_runs import lasting, plan_of, truth

from sweeps.pool import GRACE_SECONDS
from sweeps.runner import run_sweeps
from sweeps.store import Store


def table(root: Path, n_runs: int) -> list[dict]:
    return lasting(Store.open(root).read(plan_of(n_runs)))


@pytest.fixture
def start() -> Iterator[Callable[..., Program]]:
    programs: list[Program] = []

    def start(*args: object, **kwargs: object) -> Program:
        programs.append(Program(*args, **kwargs))
        return programs[-1]

    yield start
    for program in programs:
        program.end()


def drive_faults(folder: Path, fault: str, step: int, kind: str = "plain") -> None:
    command = [sys.executable, str(HERE / "fault_driver.py"), str(folder), fault, str(step), kind]
    out = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True)
    assert out.returncode == 0, out.stderr
    report = json.loads(out.stdout)
    assert report["problems"] == []
    assert report["calls"] > (8 if fault == "tear" else 70)


@pytest.mark.medium
@pytest.mark.parametrize(("fault", "step"), [("kill", 3), ("tear", 1), ("ENOSPC", 7)])
def test_faults_at_some_calls(tmp_path: Path, fault: str, step: int) -> None:
    drive_faults(tmp_path, fault, step)


@pytest.mark.medium
@pytest.mark.parametrize(("fault", "step"), [("kill", 11), ("ENOSPC", 29)])
def test_faults_while_runs_are_chosen(tmp_path: Path, fault: str, step: int) -> None:
    drive_faults(tmp_path, fault, step, "choosing")


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["kill", "ENOSPC", "EIO", "EDQUOT+", "EROFS+"])
def test_faults_at_every_call(tmp_path: Path, fault: str) -> None:
    drive_faults(tmp_path, fault, 1)


def kill_at_random_instants(start: Callable[..., Program], root: Path, kills: int) -> None:
    """Until all is published; results that were there before a kill are there after it."""
    n_runs, chance = 24, random.Random(kills)
    safe: dict[Path, bytes] = {}
    for _ in range(kills):
        program = start(root, n_runs, "brief")
        time.sleep(chance.uniform(0.05, 0.9))
        program.end()
        wait_until(lambda program=program: not program.members)
        assert not safe.items() - published(root).items()
        safe = published(root)
        if len(safe) == n_runs:
            for path in random.Random(len(safe)).sample(sorted(safe), 12):
                path.unlink()
            safe = published(root)
    summary = start(root, n_runs, "run").summary()
    assert summary["complete"]
    assert table(root, n_runs) == truth(plan_of(n_runs))
    assert not (root / "quarantine").exists()


def test_kill_9_of_the_group_at_random_instants(
    tmp_path: Path, start: Callable[..., Program]
) -> None:
    kill_at_random_instants(start, tmp_path / "r", kills=3)


@pytest.mark.slow
def test_kill_9_of_the_group_at_many_random_instants(
    tmp_path: Path, start: Callable[..., Program]
) -> None:
    kill_at_random_instants(start, tmp_path / "r", kills=40)


def test_kill_9_of_one_worker_costs_one_attempt(
    tmp_path: Path, start: Callable[..., Program]
) -> None:
    program = start(tmp_path / "r", 4, "slow")
    wait_until(lambda: under_way(tmp_path / "r"))
    os.kill(program.workers[0], signal.SIGKILL)
    summary = program.summary()
    assert summary["complete"] and any("SIGKILL" in notice for notice in summary["notices"])
    assert table(tmp_path / "r", 4) == truth(plan_of(4))
    attempts = list((tmp_path / "r").glob("runs/*/*/attempts/[0-9]*"))
    assert len(attempts) <= 5
    lost = [a for a in attempts if (a / "failure.json").exists()]
    assert all("worker_lost" in (a / "failure.json").read_text() for a in lost)


@pytest.mark.slow
def test_a_worker_that_is_asked_to_stop_by_others_says_so_and_is_replaced(
    tmp_path: Path, start: Callable[..., Program]
) -> None:
    program = start(tmp_path / "r", 2, "slower", workers=1)
    wait_until(lambda: program.is_within_a_run)
    os.kill(program.workers[0], signal.SIGTERM)
    assert program.summary()["complete"]
    ends = [p.read_text() for p in (tmp_path / "r").glob("runs/*/*/attempts/*/end.json")]
    assert len(ends) == 3 and sum("interrupted" in end for end in ends) == 1
    assert not list((tmp_path / "r").glob("runs/*/*/attempts/*/failure.json"))
    assert table(tmp_path / "r", 2) == truth(plan_of(2))


def test_kill_9_of_the_parent_alone_ends_the_workers(
    tmp_path: Path, start: Callable[..., Program]
) -> None:
    program = start(tmp_path / "r", 8, "stubborn")
    wait_until(lambda: under_way(tmp_path / "r"))
    program.process.kill()
    began = time.monotonic()
    wait_until(lambda: not program.members)
    assert time.monotonic() - began < 6  # a tenth of what a run would take
    assert run_sweeps([(tmp_path / "r", plan_of(8))], workers=1, run=trivial_runs.run).complete
    assert table(tmp_path / "r", 8) == truth(plan_of(8))


@pytest.mark.parametrize(
    "number",
    [
        signal.SIGINT,
        pytest.param(signal.SIGTERM, marks=pytest.mark.slow),
        pytest.param(signal.SIGHUP, marks=pytest.mark.slow),
        pytest.param(signal.SIGUSR1, marks=pytest.mark.slow),
    ],
)
def test_ctrl_c_once_ends_in_good_order(
    tmp_path: Path, start: Callable[..., Program], number: int
) -> None:
    program = start(tmp_path / "r", 16, "slow")
    wait_until(lambda: len(published(tmp_path / "r")) > 1)
    if number == signal.SIGTERM:
        program.process.terminate()
    else:
        program.signal(number)  # as from a terminal or a scheduler, to all processes
    began = time.monotonic()
    summary = program.summary()
    assert time.monotonic() - began < GRACE_SECONDS  # workers stop by themselves
    assert summary["interrupted"] and not summary["complete"] and summary["failed"] == 0
    assert summary["preempted"] == (number in (signal.SIGTERM, signal.SIGUSR1))
    # A worker may be stopped between publishing a run and saying so.
    settled = len(summary["done"]) + len(summary["elsewhere"])
    assert settled + summary["missing"] == 16
    assert not program.members
    assert not under_way(tmp_path / "r")
    again = run_sweeps([(tmp_path / "r", plan_of(16))], workers=2, run=trivial_runs.run)
    assert again.complete and again.jobs[0].already == settled
    assert table(tmp_path / "r", 16) == truth(plan_of(16))


@pytest.mark.medium
def test_ctrl_c_twice_ends_at_once(tmp_path: Path, start: Callable[..., Program]) -> None:
    program = start(tmp_path / "r", 8, "stubborn")
    wait_until(lambda: len(list(program.marks.iterdir())) == 2)  # in runs that cannot be stopped
    program.signal(signal.SIGINT)
    began = time.monotonic()
    time.sleep(0.3)
    assert len(program.members) == 3
    program.signal(signal.SIGINT)
    assert program.summary()["interrupted"]
    assert time.monotonic() - began < GRACE_SECONDS  # nobody waits for the grace to end
    assert not program.members
    assert not under_way(tmp_path / "r")


def test_two_runners_share_the_work(tmp_path: Path, start: Callable[..., Program]) -> None:
    n_runs = 60
    programs = [start(tmp_path / "r", n_runs, "brief") for _ in range(2)]
    summaries = [program.summary() for program in programs]
    assert all(summary["complete"] for summary in summaries)
    done = [run_id for summary in summaries for run_id in summary["done"]]
    assert len(done) == len(set(done))
    assert len(list((tmp_path / "r").glob("runs/*/*/attempts/[0-9]*"))) <= n_runs + 2
    assert table(tmp_path / "r", n_runs) == truth(plan_of(n_runs))


@pytest.mark.slow
def test_a_second_runner_waits_for_what_the_first_is_at(
    tmp_path: Path, start: Callable[..., Program]
) -> None:
    first = start(tmp_path / "r", 2, "slow")
    wait_until(lambda: under_way(tmp_path / "r"))
    second = start(tmp_path / "r", 2, "slow").summary()
    assert second["complete"] and first.summary()["complete"]
    assert len(list((tmp_path / "r").glob("runs/*/*/attempts/[0-9]*"))) == 2


@pytest.mark.parametrize(
    "function", [pytest.param("slower", marks=pytest.mark.slow), "slower_and_different"]
)
def test_a_runner_stopped_beyond_its_lease_cannot_overwrite(
    tmp_path: Path, start: Callable[..., Program], function: str
) -> None:
    root = tmp_path / "r"
    sleeper = start(root, 2, function, workers=1)
    wait_until(lambda: sleeper.is_within_a_run)
    sleeper.signal(signal.SIGSTOP)
    assert start(root, 2, "run", workers=1, lease=0.5).summary()["complete"]
    before = published(root)
    assert len(before) == 2
    sleeper.signal(signal.SIGCONT)
    summary = sleeper.summary()
    assert summary["complete"] and published(root) == before
    assert table(root, 2) == truth(plan_of(2))
    aside = [p for p in root.glob("quarantine/*") if "reason" not in p.name]
    if function == "slower":
        assert not aside and not any(
            "differs from the published" in text for text in summary["notices"]
        )
    else:
        assert len(aside) == 1
        assert json.loads(aside[0].read_text())["record"]["eval_loss_nats"] == 42.0
        assert any("differs from the published" in notice for notice in summary["notices"])


@pytest.mark.medium
def test_a_full_disk_stops_the_sweep_and_fails_no_run(
    tmp_path: Path, start: Callable[..., Program]
) -> None:
    """The worker's disk is filled by a limit on the size of files, which raises EFBIG."""
    code = (
        "import resource, sys\n"
        "from trivial_runs import plan_of\n"
        "from sweeps.runner import run_sweeps\n"
        "plan = plan_of(4)\n"
        f"run_sweeps([({str(tmp_path / 'r')!r}, plan)], run='trivial_runs:filling', workers=2)\n"
    )
    out = subprocess.run(
        [sys.executable, "-c", code], env=ENVIRONMENT, capture_output=True, text=True
    )
    assert out.returncode == 1
    last = out.stderr.strip().splitlines()[-1]
    assert "StoreError" in last and "File too large" in last and "the same command resumes" in last
    assert str(tmp_path / "r") in last and "MB free" in last
    assert published(tmp_path / "r") == {}
    assert not list((tmp_path / "r").glob("runs/*/*/attempts/*/failure.json"))
    assert run_sweeps([(tmp_path / "r", plan_of(4))], workers=1, run=trivial_runs.run).complete
    assert table(tmp_path / "r", 4) == truth(plan_of(4))


@pytest.mark.medium
def test_a_damaged_result_among_many_is_run_again(tmp_path: Path) -> None:
    root, plan = tmp_path / "r", plan_of(5)
    run_sweeps([(root, plan)], workers=1, run=trivial_runs.run)
    bad = Store.open(root).result_path(plan.runs[2].run_id)
    bad.write_bytes(bad.read_bytes()[:100])
    assert [r.status for r in Store.open(root).read(plan)].count("missing") == 1
    (job,) = run_sweeps([(root, plan)], workers=1, run=trivial_runs.run).jobs
    assert (job.already, job.done) == (4, 1)
    assert table(root, 5) == truth(plan_of(5))


@pytest.mark.slow
def test_two_thousand_runs_cost_little_time_and_no_memory(tmp_path: Path) -> None:
    """Peak memory may grow by the plan itself (a few kB a run), not by results.

    In memory where that can hold files: how long a disk takes to sync is not the question here.
    """
    folder = "/dev/shm" if os.access("/dev/shm", os.W_OK) else str(tmp_path)
    figures = tmp_path / "figures.json"
    out = subprocess.run(
        [
            sys.executable,
            str(HERE.parents[1] / "benchmarks" / "bookkeeping.py"),
            *(folder, "--repeats", "1", "--sizes", "500", "2000", "--json", str(figures)),
        ],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
    )
    assert out.returncode == 0, out.stderr
    milliseconds, growth = (figure["measured"] for figure in json.loads(figures.read_text()))
    assert milliseconds[0] < 15
    assert len(growth) == 2 and max(growth) < 40
