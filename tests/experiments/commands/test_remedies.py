"""A remedy that a message gives as an option works: the tests type it in, and the command succeeds.

Only tests read sentences. NAME stands for any column: here for one that tells runs apart.
"""

import json
import math
import re
import shlex
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import pytest
from sources import planted, results_folder

from analysis.estimate import Bootstrap
from analysis.fitting.fit import fit as fit_law
from experiments.cli import main
from experiments.commands import fit, isoflop, rank


class Case(NamedTuple):
    """A command that is refused or doubted, and what its message says to type.

    Attributes:
        command: What is typed; T is the table.
        message: The message, with a group for each text to type.
        follow: What is typed then; {} is one of these texts.
        header: The names of the columns of size, data and loss.
        more: Further columns: the heading, and cells that repeat.
        factors: What the values of the three columns are divided by.
        rows: Rows of the table; beyond 28 it begins anew.
    """

    command: str
    message: str
    follow: str
    header: str = "params,tokens,loss"
    more: Mapping[str, tuple[object, ...]] = MappingProxyType({})
    factors: tuple[float, float, float] = (1, 1, 1)
    rows: int = 28


FIT, FIT_ND = "fit T --law kaplan_n", "fit T --law chinchilla"
COLUMNS, NAMED = f"{FIT} --columns {{}}", f"{FIT} --columns run={{}}"
STEPS, RUNS = {"step": (1, 2)}, {"kind": tuple(f"run {i // 4}" for i in range(28))}


def accuracy(loss: float) -> float:
    """A share in per cent that falls as a loss rises, with noise."""
    return 25 + 65 / (1 + math.exp(12 * (loss - 3.1))) + 0.1 * math.sin(1e3 * loss)


LOSSES = tuple(3 + 0.01 * i for i in range(28))
OTHER = (3.0, 3.1, 2.9)
NO_RUNS = r"as --columns (run=NAME) or (run=NAME\+NAME)"
KINDS = ("adam w, fused", "adam w, fused", "muon", "adam w, fused", "muon")

REFUSED = {
    "two losses": Case(
        FIT, r"--columns (\S+) or (\S+)$", COLUMNS, more={"eval_loss": OTHER}
    ),
    "two losses with units": Case(
        FIT, "--columns ('.*') or ('.*')$", COLUMNS, "params,tokens,loss (nats)",
        {"loss [bits]": OTHER},
    ),
    "a near name": Case(FIT, r"is it 'parms'\?.*--columns (\S+) ", COLUMNS, "parms,tokens,loss"),
    "a near name with a blank": Case(
        FIT, "--columns ('.*') \\(there", COLUMNS, "no of params (M),tokens,loss",
        factors=(1e6, 1, 1),
    ),
    "a near name with a comma": Case(
        FIT, "--columns ('.*') \\(there", COLUMNS, '"parms, all",tokens,loss'
    ),
    "a well-named column without numbers": Case(
        FIT, r"instead, as --columns (\S+)$", COLUMNS, "params,tokens,note",
        {"train_loss": OTHER, "eval_loss": ("?",)},
    ),
    "a misspelt column": Case(
        f"{FIT} --columns N=parms", "did you mean '(.*)'", f"{FIT} --columns N={{}}"
    ),
    "a misspelt unit": Case(
        f"{FIT} --columns N=params[milions]", "did you mean '(.*)'",
        f"{FIT} --columns N=params[{{}}]", factors=(1e6, 1, 1),
    ),
    "an accuracy in per cent": Case(
        "fit T --law task_sigmoid", "--columns (.*); correct",
        "fit T --law task_sigmoid --columns {}", "note,step,other",
        {"loss": LOSSES, "val accuracy": tuple(map(accuracy, LOSSES))},
    ),
    "states": Case(
        FIT, r"--where (\S+)$", f"{FIT} --where {{}}",
        more={"state": ("COMPLETED", "COMPLETED", "dunno")},
    ),
    "states in words": Case(
        FIT, "--where ('.*')$", f"{FIT} --where {{}}",
        more={"job state": ("COMPLETED (0:0, 1)", "COMPLETED (0:0, 1)", "dunno")},
    ),
    "a misspelt value": Case(
        f"{FIT} --where kind=muo", "did you mean '(.*)'", f"{FIT} --where kind={{}}",
        more={"kind": KINDS},
    ),
    "a misspelt quantity": Case(
        f"{FIT} --where losss>1", "did you mean '(.*)'", f"{FIT} --where '{{}}>1'"
    ),
    "a range without a number": Case(
        f"{FIT} --where N>many", "such as ('.*')$", f"{FIT} --where {{}}"
    ),
    "no runs for the last row": Case(
        f"{FIT} --where step=max", NO_RUNS, f"{FIT} --where step=max --columns {{}}",
        more=STEPS | RUNS,
    ),
    "no runs for the last row held out": Case(
        f"{FIT} --holdout step=max", NO_RUNS, f"{FIT} --holdout step=max --columns {{}}",
        more=STEPS | RUNS,
    ),
    "no runs to redraw": Case(
        f"{FIT} --bootstrap clusters", "as --columns (run=NAME)",
        f"{FIT} --bootstrap clusters --columns {{}}", more=RUNS,
    ),
    "no repeats to redraw": Case(
        f"{FIT_ND} --bootstrap within_x", "give the kind '(.*)'", f"{FIT_ND} --bootstrap {{}}"
    ),
    "repeated rows": Case(
        FIT_ND, "give --flagged (drop) .*, --flagged (keep) ", f"{FIT_ND} --flagged {{}}",
        rows=30,
    ),
    "a wide table": Case(
        "fit T --law power_law", "such as --melt (x)", "fit T --law power_law --melt {}",
        "note,step,64", {"128": LOSSES, "1k": tuple(each - 0.5 for each in LOSSES)},
    ),
    "no sizes": Case(
        "rank T", "as --columns (x=NAME),loss", "rank T --columns {}", "kind,step,loss"
    ),
    "a misspelt law": Case(
        "fit T --law kaplan_nn", "did you mean '(.*)'", "fit T --law {}"
    ),
    "a misspelt axis": Case("rank T --along n", "valid: C, D, (N)", "rank T --along {}"),
    "budgets": Case(
        "isoflop T --budgets 2e18;6e18", "such as (6e18),1e19", "isoflop T --budgets 2e18,{}"
    ),
}  # fmt: skip


def write(case: Case, path: Path) -> None:
    """Writes the planted table under the headings of a case."""
    table = planted()
    columns = [
        table[name] / factor
        for name, factor in zip(("params", "tokens", "eval_loss"), case.factors, strict=True)
    ]
    lines = [",".join([case.header, *(f'"{name}"' for name in case.more)])]
    for place in (row % len(table) for row in range(case.rows)):
        cells = [repr(float(column[place])) for column in columns]
        cells += [f'"{each[place % len(each)]}"' for each in case.more.values()]
        lines.append(",".join(cells))
    path.write_text("\n".join(lines) + "\n")


def run(command: str, path: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Exit status, and what is printed on the screen."""
    words = shlex.split(command.replace("NAME", "kind"))
    status = main([str(path) if word == "T" else word for word in words])
    printed = capsys.readouterr()
    return status, printed.out + printed.err.rstrip()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch):
    """Commands without what takes long and has no remedy to give."""
    monkeypatch.setattr(fit, "Bootstrap", partial(Bootstrap, n=200))
    monkeypatch.setattr(fit, "_profiles", lambda result: "no profiles")
    monkeypatch.setattr(fit, "_alternatives", lambda *args, **choices: iter(()))
    monkeypatch.setattr(rank, "rank", partial(rank.rank, bootstrap=Bootstrap(n=200)))
    monkeypatch.setattr(
        rank,
        "applicable",
        lambda inputs: [fit.LAWS["chinchilla" if len(inputs) > 1 else "power_law"]],
    )
    few = partial(isoflop.three_approaches, bootstrap=Bootstrap(n=200))
    monkeypatch.setattr(isoflop, "three_approaches", few)


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
def test_what_a_refusal_says_to_type_ends_it(case, quick, tmp_path, capsys):
    path = tmp_path / "runs.csv"
    write(case, path)
    status, said = run(case.command, path, capsys)
    assert status == 2
    found = re.search(case.message, said)
    assert found, said
    for text in found.groups():
        status, said = run(case.follow.format(text), path, capsys)
        assert status == 0, said


DOUBTED = {
    "N in millions": Case(
        f"{FIT_ND} --columns 'N=no of params'", "declare them, as --columns (.*)$",
        f"{FIT_ND} --columns {{}}", "no of params,tokens,loss", factors=(1e6, 1, 1),
    ),
    "D in billions": Case(
        FIT_ND, "declare them, as --columns (.*)$", f"{FIT_ND} --columns {{}}",
        factors=(1, 1e12, 1),
    ),
    "a small letter": Case(
        f"{FIT} --columns 'N=no of params m'", "declare --columns (.*)$", COLUMNS,
        "no of params m,tokens,loss", factors=(1e6, 1, 1),
    ),
    "a perplexity": Case(FIT, "declare --columns (.*)$", COLUMNS, factors=(1, 1, 0.1)),
    "a share of failures": Case(
        FIT, "--where (.*) leaves them out", f"{FIT} --where {{}}",
        more={"failed": (False, False, True)},
    ),
    "kinds of runs": Case(
        FIT_ND, "such as --where (.*)$", f"{FIT_ND} --where {{}}", more={"kind of, 1": KINDS}
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", DOUBTED.values(), ids=DOUBTED)
def test_what_a_doubt_says_to_type_ends_it(case, quick, tmp_path, capsys):
    path = tmp_path / "runs.csv"
    write(case, path)
    status, said = run(case.command, path, capsys)
    found = re.search(f"doubt: .*{case.message}", said, re.MULTILINE)
    assert status == 0 and found, said
    status, said = run(case.follow.format(*found.groups()), path, capsys)
    assert status == 0 and "doubt: " not in said, said


@pytest.mark.parametrize("command", [FIT, "rank T", "isoflop T"])
def test_units_of_own_results_are_known(command, quick, tmp_path, capsys):
    small = planted().assign(params=lambda table: table["params"] / 1e5)
    given = results_folder(small.assign(tokens=small["tokens"] / 1e6), tmp_path / "results")
    _, said = run(command, given.path, capsys)
    assert "28 rows" in said and "declare" not in said, said


BUDGETS = {
    "far beyond": ("--flops 1e40", "(--far)", "--flops 1e40 {}"),
    "hours alone": ("--hours 1", "--hours with (--gpu) and", "--hours 1 {} h100 --mfu 0.4"),
    "no utilisation": ("--hours 1 --gpu h100", "e.g. (--gpu h100 --mfu .*)", "--hours 1 {}"),
    "per cent": (
        "--hours 1 --gpu h100 --mfu 40", r"e\.g\. (0\.4)", "--hours 1 --gpu h100 --mfu {}",
    ),
    "none": ("", "in one way: --(flops);", "--{} 1e21"),
    "zero": ("--flops 0", "give e.g. (1e21)", "--flops {}"),
    "a misspelt device": (
        "--hours 1 --gpu h1000 --mfu 0.4", "did you mean '(.*)'", "--hours 1 --gpu {} --mfu 0.4",
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    table = planted()
    x, loss = table[["params", "tokens"]].to_numpy(), table["eval_loss"].to_numpy()
    path = tmp_path_factory.mktemp("fit") / "fit.json"
    found = fit_law(fit.LAWS["chinchilla"], x, loss, bootstrap=Bootstrap(n=200))
    source = {"range": {"N": [1e7, 6.4e8], "D": [1e9, 1e12]}, "largest_flops": 1e21}
    path.write_text(json.dumps({"fit": json.loads(found.to_json()), "source": source}))
    return path


@pytest.mark.parametrize("budget", BUDGETS.values(), ids=BUDGETS)
def test_what_a_refused_budget_says_to_type_ends_it(budget, fitted, capsys):
    given, message, follow = budget
    status, said = run(f"allocate --fit T {given}", fitted, capsys)
    found = re.search(message, said)
    assert status == 2 and found, said
    status, said = run(f"allocate --fit T {follow.format(found[1])}", fitted, capsys)
    assert status == 0, said


@pytest.mark.parametrize(
    ("given", "message", "follow"),
    [
        ("--quantity loss", "give e.g. (N=1e9,D=2e10) or (C=1e21)", "--quantity loss --at {}"),
        ("--quantity loss --at N", "write (N=1e9,D=2e10) or (C=1e21)", "--quantity loss --at {}"),
        ("--quantity alfa", "did you mean '(.*)'", "--quantity {}"),
    ],
)
def test_what_a_refused_design_says_to_type_ends_it(given, message, follow, fitted, capsys):
    design = "design --fit T --flops 1e20 --cells 1"
    status, said = run(f"{design} {given}", fitted, capsys)
    found = re.search(message, said)
    assert status == 2 and found, said
    for text in found.groups():
        status, said = run(f"{design} {follow.format(text)}", fitted, capsys)
        assert status == 0, said
