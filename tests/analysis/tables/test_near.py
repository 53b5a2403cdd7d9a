"""Columns that are nearly named for a quantity are said, and what is said to be typed works."""

import re
import shlex

import pandas as pd
import pytest

from analysis.tables.columns import parse_columns
from analysis.tables.near import is_spread, near
from analysis.tables.read import read

ROWS = {"params": [1e7, 1e8, 1e9], "tokens": [1e9, 2e9, 3e9], "loss": [3.5, 3.0, 2.5]}


def doubts_of(tmp_path, columns: dict, declared: str | None = None) -> tuple[str, ...]:
    path = tmp_path / "t.csv"
    pd.DataFrame(columns).to_csv(path, index=False)
    return read(path, declared).doubts


@pytest.mark.parametrize(
    ("name", "quantity", "why"),
    [
        ("target_tokens", "D", "its name says 'target'"),
        ("loss_ema", "loss", "its name says 'ema'"),
        ("val/loss_best", "loss", "its name says 'best'"),
        ("n_params_active", "N", "its name says 'active'"),
        ("theoretical_flops", "C", "its name says 'theoretical'"),
        ("log10_params", "N", "logarithms"),
        ("log D", "D", "logarithms"),
        ("ln(tokens)", "D", "logarithms"),
        ("params (mm)", "N", "'mm' is no unit"),
        ("tokens [per sample]", "D", "'per sample' is no unit"),
    ],
)
def test_nearly_named_columns_are_told(name: str, quantity: str, why: str):
    found = near(name, quantity)
    assert found is not None and why in found.why


@pytest.mark.parametrize(
    ("name", "quantity"),
    [
        ("params (M)", "N"),
        ("tokens_B", "D"),
        ("val_loss", "loss"),
        ("max_steps", "D"),
        ("best_epoch", "epochs"),
        ("d_model", "D"),
        ("max_d", "D"),
        ("mean_tokens_per_document", "D"),
        ("loss_std", "loss"),
        ("log_every", "D"),
        ("min_lr", "loss"),
    ],
)
def test_names_and_other_things_are_not(name: str, quantity: str):
    assert near(name, quantity) is None


@pytest.mark.parametrize(
    ("instead", "name"),
    [("tokens", "planned_tokens"), ("params", "params (mm)"), ("tokens", "max_tokens")],
)
def test_one_that_would_be_dropped_is_said_and_its_remedy_reads_it(tmp_path, instead, name):
    columns = {name if key == instead else key: values for key, values in ROWS.items()}
    if "(mm)" in name:
        columns[name] = [value / 1e6 for value in columns[name]]
    (doubt,) = doubts_of(tmp_path, columns)
    assert f"{name!r} is nearly named" in doubt
    (typed,) = re.findall(r"--columns (.*)$", doubt)
    (declared,) = shlex.split(typed)
    parse_columns(declared)
    source = read(tmp_path / "t.csv", declared)
    assert {"N", "D"} <= set(source.origins) and not source.doubts


def test_a_rival_is_said_where_its_values_differ(tmp_path):
    rival = {**ROWS, "smoothed_loss": [3.6, 3.1, 2.6]}
    (doubt,) = doubts_of(tmp_path, rival)
    assert doubt == "loss is read from 'loss', not from 'smoothed_loss': its name says 'smoothed'"
    assert doubts_of(tmp_path, {**ROWS, "last_loss": ROWS["loss"]}) == ()
    assert doubts_of(tmp_path, {**ROWS, "best_loss": ["a", "b", "c"]}) == ()
    assert doubts_of(tmp_path, {**ROWS, "loss_std": [0.1, 0.1, 0.2]}) == ()


def test_a_spread_is_never_offered_for_a_value(tmp_path):
    columns = {"params": ROWS["params"], "loss_mean": ROWS["loss"], "loss_std": [0.1, 0.1, 0.2]}
    path = tmp_path / "t.csv"
    pd.DataFrame(columns).to_csv(path, index=False)
    with pytest.raises(ValueError, match="is it 'loss_mean'"):
        read(path, needs=("loss",))
    assert is_spread("val_loss_stderr") and not is_spread("std") and not is_spread("loss")


@pytest.mark.parametrize(
    ("name", "codes", "said"),
    [
        ("exit_code", [0, 137, 1], "(137, 1) in 2 rows, which are kept; --where exit_code=0"),
        ("ExitCode", ["0:0", "0:0", "137:0"], "(137:0) in 1 rows, which are kept; --where"),
        ("returncode", [0.0, None, 2.0], "(2) in 1 rows"),
        ("exit_status", [0, 0, 9], "(9) in 1 rows"),
    ],
)
def test_processes_that_failed_are_said(tmp_path, name, codes, said):
    (doubt,) = doubts_of(tmp_path, {**ROWS, name: codes})
    assert said in doubt
    (remedy,) = re.findall(r"--where (\S+) leaves", doubt)
    where = shlex.split(remedy)[0]
    source = read(tmp_path / "t.csv", None, where=where)
    assert len(source.table) == sum(str(code) in ("0", "0.0", "0:0") for code in codes)


def test_processes_that_ended_well_are_no_doubt(tmp_path):
    assert doubts_of(tmp_path, {**ROWS, "exit_code": [0, 0, 0]}) == ()
