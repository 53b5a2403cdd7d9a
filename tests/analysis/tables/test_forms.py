"""Forms of JSON, folders of files, exports of trackers, wide tables; what of them is refused."""

import json

import pandas as pd
import pytest

from analysis.tables import wide
from analysis.tables.read import read


def written(tmp_path, document, name="runs.json"):
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return path


def test_keys_pair_the_values_of_columns_and_a_missing_one_is_an_empty_cell(tmp_path):
    columns = {"N": {"a": 1, "b": 2}, "D": {"b": 4, "a": 3}, "loss": {"b": 2.0, "a": 3.0},
               "note": {"b": "x"}}  # fmt: skip
    table = read(written(tmp_path, columns)).table
    assert table[["run", "N", "D", "loss"]].to_numpy().tolist() == [["a", 1, 3, 3], ["b", 2, 4, 2]]
    assert table["note"].isna().tolist() == [True, False]


@pytest.mark.parametrize("labels", ["01", "ab", ["gpt-1M", "gpt-2M"]])
def test_index_and_columns_are_told_apart(tmp_path, labels):
    rows = {labels[0]: {"N": 1, "D": 3, "loss": 3.0}, labels[1]: {"N": 2, "D": 4, "loss": 2.0}}
    columns = {
        name: {label: row[name] for label, row in rows.items()} for name in ("N", "D", "loss")
    }
    tables = [read(written(tmp_path, form)).table for form in (rows, columns)]
    pd.testing.assert_frame_equal(*tables)
    assert tables[0]["N"].tolist() == [1, 2]
    assert ("run" in tables[0]) == (labels != "01")


def test_a_resumed_step_of_a_trainer_is_a_row_of_its_own(tmp_path):
    log = [
        {"step": 1, "loss": 3.0, "num_input_tokens_seen": 10},
        {"step": 1, "eval_loss": 3.5},
        {"step": 1, "loss": 2.9, "num_input_tokens_seen": 10},
        {"step": 2, "eval_loss": 3.2, "num_input_tokens_seen": 20},
        {"step": 2, "train_loss": 8.0, "total_flos": 5.0},
    ]
    path = written(tmp_path, {"log_history": log, "global_step": 2}, "trainer_state.json")
    table = read(path, where="loss>0").table
    assert table["loss"].tolist() == [3.5, 3.2]  # of the evaluations, never the mean of a training
    assert table["D"].tolist() == [10, 20]
    assert read(path, "loss=train/loss", where="loss>0").table["loss"].tolist() == [3.0, 2.9]


def test_scores_of_a_harness_are_a_row_a_task(tmp_path):
    document = {
        "results": {"a": {"acc,none": 0.5, "exact_match,strict": 0.1}, "b": {"acc": 0.25}},
        "versions": {"a": 1},
        "config": {"model_args": {"pretrained": "m-1.5B", "revision": "step64"}},
    }
    table = read(written(tmp_path, document), needs=("accuracy",)).table
    assert table["accuracy"].tolist() == [0.5, 0.25]
    assert table["task"].tolist() == ["a", "b"]
    assert table["run"].tolist() == ["m-1.5B"] * 2 and table["step"].tolist() == [64, 64]
    assert "exact_match,strict" in table


def test_a_folder_of_tables_names_runs_and_rows_by_their_files(tmp_path):
    for size, loss in ((2, 3.0), (10, 2.0)):
        written(tmp_path, f"D,loss\n5,{loss}\n9,{loss - 1}\n", f"gpt-{size}M/metrics.csv")
        written(tmp_path, {"n_layer": size}, f"gpt-{size}M/config.json")
    source = read(tmp_path, "N=run.size,depth=config.n_layer")
    assert source.table["run"].tolist() == ["gpt-2M"] * 2 + ["gpt-10M"] * 2
    assert source.table["N"].tolist() == [2e6, 2e6, 1e7, 1e7]
    assert source.table["depth"].tolist() == [2, 2, 10, 10]
    assert source.table.index[3] == "gpt-10M/metrics.csv:3"
    assert source.format == "2 files (CSV)" and source.sha256
    written(tmp_path, "D,loss\n5,-1\n", "gpt-10M/metrics.csv")
    with pytest.raises(ValueError, match=r"row gpt-10M/metrics\.csv:2, column 'loss': -1"):
        read(tmp_path)


def test_a_folder_without_tables_or_of_several_sweeps_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"no results and no tables; give .* that end in \.csv"):
        read(tmp_path)
    written(tmp_path, {}, "sweep/store.json")
    with pytest.raises(ValueError, match="the folder has no results; give the folder of one sweep"):
        read(tmp_path)


@pytest.mark.parametrize("name", ["line", "row", "record", "run", "group"])
@pytest.mark.parametrize("ending", [".csv", ".json"])
def test_a_column_may_have_the_name_by_which_rows_are_counted(tmp_path, name, ending):
    frame = pd.DataFrame({"N": [1, 2], "D": [3, 4], "loss": [3.0, 2.0], name: ["x", "y"]})
    path = tmp_path / f"runs{ending}"
    path.write_text(frame.to_csv(index=False) if ending == ".csv" else frame.to_json())
    table = read(path).table
    assert table.groupby(name)["loss"].sum().tolist() == [3.0, 2.0]


def test_a_wide_table_is_told_how_to_become_long_and_the_remedy_works(tmp_path):
    path = written(tmp_path, "D,64,1.5K\n1e9,3,\n2e9,2.5,2\n", "wide.csv")
    with pytest.raises(ValueError, match=r"give --melt NAME, .*such as --melt N"):
        read(path)
    source = read(path, melt="N")
    assert source.table["N"].tolist() == [64, 64, 1500]
    assert source.table["loss"].tolist() == [3, 2.5, 2]
    assert source.table.index.tolist() == ["2 (64)", "3 (64)", "3 (1.5K)"]
    assert "2 columns of N, 1 of them empty cells" in source.describe()
    assert read(path, melt="width", needs=("width",)).table["width"].tolist() == [64, 64, 1500]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("D,64,loss\n1,2,3\n", "1 column is named for a size.*leave --melt out"),
        ("D,a,b\n1,2,3\n", "no column is named for a size"),
        ("N,64,128\n1,2,3\n", "the table has a column 'N' already; rename it"),
        ("D,loss,64,128\n1,2,3,4\n", "the table has a column 'loss' already"),
    ],
)
def test_what_is_not_wide_is_refused(tmp_path, text, says):
    with pytest.raises(ValueError, match=says):
        read(written(tmp_path, text, "runs.csv"), melt="N")


def test_sizes_in_names():
    assert [wide.size(name) for name in ("64", "1e6", "1.3B", "70m", "7Bx", "loss")] == [
        64, 1e6, 1.3e9, 7e7, None, None
    ]  # fmt: skip
    names = pd.DataFrame({"run": ["pythia-70m", "x_1.4B_v2", "9k/seed1"]})
    assert wide.with_sizes_in_names(names)["run.size"].tolist() == [7e7, 1.4e9, 9e3]
    for other in ("big", "7b-from-70m", "v2mm"):
        assert "run.size" not in wide.with_sizes_in_names(pd.DataFrame({"run": ["1M", other]}))


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("a.json", lambda rows: json.dumps(rows)),
        ("a.json", lambda rows: json.dumps({key: [row[key] for row in rows] for key in rows[0]})),
        ("a.json", lambda rows: json.dumps({"a": rows[0], "b": rows[1]})),
        (
            "a.json",
            lambda rows: json.dumps(
                {"columns": list(rows[0]), "data": [list(row.values()) for row in rows]}
            ),
        ),
        ("a.jsonl", lambda rows: "\n".join(map(json.dumps, rows))),
    ],
    ids=["records", "columns", "keys", "split", "lines"],
)
def test_lone_surrogates_become_their_escapes(tmp_path, name, form):
    rows = [
        {"N": 1, "D": 3, "loss": 3.0, "no\ud800te": "x\udc00", "smile": "\U0001f600"},
        {"N": 2, "D": 4, "loss": 2.0, "no\ud800te": "y", "smile": "z"},
    ]
    table = read(written(tmp_path, form(rows), name)).table
    assert table["no\\ud800te"].tolist() == ["x\\udc00", "y"]
    assert table["smile"].tolist() == ["\U0001f600", "z"]
    table.to_csv(tmp_path / "again.csv")


def test_losses_at_sizes_melt_by_the_size_in_their_names(tmp_path):
    text = "params,loss_1B,val_loss@2.5B\n1e6,3.5,3.25\n1e7,3.0,2.75\n"
    table = read(written(tmp_path, text, "runs.csv"), melt="D").table
    assert sorted(zip(table["N"], table["D"], table["loss"], strict=True)) == [
        (1e6, 1e9, 3.5), (1e6, 2.5e9, 3.25), (1e7, 1e9, 3.0), (1e7, 2.5e9, 2.75)
    ]  # fmt: skip
