"""Nothing that is named for a quantity is dropped silently: it is refused, or said."""

import shlex

import pytest

from analysis.tables import read


def table(tmp_path, text):
    path = tmp_path / "runs.csv"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("names", "quantity"),
    [
        (("loss", "eval_loss"), "loss"),
        (("val_loss", "eval_loss"), "loss"),
        (("N", "n_params"), "N"),
        (("D", "train_tokens"), "D"),
        (("C", "total_flops"), "C"),
        (("params_M", "n_params"), "N"),
    ],
)
def test_two_columns_for_one_quantity_are_refused_with_a_remedy_that_works(
    tmp_path, names, quantity
):
    own = {"N": "n_params", "D": "tokens", "loss": "loss"}
    own.pop(quantity, None)
    heading = ",".join([*names, *own.values()])
    n_cells = heading.count(",") + 1
    rows = (",".join(str(3 * row + i) for i in range(1, n_cells + 1)) for row in (1, 2))
    path = table(tmp_path, "\n".join([heading, *rows]) + "\n")
    with pytest.raises(ValueError, match=f"2 columns may hold {quantity}: ") as error:
        read.read(path)
    for choice in str(error.value).partition("--columns ")[2].split(" or "):
        (choice,) = shlex.split(choice)
        assert read.read(path, choice).origins[quantity].columns[0] in names


def test_two_columns_with_the_same_values_are_said(tmp_path):
    source = read.read(table(tmp_path, "N,params_M,tokens,loss\n2e7,20,1e9,3\n3e7,30,1e9,2\n"))
    assert source.doubts == ("N is read from 'N', not from 'params_M'",)


def test_worse_names_are_passed_over_and_said(tmp_path):
    source = read.read(table(tmp_path, "N,D,val_loss,val_ppl,train_loss\n1e7,1e9,3,20.1,2.9\n"))
    assert source.table["loss"].tolist() == [3.0]
    assert "doubt: loss is read from 'val_loss', not from 'val_ppl', 'train_loss'" in (
        source.describe()
    )
    assert source.provenance()["doubts"] == list(source.doubts)


@pytest.mark.parametrize(
    ("heading", "first", "message"),
    [
        ("n_params,tokens,eval/loss,train/loss", "2e7,1e9,,3", "'eval/loss' is named for loss but"),
        ("n_params,tokens,val_loss,ppl", "2e7,1e9,n/d,20", "'val_loss' .* holds text"),
        ("params,tokens,examples,loss", "2e7,,1e6,3", "'tokens' is named for D but is empty"),
    ],
)
def test_a_better_name_that_cannot_be_read_is_refused(tmp_path, heading, first, message):
    path = table(tmp_path, f"{heading}\n{first}\n{first.replace('2e7', '3e7')}\n")
    with pytest.raises(ValueError, match=message) as error:
        read.read(path)
    read.read(path, str(error.value).rpartition("--columns ")[2])


def test_what_is_derived_although_a_column_is_named_for_it_is_said(tmp_path):
    source = read.read(table(tmp_path, "N,D,flops,loss\n1e7,1e9,,3\n2e7,1e9,,2.8\n"))
    assert source.doubts == ("column 'flops' is named for C but is empty; it is not taken",)
    source = read.read(table(tmp_path, "N,D,unique_tokens,loss\n1e7,1e9,all,3\n2e7,2e9,all,2\n"))
    assert "'unique_tokens' is named for U but holds text" in source.doubts[0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("N,loss\n1e7,3..1\n2e7,2..8\n", "line 2, column 'loss': '3..1' is not a number"),
        ("N,loss\n1e7,\n2e7,\n", "column 'loss' is named for loss but holds no number; fill it"),
        ("N,loss\n20 M,3\n30 M,2\n", "line 2, column 'N': '20 M' is not a number"),
    ],
)
def test_the_only_column_for_a_needed_quantity_is_named(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        read.read(table(tmp_path, text), needs=("N", "loss"))
