"""The LaTeX table of a fit: its structure, its names, and the digits of its numbers."""

import re

import numpy as np
import planted
import pytest

from analysis.estimate import Bootstrap
from analysis.fitting.engine.loss import Loss
from analysis.fitting.fit import fit
from analysis.fitting.render import latex_table, symbol
from analysis.fitting.result import FitResult
from analysis.latex import escaped
from analysis.laws import CHINCHILLA, KAPLAN_N, SATURATING_POWER_LAW

X = np.geomspace(1e6, 1e9, 24)


def plane_fit(**choices) -> FitResult:
    rng = np.random.default_rng(0)
    x = np.exp(rng.uniform(np.log([5e7, 1e9]), np.log([1e10, 3e11]), (60, 2)))
    noise = np.exp(0.005 * rng.standard_normal(60))
    y = planted.chinchilla_loss(*x.T) * noise
    return fit(CHINCHILLA, x, y, bootstrap=Bootstrap(n=300), **choices)


@pytest.fixture(scope="module")
def result() -> FitResult:
    return plane_fit(loss=Loss(0.003))


def cells(table: str) -> list[list[str]]:
    """The rows of the tabular, cell by cell."""
    inside = table.partition(r"\begin{tabular}")[2].partition(r"\end{tabular}")[0]
    rows = [line for line in inside.splitlines() if line.endswith(r"\\")]
    return [[cell.strip() for cell in row.removesuffix(r"\\").split("&")] for row in rows]


def numbers(cell: str) -> list[float]:
    plain = re.sub(r" \\times 10\^\{(-?\d+)\}", r"e\1", cell)
    return [float(each) for each in re.findall(r"-?\d+\.?\d*(?:e-?\d+)?", plain)]


@pytest.mark.parametrize("choices", [{}, {"fixed": {"alpha": 0.35}}, {"loss": Loss(above=0.5)}])
def test_environments_braces_and_columns_are_balanced(choices: dict):
    table = plane_fit(**choices).to_latex()
    for name in ("table", "tabular"):
        assert table.count(rf"\begin{{{name}}}") == table.count(rf"\end{{{name}}}") == 1
    bare = re.sub(r"\\[\\{}$&%#_]", "", table)
    depth = np.cumsum([(c == "{") - (c == "}") for c in bare])
    assert depth.min() >= 0 and depth[-1] == 0
    for line in bare.splitlines():
        assert line.count("$") % 2 == 0
        assert "%" not in line
        # Subscripts and powers stand in mathematics alone.
        assert not re.search(r"[_^]", re.sub(r"\$[^$]*\$|\\label\{.*\}", "", line)), line
    rows = cells(table)
    assert all(len(row) == 4 for row in rows)
    assert [row[0] for row in rows] == [
        "Parameter", "$E$", "$A$", "$B$", r"$\alpha$", r"$\beta$", "$a$", "$b$", "$G$",
    ]  # fmt: skip
    assert [table.count(rule) for rule in (r"\toprule", r"\midrule", r"\bottomrule")] == [1, 2, 1]


def test_numbers_carry_the_digits_that_their_error_supports(result: FitResult):
    table = result.to_latex()
    assert table == latex_table(result.table())
    for row in cells(table)[1:6]:
        name = row[0].strip("$\\")
        value, error, ends = result.params[name], result.standard_errors[name], row[3]
        (shown,), (shown_error,) = numbers(row[1]), numbers(row[2])
        place = 10.0 ** (np.floor(np.log10(shown_error)) - 1)
        assert shown_error == pytest.approx(error, abs=0.51 * place)
        assert shown == pytest.approx(value, abs=0.51 * place)
        # No digit beyond the second one of the error.
        assert shown / place == pytest.approx(round(shown / place), abs=1e-6)
        assert numbers(ends) == pytest.approx(list(result.intervals[name]), abs=0.51 * place)


def test_held_parameters_and_the_caption_say_so():
    held = plane_fit(fixed={"alpha": 0.35})
    (row,) = [row for row in cells(held.to_latex()) if row[0] == r"$\alpha$"]
    assert row == [r"$\alpha$", "$0.35$", "held", "--"]
    caption = held.to_latex().partition(r"\caption{")[2].splitlines()[0]
    assert r"\texttt{chinchilla} fitted to 60 points: squared error on log residuals" in caption
    assert "300 bootstrap replicates (`residuals')" in caption
    assert "Verdict: converged." in caption
    doubtful = fit(
        SATURATING_POWER_LAW, X, np.exp(-0.01 * np.log(X) ** 2), bootstrap=Bootstrap(n=200)
    )
    text = doubtful.to_latex()
    assert r"\texttt{saturating\_power\_law}" in text
    assert r"Verdict: bound\_hit." in text


def test_large_and_small_numbers_are_written_with_powers_of_ten():
    rng = np.random.default_rng(0)
    y = (8.8e13 / X) ** 0.76 * np.exp(0.02 * rng.standard_normal(24))
    table = fit(KAPLAN_N, X, y, bootstrap=Bootstrap(n=300)).to_latex()
    (row,) = [row for row in cells(table) if row[0] == "$N_{c}$"]
    assert re.fullmatch(r"\$\d(\.\d+)? \\times 10\^\{\d+\}\$", row[1])
    assert numbers(row[1])[0] == pytest.approx(8.8e13, rel=0.3)
    assert numbers(row[3])[0] < numbers(row[1])[0] < numbers(row[3])[1]


def test_an_exact_fit_has_a_table_too():
    table = fit(
        SATURATING_POWER_LAW, X, 1.7 + 300 * X**-0.35, bootstrap=Bootstrap(n=200)
    ).to_latex()
    assert [len(row) for row in cells(table)] == [4, 4, 4, 4]
    assert numbers(cells(table)[1][1])[0] == pytest.approx(1.7)


def test_names_become_symbols_and_text_is_escaped():
    names = ("alpha", "E", "R_D", "alpha_N", "c0", "d12", "E_inf", "gain", "my_own_name")
    assert [symbol(name) for name in names] == [
        r"$\alpha$", "$E$", "$R_{D}$", r"$\alpha_{N}$", "$c_{0}$", "$d_{12}$",
        r"$E_{\mathrm{inf}}$", r"$\mathrm{gain}$", r"$\mathrm{my}_{\mathrm{own},\mathrm{name}}$",
    ]  # fmt: skip
    assert escaped("a_b 5% {x}^2 ~ \\") == (
        r"a\_b 5\% \{x\}\textasciicircum{}2 \textasciitilde{} \textbackslash{}"
    )
