"""Rows that `--where` asks for: which are taken, that the others harm nobody, what is refused."""

import re
import shlex
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.tables.read import Source, read
from analysis.tables.selection import Condition, parse


@pytest.fixture
def path(tmp_path) -> Path:
    """Nine sizes at five budgets for each of two schedules; no two losses are alike."""
    flops = np.tile(np.repeat(1e18 * 4.0 ** np.arange(5), 9), 2)
    sizes = np.tile(np.geomspace(10, 1000, 9), 10)
    schedule = np.repeat(["constant", "cosine, long"], 45)
    loss = 2 + np.arange(90) / 90
    table = {"flops": flops, "params": sizes, "val_loss": loss, "schedule": schedule, "lr": 64}
    pd.DataFrame(table).to_csv(tmp_path / "runs.csv", index=False)
    return tmp_path / "runs.csv"


def chosen(path: Path, where: str, columns: str = "N=params[1e6]") -> Source:
    return read(path, columns, where=where)


def curves(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "curves.csv"
    path.write_text(text)
    return path


CURVES = """name,seed,params,step,tokens,eval_loss
a,0,1e6,1,1e7,4.5
a,0,1e6,2,2e7,4.0
a,0,1e6,3,3e7,4.1
a,1,1e6,1,1e7,4.4
a,1,1e6,2,2e7,4.2
b,0,2e6,1,1e7,4.3
b,0,2e6,2,2e7,nan
"""


def test_conditions_are_read_in_the_order_of_the_text():
    assert parse(' a = 1,"b=x, y", N>=1e7,c != d,e==2') == (
        Condition("a", "=", "1"),
        Condition("b", "=", "x, y"),
        Condition("N", ">=", "1e7"),
        Condition("c", "!=", "d"),
        Condition("e", "=", "2"),
    )


@pytest.mark.parametrize(
    ("where", "taken"),
    [
        ('"schedule=cosine, long"', 45),
        ("lr=64.0,schedule=constant", 45),
        ("flops=1e18,flops=4e18,schedule=constant", 18),
        ("schedule!=constant", 45),
        ("params>=100", 50),
        ("params>10,params<1000", 70),
        ("N>=1e8", 50),  # a quantity, in parameters where the column holds millions
        ("N<1e8,file.params>10", 30),
        ("C>1e20", 18),  # read by its name
        ("D>0,loss<2.5", 45),  # D follows from C and N
    ],
)
def test_rows_taken(path, where, taken):
    source = chosen(path, where)
    assert len(source.table) == taken
    assert f"{where}: {taken} of 90 rows" in source.describe()


@pytest.mark.parametrize(
    ("where", "says"),
    [
        ("shedule=constant", "no column 'shedule'; did you mean 'schedule'"),
        ("schedule=constnat", "no such value; did you mean 'constant'.*valid: constant, cosine"),
        ("schedule!=constnat", "no such value; did you mean 'constant'"),
        ("schedule=CONSTANT", "no such value; did you mean 'constant'"),
        ("lr=63", "lr=63: no such value; .*valid: 64"),
        ("flops=7", "valid: 1"),
        ("schedule", "'schedule' is no condition; write COLUMN=VALUE.*single quotes.*the shell"),
        ("schedule=", "'schedule=' is no condition; write COLUMN=VALUE"),
        ("=3", "'=3' is no condition"),
        ("N=>3", "'N=>3' is no condition|no such value"),
        ("schedule=constant,,lr=64", "'' is no condition"),
        ("N>10M", "'10M' is no number to compare with; write it out, such as 'N>1e[+]07'"),
        ("N>12345678k", "write it out, such as 'N>12345678000[.]0'"),
        ("schedule>3", "no cell of 'schedule' is a number; compare numbers, or .*schedule=VALUE"),
        ("schedule=constant,val_loss=3.1", r"valid: .* and 33 more|valid: .* and 78 more"),
        ("lr=last", "no column tells runs apart.*as --columns run=NAME.*'schedule'"),
    ],
)
def test_a_mistaken_selection_gets_a_sentence(path, where, says):
    with pytest.raises(ValueError, match=says):
        chosen(path, where)


@pytest.mark.parametrize(
    ("where", "doubts"),
    [
        (
            "schedule=constant",
            ["leaves out 5 rows of 'Constant'", "leaves out 1 row of 'CON_STANT'"],
        ),
        ("schedule!=Constant", ["keeps 39 rows of 'constant'", "keeps 1 row of 'CON_STANT'"]),
        ("schedule=constant,schedule=Constant", ["'CON_STANT'"]),
        ("lr=64", []),
        ("schedule!=constant,schedule!=Constant,schedule!=CON_STANT", []),
    ],
)
def test_rows_that_differ_in_spelling_alone_are_doubted(path, where, doubts):
    frame = pd.read_csv(path)
    frame.loc[:4, "schedule"], frame.loc[5, "schedule"] = "Constant", "CON_STANT"
    frame.to_csv(path, index=False)
    said = [each for each in chosen(path, where).doubts if each.startswith("--where")]
    assert len(said) == len(doubts)
    assert all(doubt in each for doubt, each in zip(doubts, said, strict=True))


def test_values_that_no_row_has_together_are_reported(path):
    frame = pd.read_csv(path)
    frame.loc[frame["schedule"] == "constant", "lr"] = 128
    frame.to_csv(path, index=False)
    says = "schedule=constant leaves 45, then lr=64 leaves 0"
    with pytest.raises(ValueError, match=says):
        chosen(path, "schedule=constant,lr=64")


def test_the_last_or_best_row_of_each_run(tmp_path):
    path = curves(tmp_path, CURVES)
    last = read(path, where="step=last,loss>0").table
    assert last.index.tolist() == [4, 6, 7]  # seed 1 of run a is a run of its own
    assert read(path, where="loss=min,loss>0").table.index.tolist() == [3, 6, 7]
    assert read(path, where="D=max,name=a").table["loss"].tolist() == [4.1, 4.2]
    with pytest.raises(ValueError, match="line 8, column 'eval_loss': holds no number"):
        read(path, where="step=last")  # of run b, whose loss was not finite at its end


def test_two_last_rows_are_two_runs_and_named_so(tmp_path):
    path = curves(tmp_path, CURVES.replace("seed,", "rng,").replace("nan", "4.0"))
    with pytest.raises(ValueError, match="line 3 and 6 are both the last of one") as error:
        read(path, where="tokens<=2e7,step=last")
    assert "--columns run=NAME+NAME" in str(error.value)
    source = read(path, "run=name+rng", where="tokens<=2e7,step=last")
    assert source.table.index.tolist() == [3, 6, 8]


def test_a_cell_that_holds_the_word_is_meant(tmp_path):
    text = "N,D,loss,which,run\n1,2,3,last,a\n1,1,3,first,a\n2,4,2,last,b\n"
    source = read(curves(tmp_path, text), where="which=last")
    assert source.table.index.tolist() == [2, 4]


@pytest.mark.parametrize(
    ("text", "where", "lines"),
    [
        # C09: a loss that is no number; then text, no size, another state, an unreadable unit.
        ("N,D,loss,ok\n1,2,3,yes\n1,1,nan,no\n2,4,2,yes\n", "ok=yes", [2, 4]),
        ("N,D,loss,ok\n1,2,3,yes\n1,1,oom,no\n2,4,2,yes\n", "ok!=no", [2, 4]),
        ("N,D,loss,ok\n1,2,3,1\n,1,3,0\n2,4,2,1\n", "ok>0", [2, 4]),
        ("N,D,loss,State\n1,2,3,finished\n1,1,3,evicted?\n2,4,2,finished\n",
         "State=finished", [2, 4]),
        ("N,D,loss,ok\n1,2,3,y\n1,1,oom,n\n1,1,oom,n\n1,1,oom,n\n2,4,2,y\n", "ok=y", [2, 6]),
        ("N,D,loss,step,run\n1,1,inf,1,a\n1,2,3,2,a\n2,4,-1,1,b\n2,8,2,2,b\n",
         "step=last", [3, 5]),
        ("N,D,loss\n1,1,inf\n1,2,3\n-5,4,2\n2,8,2\n", "N>0,loss<1e9", [3, 5]),
    ],
)  # fmt: skip
def test_what_is_left_out_is_nobodys_trouble(tmp_path, text, where, lines):
    source = read(curves(tmp_path, text), where=where, needs=("N", "D", "loss"))
    assert source.table.index.tolist() == lines


def test_the_remedy_for_the_shell_works(path):
    with pytest.raises(ValueError, match="single quotes"):
        chosen(path, shlex.split("N")[0])  # what is left of --where N>1e7 beside a redirection
    assert len(chosen(path, shlex.split("'N>1e8'")[0]).table) == 40


@pytest.mark.parametrize(
    ("typed", "meant"), [("1e7<N", "N>1e7"), ("2>=loss", "loss<=2"), ("5 > N", "N<5")]
)
def test_a_condition_the_wrong_way_round_is_turned(typed: str, meant: str):
    with pytest.raises(ValueError, match=f"write the column first, such as '{meant}'"):
        parse(typed)
    parse(meant)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("1e7<N<=1e8", "N>1e7,N<=1e8"), ("N>15M", "N>1.5e+07"), ("D <= 2.5b", "D<=2.5e+09")],
)
def test_a_range_in_other_words_is_written_out(typed: str, meant: str):
    with pytest.raises(ValueError, match=f"such as '{re.escape(meant)}'"):
        parse(typed)
    assert all(each.sign in "<=>" for each in parse(meant))
