"""Bad input is refused with a sentence that names row, column, value and remedy."""

import gzip
import json

import pytest

from analysis.tables import read

GOOD = "params,tokens,val_loss\n1e6,2e7,3.5\n2e6,4e7,3.2\n4e6,8e7,3.0\n"


def refused(tmp_path, text, *patterns, name="runs.csv", **options):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ValueError) as error:
        read.read(path, **options)
    message = str(error.value)
    assert message.startswith(str(path))
    for pattern in patterns:
        assert pattern in message, message
    assert "\n" not in message


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl", "a.json", "a.parquet"])
@pytest.mark.parametrize("content", [b"", b" \n\n"])
def test_empty_file(tmp_path, name, content):
    refused(tmp_path, content, "the file is empty; give", name=name)


def test_no_rows(tmp_path):
    refused(tmp_path, "N,D,loss\n", "has no rows")
    refused(tmp_path, "[]", "has no rows", name="a.json")


def test_no_such_file_or_format(tmp_path):
    with pytest.raises(ValueError, match="no such file"):
        read.read(tmp_path / "none.csv")
    refused(tmp_path, GOOD, "ends in .csv, .tsv", name="runs.xlsx")
    refused(tmp_path, GOOD, "names no known format; give a file", name="gz")
    refused(tmp_path, GOOD, "not a complete gzip file", name="runs.csv.gz")
    refused(
        tmp_path, gzip.compress(GOOD.encode())[:-9], "not a complete gzip file", name="r.csv.gz"
    )


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("-3.5", "-3.5 cannot be the loss"),
        ("0", "0 cannot be the loss"),
        ("inf", "inf cannot be the loss"),
        ("nan", "holds no number"),
        ("", "holds no number"),
        ("NA", "holds no number"),
        ("oops", "'oops' is not a number; write a number"),
        ("true", "'true' is not a number"),
    ],
)
def test_a_loss_at_fault(tmp_path, value, says):
    text = GOOD + f"8e6,16e7,{value}\n"
    refused(tmp_path, text, "line 5, column 'val_loss'", says)


@pytest.mark.parametrize("value", ["-1e6", "0", "inf", "nan"])
@pytest.mark.parametrize(("column", "quantity"), [("params", "N"), ("tokens", "D")])
def test_a_size_at_fault(tmp_path, value, column, quantity):
    row = {"params": "8e6", "tokens": "16e7", "val_loss": "2.9"} | {column: value}
    refused(
        tmp_path,
        GOOD + ",".join(row.values()) + "\n",
        f"line 5, column '{column}'",
        f"({quantity})",
        "correct the value or take the line out",
    )


def test_text_that_means_a_number_has_its_remedy(tmp_path):
    refused(
        tmp_path,
        GOOD + "1.3B,1e8,2.8\n7B,1e9,2.5\n",
        "line 5, column 'params': '1.3B' is not a number; write 1.3e+09",
        "--columns 'N=params[1e9]'",
        "(likewise in 6)",
    )
    refused(tmp_path, GOOD + '"1,300,000",1e8,2.8\n', "write 1300000, without separators")


def test_line_numbers_hold_past_blank_lines_and_in_json(tmp_path):
    refused(tmp_path, GOOD + "\n\n8e6,1e8,-1\n", "line 7, column 'val_loss': -1")
    lines = [{"N": 1e6, "D": 1e7, "loss": 3.0}, {"N": 1e6, "D": 1e7, "loss": -1.0}]
    text = "\n\n".join(map(json.dumps, lines))
    refused(tmp_path, text, "line 3, column 'loss': -1", name="a.jsonl")
    refused(tmp_path, json.dumps(lines), "row 2, column 'loss': -1", name="a.json")


def test_a_perplexity_below_one(tmp_path):
    text = "N,D,ppl\n1,2,20\n2,4,0.5\n"
    refused(tmp_path, text, "line 3, column 'ppl': 0.5 cannot be the loss, which is above 1")


def test_a_missing_column_names_the_nearest(tmp_path):
    refused(
        tmp_path,
        GOOD,
        "no column 'parms' for N; did you mean 'params'?",
        columns="N=parms,D=tokens,loss=val_loss",
    )
    text = GOOD.replace("val_loss", "final_val_loss")
    refused(tmp_path, text, "no column for loss; is it 'final_val_loss'?", "loss=final_val_loss")
    refused(
        tmp_path,
        "loss,tokens\n3,1e9\n",
        "no column for N",
        "two of N, D and C give the third; the table has D",
        needs=("N", "D", "loss"),
    )
    refused(tmp_path, "a,b\n1,2\n", "declare it, as --columns loss=NAME (there are 'a', 'b')")


def test_an_ambiguous_name_lists_the_candidates(tmp_path):
    text = "params,model_size,tokens,loss\n1,2,3,4\n"
    refused(
        tmp_path,
        text,
        "2 columns may hold N: 'params', 'model_size'",
        "--columns N=params or N=model_size",
    )
    refused(tmp_path, GOOD, "N has no unit [bits]", columns="N=params[bits]")
    with pytest.raises(ValueError, match="'params': not of the form N=params"):
        read.read(tmp_path / "runs.csv", "params")


def test_one_distinct_size(tmp_path):
    text = "N,D,loss\n1e6,2e7,3.5\n1e6,4e7,3.2\n"
    refused(tmp_path, text, "N is 1e+06 in every line", "add runs", needs=("N", "D", "loss"))


def test_no_finished_run(tmp_path):
    text = "Name,State,N,D,loss\na,crashed,1,2,3\nb,failed,1,2,3\n"
    refused(tmp_path, text, "no run has finished (1 crashed, 1 failed)")


def test_lines_of_other_lengths(tmp_path):
    refused(tmp_path, GOOD + "1e6,2e7\n", "line 5 has 2 values, but there are 3 columns")
    refused(tmp_path, GOOD + "1e6,2e7,3,4\n", "line 5 has 4 values")


def test_headers_at_fault(tmp_path):
    refused(tmp_path, "1e6,2e7,3.5\n", "line 1 holds numbers, where the names")
    refused(tmp_path, "N,N,loss\n1,2,3\n", "names the column 'N' twice")


def test_files_that_are_not_what_they_say(tmp_path):
    refused(tmp_path, GOOD.encode("utf-16"), "line 1 is not UTF-8")
    refused(tmp_path, '{"N": 1}\n{"N": \n', "line 2 is not JSON", name="a.jsonl")
    refused(tmp_path, '{"N": 1, "x": NaN}\n[1]\n', "line 2 is no JSON object", name="a.jsonl")
    refused(tmp_path, "{", "not JSON", name="a.json")
    refused(tmp_path, '{"a": 1}', "neither a list of objects nor", name="a.json")
    refused(tmp_path, "PAR1", "not a complete Parquet file", name="a.parquet")
    rows = '[{"N": 1e6, "D": 1e8, "loss": 3}, {"N": 1e7, "D": 1e8, "loss": 2}]'
    refused(tmp_path, rows, "rename it to .json", name="a.jsonl")
    (tmp_path / "a.jsonl").rename(tmp_path / "a.json")
    assert len(read.read(tmp_path / "a.json").table) == 2


@pytest.mark.parametrize(
    ("mark", "said"),
    [
        (" ", "unless blanks separate several; separate names and values by commas"),
        (" | ", "a table of Markdown; separate names and values by commas"),
        ("#", r"the first line is a comment (# exported); delete the lines that begin with #"),
    ],
)
def test_a_table_in_other_marks_is_told_how_to_be_one(tmp_path, mark: str, said: str):
    lines = GOOD.splitlines()
    if mark == "#":
        text = "\n".join(["# exported", *lines])
    else:
        text = "\n".join(mark.join(["", *line.split(","), ""]) for line in lines)
    refused(tmp_path, text, said)


def test_bars_separate_values_too(tmp_path):
    (tmp_path / "a.csv").write_text(GOOD.replace(",", "|"))
    assert len(read.read(tmp_path / "a.csv").table) == len(GOOD.splitlines()) - 1


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.json", '[{"N": 1e6, "D": 2e7, "loss": 3, "loss": 4}]'),
        ("a.json", '{"N": [1e6], "loss": [3.5], "loss": [2.5]}'),
        ("a.json", '{"a": {"N": 1e6, "loss": 3}, "b": {"N": 1e7, "loss": 2, "loss": 3}}'),
        ("a.json", '[{"config": {"n_params": 1, "loss": 3, "loss": 4}}]'),
        ("a.jsonl", '{"N": 1e6, "loss": 3}\n{"N": 1e7, "loss": 2, "loss": 3}\n'),
        ("a.json", '{"log_history": [{"step": 1, "loss": 3, "loss": 4}]}'),
    ],
)
def test_a_key_that_an_object_has_twice_is_not_lost(tmp_path, name: str, text: str):
    refused(tmp_path, text, "the key 'loss' twice", name=name)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\x1f\x8b\x08\x00", "compressed by gzip, as its ending does not say; add .gz"),
        (b"BZh9", "add .bz2"),
        (b"\x28\xb5\x2f\xfd", "add .zst"),
        (b"PK\x03\x04", "a zip archive or a workbook"),
        (b"PAR1", "rename it to .parquet"),
        ("N,D\n".encode("utf-16"), "but UTF-16; save the file as UTF-8"),
        (b"\n<!DOCTYPE HTML><html>404", "a page of HTML, not a table"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "by git lfs pull"),
    ],
)
@pytest.mark.parametrize("name", ["a.csv", "a.json", "a.jsonl"])
def test_a_file_of_another_kind_is_named(tmp_path, content: bytes, said: str, name: str):
    refused(tmp_path, content, said, name=name)


@pytest.mark.parametrize("name", ["a.json", "a.jsonl"])
def test_integers_beyond_float64_are_refused(tmp_path, name: str):
    rows = [f'{{"N": {10**400}, "D": 1, "loss": 3}}', '{"N": 1e7, "D": 1, "loss": 2}']
    text = "\n".join(rows) if name == "a.jsonl" else f"[{','.join(rows)}]"
    refused(tmp_path, text, "column 'N': inf cannot be", name=name)


def test_lines_of_old_macs_are_lines(tmp_path):
    (tmp_path / "a.csv").write_bytes(GOOD.replace("\n", "\r").encode())
    (tmp_path / "b.csv").write_text(GOOD)
    one, other = (read.read(tmp_path / name).table for name in ("a.csv", "b.csv"))
    assert one.equals(other) and list(one.index) == list(other.index)


def test_two_spellings_of_a_key_are_no_choice(tmp_path):
    text = '[{"N": 1e6, "D": 1, "loss": 3}, {"N": 1e7, "D": 1, "Loss": 2}]'
    refused(tmp_path, text, "'loss' and 'Loss'", "give them one name", name="a.json")


def test_columns_that_differ_in_a_number_are_no_choice(tmp_path):
    for names in ("loss_1B,loss_4B", "loss_seed0,loss_seed1", "val_loss.1,val_loss.2"):
        text = f"N,D,{names}\n1e6,2e7,3.5,3.4\n1e7,2e7,3.0,2.9\n"
        refused(tmp_path, text, "2 that differ in a number", needs=("loss",))


def test_a_gap_in_the_loss_has_a_remedy_that_works(tmp_path):
    rows = [{"step": 10, "train_loss": 3.2}, {"step": 20, "train_loss": 3.0, "eval_loss": 2.9}]
    text = json.dumps([{"N": 1e6, "D": 1e9, **row} for row in rows * 2])
    refused(tmp_path, text, "--where 'eval_loss>0'", name="a.json")
    assert len(read.read(tmp_path / "a.json", where="eval_loss>0").table) == 2


def test_the_convention_is_a_positive_number(tmp_path):
    (tmp_path / "runs.csv").write_text(GOOD)
    with pytest.raises(ValueError, match="give k > 0 of C = k N D"):
        read.read(tmp_path / "runs.csv", flops_per_parameter_and_token=0)
