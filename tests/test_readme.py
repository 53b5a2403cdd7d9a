"""The README's commands and code, as written."""

import re
import shlex
from pathlib import Path

import pytest

from experiments.cli import main

README = (Path(__file__).parent.parent / "README.md").read_text()
SHELL, USE, PYTHON = re.findall(r"```(?:sh|python)\n(.*?)```", README, re.DOTALL)


def test_two_commands_stand_at_the_top():
    assert SHELL.splitlines() == [
        "pip install -e . && scaling run double_descent",
        "pip install -e '.[test]' && pytest",
    ]


def test_commands_do_what_they_say(tmp_path, monkeypatch, capsys):
    """At the smallest size: the sizes that the README shows take minutes."""
    monkeypatch.chdir(tmp_path)
    commands = [shlex.split(line, comments=True)[1:] for line in USE.strip().splitlines()]
    assert {command[0] for command in commands} == {
        "list", "show", "plan", "run", "sweep", "status", "table", "doctor", "report", "paper",
        "compare",
    }  # fmt: skip
    for command in commands:
        if command[0] == "run":
            command[-1] = "train.steps=50"
            command += ["--budget", "smoke", "--set", "model.width=8", "--workers", "1"]
        if command[0] == "sweep":
            command += ["--plan"]
        # One width has no peak: exit status 1, a report that says so, and nothing to write of: 2.
        expected = {"run": 1, "paper": 2, "compare": 2}.get(command[0], 0)
        assert main(command) == expected, capsys.readouterr()
    assert (tmp_path / "runs.parquet").exists()


def test_code_runs(users_jax, capsys):
    """For fewer epochs."""
    assert "epochs=50" in PYTHON
    exec(PYTHON.replace("epochs=50", "epochs=2"), {})
    assert len(capsys.readouterr().out.splitlines()) == 9


@pytest.mark.parametrize("path", re.findall(r"\]\((\w[\w./]*)\)", README))
def test_links_lead_somewhere(path):
    assert (Path(__file__).parent.parent / path).exists()
