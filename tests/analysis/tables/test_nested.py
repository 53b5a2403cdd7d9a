"""Nested cells are carried along and compared as text; JSON is paired by its keys."""

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest

from analysis.checks.rows import check, duplicated
from analysis.tables import read
from analysis.tables.cells import scalar

NESTED = {
    "lists": [[1, 2], [3, 4], [5]],
    "lists of lists": [[[1, 4.0]], [[2, 3.1]], []],
    "records": [[{"a": 1}], [{"a": 2}], [{"b": [1]}]],
    "some empty": [None, [1], None],
}


@pytest.mark.parametrize("ending", [".jsonl", ".json", ".parquet"])
@pytest.mark.parametrize("kind", NESTED)
def test_nested_columns_are_carried_along(tmp_path, ending, kind):
    records = [
        {"n_params": 10**7 * (i + 1), "loss": 3 - i / 4, "curve": cell}
        for i, cell in enumerate(NESTED[kind])
    ]
    path = tmp_path / f"runs{ending}"
    if ending == ".parquet":
        pyarrow.parquet.write_table(pa.Table.from_pylist(records), path)
    else:
        text = "\n".join(map(json.dumps, records)) if ending == ".jsonl" else json.dumps(records)
        path.write_text(text)
    table = read.read(path).table
    assert table["loss"].tolist() == [3, 2.75, 2.5]
    if kind != "records":  # Arrow fills the keys that a record lacks
        kept = [cell if pd.isna(cell) else json.loads(cell) for cell in table["curve"]]
        assert [None if cell is None or cell != cell else cell for cell in kept] == NESTED[kind]
    assert check(table).empty


def test_bytes_maps_and_structures_of_parquet(tmp_path):
    table = pa.table(
        {
            "n_params": [1e7, 2e7],
            "loss": [3.0, 2.5],
            "name": pa.array([b"a", b"b"]),
            "tags": pa.array([[("x", 1)], []], type=pa.map_(pa.string(), pa.int64())),
            "config": pa.array([{"lr": 0.1, "betas": [0.9]}, {"lr": 0.2, "betas": [0.8]}]),
        }
    )
    path = tmp_path / "runs.parquet"
    pyarrow.parquet.write_table(table, path)
    found = read.read(path).table
    assert found["run"].tolist() == ["a", "b"]
    assert found["config.lr"].tolist() == [0.1, 0.2]
    assert check(found).empty


def test_checks_take_any_cells_and_compare_what_they_hold():
    frame = pd.DataFrame({"N": [1e7, 1e7, 1e7], "loss": [3.0, 3.0, 3.0]})
    frame["curve"] = [np.arange(2000), np.arange(2000), np.arange(2000)[::-1]]
    assert duplicated(frame).tolist() == [False, True, False]
    assert check(frame)["row"].tolist() == [1]
    assert scalar(frame.drop(columns="curve")) is not frame
    kept = scalar(frame.drop(columns="curve"))
    assert kept.equals(frame.drop(columns="curve"))


RECORDS = {
    "a": {"n_params": 1e7, "tokens": 1e9, "loss": 3.0},
    "b": {"n_params": 2e7, "tokens": 3e9, "loss": 2.5},
    "c": {"n_params": 4e7, "tokens": 2e9, "loss": 2.2},
}


def by_column(order):
    return {name: {key: RECORDS[key][name] for key in keys} for name, keys in order.items()}


@pytest.mark.parametrize(
    "document",
    [
        RECORDS,
        by_column({"n_params": "abc", "tokens": "abc", "loss": "abc"}),
        by_column({"n_params": "abc", "tokens": "bca", "loss": "cab"}),
        {
            "columns": ["n_params", "tokens", "loss"],
            "index": list(RECORDS),
            "data": [list(record.values()) for record in RECORDS.values()],
        },
        {key: dict(reversed(record.items())) for key, record in RECORDS.items()},
        {"schema": {}, "data": [{"run": key, **record} for key, record in RECORDS.items()]},
    ],
)
def test_json_is_paired_by_its_keys(tmp_path, document):
    path = tmp_path / "runs.json"
    path.write_text(json.dumps(document))
    table = read.read(path, needs=("N", "D", "loss")).table.set_index("run")
    for key, record in RECORDS.items():
        assert table.loc[key, ["N", "D", "loss"]].tolist() == list(record.values())


def test_a_key_that_a_column_lacks_is_an_empty_cell(tmp_path):
    document = by_column({"n_params": "abc", "tokens": "abc", "loss": "ac"})
    path = tmp_path / "runs.json"
    path.write_text(json.dumps(document))
    with pytest.raises(ValueError, match="row 2, column 'loss': holds no number"):
        read.read(path)
