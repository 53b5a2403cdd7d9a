"""The door of the program: own packages named alike, signals, closed pipes, other locales."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import scaling_descent
from experiments import cli


def test_own_packages_named_alike_are_named_and_not_taken(tmp_path):
    for name in ("analysis", "experiments", "sweeps"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").touch()
    code = (
        "import sys, scaling_descent as door; others = door.claim_rooms();"
        "import analysis, sweeps; print(*others, analysis.__file__, sweeps.__file__, sep='\\n')"
    )
    path = os.pathsep.join([str(tmp_path), str(scaling_descent.ROOT)])
    found = subprocess.run(
        [sys.executable, "-P", "-c", code],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    assert set(found[:3]) == {str(tmp_path / n) for n in ("analysis", "experiments", "sweeps")}
    assert all(Path(each).is_relative_to(scaling_descent.ROOT) for each in found[3:])


def test_packages_that_nobody_else_has_are_left_as_they_are():
    before = list(sys.meta_path)
    assert scaling_descent.claim_rooms() == [] and sys.meta_path == before


@pytest.mark.parametrize(
    ("number", "status", "says"),
    [
        (signal.SIGTERM, 0, "preempted; the same command resumes"),
        (signal.SIGUSR1, 0, "preempted"),
        (signal.SIGUSR2, 0, "preempted"),
        (signal.SIGHUP, 130, "interrupted; the same command resumes"),
        (signal.SIGINT, 130, "interrupted"),
    ],
)
@pytest.mark.parametrize("place", ["loading", "planning"])
def test_signals_end_the_command_in_good_order(number, status, says, place, monkeypatch):
    before = {each: signal.getsignal(each) for each in (number, signal.SIGINT)}
    printed = []

    def sent(*_, **__):
        os.kill(os.getpid(), number)
        return []

    at = (cli.app, "cli") if place == "planning" else (scaling_descent, "claim_rooms")
    monkeypatch.setattr(*at, sent)
    monkeypatch.setattr(sys, "argv", ["scaling", "run", "label_noise"])
    monkeypatch.setattr("builtins.print", lambda text, **_: printed.append(text))
    try:
        assert scaling_descent.main() == status and says in printed[0]
        assert signal.getsignal(signal.SIGINT) == signal.SIG_DFL  # once more ends it at once
    finally:
        signal.signal(signal.SIGINT, before[signal.SIGINT])
    assert signal.getsignal(number) == before[number]


def test_a_command_that_was_to_find_something_and_is_preempted_has_not_found_it(
    monkeypatch, capsys
):
    monkeypatch.setattr(cli.app, "cli", lambda **_: os.kill(os.getpid(), signal.SIGTERM))
    monkeypatch.setattr(sys, "argv", ["scaling", "verify", "results/label_noise"])
    before = signal.getsignal(signal.SIGINT)
    try:
        assert scaling_descent.main() == 143
    finally:
        signal.signal(signal.SIGINT, before)
    assert "preempted; the same command begins anew" in capsys.readouterr().err


def test_a_reader_that_has_seen_enough_is_no_error(monkeypatch):
    read, write = os.pipe()
    os.close(read)
    with open(write, "w") as closed:
        monkeypatch.setattr(sys, "stdout", closed)
        monkeypatch.setattr(cli.app, "cli", lambda **_: print("x" * 100) or 0)
        assert cli.main(["list"]) == 0


@pytest.mark.medium
def test_a_locale_without_letters_is_enough():
    """As on bare nodes of a cluster."""
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    run = subprocess.run(
        [sys.executable, "-m", "scaling_descent", "show", "hastie"],
        env=os.environ | plain,
        capture_output=True,
        check=False,
    )
    assert (run.returncode, run.stderr) == (0, b"") and b"Claim" in run.stdout
