"""`scaling laws`, `scaling predict` and `scaling audit` as their users meet them."""

import json

import numpy as np
import pandas as pd
import pytest

from analysis.published import library
from experiments.cli import main


def test_the_list_names_every_law(capsys):
    assert main(["laws"]) == 0
    printed = capsys.readouterr().out
    assert all(f"{name} " in printed for name in library.names())


def test_a_law_is_told_with_its_doubts(tmp_path, capsys):
    told = tmp_path / "law.json"
    assert main(["laws", "show", "hoffmann2022-approach3", "--json", str(told)]) == 0
    printed = capsys.readouterr().out
    for part in ("406.4", "equation 10", "SentencePiece", "found later", "0.452"):
        assert part in printed
    assert json.loads(told.read_text())["curves"][0]["constants"]["beta"] == 0.28


def test_a_paper_of_several_laws_is_told_whole_and_asked_about(capsys):
    assert main(["laws", "show", "hoffmann2022"]) == 0
    printed = capsys.readouterr().out
    assert all(f"{name}: " in printed for name in library.of_paper("hoffmann2022"))
    assert main(["predict", "--law", "hoffmann2022", "--at", "N=1e9,D=1e10"]) == 2
    assert "several laws: choose one of hoffmann2022-approach1" in capsys.readouterr().err


@pytest.mark.medium
@pytest.mark.usefixtures("unwritten_figures")
def test_laws_are_compared_at_a_compute(tmp_path, capsys):
    stem = tmp_path / "compared"
    files = ["--json", f"{stem}.json", "--latex", f"{stem}.tex", "--figure", str(stem)]
    assert main(["laws", "compare", "--flops", "5.76e23", *files]) == 0
    printed = capsys.readouterr().out
    assert "left out: porian2024" in printed and "--far keeps it" in printed
    best = {
        each["law"]: each for each in json.loads((tmp_path / "compared.json").read_text())["best"]
    }
    assert best["hoffmann2022-unrounded"]["parameters"] == pytest.approx(4e10, rel=0.02)
    assert best["kaplan2020"]["tokens_per_parameter"] < 1
    drawn = pd.read_csv(f"{stem}.csv")
    assert set(drawn["law"]) == set(best)
    assert (tmp_path / "compared.pdf").exists()
    assert r"\toprule" in (tmp_path / "compared.tex").read_text()
    assert main(["laws", "compare", "--flops", "5.76e23", "--far"]) == 0
    assert "porian2024" in capsys.readouterr().out


def test_laws_of_unknown_range_are_named_and_distances_are_numbers(capsys):
    assert main(["laws", "compare", "--flops", "1e80"]) == 0
    printed = capsys.readouterr().out
    assert "range of the data of henighan2020, kaplan2020, muennighoff2023, " in printed
    assert "how far 1e+80 FLOPs lie beyond it is not checked" in printed
    law = ["predict", "--law", "hoffmann2022-approach3", "--at", "N=1e-307,D=1e9"]
    assert main(law) == 0
    printed = capsys.readouterr().out
    assert "the farthest by more than 1e308 times" in printed and "inf" not in printed


def test_a_published_law_predicts_a_point_and_a_table(tmp_path, capsys):
    at = ["--law", "hoffmann2022-approach3", "--at", "N=7e10,D=1.4e12"]
    assert main(["predict", *at, "--json", str(tmp_path / "point.json")]) == 0
    assert "4.38 x" in capsys.readouterr().out
    loss = 1.69 + 406.4 * 7e10**-0.34 + 410.7 * 1.4e12**-0.28
    point = json.loads((tmp_path / "point.json").read_text())["points"][0]
    assert point["loss"] == pytest.approx(loss)
    points = tmp_path / "points.csv"
    pd.DataFrame({"params": [1e8, 1e9], "tokens": [1e10, 1e10]}).to_csv(points, index=False)
    to = tmp_path / "out.csv"
    table = ["--points", str(points), "--to", str(to)]
    assert main(["predict", "--law", "besiroglu2024", *table]) == 0
    assert np.all(np.diff(pd.read_csv(to)["loss"]) < 0)


def test_compute_that_is_no_number_of_flops_says_its_unit(capsys):
    assert main(["predict", "--law", "zhai2021", "--at", "C=1e3"]) == 0
    assert "C is in TPUv3-core-days" in capsys.readouterr().out


def test_a_fit_predicts_with_both_intervals(tmp_path, capsys):
    rng = np.random.default_rng(0)
    n, d = np.exp(rng.uniform(np.log([1e7, 1e9]), np.log([1e9, 1e11]), (60, 2))).T
    loss = (1.7 + 400 * n**-0.34 + 400 * d**-0.3) * np.exp(0.005 * rng.standard_normal(60))
    table, fitted, to = (str(tmp_path / name) for name in ("t.csv", "fit.json", "to.csv"))
    pd.DataFrame({"N": n, "D": d, "loss": loss}).to_csv(table, index=False)
    assert main(["fit", table, "--law", "chinchilla", "--json", fitted]) == 0
    assert main(["predict", "--fit", fitted, "--at", "N=1e10,D=1e11", "--to", to]) == 0
    assert "outside the data, the farthest by" in capsys.readouterr().out
    row = pd.read_csv(to).iloc[0]
    assert row["new_run_low"] < row["loss_low"] < row["loss"] < row["loss_high"]
    assert row["beyond"] == pytest.approx(10, rel=0.2)


def test_an_audit_finds_planted_constants_and_refuses_others(tmp_path, capsys):
    rng = np.random.default_rng(1)
    n, d = np.exp(rng.uniform(np.log([1e7, 1e9]), np.log([1e9, 1e11]), (80, 2))).T
    law = library.find("besiroglu2024").curves[0]
    loss = law.predict({"N": n, "D": d}) * np.exp(0.01 * rng.standard_normal(80))
    table, found = str(tmp_path / "t.csv"), tmp_path / "audit.json"
    pd.DataFrame({"N": n, "D": d, "loss": loss}).to_csv(table, index=False)
    assert main(["audit", table, "--law", "besiroglu2024", "--json", str(found)]) == 0
    planted = json.loads(found.read_text())
    assert planted["ratio"] < 1.2
    assert main(["audit", table, "--law", "hoffmann2022-approach3", "--json", str(found)]) == 0
    other = json.loads(found.read_text())
    assert other["ratio"] > 2 * planted["ratio"] and "beta" in other["outside"]
    assert "are not the optimum" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["laws", "show"], "give its name"),
        (["laws", "show", "kaplan"], "did you mean 'kaplan2020'"),
        (["laws", "compare"], "give --flops"),
        (["laws", "compare", "--flops", "-1"], "must be positive"),
        (["laws", "compare", "--flops", "1e-9"], "between 1 and 1e+100 FLOPs; give e.g. 1e24"),
        (["predict", "--at", "N=1"], "give one of --fit"),
        (["predict", "--law", "kaplan2020"], "predict where?"),
        (["predict", "--law", "besiroglu2024", "--at", "N=0,D=1e9"], "N = 0, but it is a number"),
        (["predict", "--law", "besiroglu2024", "--at", "N=1e9"], "D is not given"),
        (["predict", "--law", "besiroglu2024", "--at", "N=1e9,D=1e9,X=2"], "not of X"),
        (["predict", "--law", "kaplan2020", "--curve", "L(X)", "--at", "N=1"], "no curve 'L(X)'"),
        (["predict", "--law", "kaplan2020", "--at", "N=1", "--then", "f.json"], "--then takes"),
        (["predict", "--fit", "nothing.json", "--at", "N=1"], "no such file"),
        (["audit", "t.csv", "--law", "li2025"], "which no table holds"),
    ],
)
def test_mistakes_are_told_with_a_remedy(arguments, said, capsys):
    assert main(arguments) == 2
    assert said in capsys.readouterr().err


def test_n_and_the_loss_are_turned_into_those_of_the_law(tmp_path, capsys):
    """GPT-2 small: 124M parameters in all, 85M without embeddings."""
    shape = "layers=12,width=768,vocabulary=50257,context=1024"
    n = 12 * 12 * 768**2
    total = ["--at", f"N={n + 50257 * 768}", "--count", "total", "--shape", shape]
    unit = ["--unit", "bits/byte", "--bytes-per-token", "4.3"]
    out = ["--json", str(tmp_path / "p.json")]
    assert main(["predict", "--law", "kaplan2020", *total, *unit, *out]) == 0
    assert "N is given as total, and taken as non_embedding" in capsys.readouterr().out
    (point,) = json.loads((tmp_path / "p.json").read_text())["points"]
    assert point["loss"] == pytest.approx((8.8e13 / n) ** 0.076 / np.log(2) / 4.3, rel=1e-12)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--law", "kaplan2020", "--at", "N=1e8", "--count", "total"], "give --shape layers=12"),
        (["--law", "kaplan2020", "--at", "N=1e6", "--count", "total", "--shape",
          "layers=12,width=768,vocabulary=50257,context=1024"], "less than the embeddings"),
        (["--law", "kaplan2020", "--at", "N=1e8", "--count", "total", "--shape", "layer=2"],
         "did you mean 'layers'"),
        (["--law", "sun2024", "--at", "C=1e20", "--count", "total"], "leave --count out"),
        (["--law", "clark2022", "--at", "N=1e8,X=8", "--count", "total"], "without --count"),
        (["--law", "kaplan2020", "--at", "N=1e8", "--unit", "nats/byte"], "give bytes_per_token"),
        (["--law", "sun2024", "--at", "C=1e20", "--unit", "nats/byte"], "leave --unit out"),
        (["--law", "sun2024", "--at", "C=1e24"], "1.05e+04 times outside the data of best N"),
    ],
)  # fmt: skip
def test_what_a_law_does_not_count_or_reach_is_refused_with_a_remedy(arguments, said, capsys):
    assert main(["predict", *arguments]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1


def test_a_law_is_taken_far_beyond_its_data_where_asked_to(capsys):
    assert main(["predict", "--law", "sun2024", "--at", "C=1e24", "--far"]) == 0
    assert "1.05e+04 x" in capsys.readouterr().out


@pytest.mark.medium
@pytest.mark.usefixtures("unwritten_figures")
def test_published_laws_stand_beside_a_fit(tmp_path, capsys):
    rng = np.random.default_rng(2)
    n, d = np.exp(rng.uniform(np.log([1e8, 5e9]), np.log([5e9, 1e11]), (60, 2))).T
    law = library.find("besiroglu2024").curves[0]
    loss = law.predict({"N": n, "D": d}) * np.exp(0.004 * rng.standard_normal(60))
    table, fitted = str(tmp_path / "t.csv"), tmp_path / "fit.json"
    pd.DataFrame({"N": n, "D": d, "loss": loss}).to_csv(table, index=False)
    laws = ["--beside", "besiroglu2024", "--beside", "kaplan2020"]
    out = ["--json", str(fitted), "--figures", str(tmp_path / "figures")]
    assert main(["fit", table, "--law", "chinchilla", *laws, *out]) == 0
    printed = capsys.readouterr().out
    assert "beside published laws" in printed
    assert "kaplan2020 counts N: without embeddings" in printed
    own, other = json.loads(fitted.read_text())["beside"]
    assert own["rms"] == pytest.approx(0.004, rel=0.3) and abs(own["bias"]) < 0.002
    assert own["beyond"] == 1 and other["curve"] == "L(N, D)" and other["rms"] > 5 * own["rms"]
    assert set(pd.read_csv(tmp_path / "figures" / "beside.csv")) >= {"this fit", "kaplan2020"}
    for wrong, said in (
        ("hestness2017", "do not compare"),
        ("li2025", "no curve of it gives loss"),
        ("kaplan2021", "did you mean 'kaplan2020'"),
    ):
        assert main(["fit", table, "--law", "chinchilla", "--beside", wrong]) == 2
        assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("at", "curves"),
    [
        ("C=1e24", "'L(C)' or --curve 'best N' or --curve 'best D'"),
        ("D=1e10", "'L(D)'"),
        ("N=1e9,D=1e10", "'L(N, D)'"),
    ],
)
def test_the_curves_that_take_the_inputs_are_named(at, curves, capsys):
    assert main(["predict", "--law", "kaplan2020", "--at", at]) == 2
    assert f"by --curve {curves}" in capsys.readouterr().err


def test_an_own_law_stands_beside_and_its_name_is_no_latex(tmp_path):
    own, table = tmp_path / "my_law.toml", tmp_path / "laws.tex"
    own.write_text(
        'title = "Ours"\npaper = "Us 2026"\nloss = "nats/token"\n[[curves]]\nform = "chinchilla"\n'
        "constants = { E = 1.7, A = 400, B = 410, alpha = 0.34, beta = 0.28 }\n"
    )
    arguments = ["--flops", "1e21", "--law", str(own), "--latex", str(table)]
    assert main(["laws", "compare", *arguments]) == 0
    assert r"my\_law & " in table.read_text()
