"""Sweeps in processes that compute together, on the loopback interface."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import shared_runs
import trivial_runs
from sweep_programs import HERE
from trivial_runs import lasting

from experiments.cli import main
from scaling.devices.processes import broadcast_from_first, join
from sweeps import processes as hosts
from sweeps.plan import make_plan
from sweeps.runner import run_sweeps
from sweeps.store import Store

PATIENCE = 300.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def together(n: int, root: Path, **more: str) -> Iterator[list[subprocess.Popen[str]]]:
    """Processes of a sweep, which share four devices."""
    environment = {
        "PYTHONPATH": os.pathsep.join(sys.path),
        "JAX_NUM_CPU_DEVICES": str(4 // n),
        "JAX_COORDINATOR_ADDRESS": f"127.0.0.1:{free_port()}",
        "JAX_NUM_PROCESSES": str(n),
        **more,
    }
    started = [
        subprocess.Popen(
            [sys.executable, str(HERE / "hosts_driver.py"), str(root)],
            env=os.environ | environment | {"JAX_PROCESS_ID": str(number)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for number in range(n)
    ]
    try:
        yield started
    finally:
        for process in started:
            process.kill()
            process.communicate()


@pytest.mark.slow
def test_processes_do_what_one_does_and_go_on_where_others_were_killed(tmp_path: Path):
    """Of four one is killed during a save; two go on, and are compared with a single one."""
    plan, root = shared_runs.PLAN, tmp_path / "together"
    with together(4, root, SHARED_RUNS_KILL="0") as (first, *others):
        for process in (first, *others):
            process.communicate(timeout=PATIENCE)
        assert first.returncode == -signal.SIGKILL
        assert all(process.returncode != 0 for process in others)
    assert Store.open(root).status(plan)["done"] == 0

    with together(2, root) as processes:
        printed = [process.communicate(timeout=PATIENCE)[0] for process in processes]
        assert [process.returncode for process in processes] == [0, 0], printed
        pid = processes[0].pid
    store = Store.open(root)
    records = store.read(plan)
    assert [record.status for record in records] == ["done", "done"]
    assert [record.environment.get("resumed_at_steps") for record in records] == [[4], None]
    # The first process alone has claimed, and what spared work is gone.
    last = [store.attempts(record.run_id)[-1].claim() for record in records]
    assert [claim["pid"] for claim in last] == [pid, pid]
    assert not list(root.glob("runs/*/*/checkpoints"))

    assert run_sweeps([(tmp_path / "alone", plan)], workers=1, run=shared_runs.run).complete
    alone = Store.open(tmp_path / "alone")
    for here, there in zip(lasting(records), lasting(alone.read(plan)), strict=True):
        assert here.keys() == there.keys()
        for name, value in there.items():
            if name == "curve_sha256":  # of the last bits
                continue
            # Between processes sums are added in another order: float32's rounding, and Adam's.
            close = pytest.approx(value, rel=1e-5) if isinstance(value, float) else value
            assert here[name] == close, name
    for record in records:
        assert len(store.curve(record.run_id)) == len(alone.curve(record.run_id)) == 4


def test_one_process_agrees_with_itself():
    made = {"step": 3, "notes": ("kept", "as they are")}
    assert broadcast_from_first(lambda: made) is made
    with pytest.raises(KeyError):
        broadcast_from_first(lambda: {}["nothing"])


def test_runs_that_take_no_workspace_are_given_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The first process gives them none, and one that follows gives them none."""
    monkeypatch.setattr(hosts, "leave", lambda: None)
    jobs = [(tmp_path / "results", trivial_runs.plan_of(2))]
    assert run_sweeps(jobs, run=trivial_runs.run, engine="together").complete

    (run,) = make_plan("x", [trivial_runs.config(7)]).runs
    sent = [
        {"run": "trivial_runs:run", "run_pack": None, "families": []},
        {"config": run.config, "folders": [str(tmp_path), None], "pause_at": None},
        None,
    ]
    monkeypatch.setattr(hosts, "_received", lambda: sent.pop(0))
    hosts.follow()
    assert not sent


@pytest.mark.medium
def test_an_environment_that_says_too_little_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("JAX_PROCESS_ID", "one")
    with pytest.raises(ValueError, match="JAX_PROCESS_ID = 'one' in the environment: give a whole"):
        join()
    monkeypatch.delenv("JAX_PROCESS_ID")
    code = (
        "from scaling.devices.processes import join; join()"  # in a process whose JAX has not begun
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    said = "ValueError: the environment does not say which processes compute together"
    assert said in out.stderr and "set JAX_COORDINATOR_ADDRESS" in out.stderr


def test_hosts_and_workers_are_not_given_both(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    words = ["run", "double_descent_linear", "--hosts", "--workers", "2"]
    assert main([*words, "--results", str(tmp_path / "results")]) == 2
    assert "leave out --workers" in capsys.readouterr().err
    assert not (tmp_path / "results").exists()
