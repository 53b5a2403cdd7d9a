"""Tables: units, round trips, reasons for what is left out."""

import dataclasses

import numpy as np
import pandas as pd
import polars
import pytest

from analysis.tables import results
from scaling.record import RunRecord, dump_record, row


def record(i: int, **columns) -> RunRecord:
    config = {"model": {"kind": "mlp", "width": i}, "seed": i}
    return RunRecord(run_id=f"{i:032x}", status="done", config=config, **columns)


RECORDS = [
    record(1, steps=5, eval_loss_nats=0.5, wall_seconds=1.0, environment={"host": "a"}),
    record(2, steps=6, eval_loss_nats=0.25),
    RunRecord(run_id="3" * 32, status="diverged", config={"seed": 3}, diverged_at_step=4),
    RunRecord(run_id="4" * 32, status="missing", config={"seed": 4}),
    record(5, steps=7),
]


@pytest.fixture
def table():
    return results.frame(map(row, RECORDS))


def test_columns_carry_units_and_types(table):
    units = table.attrs["units"]
    assert units["eval_loss_nats"] == "nats per prediction"
    assert units["wall_seconds"] == "s"
    assert units["flops_train"] == "FLOPs"
    assert units["n_params_total"] == "parameters"
    assert table["steps"].dtype == "Int64"
    assert table["eval_loss_nats"].dtype == "float64"
    assert table["model.width"].tolist()[:2] == [1, 2]
    assert table["environment.host"][0] == "a"


def test_every_column_of_a_record_has_its_unit():
    counts = {"schema_version", "attempt", "n_features", "n_outputs", "rank", "n_loss_spikes"}
    counts |= {"n_curve_points"}
    pure = {"weight_norm_l2", "ridge", "rcond", "other_rcond", "last_finite_train_loss"}
    for f in dataclasses.fields(RunRecord):
        if "int" in str(f.type) or "float" in str(f.type):
            assert (results.unit(f.name) == "1") == (f.name in counts | pure), f.name
    assert results.unit("eval_squared_error_sem") == "squared target units"
    assert results.unit("eval_error_sem") == "fraction of examples"
    assert results.unit("data.n_train") == "examples"


def test_what_does_not_apply_is_missing_never_zero(table):
    assert table["steps"].isna().tolist() == [False, False, True, True, False]
    assert not (table.select_dtypes("number").iloc[3].drop(["schema_version", "seed"]) == 0).any()


@pytest.mark.parametrize("name", ["runs.csv", "runs.parquet"])
def test_other_programs_read_what_is_written(table, tmp_path, name):
    path = tmp_path / name
    results.write(table, path)
    again = results.read(path)
    assert again["run_id"].tolist() == table["run_id"].tolist()
    assert np.array_equal(again["eval_loss_nats"], table["eval_loss_nats"], equal_nan=True)
    assert again.attrs["units"]["eval_loss_nats"] == "nats per prediction"
    read = polars.read_csv if path.suffix == ".csv" else polars.read_parquet
    assert read(path)["status"].to_list() == table["status"].tolist()
    assert [file.name for file in tmp_path.iterdir()] == [name]


def test_a_results_folder_is_read(tmp_path):
    for each in RECORDS[:3]:
        folder = tmp_path / "runs" / each.run_id[:2] / each.run_id
        folder.mkdir(parents=True)
        (folder / "result.json").write_text(dump_record(each))
    table = results.read(tmp_path)
    assert table["status"].tolist() == ["done", "done", "diverged"]
    (folder / "result.json").write_text("{")
    with pytest.raises(ValueError, match="not a complete record"):
        results.read(tmp_path)


def test_nothing_is_left_out_without_a_reason(table):
    kept, out = results.usable(table, ["eval_loss_nats"])
    assert kept["run_id"].tolist() == [r.run_id for r in RECORDS[:2]]
    assert out["why"].tolist() == ["diverged", "missing", "no eval_loss_nats"]
    with pytest.raises(ValueError, match="did you mean 'eval_loss_nats'"):
        results.usable(table, ["eval_loss_nat"])


def test_bad_files_are_refused(tmp_path, table):
    with pytest.raises(ValueError, match="no such file"):
        results.read(tmp_path / "none.csv")
    with pytest.raises(ValueError, match=r"ends in .csv or .parquet"):
        results.write(table, tmp_path / "runs.xlsx")
    with pytest.raises(ValueError, match="the folder has no results; give"):
        results.read(tmp_path)


def test_summary_of_replicates():
    rows = pd.DataFrame(
        {
            "n": [2, 1, 1, 2, 1],
            "y": [5.0, 1.0, 2.0, 7.0, 6.0],
            "run_id": ["d", "a", "b", "e", "c"],
        }
    )
    summary = results.summarise(rows, ["n"], "y")
    assert summary["n"].tolist() == [1, 2]
    assert summary["mean"].tolist() == [3.0, 6.0]
    assert summary["median"].tolist() == [2.0, 6.0]
    assert summary["sem"].tolist() == pytest.approx([np.sqrt(7 / 3), 1.0])
    assert summary["n_runs"].tolist() == [3, 2]
    assert summary["run_ids"].tolist() == ["a b c", "d e"]
