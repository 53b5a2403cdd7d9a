"""A remedy that a message gives works: the tests do what it says, and read again."""

import re

import pandas as pd
import pytest

from analysis.tables.columns import missing
from analysis.tables.numerals import readings
from analysis.tables.read import read

ROWS = "params,tokens,loss\n1e7,1e9,4.2\n1e8,1e9,3.7\n5e8,2e9,3.4\n"


def followed(tmp_path, text, cell, columns=None):
    """Reads a table with a bad cell, writes what the message says, and reads it again."""
    path = tmp_path / "t.tsv"
    path.write_text(text)
    with pytest.raises(ValueError) as error:
        read(path, columns, needs=("N", "D", "loss"))
    (meant,) = re.findall(r"write (\S+?),? ", f"{error.value} ")
    assert str(error.value).count(repr(cell)) == 1
    path.write_text(text.replace(cell, meant))
    return read(path, columns, needs=("N", "D", "loss")).table, float(meant)


@pytest.mark.parametrize(
    ("quantity", "cell", "meant"),
    [
        ("loss", "4,2386", 4.2386),
        ("loss", "4,239", 4.239),  # no loss is in the thousands
        ("loss", "0,5", 0.5),
        ("loss", "3,5e0", 3.5),
        ("params", "20.000.000", 2e7),
        ("params", "1,300,000", 1.3e6),
        ("params", "1'300'000", 1.3e6),
        ("params", "1 300 000", 1.3e6),
        ("params", "1\u202f300\u202f000", 1.3e6),
        ("params", "1_300_000", 1.3e6),
        ("params", "2,5e7", 2.5e7),
        ("params", "1.234.567,5", 1234567.5),
        ("params", "1,234,567.5", 1234567.5),
        ("params", "1.3B", 1.3e9),
        ("params", "1,3 B", 1.3e9),
        ("tokens", "1.23456789B", 1234567890.0),
    ],
)
def test_the_number_to_write_is_the_one_that_was_meant(tmp_path, quantity, cell, meant):
    row = {"params": "2e9", "tokens": "1e9", "loss": "3.2", quantity: cell}
    text = (ROWS + ",".join(row.values()).replace(cell, "CELL")).replace(",", "\t")
    table, written = followed(tmp_path, text.replace("CELL", cell), cell)
    name = {"params": "N", "tokens": "D", "loss": "loss"}[quantity]
    assert table[name].iloc[-1] == written == meant


def test_a_count_with_one_comma_and_three_digits_may_be_either(tmp_path):
    path = tmp_path / "t.tsv"
    path.write_text((ROWS + "1;234,1e9,3.2\n").replace(",", "\t").replace(";", ","))
    with pytest.raises(ValueError, match=r"write 1234 if the comma separates thousands, 1.234 if"):
        read(path)
    # Another cell of the column settles it.
    rows = ROWS + "1;234,1e9,3.2\n" + "12;34,1e9,3.2\n"
    path.write_text(rows.replace(",", "\t").replace(";", ","))
    with pytest.raises(ValueError, match=r"'1,234' is not a number; write 1.234, with a decimal"):
        read(path)


def test_decimal_commas_between_semicolons(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("params;tokens;loss\n2e7;1e9;4,2386\n1e8;1e9;3,7246\n5e8;1e9;3,4218\n")
    with pytest.raises(ValueError, match=r"line 2, .*write 4.2386, with a decimal point"):
        read(path, "loss=loss")
    path.write_text(path.read_text().replace(",", "."))
    assert list(read(path).table["loss"]) == [4.2386, 3.7246, 3.4218]


@pytest.mark.parametrize("text", ["NaN", "nan", "n/a", "null", "-", ""])
def test_a_text_for_no_value_is_no_remedy(tmp_path, text):
    path = tmp_path / "t.jsonl"
    rows = ['{"n_params": 2e7, "loss": 4.2}', f'{{"n_params": 1e8, "loss": "{text}"}}']
    rows += ['{"n_params": 5e8, "loss": 3.4}', '{"n_params": 6e8, "loss": 3.3}']
    path.write_text("\n".join(rows))
    with pytest.raises(ValueError, match=r"line 2, column 'loss'.*take the line out") as error:
        read(path, needs=("N", "loss"))
    assert "write" not in str(error.value)
    path.write_text("\n".join([rows[0], *rows[2:]]))
    assert len(read(path, needs=("N", "loss")).table) == 3


@pytest.mark.parametrize("text", ["oops", "1,2,3", "12,34,567", "infM", "nanB", "1.2.3", ",", "1e"])
def test_a_text_that_stands_for_no_number_gets_none(tmp_path, text):
    path = tmp_path / "t.tsv"
    path.write_text((ROWS + "CELL,1e9,3.2\n").replace(",", "\t").replace("CELL", text))
    with pytest.raises(ValueError, match=r"is not a number; write a number, such as 1.3e9"):
        read(path)
    assert readings(text) == (None, None)


@pytest.mark.parametrize(
    ("quantity", "other"),
    [
        ("N", "n_layers"),
        ("D", "n_embd"),
        ("loss", "val_acc"),
        ("M", "tokens"),
        ("U", "n_examples"),
        ("D", "batch_size"),
        ("N", "n_params_per_gpu_hour"),
    ],
)
def test_a_name_that_means_something_else_is_not_offered(quantity, other):
    said = missing(pd.DataFrame({other: [1.0], "note": ["x"]}), quantity)
    assert "is it" not in said and f"there are {other!r}, 'note'" in said
    assert "is it 'val_los'" in missing(pd.DataFrame({other: [1.0], "val_los": [2.0]}), "loss")


def test_a_column_declared_for_another_quantity_is_said(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("N,loss\n1e7,3\n2e7,2.9\n")
    with pytest.raises(ValueError, match="declared for another quantity; leave that out"):
        read(path, "x=N,y=loss", needs=("x", "loss"))
    assert list(read(path, "x=N", needs=("x", "loss")).table["loss"]) == [3, 2.9]


def test_a_share_in_per_cent_has_a_remedy_that_works(tmp_path):
    path, needs = tmp_path / "t.csv", ("N", "accuracy")
    text = "params,accuracy\n2e7,0.31\n1e8,38.215%\n5e8,0.5\n"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"write 0\.38215, or 38\.215 .*accuracy=accuracy\[%\]"):
        read(path, needs=needs)
    path.write_text(text.replace("38.215%", "0.38215"))
    assert read(path, needs=needs).table["accuracy"].tolist() == [0.31, 0.38215, 0.5]
    path.write_text(text.replace("38.215%", "oops"))
    with pytest.raises(ValueError, match=r"write a number, such as 0\.25"):
        read(path, needs=needs)
