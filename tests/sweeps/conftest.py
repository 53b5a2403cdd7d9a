"""Lets tests, drivers and workers import the modules beside them; a results folder."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def store(tmp_path: Path):
    """A results folder in which the runs of `folders.PLAN` are declared."""
    from folders import PLAN

    from sweeps import publishing
    from sweeps.store import Store

    store = Store.create(tmp_path / "results")
    publishing.declare(store, PLAN)
    publishing.make_folders(store, [run.run_id for run in PLAN.runs])
    return store
