"""The public names: listed at the head of each room, typed, documented, imported when asked for."""

import ast
import doctest
import importlib
import inspect
import subprocess
import sys

import pytest
from house import HOUSE

from experiments.cli import main

ROOMS = ("scaling", "sweeps", "analysis", "experiments")
PROGRAM = '''
"""A user's program: a sweep, its records, a fit and an allocation."""

from pathlib import Path

import numpy as np

from analysis import CHINCHILLA, POWER_LAW, Bootstrap, FitResult, allocate, fit, read
from scaling import MLP, MNIST1D, Adam, Gradient, LabelNoise, RunConfig, RunRecord
from scaling.run import run
from sweeps import Plan, Store, Summary, grid, make_plan, run_sweeps


def sweep(widths: list[int]) -> list[RunConfig]:
    base = RunConfig(
        model=MLP(width=8),
        data=MNIST1D(n_train=100, label_noise=LabelNoise(fraction=0.1)),
        train=Gradient(optimizer=Adam(learning_rate=2e-3), batch_size=50, epochs=2),
    )
    return grid(base, {"model.width": widths, "seed": range(3)})


def train(folder: Path, configs: list[RunConfig]) -> list[RunRecord]:
    plan: Plan = make_plan("widths", configs)
    summary: Summary = run_sweeps([(folder, plan)])
    if not summary.complete:
        raise SystemExit("runs are missing")
    return Store.open(folder).read(plan)


def exponent(n: list[int], losses: list[float]) -> tuple[float, float]:
    result: FitResult = fit(POWER_LAW, n, losses, bootstrap=Bootstrap(n=200, seed=1))
    return result.intervals["alpha"]


def best_size(path: str) -> float:
    table = read(path, needs=CHINCHILLA.inputs).table
    x = np.column_stack([np.asarray(table[name], np.float64) for name in CHINCHILLA.inputs])
    result = fit(CHINCHILLA, x, np.asarray(table["loss"], np.float64))
    return allocate(result, 1e21).parameters.value


record, curve = run(sweep([8])[0])
print(record.eval_error, len(curve))
'''


def offered(room: str) -> dict[str, object]:
    """The public names of a room."""
    head = importlib.import_module(room)
    return {name: getattr(head, name) for name in head.__all__}


def listed(room: str) -> dict[str, str]:
    """Public names as the head of a room lists them, with the modules that define them."""
    tree = ast.parse((HOUSE / room / "__init__.py").read_text())
    table = next(node for node in ast.walk(tree) if isinstance(node, ast.Dict))
    homes = {name: home for home, names in ast.literal_eval(table).items() for name in names}
    # Those that are public as a whole: the last tuple of names of an assignment or a call.
    said = [node.value for node in ast.walk(tree) if isinstance(node, ast.keyword | ast.Assign)]
    wholes = [ast.literal_eval(value) for value in said if isinstance(value, ast.Tuple)]
    modules = wholes[-1] if wholes else ()
    return {name: f"{room}.{home}" for name, home in homes.items()} | dict.fromkeys(modules, room)


def typed(room: str) -> dict[str, str]:
    """Public names as the stub of a room gives them to type checkers."""
    tree = ast.parse((HOUSE / room / "__init__.pyi").read_text())
    taken = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
    assert all(alias.asname == alias.name for node in taken for alias in node.names)
    return {alias.name: str(node.module) for node in taken for alias in node.names}


@pytest.mark.parametrize("room", ROOMS)
def test_stubs_say_what_rooms_offer(room):
    head = importlib.import_module(room)
    assert typed(room) == listed(room)
    assert head.__all__ == list(listed(room))
    assert dir(head) == sorted(head.__all__)


@pytest.mark.medium
def test_public_names_are_documented_and_their_examples_run():
    finder, runner = doctest.DocTestFinder(recurse=False), doctest.DocTestRunner()
    for room in ROOMS:
        for name, value in offered(room).items():
            if not isinstance(value, dict | tuple):  # data: a law, or all of them
                text = inspect.getdoc(value) or ""
                assert text.partition("\n\n")[0].endswith("."), f"{room}.{name}"
            if inspect.isfunction(value):
                for example in finder.find(value, name, globs=value.__globals__.copy()):
                    runner.run(example)
    assert runner.failures == 0 and runner.tries >= 30


def test_a_name_that_is_none_is_refused():
    with pytest.raises(ImportError, match="RunConfg"):
        from scaling import RunConfg  # noqa: F401


def test_heads_of_rooms_load_nothing():
    check = (
        f"import sys; import {', '.join(ROOMS)};"
        "new = {m.split('.')[0] for m in sys.modules} - set(sys.stdlib_module_names);"
        f"sys.exit(not new & {set(ROOMS)} or bool(new & {{'numpy', 'jax', 'pandas'}}))"
    )
    subprocess.run([sys.executable, "-c", check], check=True)


@pytest.mark.medium
def test_a_strict_type_checker_accepts_a_users_program(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    strict = ["--preset", "strict", "--python-interpreter-path", sys.executable]
    command = ["pyrefly", "check", str(program), *strict]
    checked = subprocess.run(command, cwd=HOUSE, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout


def test_the_command_says_its_version(capsys):
    assert main(["--version"]) == 0
    import scaling

    assert capsys.readouterr().out == f"scaling {scaling.__version__}\n"
