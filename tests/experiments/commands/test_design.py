"""`scaling design`: cells printed and written as a table that comes back as a sweep."""

import json
from pathlib import Path

import numpy as np
import pytest

from analysis.estimate import Bootstrap
from analysis.fitting.fit import fit
from analysis.fitting.result import FitResult
from analysis.laws import CHINCHILLA
from analysis.planning.design import Candidates, next_cells
from analysis.tables import read
from experiments.commands import design
from experiments.commands.options.analyses import DesignOptions
from scaling.accounting import account
from scaling.config import RunConfig
from scaling.data.digits import Digits
from scaling.models.mlp import MLP
from scaling.training import SGD, Gradient
from sweeps.sizes import at_sizes

FITTED = {"N": (1e3, 1e5), "D": (1e4, 1e6)}
BASE = RunConfig(
    model=MLP(width=4),
    data=Digits(n_train=1000),
    train=Gradient(optimizer=SGD(learning_rate=0.1), batch_size=32, steps=7),
)


def designed(path, **options) -> int:
    return design.run(DesignOptions(fit=str(path), **{"flops": 1e12, "quantity": "a", **options}))


@pytest.fixture(scope="module")
def result() -> FitResult:
    rng = np.random.default_rng(0)
    x = np.exp(rng.uniform(*np.log([[1e3, 1e4], [1e5, 1e6]]), (40, 2)))
    loss = 0.1 + 30 * x[:, 0] ** -0.5 + 60 * x[:, 1] ** -0.5
    return fit(
        CHINCHILLA, x, loss * np.exp(0.01 * rng.standard_normal(40)), bootstrap=Bootstrap(n=200)
    )


@pytest.fixture
def file(result: FitResult, tmp_path: Path) -> Path:
    ranges = {name: list(ends) for name, ends in FITTED.items()}
    path = tmp_path / "fit.json"
    path.write_text(json.dumps({"fit": result.to_dict(), "source": {"range": ranges}}))
    return path


def test_cells_are_told_and_come_back_as_a_sweep(result, file, tmp_path, capsys):
    to = tmp_path / "cells.csv"
    assert designed(file, to=str(to)) == 0
    expected = next_cells(result, 1e12, quantity="a", candidates=Candidates(fitted=FITTED))
    out = capsys.readouterr().out
    assert f"{expected.after:.3g}" in out and f"{to}: written" in " ".join(out.split())

    # As the docstring of experiments/commands/design.py shows.
    cells = read.read(to, needs=("N", "D")).table
    np.testing.assert_allclose(cells["N"], [cell.parameters for cell in expected.cells])
    np.testing.assert_allclose(cells["C"], 6 * cells["N"] * cells["D"])
    runs = cells.loc[cells.index.repeat(cells["runs"])]
    configs = at_sizes(BASE, zip(runs["N"], runs["D"], strict=True), size="model.width")
    assert len(configs) == sum(cell.runs for cell in expected.cells)
    spent = sum(account(config).flops_train_6n_total_d or 0.0 for config in configs)
    assert spent == pytest.approx(sum(cell.flops for cell in expected.cells), rel=0.2)


def test_runs_are_priced_by_the_compute_that_the_table_paid(file, tmp_path, capsys):
    written = json.loads(file.read_text())
    cost = {"per_product": 6.0, "extra": 90.0, "power": 0.3, "misfit": 0.0, "sizes": FITTED["N"]}
    written["source"] |= {"cost": cost, "middle_flops": 1e11}
    file.write_text(json.dumps(written))
    to = tmp_path / "cells.csv"
    assert designed(file, to=str(to)) == 0
    assert "by the table's own count" in " ".join(capsys.readouterr().out.split())
    cells = read.read(to, needs=("N", "D", "C")).table
    a_token = cells["N"] * (6 + 90 * cells["N"] ** -0.3)
    np.testing.assert_allclose(cells["C"], a_token * cells["D"])


def test_targets_and_candidates_are_those_asked_for(file, capsys):
    assert designed(file, quantity="loss", at="N=1e6, D=2e7", cells=3, sizes=(2e3, 2e4),
                    tokens=(1e5, 1e5)) == 0  # fmt: skip
    out = capsys.readouterr().out
    assert "loss at N = 1e+06, D = 2e+07" in out
    assert designed(file, quantity="loss", at="C=1e14") == 0
    assert "loss at C = 1e+14" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"quantity": "b0"}, "no quantity 'b0'"),
        ({"quantity": "loss", "at": "N:1e9"}, "--at N:1e9: .* no pair; write N=1e9,D=2e10"),
        ({"quantity": "loss", "at": "N=many"}, "N = many is no finite number; write N="),
        ({"quantity": "loss"}, "give e.g. N=1e9,D=2e10"),
        ({"flops": 1.0}, "buys no run: the cheapest"),
        ({"cells": 0}, "n_cells = 0"),
        ({"to": "cells.xlsx"}, "ends in .csv or .parquet"),
        ({"sizes": (2e4, 2e3)}, "give the lower end first"),
    ],
)
def test_mistakes_get_a_sentence(options, says, file):
    with pytest.raises(ValueError, match=says):
        designed(file, **options)


def test_a_fit_that_does_not_say_what_it_was_fitted_to_needs_candidates(result, tmp_path, capsys):
    path = tmp_path / "bare.json"
    path.write_text(result.to_json())
    with pytest.raises(ValueError, match="the N of the fitted rows are unknown"):
        designed(path)
    assert designed(path, sizes=(1e3, 1e5), tokens=(1e4, 1e6)) == 0
    assert "standard error now" in capsys.readouterr().out
