"""`scaling rank` fits or leaves out runs as a whole where there are enough of them."""

import numpy as np
import pandas as pd
import pytest

from experiments.cli import main
from experiments.commands.rank import LEAST_RUN_SIZES, _sizes_of


def table(n_runs: int, n_rows: int) -> pd.DataFrame:
    run = np.repeat(np.arange(n_runs), n_rows)
    size = 1e6 * 2.0**run * np.tile(np.arange(1, n_rows + 1), n_runs)
    return pd.DataFrame({"run": run, "C": size}, index=range(5, 5 + len(run)))


@pytest.mark.parametrize("n_runs", [LEAST_RUN_SIZES, 16])
def test_no_window_splits_a_run(n_runs: int):
    rows = table(n_runs, 4).sample(frac=1, random_state=0)
    sizes, said = _sizes_of(rows, "C")
    assert said == " of whole runs"
    for cut in np.unique(sizes):
        below, above = rows["run"][sizes < cut], rows["run"][sizes >= cut]
        assert not set(below) & set(above)
    np.testing.assert_array_equal(sizes, 4e6 * 2.0 ** rows["run"].to_numpy())


@pytest.mark.parametrize(
    ("n_runs", "n_rows", "said"),
    [(1, 30, ""), (3, 30, " (rows of 3 runs, too few to leave out whole)"), (40, 1, "")],
)
def test_few_runs_and_runs_of_one_row_go_by_rows(n_runs: int, n_rows: int, said: str):
    rows = table(n_runs, n_rows)
    sizes, words = _sizes_of(rows, "C")
    assert words == said
    np.testing.assert_array_equal(sizes, rows["C"])


def test_tables_without_runs_go_by_rows():
    rows = table(8, 4).drop(columns="run")
    assert _sizes_of(rows, "C")[1] == ""


@pytest.mark.parametrize("to", ["3", "0", "-1", "nan", "inf"])
def test_a_size_to_predict_that_is_not_beyond_the_rows_is_refused(to, tmp_path, capsys):
    sizes = np.geomspace(1e6, 1e9, 8)
    path = tmp_path / "t.csv"
    pd.DataFrame({"N": sizes, "loss": 2 + sizes**-0.3}).to_csv(path, index=False)
    assert main(["rank", str(path), f"--predict={to}"]) == 2
    assert "give a larger size, or leave --predict out" in capsys.readouterr().err
