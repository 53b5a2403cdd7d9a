"""Which experiments to train at smoke size, by the code that changed.

Those whose code, by the graph of imports, differs from the commit REF, and a few others in turn.
`python tests/smoke_choice.py REF` prints the arguments by which pytest leaves out the rest.
"""

import subprocess
import sys
import time

from house import HOUSE, ROOMS, graph, modules, reached

from experiments import catalogue
from experiments.experiment import Experiment

TEST = "tests/experiments/test_smoke.py::test_expectations_hold_at_smoke_size"

PARTS = {
    name: part for name in catalogue.names() if isinstance(part := catalogue.load(name), Experiment)
}
# Experiments that ask other questions of the same runs follow the one that makes them.
GROUPS = {
    name: [name, *(other for other in PARTS if other != name and PARTS[other].runs_of == name)]
    for name, part in PARTS.items()
    if part.runs_of == name
}

PIPELINE = ("experiments.commands.run", "sweeps.worker", "scaling.run")
"""What every experiment runs through; settings name worker and run, and nothing imports them."""

IN_ROTATION = 2
"""Experiments trained even though their code is unchanged; another pair each day."""


def chosen(changed: set[str], day: int) -> list[str]:
    """Names of the groups to train: those whose code changed, and some of the others in turn.

    Args:
        changed: Paths of changed files, relative to the top of the repository.
        day: Number of the day, which decides whose turn it is.
    """
    known = graph()
    path_of = {
        name: str(path.relative_to(HOUSE)) for room in ROOMS for name, path in modules(room).items()
    }
    found = {
        name
        for name, group in GROUPS.items()
        for module in reached([*(f"experiments.{each}" for each in group), *PIPELINE], known)
        if path_of[module] in changed
    }
    rest = [name for name in GROUPS if name not in found]
    turn = [rest[(day * IN_ROTATION + i) % len(rest)] for i in range(min(IN_ROTATION, len(rest)))]
    return [name for name in GROUPS if name in found or name in turn]


def changed_since(ref: str) -> set[str]:
    """Files that differ from a commit; every file where git does not know the commit."""
    git = ["git", "-C", str(HOUSE)]
    out = subprocess.run([*git, "diff", "--name-only", ref], capture_output=True, text=True)
    if out.returncode:
        out = subprocess.run([*git, "ls-files"], capture_output=True, text=True, check=True)
    return set(out.stdout.splitlines())


if __name__ == "__main__":
    trained = chosen(changed_since(sys.argv[1]), day=int(time.time() // 86_400))
    for name in GROUPS:
        if name not in trained:
            print(f"--deselect={TEST}[{name}]")
