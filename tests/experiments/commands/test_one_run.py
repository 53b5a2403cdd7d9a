"""Which tables are evaluations of one run, whose noise may be correlated."""

import numpy as np
import pandas as pd
import pytest

from analysis.fitting.engine.loss import Loss
from analysis.fitting.fit import fit
from analysis.laws import LAWS
from experiments.commands.fit import Choices, _clusters, _is_one_run
from experiments.commands.options.analyses import FitOptions
from experiments.commands.rows import read_rows

ROWS = 24
LOSS = 1.5 + 30 * np.arange(1, ROWS + 1) ** -0.5
ALONG = 1000 * np.arange(1, ROWS + 1)

TABLES = {
    "steps": ({"step": ALONG, "loss": LOSS}, "x=step", True),
    "epochs": ({"Epoch": ALONG, "loss": LOSS}, "x=Epoch", True),
    "seen examples": ({"Seen Examples": ALONG, "loss": LOSS}, "x=Seen Examples", True),
    "tokens of one model": (
        {"n_params": [10**7] * ROWS, "tokensSeen": ALONG * 10**6, "loss": LOSS},
        "x=tokensSeen",
        True,
    ),
    "one label": ({"run": ["a"] * ROWS, "size": ALONG, "loss": LOSS}, "x=size", True),
    "sizes": ({"size": ALONG, "loss": LOSS}, "x=size", False),
    "parameters": ({"n_params": ALONG * 10**4, "loss": LOSS}, "x=n_params", False),
    "tokens of many models": (
        {"n_params": ALONG * 10**4, "tokens": ALONG * 10**6, "loss": LOSS},
        "x=tokens",
        False,
    ),
    "tokens of many seeds": (
        {"seed": range(ROWS), "tokens": ALONG * 10**6, "loss": LOSS},
        "x=tokens",
        False,
    ),
    "a label each": ({"run": range(ROWS), "step": ALONG, "loss": LOSS}, "x=step", False),
    "runs of several rows": (
        {"run": np.arange(ROWS) // 4, "step": ALONG, "loss": LOSS},
        "x=step",
        False,
    ),
}


@pytest.mark.parametrize("name", TABLES)
def test_one_run_is_told_by_its_label_or_by_an_input_that_a_run_has(name: str, tmp_path):
    columns, named, expected = TABLES[name]
    path = tmp_path / "table.csv"
    pd.DataFrame(columns).to_csv(path, index=False)
    options = FitOptions(table=str(path), law="power_law", columns=f"{named},loss=loss")
    source = read_rows(options, ("x", "loss"))
    law = LAWS["power_law"]
    assert _is_one_run(source, law) is expected
    choices = Choices(Loss(), {}, None, one_run=expected)
    labels = _clusters(source.table, choices)
    assert (labels is not None and len(set(labels)) == 1) is expected
    assert (labels is not None and len(set(labels)) == 6) is (name == "runs of several rows")


def test_a_law_of_two_inputs_has_no_one_run(tmp_path):
    path = tmp_path / "table.csv"
    each = {"run": ["a"] * ROWS, "N": ALONG * 10**4, "tokens": ALONG * 10**6, "loss": LOSS}
    pd.DataFrame(each).to_csv(path, index=False)
    source = read_rows(FitOptions(table=str(path), law="chinchilla"), ("N", "D", "loss"))
    assert not _is_one_run(source, LAWS["chinchilla"])


def test_one_label_is_no_cluster():
    found = fit(LAWS["power_law"], ALONG, LOSS, clusters=["a"] * ROWS)
    assert found.bootstrap.n_clusters is None
