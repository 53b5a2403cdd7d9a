"""Which experiments to train at smoke size, by the code that changed.

Few groups, which between them run all code that differs from the commit REF, in every way of
training that calls it, and a few others in turn. `python tests/smoke_choice.py REF` prints the
arguments by which pytest leaves out the rest.
"""

import json
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping, Set
from typing import Any

from house import HOUSE, ROOMS, graph, modules, reached

import experiments
from experiments import catalogue

TEST = "tests/experiments/test_smoke.py::test_expectations_hold_at_smoke_size"


def _runs_of(name: str) -> str:
    """The experiment in whose folder the runs of one lie, from its text: cards load slowly."""
    text = (HOUSE / "experiments" / f"{name}.py").read_text()
    declared = re.search(r'^RUNS_OF = "(\w+)"', text, re.MULTILINE)
    return declared[1] if declared else name


_RUNS_OF = {name: _runs_of(name) for name in catalogue.declaring(experiments, "SWEEP", "FACTS")}

# Experiments that ask other questions of the same runs follow the one that makes them.
GROUPS = {
    name: [name, *(other for other, runs in _RUNS_OF.items() if runs == name != other)]
    for name, runs in _RUNS_OF.items()
    if runs == name
}

CODE_OF_RUNS = HOUSE / "tests" / "experiments" / "code_of_runs.json"
"""What each group costs, and the modules that its runs call; `code_of_runs.py` writes it."""

PIPELINE = ("experiments.commands.run", "sweeps.worker", "scaling.run")
"""What every experiment runs through; settings name worker and run, and nothing imports them."""

IN_ROTATION = 2
"""Experiments trained even though their code is unchanged; another pair each day."""


def chosen(changed: Set[str], day: int) -> list[str]:
    """Names of the groups to train: those whose card changed, as few as run all else that changed
    in each way of training, and some of the others in turn.

    Args:
        changed: Paths of changed files, relative to the top of the repository.
        day: Number of the day, which decides whose turn it is.
    """
    record = json.loads(CODE_OF_RUNS.read_text())
    seconds = {name: of["seconds"] for name, of in record["groups"].items()}
    turns = {name: (number + day) % len(GROUPS) for number, name in enumerate(GROUPS)}
    own = {
        name
        for name, group in GROUPS.items()
        if any(f"experiments/{each}.py" in changed for each in group)
    }
    # 1. Again and again the group that costs least for each need it meets.
    found, wanted = set(own), needs(changed, record)
    while waiting := [able for able in wanted if not able & found]:
        met = Counter(name for able in waiting for name in able)
        found.add(min(met, key=lambda name: (seconds[name] / met[name], turns[name])))
    # 2. Without those whose needs later ones meet too, and with those whose turn it is.
    for name in sorted(found - own, key=lambda name: -seconds[name]):
        if all(able & found - {name} for able in wanted):
            found.remove(name)
    rest = [name for name in GROUPS if name not in found]
    turn = [rest[(day * IN_ROTATION + i) % len(rest)] for i in range(min(IN_ROTATION, len(rest)))]
    return [name for name in GROUPS if name in found or name in turn]


def needs(changed: Set[str], record: Mapping[str, Any]) -> list[set[str]]:
    """Groups of which one is to be trained, for each need of a change.

    A module that runs call is to be called in each way of training (`train.kind`) that has it. For
    all others one group is enough, whose cards import one of them if there is such a group: their
    analysis and figures are tested on stored runs whatever changed.
    """
    paths = {name: path for room in ROOMS for name, path in modules(room).items()}
    concerned = {name for name, path in paths.items() if str(path.relative_to(HOUSE)) in changed}
    if not concerned:
        return []
    known = graph()
    calls = {name: of["calls"] for name, of in record["groups"].items() if of["calls"]}
    # 1. A module that came after the record is called where one is that imports it.
    seen = {name for ways in calls.values() for called in ways.values() for name in called}
    later = set(modules("scaling") | modules("sweeps")) - seen - set(record["not called"])
    by_later = {name: imported & later for name, imported in known.items()}
    found: dict[tuple[str, str], set[str]] = {}
    for group, ways in calls.items():
        for way, called in ways.items():
            for name in reached(called, by_later) & concerned:
                found.setdefault((name, way), set()).add(group)
    # 2. The others that any experiment needs.
    others = concerned - {name for name, _ in found}
    cards = {group: [f"experiments.{each}" for each in GROUPS[group]] for group in calls}
    able = {group for group in calls if others & reached(cards[group], known)}
    if not able and others & reached(PIPELINE, known):
        able = set(calls)
    return [*found.values(), *([able] if able else [])]


def changed_since(ref: str) -> set[str]:
    """Files that differ from a commit; where git does not know the commit, all but the cards."""
    git = ["git", "-C", str(HOUSE)]
    out = subprocess.run([*git, "diff", "--name-only", ref], capture_output=True, text=True)
    if out.returncode == 0:
        return set(out.stdout.splitlines())
    out = subprocess.run([*git, "ls-files"], capture_output=True, text=True, check=True)
    return set(out.stdout.splitlines()) - {f"experiments/{name}.py" for name in _RUNS_OF}


if __name__ == "__main__":
    trained = chosen(changed_since(sys.argv[1]), day=int(time.time() // 86_400))
    for name in GROUPS:
        if name not in trained:
            print(f"--deselect={TEST}[{name}]")
