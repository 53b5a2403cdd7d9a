"""Every experiment at its smallest size, through the same pipeline as the command."""

import json

import pytest

from experiments import catalogue
from experiments.cli import main

PARTS = [name for name in catalogue.names() if hasattr(catalogue.load(name), "SWEEP")]


@pytest.mark.slow
@pytest.mark.parametrize("name", PARTS)
def test_expectations_hold_at_smoke_size(name, tmp_path):
    assert main(["run", name, "--budget", "smoke", "--results", str(tmp_path)]) == 0
    report = json.loads((tmp_path / name / "reports" / "smoke" / "report.json").read_text())
    for expected in catalogue.load(name).EXPECTED:
        measured = report["measured"][expected.name]
        low, value, high = (measured[key] for key in ("low", "value", "high"))
        assert value is not None
        assert low is None or low <= value <= high
