"""Every experiment at its smallest size, through the same pipeline as the command."""

import json

import pytest

from experiments import catalogue
from experiments.cli import main
from experiments.experiment import Experiment

PARTS = {
    name: part for name in catalogue.names() if isinstance(part := catalogue.load(name), Experiment)
}
# Experiments that ask other questions of the same runs follow the one that makes them.
GROUPS = {
    name: [name, *(other for other in PARTS if other != name and PARTS[other].runs_of == name)]
    for name, part in PARTS.items()
    if part.runs_of == name
}


@pytest.mark.slow
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
