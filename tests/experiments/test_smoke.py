"""Every experiment at its smallest size, through the same pipeline as the command.

Analysis and figures run on stored runs; `pytest -m smoke` trains all of them.
"""

import print_checks
import pytest
import stored_runs
from matplotlib.figure import Figure
from smoke_choice import GROUPS, IN_ROTATION, chosen
from stored_runs import expectations_hold


@pytest.mark.smoke
@pytest.mark.parametrize("group", GROUPS.values(), ids=GROUPS)
def test_expectations_hold_at_smoke_size(group, tmp_path, monkeypatch):
    for quickly in ("JAX_DISABLE_MOST_OPTIMIZATIONS", "XLA_FLAGS"):
        monkeypatch.delenv(quickly)  # workers compile as users' do
    for name in group:
        expectations_hold(name, tmp_path)


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


@pytest.mark.medium
@pytest.mark.usefixtures("unwritten_figures")
@pytest.mark.parametrize("group", GROUPS.values(), ids=GROUPS)
def test_expectations_hold_of_stored_runs(group, tmp_path, monkeypatch):
    """Analysis, figures and expectations; nothing is trained."""
    monkeypatch.setattr("sweeps.executors.local.LocalExecutor.start", None)
    stored_runs.restore(group[0], tmp_path)
    for name in group:
        missing = stored_runs.missing(name, tmp_path)
        assert not missing, f"store them anew: python tests/experiments/store_tables.py {group[0]}"
        expectations_hold(name, tmp_path)


@pytest.mark.medium
def test_a_changed_file_chooses_the_experiments_that_import_it():
    own = chosen({"experiments/lr_transfer.py"}, day=0)
    assert "lr_transfer" in own and len(own) == 1 + IN_ROTATION
    assert chosen({"scaling/run.py"}, day=0) == list(GROUPS)
    assert chosen({"experiments/commands/allocate.py"}, day=0) != chosen(set(), day=1)
    assert len(chosen({"README.md"}, day=0)) == IN_ROTATION
    assert set().union(*(chosen(set(), day) for day in range(len(GROUPS)))) == set(GROUPS)
