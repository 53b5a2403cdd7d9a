"""Tables of runs with planted losses, and the results of an experiment of nine trivial runs."""

import shutil
from dataclasses import asdict
from pathlib import Path

import numpy as np
import print_checks
import pytest
from matplotlib.figure import Figure
from small_library import unread_library

from analysis.tables import results
from experiments.cli import main
from scaling.accounting import account
from scaling.config import resolved, run_id
from scaling.record import RunRecord, row


def table_of(configs, loss, *, noise=0.0):
    """Records as if the runs had been done, with losses of our choosing and relative noise."""
    rng = np.random.default_rng(0)
    records = []
    for config in configs:
        counts = asdict(account(config))
        value = loss(counts) * (1 + noise * rng.standard_normal())
        records.append(
            RunRecord(
                run_id=run_id(config),
                status="done",
                config=resolved(config),
                eval_loss_nats=value,
                **counts,
            )
        )
    return results.frame(map(row, records))


@pytest.fixture(scope="session", name="table_of")
def _table_of():
    return table_of


@pytest.fixture(scope="module")
def any_library():
    """Sweeps are planned for the whole library, which some Pythons come without."""
    with unread_library():
        yield


@pytest.fixture
def unwritten_figures(monkeypatch):
    """Figures are laid out once and all their parts drawn, but no image is made: half the time.

    They must be fit to print: no text over another, none off the page or below 6 pt.
    """

    def lay_out(figure, *_, **__):
        if figure.get_layout_engine() is not None:  # the first save of a figure fixes its layout
            figure.draw_without_rendering()
            assert print_checks.faults(figure) == []

    monkeypatch.setattr(Figure, "savefig", lay_out)


TINY = Path(__file__).with_name("tiny.py")


@pytest.fixture(scope="session")
def tiny_results(tmp_path_factory):
    """What `tiny.py` leaves, run once; tests that change it take `done`."""
    folder = tmp_path_factory.mktemp("results")
    assert main(["run", str(TINY), "--results", str(folder), "--workers", "1"]) == 0
    return folder / "tiny"


@pytest.fixture
def done(tiny_results, tmp_path):
    """A copy of these results in `tmp_path / "results"`."""
    return shutil.copytree(tiny_results, tmp_path / "results" / "tiny")
