"""Every experiment at its smallest size, through the same pipeline as the command.

`pytest -m smoke` trains all of them.
"""

import json

import pytest
from smoke_choice import GROUPS, IN_ROTATION, PARTS, chosen

from experiments.cli import main


@pytest.mark.smoke
@pytest.mark.parametrize("group", GROUPS.values(), ids=GROUPS)
def test_expectations_hold_at_smoke_size(group, tmp_path, monkeypatch):
    monkeypatch.delenv("JAX_DISABLE_MOST_OPTIMIZATIONS")  # workers compile as users' do
    for name in group:
        expectations_hold(name, tmp_path)


def expectations_hold(name, tmp_path):
    assert main(["run", name, "--budget", "smoke", "--results", str(tmp_path)]) == 0
    report = json.loads((tmp_path / name / "reports" / "smoke" / "report.json").read_text())
    for expected in PARTS[name].expected:
        measured = report["measured"][expected.name]
        low, value, high = (measured[key] for key in ("low", "value", "high"))
        assert value is not None
        assert low is None or low <= value <= high


def test_a_changed_file_chooses_the_experiments_that_import_it():
    own = chosen({"experiments/lr_transfer.py"}, day=0)
    assert "lr_transfer" in own and len(own) == 1 + IN_ROTATION
    assert chosen({"scaling/run.py"}, day=0) == list(GROUPS)
    assert chosen({"experiments/commands/allocate.py"}, day=0) != chosen(set(), day=1)
    assert len(chosen({"README.md"}, day=0)) == IN_ROTATION
    assert set().union(*(chosen(set(), day) for day in range(len(GROUPS)))) == set(GROUPS)
