"""A command that works on in the background."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from experiments.cli import main

TINY = Path(__file__).parents[1] / "tiny.py"


@pytest.mark.slow
def test_a_detached_command_ends_at_once_and_its_work_goes_on(tmp_path, capsys):
    results = ["--results", str(tmp_path)]
    words = ["run", str(TINY), *results, "--workers", "1", "--detach"]
    said = subprocess.run(
        [sys.executable, "-m", "scaling_descent", *words],
        text=True,
        capture_output=True,
        check=True,
    ).stdout
    assert "works in the background" in said and "look on with: scaling watch" in said
    report = tmp_path / "tiny" / "reports" / "cpu" / "report.json"
    deadline = time.monotonic() + 60
    while not report.exists():
        assert time.monotonic() < deadline, (tmp_path / "tiny.log").read_text()
        time.sleep(0.05)
    assert main(["watch", str(tmp_path / "tiny"), "--once"]) == 0
    assert "9/9 settled" in capsys.readouterr().out
    assert "9 runs: 9 done" in (tmp_path / "tiny.log").read_text()
