"""Anybody's table: every format reads back, units convert, the third of N, D and C follows."""

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from published_data import published_path

from analysis.tables import columns, read, units
from analysis.tables.origins import Product
from scaling.record import RunRecord, dump_record

ENDINGS = (".csv", ".tsv", ".jsonl", ".json", ".parquet")
positive = st.floats(1e-3, 1e24, allow_subnormal=False)
tables = st.lists(st.tuples(positive, positive, positive), min_size=1, max_size=20).map(
    lambda rows: pd.DataFrame(rows, columns=["N", "D", "loss"])
)


def write(table: pd.DataFrame, path: Path) -> Path:
    if path.suffix == ".csv":
        table.to_csv(path, index=False)
    elif path.suffix == ".tsv":
        table.to_csv(path, index=False, sep="\t")
    elif path.suffix == ".jsonl":
        lines = (json.dumps(row) for row in table.to_dict("records"))
        path.write_text("".join(f"{line}\n" for line in lines))
    elif path.suffix == ".json":
        path.write_text(json.dumps(table.to_dict("records")))
    else:
        table.to_parquet(path, index=False)
    return path


@pytest.mark.parametrize("ending", ENDINGS)
@given(table=tables)
@settings(deadline=None, max_examples=15)
def test_every_format_reads_back_to_the_last_bit(tmp_path_factory, ending, table):
    source = read.read(write(table, tmp_path_factory.mktemp("t") / f"runs{ending}"))
    for name in table:
        assert np.array_equal(source.table[name], table[name])
    assert np.array_equal(source.table["C"], 6.0 * table["N"] * table["D"])
    first = 2 if ending in (".csv", ".tsv") else 1
    assert source.table.index.tolist() == list(range(first, first + len(table)))


@given(n=positive, d=positive, k=st.floats(1, 10))
@settings(deadline=None, max_examples=15)
def test_any_two_of_n_d_c_give_the_third(tmp_path_factory, n, d, k):
    full = pd.DataFrame({"N": [n], "D": [d], "C": [k * n * d], "loss": [2.0]})
    path = tmp_path_factory.mktemp("t") / "runs.parquet"
    for left_out in "NDC":
        write(full.drop(columns=left_out), path)
        source = read.read(path, flops_per_parameter_and_token=k)
        assert source.table[left_out].tolist() == pytest.approx(full[left_out].tolist(), rel=1e-14)
        assert source.product == Product("C", k)
        assert source.origins[left_out] == Product(left_out, k)
        assert f"{k:g}" in source.describe()


def test_agreement_is_reported_where_all_three_are_given(tmp_path):
    table = pd.DataFrame({"N": [1e6, 1e7], "D": [1e9, 1e9], "C": [6e15, 1.2e17], "loss": [3, 2.5]})
    source = read.read(write(table, tmp_path / "runs.csv"))
    assert source.flops_ratio == pytest.approx((1.0, 1.5, 2.0))
    assert "1.5 (1 to 2) times 6 N D" in source.describe()
    assert source.table["C"].tolist() == [6e15, 1.2e17]


@pytest.mark.parametrize(
    ("quantity", "text", "factor"),
    [
        ("D", "1e9", 1e9),
        ("D", "B", 1e9),
        ("D", "524288", 524288.0),
        ("N", "million", 1e6),
        ("N", "M", 1e6),
        ("C", "PF-days", 8.64e19),
        ("C", "petaflop/s-days", 8.64e19),
        ("C", "TFLOPs", 1e12),
        ("C", "GMACs", 2e9),
        ("loss", "bits", math.log(2)),
        ("loss", "bits/byte", math.log(2)),
        ("width", "1e3", 1e3),
    ],
)
def test_declared_units(tmp_path, quantity, text, factor):
    table = pd.DataFrame({"a": [1.0, 2.5], "val_loss": [3.0, 2.0]})
    path = write(table, tmp_path / "runs.csv")
    source = read.read(path, f"{quantity}=a[{text}]", needs=())
    assert source.table[quantity].tolist() == pytest.approx([factor, 2.5 * factor], rel=1e-15)
    # The same declared in the heading of the file.
    path = write(table.rename(columns={"a": f"a [{text}]"}), path)
    again = read.read(path, {quantity: "a"}, needs=())
    assert again.table[quantity].tolist() == source.table[quantity].tolist()


def test_a_perplexity_is_the_exponential_of_the_loss(tmp_path):
    table = pd.DataFrame({"N": [1, 2], "D": [1, 2], "ppl": [math.e, math.e**2]})
    source = read.read(write(table, tmp_path / "runs.csv"))
    assert source.table["loss"].tolist() == pytest.approx([1, 2])
    assert source.origins["loss"].unit.is_perplexity
    assert "loss = 'ppl' [perplexity] (by its name)" in source.describe()


def test_unknown_units_are_refused_with_the_nearest():
    with pytest.raises(ValueError, match=r"did you mean 'pfday"):
        units.unit("C", "PF-dayz")
    with pytest.raises(ValueError, match="a scale factor is a positive number; give one"):
        units.unit("D", "-1e9")
    with pytest.raises(ValueError, match=r"D has no unit \[bits\]; .*\[1e9\]"):
        units.unit("D", "bits")


names = st.text(
    st.characters(exclude_characters="\"'", categories=("L", "N", "P", "Zs")), min_size=1
)


@given(st.dictionaries(st.sampled_from(["N", "D", "loss", "group"]), names, min_size=1))
@settings(deadline=None, max_examples=50)
def test_quoted_declarations_parse_back(declared):
    text = ",".join(f'{quantity}="{name}"' for quantity, name in declared.items())
    parsed = columns.parse_columns(text)
    assert parsed == {quantity: f'"{name}"' for quantity, name in declared.items()}


def test_declarations():
    text = 'N=params[1e6], D = Seen Examples ,loss="a, b"[bits],C=x[PF-days]'
    assert columns.parse_columns(text) == {
        "N": "params[1e6]",
        "D": "Seen Examples",
        "loss": '"a, b"[bits]',
        "C": "x[PF-days]",
    }
    for wrong in ("N", "N=", "=params", "N=a,,D=b", "N=a,D"):
        with pytest.raises(ValueError, match="not of the form"):
            columns.parse_columns(wrong)
    with pytest.raises(ValueError, match="N is given twice"):
        columns.parse_columns("N=a,N=b")


def test_labels_and_columns_of_ones_own(tmp_path):
    table = pd.DataFrame(
        {"N": [1, 2], "D": [3, 4], "loss": [2, 1], "set": ["a", "b"], "lr": [0.1, 0.2], "w": [8, 9]}
    )
    source = read.read(write(table, tmp_path / "runs.csv"), "group=set+w,eta=lr")
    assert source.table["group"].tolist() == ["a | 8", "b | 9"]
    assert source.table["eta"].tolist() == [0.1, 0.2]
    assert "group = 'set' + 'w'" in source.describe()


def test_a_column_that_is_named_like_a_quantity_but_is_not_it_stays(tmp_path):
    table = pd.DataFrame({"N": [1, 2], "params": [10, 20], "D": [3, 4], "loss": [2, 1]})
    source = read.read(write(table, tmp_path / "runs.csv"), "N=params")
    assert source.table["N"].tolist() == [10, 20]
    assert source.table["file.N"].tolist() == [1, 2]


@pytest.mark.parametrize(("ending", "codec"), [(".gz", "gzip"), (".bz2", "bz2"), (".zst", "zstd")])
def test_compressed_files(tmp_path, ending, codec):
    text = "params,tokens,val_loss\n1e6,2e7,3.5\n2e6,4e7,3.2\n"
    path = tmp_path / f"my.runs.csv{ending}"
    with pa.output_stream(path, compression=codec) as stream:
        stream.write(text.encode())
    plain = tmp_path / "runs.csv"
    plain.write_text(text)
    assert read.read(path).table.equals(read.read(plain).table)


def test_a_wandb_export(tmp_path):
    path = tmp_path / "wandb_export.csv"
    path.write_text(
        '"Name","State","Notes","Tags","n_params","tokens","eval/loss","train/loss"\n'
        '"swift-sun-1","finished","-","","1000000","20000000","3.5","3.4"\n'
        '"dark-sea-2","crashed","-","","1000000","10000000","","NaN"\n'
        '"wild-owl-3","finished","-","","4000000","80000000","3.0","2.9"\n'
    )
    source = read.read(path)
    assert source.table["run"].tolist() == ["swift-sun-1", "wild-owl-3"]
    assert source.table["loss"].tolist() == [3.5, 3.0]
    assert source.table["N"].tolist() == [1e6, 4e6]
    assert source.table.index.tolist() == [2, 4]
    assert source.excluded["why"].tolist() == ["crashed"]
    assert "1 crashed" in source.describe()


def test_a_wandb_chart_export(tmp_path):
    path = tmp_path / "wandb_chart.csv"
    heads = [f"{run} - eval/loss{end}" for run in ("a", "b - c") for end in ("", "__MIN", "__MAX")]
    path.write_text(
        ",".join(f'"{head}"' for head in ["Step", *heads]) + "\n"
        "100,3.5,3.4,3.6,,,\n200,3.2,3.2,3.2,3.3,3.3,3.3\n"
    )
    table = read.read(path, "D=Step[512]").table
    assert table["run"].tolist() == ["a", "a", "b - c"]
    assert table["D"].tolist() == [51200, 102400, 102400]
    assert table["loss"].tolist() == [3.5, 3.2, 3.3]
    assert table.index.tolist() == ["2 (a)", "3 (a)", "3 (b - c)"]


CONFIG = {"n_params": 1e6, "tokens": 2e7}
WANDB_JSON = [
    {"name": "a", "state": "finished", "config": CONFIG, "summary": {"val_loss": 3.5, "x": [1]}},
    {
        "name": "b",
        "state": "finished",
        "config": {name: {"desc": None, "value": 2 * value} for name, value in CONFIG.items()},
        "summary": {"val_loss": 3.0, "grad": float("nan")},
    },
]


def test_wandb_as_json(tmp_path):
    records = tmp_path / "runs.json"
    records.write_text(json.dumps(WANDB_JSON))
    lines = tmp_path / "runs.jsonl"
    lines.write_text("\n".join(map(json.dumps, WANDB_JSON)))
    # What W&B's documentation has people write: dictionaries as text in CSV, columns in JSON.
    frame = pd.DataFrame(WANDB_JSON)
    text = tmp_path / "project.csv"
    frame.to_csv(text)
    by_column = tmp_path / "project.json"
    frame.to_json(by_column)
    for path in (records, lines, text, by_column):
        table = read.read(path).table
        assert table["N"].tolist() == [1e6, 2e6]
        assert table["D"].tolist() == [2e7, 4e7]
        assert table["loss"].tolist() == [3.5, 3.0]


def test_the_projects_own_results_folder(tmp_path):
    for i in range(1, 4):
        record = RunRecord(
            run_id=f"{i:032x}",
            status="diverged" if i == 3 else "done",
            config={"model": {"width": i}, "seed": 7},
            n_params_total=100 * i,
            n_params_non_embedding=90 * i,
            n_examples_seen=1000,
            flops_train=7e5 * i,
            eval_loss_nats=None if i == 3 else 1.0 / i,
        )
        folder = tmp_path / "runs" / record.run_id[:2] / record.run_id
        folder.mkdir(parents=True)
        (folder / "result.json").write_text(dump_record(record))
    source = read.read(tmp_path)
    assert source.table["N"].tolist() == [100, 200]
    assert source.table["C"].tolist() == [7e5, 14e5]
    assert source.table["loss"].tolist() == [1.0, 0.5]
    assert source.table["seed"].tolist() == [7, 7]
    assert source.table["model.width"].tolist() == [1, 2]
    assert source.excluded["why"].tolist() == ["diverged"]
    assert source.table.index[0] == f"{1:032x}"


def test_lines_are_counted_as_in_the_file(tmp_path):
    path = tmp_path / "runs.csv"
    path.write_bytes(b'\xef\xbb\xbf\r\nN;D;loss;note\r\n1;2;3;"two\nlines"\r\n\r\n4;5;6;\r\n')
    table = read.read(path).table
    assert table.index.tolist() == [3, 6]
    assert table["loss"].tolist() == [3.0, 6.0]


@pytest.mark.parametrize(
    ("file", "declared", "rows", "left_out"),
    [
        ("chinchilla_digitised.csv", None, 245, 0),
        ("chinchilla_digitised_cndl.csv", None, 234, 0),
        ("data_constrained_c4.csv", None, 182, 0),
        ("isoflop_refinedweb.csv", None, 1164, 2),  # two budgets without a minimum
        ("learning_curves_nmt.csv", "group=Domain+Task+Model", 1399, 0),
    ],
)
def test_published_tables(file, declared, rows, left_out):
    source = read.read(published_path(file), declared)
    assert len(source.table) == rows
    assert len(source.excluded) == left_out
    frame = pd.read_csv(published_path(file))
    loss = frame.filter(regex="^(loss|Loss|val_loss)$").iloc[:, 0]
    assert np.array_equal(source.table["loss"], loss.dropna())
    if {"N", "D"} <= set(source.origins):
        assert np.allclose(source.table.eval("C / (6 * N * D)"), 1, rtol=1e-6)
