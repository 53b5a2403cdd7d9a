"""A user's own experiment files, alone and gathered."""

import json
from pathlib import Path

import pandas as pd
import pytest
from stored_runs import put

from experiments import catalogue
from experiments.cli import main
from scaling.record import RunRecord
from sweeps.plan import make_plan
from sweeps.store import Store

TINY = Path(__file__).with_name("tiny.py").read_text()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("SWEEP = ", "SWEEPS = "), "does not declare SWEEP"),
        (('"cpu": _sweep, ', ""), "no budget 'cpu'"),
        (("def analyse(", "def analyze("), "does not declare analyse"),
        (('"cpu": _sweep, ', '"cpu": [1], '), "SWEEP must map budgets to functions"),
        (("EXPECTED = (Expected(", "EXPECTED = (dict("), "must hold `Expected` objects"),
        (('EXPECTED = (Expected(name="peak"', "EXPECTED = (Expected(name=peak"), "NameError"),
        (("EXPECTED = (", "EXPECTED = = ("), "SyntaxError"),
        (("EXPECTED = (", "exit(0)\nEXPECTED = ("), "it exits (status 0)"),
    ],
)
def test_a_file_is_checked_before_anything_is_spent(change, says, tmp_path, capsys):
    mine = tmp_path / "mine.py"
    mine.write_text(TINY.replace(*change))
    assert main(["run", str(mine), "--results", str(tmp_path / "results")]) == 2
    assert says in capsys.readouterr().err
    assert not (tmp_path / "results").exists()


@pytest.fixture
def mine(done, tmp_path):
    """A file for an experiment whose runs are those of `tiny.py`, and done."""
    done.rename(done.with_name("mine"))
    return tmp_path / "mine.py"


def test_a_number_expected_but_not_measured_is_named(mine, tmp_path, capsys):
    mine.write_text(TINY.replace('measured={"peak"', 'measured={"peek"'))
    assert main(["run", str(mine), "--results", str(tmp_path / "results")]) == 1
    assert "analyse measured no peak, which EXPECTED names" in capsys.readouterr().out


def test_the_screen_answers_in_order_verdict_numbers_doubts_files(mine, tmp_path, capsys):
    mine.write_text(TINY.replace('verdict="peak",', 'verdict="a peak", doubts=["few seeds"],'))
    assert main(["run", str(mine), "--results", str(tmp_path / "results")]) == 0
    printed = capsys.readouterr().out
    order = ["9 kept", "a peak", "0.9 to 1.1", "doubt: few seeds", "figure.pdf"]
    places = [printed.index(each) for each in order]
    assert places == sorted(places)


def test_what_a_file_prints_stays_out_of_the_result(mine, tmp_path, capsys):
    mine.write_text(f"{TINY}\nprint('hello')\n")
    assert main(["plan", str(mine), "--results", str(tmp_path / "results"), "--json", "-"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["sweeps"][0]["done"] == 9 and "hello\n" in captured.err


@pytest.mark.parametrize("name", ["double_descent_mlp.py", "dot.name.py", "a-b.py"])
def test_a_file_cannot_take_the_folder_of_another(name, tmp_path, capsys):
    (tmp_path / name).write_text(TINY)
    assert main(["run", str(tmp_path / name), "--results", str(tmp_path / "results")]) == 2
    assert "its name becomes the results folder" in capsys.readouterr().err


GATHERED = """'''Two at once.'''
from one import overview
import one, two
from analysis.plots import style
PARTS = (one, two)
def figure(findings):
    with style.paper_style():
        drawing, axes = style.new_figure(1, 2)
        for ax, part in zip(axes.flat, PARTS):
            part.overview(ax, findings[part.__name__])
            ax.set_title("before")
    return drawing
"""


@pytest.mark.medium
def test_gathered_experiments_are_redrawn_when_their_file_changes(
    done, tmp_path, monkeypatch, capsys
):
    done.rename(done.with_name("one"))
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "one.py").write_text(TINY)
    (tmp_path / "two.py").write_text(TINY.replace("noise_variance=0.1", "noise_variance=0.3"))
    both = tmp_path / "both.py"
    both.write_text(GATHERED)
    command = ["run", str(both), "--results", str(tmp_path / "results")]
    picture = tmp_path / "results" / "both" / "reports" / "cpu" / "figure.png"
    assert main(command) == 0
    before = picture.read_bytes()
    assert main(command) == 0
    assert picture.read_bytes() == before
    both.write_text(GATHERED.replace("before", "after"))
    assert main(command) == 0
    assert picture.read_bytes() != before
    assert set(pd.read_csv(picture.with_suffix(".csv"))["experiment"]) == {"one", "two"}
    capsys.readouterr()
    assert main(["status", str(tmp_path / "results")]) == 0
    assert capsys.readouterr().out.count("9 runs") == 2


def test_runs_that_diverged_are_a_doubt_on_the_screen_and_in_the_report(mine, tmp_path, capsys):
    results = tmp_path / "results"
    mine.write_text(TINY.replace('"seed": range(3)', '"seed": range(4)'))
    runs = make_plan("mine", catalogue.load(str(mine)).sweep["cpu"]()).runs
    store = Store.open(results / "mine")
    for run in runs:
        if run.run_id in store.pending([run.run_id]):
            put(store, RunRecord(run_id=run.run_id, status="diverged", config=run.config), [])
    assert main(["run", str(mine), "--results", str(results)]) == 0
    doubt = "3 of 12 runs are left out: 3 diverged"
    assert f"doubt: {doubt}" in capsys.readouterr().out
    report = json.loads((results / "mine" / "reports" / "cpu" / "report.json").read_text())
    assert report["doubts"] == [doubt]
