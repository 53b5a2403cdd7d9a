"""`scaling compare`: two sizes of one experiment, and two fits, side by side."""

import shutil
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from analysis.estimate import Bootstrap
from analysis.fitting.fit import fit
from analysis.laws import POWER_LAW
from experiments.cli import main
from experiments.commands import compare, report
from experiments.experiment import Experiment

TINY = str(Path(__file__).parents[1] / "tiny.py")


@pytest.fixture(scope="module")
def two(tiny_results, tmp_path_factory):
    """Two reports of tiny: as declared, and with more noise."""
    folder = shutil.copytree(tiny_results, tmp_path_factory.mktemp("compared") / "tiny")
    more = ["--set", "data.noise_variance=4.0", "--results", str(folder.parent), "--workers", "1"]
    assert main(["run", TINY, *more]) == 0
    (other,) = folder.glob("reports/cpu-*")
    return folder / "reports" / "cpu", other


@pytest.mark.medium
@pytest.mark.usefixtures("unwritten_figures")
def test_cells_and_conclusions_are_compared(two, tmp_path, capsys):
    capsys.readouterr()
    assert main(["compare", *map(str, two), "--experiment", TINY, "--to", str(tmp_path / "c")]) == 0
    said = capsys.readouterr().out
    assert "data.noise_variance is 0.1 in A, 4.0 in B" in said
    assert "eval_excess_risk: 3 cells on both sides, 0 in A alone, 0 in B alone" in said
    assert "no conclusion changes" in said
    table = pd.read_csv(tmp_path / "c.csv")
    assert list(table["what"]) == ["peak, p/n"] and list(table["apart"]) == [0.0]
    cells = pd.read_csv(tmp_path / "c-cells.csv")
    assert len(cells) == 3 and {"eval_excess_risk_A", "eval_excess_risk_B", "apart"} <= set(cells)
    assert (tmp_path / "c.pdf").exists() and (tmp_path / "c.png").exists()


@pytest.mark.medium
def test_a_conclusion_that_changes_is_exit_status_1(two, tmp_path, capsys):
    first = two[0]
    copy = shutil.copytree(first.parents[1], tmp_path / "tiny")
    second = copy / "reports" / two[1].name
    made = report.read(second / "report.json")
    assert made is not None
    worse = made.measured["peak"].__class__(value=3.0)
    report.save(second, made.__class__(**{**vars(made), "measured": {"peak": worse}}))
    assert main(["compare", str(first), str(second), "--experiment", TINY]) == 1
    assert "conclusion changes: peak, p/n" in capsys.readouterr().out


def test_a_number_is_judged_at_the_sizes_for_which_it_was_predicted(tiny_results):
    cpu = compare._report(str(tiny_results / "reports" / "cpu"), None, (TINY,))
    assert isinstance(cpu.experiment, Experiment)
    (peak,) = cpu.experiment.expected
    cpu = replace(
        cpu, experiment=replace(cpu.experiment, expected=(replace(peak, budgets=("cpu",)),))
    )
    smoke = replace(cpu, made=replace(cpu.made, budget="smoke"))
    (found,) = compare._numbers(cpu, smoke)
    assert (found.first_judged, found.second_judged) == ("pass", "") and not found.changes
    (found,) = compare._numbers(smoke, smoke)
    assert (found.first_judged, found.second_judged) == ("", "") and not found.changes


def test_two_fits_are_compared_parameter_by_parameter(tmp_path, capsys):
    x, paths = [2.0**k for k in range(8, 20)], []
    for name, alpha in (("a", 0.3), ("b", 0.5)):
        y = [5 * v**-alpha * (1 + 0.01 * (-1) ** k) for k, v in enumerate(x)]
        paths.append(tmp_path / f"{name}.json")
        paths[-1].write_text(fit(POWER_LAW, x, y, bootstrap=Bootstrap(n=200)).to_json())
    assert main(["compare", *map(str, paths)]) == 0
    rows = capsys.readouterr().out.splitlines()
    (alpha,) = [row for row in rows if row.startswith("alpha ")]
    assert float(alpha.split()[-1]) > 30
    assert any(row.startswith("verdict") and row.count("converged") == 2 for row in rows)


def test_mistakes_get_a_sentence(done, tmp_path, capsys):
    assert main(["compare", str(done), str(tmp_path)]) == 2
    assert "holds no report" in capsys.readouterr().err
    (tmp_path / "x.json").write_text("{}")
    assert main(["compare", str(done), str(tmp_path / "x.json")]) == 2
    assert "fit" in capsys.readouterr().err
