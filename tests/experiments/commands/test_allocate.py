"""`scaling allocate`: budgets in FLOPs, hours and dollars; files; sentences for mistakes."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.errors import FitError
from analysis.estimate import Bootstrap
from analysis.fitting.fit import fit
from analysis.fitting.result import FitResult
from analysis.laws import CHINCHILLA, POWER_LAW
from analysis.planning.allocate import allocate
from analysis.planning.device_prices import PEAK_FLOPS
from analysis.planning.training_cost import TrainingCost
from experiments.commands import allocate as allocating
from experiments.commands import fit as fitting
from experiments.commands import fit_files
from experiments.commands.options.analyses import AllocateOptions, FitOptions

HOURS = {"gpu": "h200", "mfu": 0.4, "hours": 5000.0}


def allocated(path, **options) -> int:
    return allocating.run(AllocateOptions(fit=str(path), **options))


@pytest.fixture(scope="module")
def result() -> FitResult:
    rng = np.random.default_rng(0)
    x = np.exp(rng.uniform(*np.log([[5e7, 1e9], [1e10, 3e11]]), (40, 2)))
    loss = 1.8 + 480 * x[:, 0] ** -0.35 + 2100 * x[:, 1] ** -0.37
    return fit(
        CHINCHILLA, x, loss * np.exp(0.003 * rng.standard_normal(40)), bootstrap=Bootstrap(n=200)
    )


@pytest.fixture
def file(result: FitResult, tmp_path: Path) -> Path:
    written = {
        "fit": result.to_dict(),
        "source": {
            "path": "runs.csv",
            "largest_flops": 1.8e22,
            "range": {"N": [5e7, 1e10], "D": [1e9, 3e11]},
        },
    }
    path = tmp_path / "fit.json"
    path.write_text(json.dumps(written))
    return path


def test_compute_is_allocated_and_written(result, file, tmp_path, capsys):
    to = tmp_path / "allocation.json"
    assert allocated(file, flops=1e22, inference_tokens=1e12, json=str(to)) == 0
    written = json.loads(to.read_text())
    expected = allocate(result, 1e22, inference_tokens=1e12)
    assert written["allocation"] == json.loads(expected.to_json())
    assert written["costs"] is None
    assert len(written["fit"]["sha256"]) == 64
    out = capsys.readouterr().out
    assert f"{expected.parameters.value:.5g}" in out
    assert "1e+12 tokens served" in out
    assert "hours" not in out


def test_hours_and_dollars_are_compute_and_their_cost_is_told(file, tmp_path, capsys):
    to = tmp_path / "allocation.json"
    assert allocated(file, **HOURS, json=str(to)) == 0
    flops = 5000 * 3600 * PEAK_FLOPS["h200"] * 0.4
    written = json.loads(to.read_text())
    assert written["allocation"]["flops"] == pytest.approx(flops)
    assert written["costs"]["training"]["compute-optimal"]["hours"] == pytest.approx(5000)
    assert written["costs"]["training"]["compute-optimal"]["dollars"] is None
    bought = {"gpu": "h200", "mfu": 0.4, "price": 20_000.0, "dollars_per_hour": 4.0}
    assert allocated(file, **bought, inference_tokens=1e12, json=str(to)) == 0
    written = json.loads(to.read_text())
    assert written["allocation"]["flops"] == pytest.approx(flops)
    costs = written["costs"]["training"]
    assert costs["compute-optimal"]["dollars"] == pytest.approx(20_000)
    assert costs["over-trained"]["dollars"] > 20_000
    out = capsys.readouterr().out
    assert "5,000.0 hours" in out and "20,000 dollars" in out


def test_compute_beside_an_accelerator_is_priced(file, capsys):
    flops = 100 * 3600 * PEAK_FLOPS["a100"] * 0.5
    assert allocated(file, flops=flops, gpu="A100", mfu=0.5, dollars_per_hour=2.0) == 0
    assert re.search(r"100\.0 hours +200 dollars", capsys.readouterr().out)


def test_budgets_far_beyond_the_rows_are_told(file, capsys):
    assert allocated(file, flops=1e24) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "55.6 times beyond the largest compute of the fit" in out
    assert allocated(file, flops=1e12) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert re.search(r"N = [\d.e+]+ lies [\d.]+ times below the least N of the fit", out)


@pytest.mark.medium
@pytest.mark.usefixtures("unwritten_figures")
def test_the_figure_comes_with_its_numbers(file, tmp_path, capsys):
    stem = tmp_path / "figures" / "allocation"
    assert allocated(file, flops=1e22, figure=str(stem)) == 0
    written = "".join(capsys.readouterr().out.split())
    for suffix in ("pdf", "png", "growth.csv", "penalty.csv"):
        assert Path(f"{stem}.{suffix}").exists()
        assert f"{stem}.{suffix}" in written
    growth = pd.read_csv(f"{stem}.growth.csv")
    assert growth["extrapolated"].any() and not growth["extrapolated"].all()
    assert (growth["parameters_low"] < growth["parameters"]).all()


def test_a_bare_fit_is_a_fit(result, tmp_path, capsys):
    path = tmp_path / "bare.json"
    path.write_text(result.to_json())
    assert allocated(path, flops=1e24) == 0
    assert "largest compute" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({}, "give the budget in one way.*given: none"),
        ({"flops": 1e21, **HOURS}, "one way.*given: --flops and --hours"),
        ({"hours": 10.0}, "--hours alone is no compute"),
        ({"price": 10.0, "gpu": "h100", "mfu": 0.4}, "--price alone.*--dollars-per-hour"),
        ({"hours": 10.0, "gpu": "h100"}, "--mfu is missing"),
        ({"flops": 1e21, "mfu": 0.4}, "--gpu is missing"),
        ({**HOURS, "gpu": "h20O"}, "no accelerator 'h20O': did you mean 'h200'"),
        ({**HOURS, "mfu": 40.0}, "mfu = 40.0.*up to 1"),
        ({**HOURS, "hours": -1.0}, "hours = -1.0"),
        ({"flops": -1e21}, "flops = -1e.21"),
        ({"flops": 1e-3}, "flops = 0.001 buys 0.0.* parameters .*at least one.*give e.g. 1e21"),
        ({"flops": 1e21, "unique_tokens": 1e9}, "every token is new"),
    ],
)
def test_mistakes_get_a_sentence(options, says, file):
    with pytest.raises(ValueError, match=says):
        allocated(file, **options)


def test_a_published_law_allocates_without_intervals(tmp_path, capsys):
    to = tmp_path / "allocation.json"
    options = {"law": "hoffmann2022-approach3", "flops": 1e21, "inference_tokens": 1e13}
    assert allocating.run(AllocateOptions(**options, json=str(to), gpu="h100", mfu=0.4)) == 0
    out = capsys.readouterr().out
    assert "interval" not in out.split("hoffmann2022-approach3:")[0] and "No interval" in out
    written = json.loads(to.read_text())
    assert written["law"]["name"] == "hoffmann2022-approach3"
    allocation = written["allocation"]
    assert allocation["parameters"]["low"] is None
    assert allocation["over_trained"]["parameters"]["value"] < allocation["parameters"]["value"]


@pytest.mark.medium
@pytest.mark.usefixtures("unwritten_figures")
def test_the_loss_of_a_published_law_is_drawn(tmp_path):
    options = {"law": "kaplan2020", "curve": "L(N, D)", "flops": 1e22}
    assert allocating.run(AllocateOptions(**options, figure=str(tmp_path / "a"))) == 0
    growth = pd.read_csv(tmp_path / "a.growth.csv")
    assert growth["parameters_low"].isna().all() and growth["parameters"].is_monotonic_increasing


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({}, "give one of --fit FILE.*--law NAME"),
        ({"fit": "f.json", "law": "bi2024"}, "give one of --fit FILE.*--law NAME"),
        ({"law": "hofman2022"}, "did you mean 'hoffmann2022'"),
        ({"law": "kaplan2020", "curve": "L(N)"}, r"no loss of N and D: choose 'L\(N, D\)'"),
        ({"law": "kaplan2020", "inference_tokens": 1e12}, r"by --curve 'L\(N, D\)'"),
        ({"law": "bi2024", "figure": "x"}, "bi2024 gives N and D of a budget by rules"),
        ({"law": "li2025"}, "gives no best model"),
        ({"law": "hoffmann2022-approach3", "unique_tokens": 1e9}, "every token is new"),
        ({"law": "hoffmann2022-approach1", "flops": 1e26}, r"times outside the data.*--far"),
        ({"fit": "f.json", "curve": "L(N)"}, "--curve has no effect without --law"),
    ],
)
def test_mistakes_with_published_laws_get_a_sentence(options, says, capsys):
    with pytest.raises(ValueError, match=says):
        allocating.run(AllocateOptions(**{"flops": 1e21, **options}))
    assert capsys.readouterr().out == ""


def test_files_that_hold_no_usable_fit_get_a_sentence(result, tmp_path):
    path = tmp_path / "x.json"
    with pytest.raises(ValueError, match=r"x.json: no such file. Give .*scaling fit TABLE"):
        allocated(path, flops=1e21)
    for text in ("not json", "[1]", "{}", '{"fit": {"law": "chinchilla"}}', '{"fit": 3}'):
        path.write_text(text)
        with pytest.raises(ValueError, match=r"x.json holds no fit that this version reads \("):
            allocated(path, flops=1e21)
    path.write_text(json.dumps({"fit": result.to_dict(), "source": [1]}))
    with pytest.raises(ValueError, match="'source' is"):
        allocated(path, flops=1e21)
    x = np.geomspace(1, 1e3, 12)
    path.write_text(
        fit(POWER_LAW, x, 3 * x**-0.5 * 1.01 ** (x % 2), bootstrap=Bootstrap(n=200)).to_json()
    )
    with pytest.raises(ValueError, match="power_law is a law of x, which has no optimum"):
        allocated(path, flops=1e21)
    written = result.to_dict()
    written["params"]["alpha"] = 0.0
    path.write_text(json.dumps(written))
    with pytest.raises(FitError, match="an exponent at or near 0"):
        allocated(path, flops=1e21)


def test_a_budget_far_beyond_the_rows_is_refused_unless_allowed(file, capsys):
    with pytest.raises(ValueError, match=r"2e\+28 is 1\.11e\+06 times the largest .* --far"):
        allocated(file, flops=2e28)
    assert allocated(file, flops=1.7e28) == 0
    assert allocated(file, flops=2e28, far=True) == 0
    assert "extrapolated 1.11e+06 times" in capsys.readouterr().out


def paid(n, of_c):
    """FLOPs a token."""
    return n * (6 + of_c * n**-0.3)


@pytest.fixture(params=[0.0, 900.0], ids=["6ND", "own"])
def planted_cost(request, tmp_path, capsys) -> tuple[float, Path]:
    rng = np.random.default_rng(2)
    n, d = np.exp(rng.uniform(*np.log([[1e6, 1e8], [1e9, 1e11]]), (40, 2))).T
    loss = 1.8 + 480 * n**-0.35 + 2100 * d**-0.37
    table = pd.DataFrame({"N": n, "D": d, "C": paid(n, request.param) * d, "loss": loss})
    table.to_csv(tmp_path / "runs.csv", index=False)
    path = tmp_path / "planted.json"
    fitting.run(FitOptions(table=str(tmp_path / "runs.csv"), law="chinchilla", json=str(path)))
    out = capsys.readouterr().out
    assert ("compute by the table's own FLOPs" in out) == (request.param > 0)
    return request.param, path


@pytest.mark.medium
def test_a_table_is_allocated_by_the_compute_that_it_paid(planted_cost, tmp_path, capsys):
    of_c, path = planted_cost
    said = "compute by the table's own FLOPs"
    to, budget, served = tmp_path / "allocation.json", 1e21, 1e12
    allocated(path, flops=budget, inference_tokens=served, json=str(to))
    assert (said in capsys.readouterr().out) == (of_c > 0)
    found = json.loads(to.read_text())["allocation"]

    # The optimum along the budget, and at its loss the least of training and serving.
    n = np.exp(np.linspace(np.log(1e7), np.log(1e11), 200_001))
    cost = paid(n, of_c)
    loss = 1.8 + 480 * n**-0.35 + 2100 * (budget / cost) ** -0.37
    best = np.argmin(loss)
    assert found["parameters"]["value"] == pytest.approx(n[best], rel=2e-3)
    assert found["tokens"]["value"] == pytest.approx(budget / cost[best], rel=2e-3)
    assert found["loss"]["value"] == pytest.approx(loss[best], rel=1e-7)
    left = np.where(loss[best] - 1.8 > 480 * n**-0.35, loss[best] - 1.8 - 480 * n**-0.35, np.nan)
    tokens = (left / 2100) ** (-1 / 0.37)
    total = cost * tokens + 2 * n * served
    assert found["over_trained"]["total_flops"]["value"] == pytest.approx(
        np.nanmin(total), rel=1e-4
    )
    off = found["off"][1]
    size = 2 * found["parameters"]["value"]
    there = 1.8 + 480 * size**-0.35 + 2100 * (budget / paid(size, of_c)) ** -0.37
    assert off["loss"]["value"] == pytest.approx(there, rel=1e-6)


def test_growth_counts_the_compute_that_was_paid(planted_cost):
    of_c, path = planted_cost
    written = json.loads(path.read_text())
    middle, a = written["source"]["middle_flops"], written["derived"]["a"]["value"]
    if not of_c:
        assert middle is None and a == pytest.approx(0.37 / 0.72, abs=1e-6)
        return
    n = np.exp(np.linspace(np.log(1e6), np.log(1e12), 400_001))

    def best(budget: float) -> float:
        return float(n[np.argmin(480 * n**-0.35 + 2100 * (budget / paid(n, of_c)) ** -0.37)])

    assert a == pytest.approx(np.log(best(4 * middle) / best(middle / 4)) / np.log(16), abs=1e-3)
    assert fit_files.read(str(path)).result.derived()["a"].value == pytest.approx(a, rel=1e-12)


def test_a_file_that_can_be_no_fit_is_not_read(file, tmp_path, monkeypatch):
    deep = tmp_path / "deep.json"
    deep.write_text('{"fit": ' + "[" * 100_000 + "]" * 100_000 + "}")
    with pytest.raises(ValueError, match="nests more than 64 levels"):
        fit_files.read(str(deep))
    twice = tmp_path / "twice.json"
    twice.write_text(file.read_text().replace('{"fit":', '{"fit": {}, "fit":', 1))
    with pytest.raises(ValueError, match="has the key 'fit' twice"):
        fit_files.read(str(twice))
    monkeypatch.setattr(fit_files, "MOST_BYTES", file.stat().st_size - 1)
    with pytest.raises(ValueError, match=r"larger than 0 MiB, which no fit is. Give a file"):
        fit_files.read(str(file))


def test_files_of_before_costs_count_6_n_d(file, planted_cost):
    of_c, path = planted_cost
    assert fit_files.read(str(file)).cost == TrainingCost()
    cost = fit_files.read(str(path)).cost
    assert (cost == TrainingCost()) == (of_c == 0)
    written = json.loads(path.read_text())
    if of_c:
        written["source"]["cost"]["power"] = 2.0
        path.write_text(json.dumps(written))
        with pytest.raises(ValueError, match="no cost of training"):
            fit_files.read(str(path))
