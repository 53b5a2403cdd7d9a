"""The commonest mistakes on the command line: each message says what is wrong, what is allowed and
what to do, in two lines at most; the exit status is 2, and nothing is written.
"""

import json
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest

from analysis.estimate import Bootstrap
from analysis.fitting.fit import fit
from analysis.laws import CHINCHILLA
from experiments.cli import main

CARD = """
'''A card for its sizes alone.'''
from scaling.config import RunConfig
from scaling.data.gaussian import GaussianTeacher
from scaling.models.linear import Linear
from scaling.solving import Ridgeless

def _sweep():
    data = GaussianTeacher(n_train=20, dimension=60, noise_variance=0.1)
    return [RunConfig(model=Linear(n_features=5), data=data, train=Ridgeless())]

SWEEP = {"smoke": _sweep}
EXPECTED = ()

def analyse(table): ...
def figure(findings): ...
"""


class Mistake(NamedTuple):
    """A command, and what its message must say: what is wrong, what is allowed, what to do."""

    command: str
    wrong: str
    allowed: str
    remedy: str


ALLOCATE = "allocate --fit fit.json"
DESIGN = "design --fit fit.json --flops 1e20"
FIT = "fit runs.csv --law chinchilla"
SMOKE = "run card.py --budget smoke"

MISTAKES = {
    "unknown experiment": Mistake(
        "run double_decent", "no experiment 'double_decent'", "valid: architectures, belkin, ",
        "did you mean 'double_descent'",
    ),
    "unknown budget": Mistake(
        "run card.py --budget gpu", "card: no budget 'gpu'", "valid: smoke", "valid: smoke",
    ),
    "missing experiment file": Mistake(
        "plan gone.py", "gone.py: no such file", "a .py file, or a name", "scaling list",
    ),
    "file without SWEEP": Mistake(
        "run bare.py", "bare.py.* does not declare SWEEP", "An experiment declares SWEEP, EXPECTED",
        "declares SWEEP, EXPECTED, analyse and figure",
    ),
    "file that fails": Mistake(
        "run broken.py", r"broken.py: it cannot be imported \(ModuleNotFoundError: .*'nowhere'",
        "imported", "Correct the file",
    ),
    "misspelt override": Mistake(
        f"{SMOKE} --set model.n_featurs=3", "no field 'n_featurs' in linear", "valid: n_features",
        "did you mean 'n_features'",
    ),
    "override of a wrong type": Mistake(
        f"{SMOKE} --set model.n_features=many", "n_features = 'many'", "a whole number", "give",
    ),
    "override out of range": Mistake(
        f"{SMOKE} --set model.n_features=0", "n_features = 0 is impossible", "at least 1",
        "give a value",
    ),
    "override without a value": Mistake(
        f"{SMOKE} --set seed", "override 'seed'", "field.path=value", "write it as",
    ),
    "no workers": Mistake(
        f"{SMOKE} --workers 0", "--workers 0", "at least 1", "Without it there is one",
    ),
    "unknown law": Mistake(
        "fit runs.csv --law chinchila", "chinchila: no such law", "valid: .*kaplan",
        "did you mean 'chinchilla'",
    ),
    "own law that is none": Mistake(
        "fit runs.csv --law math:pi", "math:pi: it is a float", "not a law",
        "Give an analysis.laws.Law",
    ),
    "missing file": Mistake(
        "fit gone.csv --law chinchilla", "gone.csv: no such file", "file or folder",
        "check the path",
    ),
    "file that is no table": Mistake(
        "fit photo.csv --law chinchilla", "photo.csv: line 2 is not UTF-8", "UTF-8",
        "save the file as UTF-8",
    ),
    "empty table": Mistake(
        "fit empty.csv --law chinchilla", "empty.csv: the table has no rows",
        "one for each run", "give",
    ),
    "misspelt column": Mistake(
        f"{FIT} --columns N=parms", "no column 'parms' for N", "valid: params, tokens",
        "did you mean 'params'",
    ),
    "missing quantity": Mistake(
        "fit sizes.csv --law chinchilla", "no column for D", "any two of N, D and C give the third",
        "declare it, as --columns D=NAME",
    ),
    "negative loss": Mistake(
        "fit negative.csv --law chinchilla", "line 2, column 'val_loss': -5", "above 0",
        "correct the value or take the line out",
    ),
    "repeated row": Mistake(
        "fit twice.csv --law chinchilla", "line 27 repeats line 5", "it counts twice",
        "to fit all the same, give --flagged drop",
    ),
    "selection of a column that is not there": Mistake(
        f"{FIT} --where losss=3", "no column 'losss'", "valid: C, D, M, N, loss",
        "did you mean 'loss'",
    ),
    "selection without a value": Mistake(
        f"{FIT} --where loss", "'loss' is no condition", "COLUMN=VALUE", "write COLUMN=VALUE",
    ),
    "fixed parameter that the law has not": Mistake(
        f"{FIT} --fix gamma=0.3", "'gamma' is no parameter of chinchilla", "valid: A, B, E, alpha",
        "valid: A, B, E, alpha, beta",
    ),
    "fixed parameter out of bounds": Mistake(
        f"{FIT} --fix alpha=-3", "alpha = -3", "at least 0 and at most 10", "give a value within",
    ),
    "negative threshold": Mistake(
        f"{FIT} --huber -1", "delta = -1", "positive", "Give e.g. 1e-3",
    ),
    "budget of nothing": Mistake(
        "isoflop runs.csv --budgets 0,1e19", "--budgets 0,1e19", "each above 0",
        "give FLOPs such as 6e18,1e19",
    ),
    "budgets that are no numbers": Mistake(
        "isoflop runs.csv --budgets 6e18;1e19", "--budgets 6e18;1e19",
        "numbers with commas between", "give FLOPs such as 6e18,1e19",
    ),
    "curves without runs": Mistake(
        "isoflop runs.csv --curves", "no column for run", "there are 'params', 'tokens'",
        "declare it, as --columns run=NAME",
    ),
    "curve of a column that is not there": Mistake(
        "descent runs.csv --x width --test val_loss", "no column 'width' for x",
        "valid: params, tokens", "valid: params, tokens, val_loss",
    ),
    "curve whose sizes repeat": Mistake(
        "descent runs.csv --x params --test val_loss", "size 1e\\+07 occurs 5 times",
        "there are 'tokens'", "as --seed NAME or --group NAME",
    ),
    "allocation without a budget": Mistake(
        ALLOCATE, "given: none", "in one way: --flops; or --hours", "give the budget",
    ),
    "budget that is not positive": Mistake(
        f"{ALLOCATE} --flops 0", "flops = 0", "positive and finite", "give e.g. 1e21",
    ),
    "unknown accelerator": Mistake(
        f"{ALLOCATE} --hours 10 --gpu h1000 --mfu 0.4", "no accelerator 'h1000'", "valid: a100, ",
        "did you mean 'h100'",
    ),
    "hours without an accelerator": Mistake(
        f"{ALLOCATE} --hours 10", "--hours alone is no compute", "--hours with --gpu and --mfu",
        "give the budget",
    ),
    "utilisation in per cent": Mistake(
        f"{ALLOCATE} --hours 10 --gpu h100 --mfu 40", "mfu = 40", "above 0 and up to 1",
        "give e.g. 0.4",
    ),
    "file without a fit": Mistake(
        "allocate --fit notes.json --flops 1e21", "holds no fit that this version reads",
        "scaling fit TABLE", "Give a file",
    ),
    "unknown quantity to design for": Mistake(
        f"{DESIGN} --quantity alfa", "no quantity 'alfa'", "valid: .*beta", "did you mean 'alpha'",
    ),
    "loss without a target": Mistake(
        f"{DESIGN} --quantity loss", "at = None", "N and D, or at C", "give e.g. N=1e9,D=2e10",
    ),
    "folder without results": Mistake(
        "status nowhere", "nowhere is no results folder", "store.json", "Give a folder that",
    ),
    "table of an unknown format": Mistake(
        "table nowhere --to runs.xlsx", "'.xlsx' names no format", ".csv or .parquet",
        "give a name that ends in",
    ),
    "unknown paper": Mistake(
        "reproduce besiroglu2042", "no reproduction 'besiroglu2042'", "valid: alabdulmohsin2022",
        "did you mean 'besiroglu2024'",
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with good and bad tables, fits and experiments."""
    folder = tmp_path_factory.mktemp("mistakes")
    sizes, tokens = np.meshgrid(np.geomspace(1e7, 1e10, 5), np.geomspace(1e9, 1e12, 5))
    x = np.stack([sizes.ravel(), tokens.ravel()], axis=1)
    loss = 1.7 + 400 * x[:, 0] ** -0.34 + 1000 * x[:, 1] ** -0.3
    runs = pd.DataFrame({"params": x[:, 0], "tokens": x[:, 1], "val_loss": loss})
    tables = {
        "runs": runs,
        "empty": runs.head(0),
        "negative": runs.assign(val_loss=-loss),
        "sizes": runs.drop(columns="tokens"),
        "twice": pd.concat([runs, runs.iloc[[3]]]),
    }
    for name, table in tables.items():
        table.to_csv(folder / f"{name}.csv", index=False)
    (folder / "photo.csv").write_bytes(bytes(range(256)))
    noise = 0.003 * np.random.default_rng(0).standard_normal(len(loss))
    fitted = fit(CHINCHILLA, x, loss * np.exp(noise), bootstrap=Bootstrap(n=200))
    values = {"fit": json.loads(fitted.to_json()), "source": {"range": {"N": [1e7, 1e10],
              "D": [1e9, 1e12]}}}  # fmt: skip
    (folder / "fit.json").write_text(json.dumps(values))
    (folder / "notes.json").write_text("not json")
    (folder / "card.py").write_text(CARD)
    (folder / "bare.py").write_text("EXPECTED = ()\n")
    (folder / "broken.py").write_text("import nowhere\n")
    return folder


def files(folder: Path) -> dict[Path, int]:
    """Every file below a folder with the time it was written, but for compiled modules."""
    return {
        path: path.stat().st_mtime_ns
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_gets_what_is_wrong_what_is_allowed_and_what_to_do(
    mistake: Mistake,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    monkeypatch.chdir(folder)
    before = files(folder)
    assert main(mistake.command.split()) == 2
    message = capsys.readouterr().err
    assert message.startswith("scaling: ") and message.count("\n") <= 2
    for part in mistake[1:]:
        assert re.search(part, message, re.IGNORECASE), message
    assert files(folder) == before


def test_there_are_twenty_and_more():
    assert len(MISTAKES) >= 20
