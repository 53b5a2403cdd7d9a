"""Who may know whom, what may load what, and the order of files inside each room."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
from house import HOUSE, graph, imports, modules

MAY_IMPORT = {
    "scaling": {"scaling"},
    "sweeps": {"sweeps", "scaling"},
    "analysis": {"analysis", "scaling.record"},
    "experiments": {"experiments", "analysis", "sweeps", "scaling"},
}

CARDS = sorted(
    path.stem
    for path in (HOUSE / "experiments").glob("*.py")
    if path.stem not in ("__init__", "experiment", "catalogue", "cli")
)

ORDER = {
    "scaling": """
        public sealed keys fields overrides extras workspace own_code record
        model devices models data objectives schedules kinds solving training pretraining counting
        streaming policy_gradient config packs accounting memory trainers run measures
    """.split(),
    "sweeps": """
        guards signals places files objects claims layout record_files retries rules accelerators
        compile_cache
        plan plan_file axes space declared sweep_file shapes recipes sizes
        store visiting publishing computing attempting worker executors pool processes progress
        decisions survey watching member engines runner deciding halving speeds costs calibration
        importing
    """.split(),
    "analysis": """
        errors estimate guards writing latex
        laws tables checks
        fitting.engine fitting.bootstrap fitting
        planning parallelism published named_models compute_optimal double_descent theory plots
    """.split(),
    "experiments": [
        "experiment",
        "catalogue",
        "shared",
        *CARDS,
        "reproductions",
        "pages",
        "papers",
        "commands",
        "cli",
    ],
}
"""The folders and files of each room, lowest first: each imports none that stands after it."""


def place(room: str, module: str) -> int:
    """Where a module stands in the order of its room; the head, with what it needs, comes first."""
    name = module.removeprefix(room).removeprefix(".")
    if not name or name == "public":
        return -1
    above = [name.rsplit(".", n)[0] for n in range(name.count(".") + 1)]
    known = [ORDER[room].index(prefix) for prefix in above if prefix in ORDER[room]]
    assert known, f"{module}: add it to the order of {room}"
    return known[0]


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_rooms_import_only_what_they_may(room):
    assert modules(room)
    for path in modules(room).values():
        for name in imports(path):
            allowed = any(
                name == known or name.startswith(f"{known}.") or known.startswith(f"{name}.")
                for known in MAY_IMPORT[room]
            )
            assert allowed, f"{path} imports {name}"


@pytest.mark.parametrize("room", ORDER)
def test_arrows_inside_a_room_run_one_way(room):
    names = modules(room)
    for name, path in names.items():
        for other in imports(path) & set(names):
            if room == "experiments" and {name.split(".")[1], other.split(".")[-1]} <= set(CARDS):
                continue  # a card may build on another; circles are refused below
            assert place(room, other) <= place(room, name), f"{name} imports {other}"


def test_no_imports_run_in_a_circle():
    """Neither between files, nor hidden in functions or under TYPE_CHECKING."""
    try:
        TopologicalSorter(graph()).prepare()
    except CycleError as error:
        pytest.fail(f"a circle of imports: {' -> '.join(error.args[1])}")


@pytest.mark.parametrize(
    "code",
    [
        "import scaling.record",
        "import scaling.config, sweeps.plan, sweeps.space, sweeps.runner, sweeps.store",
        "from experiments import cli",
        "import experiments.double_descent, experiments.commands.run",
    ],
)
def test_jax_is_loaded_only_by_what_computes_and_pyplot_by_nothing(code):
    unwanted = ("jax", "flax", "matplotlib.pyplot")
    check = f"import sys; {code}; sys.exit(any(name in sys.modules for name in {unwanted}))"
    subprocess.run([sys.executable, "-c", check], check=True)


def test_records_are_read_without_third_parties():
    check = (
        "import sys; before = set(sys.modules); import scaling.record;"
        "new = {m.split('.')[0] for m in set(sys.modules) - before} - set(sys.stdlib_module_names);"
        "sys.exit(new != {'scaling'})"
    )
    subprocess.run([sys.executable, "-c", check], check=True)


def functions(path: Path) -> Iterator[ast.FunctionDef]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef):
            yield node


@pytest.mark.parametrize("room", ORDER)
def test_functions_are_short_and_take_few_parameters(room):
    """At most 8 parameters, and 60 lines of code without docstring and comments."""
    for path in modules(room).values():
        lines = path.read_text().splitlines()
        for function in functions(path):
            where = f"{path}: {function.name}"
            given = function.args
            optional = (given.vararg, given.kwarg)
            named = [*given.posonlyargs, *given.args, *given.kwonlyargs, *filter(None, optional)]
            assert len(named) <= 8, f"{where} takes {len(named)} parameters"
            body = function.body[1:] if ast.get_docstring(function) else function.body
            start = body[0].lineno - 1 if body else function.end_lineno
            code = [s for line in lines[start : function.end_lineno] if (s := line.strip())]
            n_lines = sum(not line.startswith("#") for line in code)
            assert n_lines <= 60, f"{where} has {n_lines} lines of code"
