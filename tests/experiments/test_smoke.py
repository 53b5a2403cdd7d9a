"""Every experiment at its smallest size, through the same pipeline as the command.

Analysis and figures run on stored runs; `pytest -m smoke` trains all of them.
"""

import json

import pytest
import smoke_choice
import stored_runs
from house import HOUSE, ROOMS, modules
from small_library import unread_library
from smoke_choice import GROUPS, IN_ROTATION, chosen, needs
from stored_runs import PARTS, expectations_hold


@pytest.mark.smoke
@pytest.mark.parametrize("group", GROUPS.values(), ids=GROUPS)
def test_expectations_hold_at_smoke_size(group, tmp_path, monkeypatch):
    for quickly in ("JAX_DISABLE_MOST_OPTIMIZATIONS", "XLA_FLAGS"):
        monkeypatch.delenv(quickly)  # workers compile as users' do
    for name in group:
        expectations_hold(name, tmp_path)


@pytest.mark.medium
@pytest.mark.usefixtures("unwritten_figures")
@pytest.mark.parametrize("group", GROUPS.values(), ids=GROUPS)
def test_expectations_hold_of_stored_runs(group, tmp_path, monkeypatch):
    """Analysis, figures and expectations; nothing is trained."""
    monkeypatch.setattr("sweeps.executors.local.LocalExecutor.start", None)
    stored_runs.restore(group[0], tmp_path)
    anew = f"store them anew: python tests/experiments/store_tables.py {group[0]}"
    with unread_library(stored_runs.fingerprints(group[0])):
        for name in group:
            assert not stored_runs.missing(name, tmp_path), anew
            expectations_hold(name, tmp_path)


RECORD = json.loads(smoke_choice.CODE_OF_RUNS.read_text())
CALLS = {name: of["calls"] for name, of in RECORD["groups"].items()}
PATHS = {
    name: str(path.relative_to(HOUSE)) for room in ROOMS for name, path in modules(room).items()
}
CALLED = {(name, way) for ways in CALLS.values() for way, called in ways.items() for name in called}
"""Modules that runs call, each with a way of training."""


def test_groups_are_those_of_the_cards():
    assert {name: part.runs_of for name, part in PARTS.items()} == {
        name: group[0] for group in GROUPS.values() for name in group
    }


def test_the_record_of_what_runs_call_is_of_this_house():
    write = "write it anew: python tests/experiments/code_of_runs.py"
    assert set(CALLS) == set(GROUPS), f"{write} NAME"
    named = {name for name, _ in CALLED} | set(RECORD["not called"])
    gone = sorted(named - set(PATHS))
    assert not gone, f"{gone} are no modules; {write}"


def covered(groups):
    """Modules and ways of training of which one of some groups has runs."""
    return {(name, way) for each in groups for way in CALLS[each] for name in CALLS[each][way]}


@pytest.mark.medium
def test_all_that_runs_call_is_trained_in_each_way_where_it_changed(monkeypatch):
    monkeypatch.setattr(smoke_choice, "IN_ROTATION", 0)
    everything = {path for path in PATHS.values() if not path.startswith("experiments/")}
    trained = chosen(everything, day=0)
    assert covered(trained) == CALLED
    seconds = {name: of["seconds"] for name, of in RECORD["groups"].items()}
    assert sum(map(seconds.get, trained)) < sum(seconds.values()) / 2
    for changed in ("scaling.run", "scaling.data.gaussian", "scaling.trainers.tokens"):
        ways = {(name, way) for name, way in CALLED if name == changed}
        assert ways and ways <= covered(chosen({PATHS[changed]}, day=0))


@pytest.mark.medium
def test_few_experiments_are_trained_for_a_change():
    def n_chosen(*changed):
        return len(chosen(set(changed), day=0)) - IN_ROTATION

    assert n_chosen("README.md") == 0
    assert n_chosen("scaling/trainers/token_evaluation.py") == 1
    assert n_chosen("analysis/fitting/fit.py", "experiments/shared/panels.py") == 1
    assert n_chosen("sweeps/runner.py") == n_chosen("scaling/models/gru.py") == 1
    assert 5 < n_chosen("scaling/run.py") <= len({way for _, way in CALLED})


@pytest.mark.medium
def test_groups_whose_card_changed_are_trained_and_others_in_turn():
    changed = {"experiments/lr_transfer.py", "experiments/granularity.py"}
    assert {"lr_transfer", "mixture_of_experts"} < set(chosen(changed, day=0))
    days = range(len(GROUPS) // IN_ROTATION + 1)
    assert set().union(*(chosen(set(), day) for day in days)) == set(GROUPS)


@pytest.mark.medium
def test_a_module_that_came_after_the_record_is_called_where_one_is_that_imports_it():
    def without(names):
        return [name for name in names if name != "scaling.trainers.token_evaluation"]

    groups = {
        name: {**of, "calls": {way: without(called) for way, called in of["calls"].items()}}
        for name, of in RECORD["groups"].items()
    }
    changed = {"scaling/trainers/token_evaluation.py"}
    before, after = needs(changed, RECORD), needs(changed, RECORD | {"groups": groups})
    assert before and all(able in after for able in before)
