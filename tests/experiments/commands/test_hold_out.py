"""Rows held out are not fitted, and scored in screen, JSON and figure."""

import json
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.estimate import Bootstrap
from analysis.laws import M4, POWER_LAW, SATURATING_POWER_LAW
from experiments.cli import main
from experiments.commands import rank


@pytest.fixture
def table(tmp_path: Path) -> Path:
    x = np.geomspace(1e6, 1e9, 24)
    noise = 0.003 * np.random.default_rng(0).standard_normal(24)
    rows = pd.DataFrame({"x": x, "loss": 30 * x**-0.1 * np.exp(noise)})
    rows["part"] = np.where(x > 2e8, "far", "near")
    path = tmp_path / "runs.csv"
    rows.to_csv(path, index=False)
    return path


@pytest.mark.parametrize("where", ["part=far", "x>2e8"])
def test_fit_scores_rows_held_out(table: Path, where: str, capsys: pytest.CaptureFixture[str]):
    out = table.parent / "fit.json"
    asked = ["fit", str(table), "--law", "power_law", "--columns", "x=x,loss=loss"]
    assert main([*asked, "--holdout", where, "--json", str(out)]) == 0
    found = json.loads(out.read_text())
    score = found["source"]["holdout"]
    n_far = int((pd.read_csv(table)["part"] == "far").sum())
    assert score["n_rows"] == n_far and found["fit"]["n_points"] == 24 - n_far
    assert 0 < score["rmsle"] < 0.02 and 0 <= score["in_band"] <= 1
    assert f"{n_far} rows, RMSLE {score['rmsle']:.4g}" in capsys.readouterr().out


def test_rank_scores_rows_held_out_and_sets_the_horizon(
    table: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(rank, "applicable", lambda _: [POWER_LAW, SATURATING_POWER_LAW])
    out = table.parent / "rank.json"
    asked = ["rank", str(table), "--columns", "x=x,loss=loss", "--holdout", "part=far"]
    assert main([*asked, "--json", str(out)]) == 0
    found = json.loads(out.read_text())
    assert found["predict"] == pytest.approx(1e9)
    assert found["holdout_rmsle"]["combined"] < 0.05
    assert found["ranking"]["horizon"] > 4
    assert found["nearest"] in found["ranking"]["weights"]


@pytest.mark.medium
def test_laws_are_drawn_from_the_first_window_in_which_all_have_a_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(rank, "applicable", lambda _: [POWER_LAW, M4])
    monkeypatch.setattr(rank, "rank", partial(rank.rank, bootstrap=Bootstrap(n=200)))
    x = np.geomspace(1e6, 1e9, 9)
    y = (1.5 + 300 * x**-0.35) * np.exp(0.002 * np.random.default_rng(0).standard_normal(9))
    pd.DataFrame({"x": x, "loss": y}).to_csv(tmp_path / "t.csv", index=False)
    drawn = []
    monkeypatch.setattr(rank, "held_out_figure", lambda fits, *_, **__: drawn.extend(fits))
    monkeypatch.setattr(rank, "held_out_table", lambda *_, **__: pd.DataFrame({"x": x}))
    monkeypatch.setattr(rank.style, "save", lambda *_: None)
    asked = ["rank", str(tmp_path / "t.csv"), "--columns", "x=x,loss=loss", "--predict", "5e9"]
    assert main([*asked, "--figure", str(tmp_path / "drawn")]) == 0
    assert {each.law for each in drawn} == {POWER_LAW, M4}
    assert {each.n_points for each in drawn} == {6}


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("part=fat", "--holdout part=fat: no such value"),
        ("x>1", "every row is held out"),
        ("prt=far", "--holdout: no column 'prt'"),
    ],
)
def test_rows_that_cannot_be_held_out_are_refused(
    table: Path, where: str, message: str, capsys: pytest.CaptureFixture[str]
):
    asked = ["fit", str(table), "--law", "power_law", "--columns", "x=x,loss=loss"]
    assert main([*asked, "--holdout", where]) == 2
    assert message in " ".join(capsys.readouterr().err.split())
