"""Every source with every command: one planted table in each form reads to the same numbers, and
every command that fits a table takes all of them.
"""

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from sources import SOURCES, Given, planted

from analysis.compute_optimal import approaches
from analysis.estimate import Bootstrap
from experiments.cli import main
from experiments.commands import fit, isoflop, rank
from experiments.commands.options.analyses import RowOptions
from experiments.commands.rows import read_rows

FEW = 200
"""Replicates of a bootstrap: here only that commands run counts."""


@pytest.fixture(params=SOURCES, scope="module")
def given(request, tmp_path_factory) -> Given:
    return SOURCES[request.param](planted(), tmp_path_factory.mktemp("source"))


@pytest.fixture
def quick(monkeypatch):
    """Commands without what takes long and does not depend on the source."""
    monkeypatch.setattr(fit, "Bootstrap", partial(Bootstrap, n=FEW))
    monkeypatch.setattr(fit, "_profiles", lambda result: "no profiles")
    monkeypatch.setattr(fit, "_alternatives", lambda *args, **choices: iter(()))
    few = partial(approaches.three_approaches, bootstrap=Bootstrap(n=FEW))
    monkeypatch.setattr(isoflop, "three_approaches", few)
    monkeypatch.setattr(rank, "rank", partial(rank.rank, bootstrap=Bootstrap(n=FEW)))
    monkeypatch.setattr(rank, "applicable", lambda inputs: [fit.LAWS["chinchilla"]])


def test_every_source_reads_to_the_same_numbers(given):
    words = dict(zip(given.options[::2], given.options[1::2], strict=True))
    options = {name.removeprefix("--"): text for name, text in words.items()}
    table = read_rows(RowOptions(table=str(given.path), **options), ("N", "D", "C", "loss")).table
    truth = planted().sort_values(["params", "tokens"])
    found = table.sort_values(["N", "D"])
    assert found.index.is_unique and found.index.name not in found.columns
    for name, column in (("N", "params"), ("D", "tokens"), ("loss", "eval_loss")):
        np.testing.assert_allclose(found[name], truth[column], rtol=1e-9)


@pytest.mark.medium
def test_every_command_on_a_table_takes_every_source(given, quick, tmp_path: Path, capsys):
    table, to = [str(given.path), *given.options], str(tmp_path / "fit.json")
    assert main(["fit", *table, "--law", "chinchilla", "--json", to]) == 0
    found = json.loads(Path(to).read_text())["fit"]["params"]
    assert found["alpha"] == pytest.approx(0.34, abs=0.05)
    assert main(["rank", *table]) == 0
    assert main(["isoflop", *table]) == 0
    assert main(["descent", *table, "--x", "D", "--test", "loss"]) == 0
    assert "Traceback" not in capsys.readouterr().err
