"""Fits that are numerically fine and mean nothing have a verdict in words, and print no nan."""

import json
import re

import numpy as np
import pytest

from analysis.fitting.fit import fit
from analysis.fitting.verdict import Verdict
from analysis.laws import CHINCHILLA, KAPLAN_N, POWER_LAW
from experiments.cli import main

N = np.geomspace(1e6, 1e11, 6)
BAD = re.compile(r"(?<![\w.])(nan|inf|Warning)(?![\w])", re.IGNORECASE)


@pytest.mark.parametrize(
    ("losses", "says"),
    [
        ([2.5] * 6, "does not change with N"),
        ([2.5, 2.6, 2.7, 2.8, 2.9, 3.0], "rises with N: an exponent has the wrong sign"),
        ([2.50, 2.51, 2.49, 2.51, 2.50, 2.495], "do not show that the loss falls with N"),
        ([3.0, 2.0, 2.4, 2.9, 2.8, 2.6], "rises with N: an exponent has the wrong sign"),
        ([4.0, 3.5, 3.1, 2.7, 2.4, 3.2], "a constant predicts it better"),
    ],
)
def test_a_curve_without_meaning_is_named_on_the_screen_and_in_json(tmp_path, capsys, losses, says):
    path, to = tmp_path / "t.csv", tmp_path / "fit.json"
    rows = "".join(f"{n:g},{loss}\n" for n, loss in zip(N, losses, strict=True))
    path.write_text(f"N,loss\n{rows}")
    assert main(["fit", str(path), "--law", "kaplan_n", "--json", str(to)]) == 0
    printed = "".join(capsys.readouterr())
    assert "implausible: " in printed and says in printed
    assert not BAD.search(printed.replace(str(tmp_path), ""))
    written = json.loads(to.read_text(), parse_constant=lambda name: pytest.fail(name))
    assert written["fit"]["verdict"] == "implausible" and says in written["fit"]["reason"]


def test_good_rows_are_as_before():
    loss = (1e13 / N) ** 0.076
    noise = np.exp(0.001 * np.random.default_rng(0).standard_normal(6))
    assert fit(KAPLAN_N, N, loss * noise).verdict is Verdict.CONVERGED
    rising = fit(POWER_LAW, N, N**0.3 * noise)  # of a law of any x nothing is known
    assert "wrong sign" not in rising.reason and "rises" not in rising.reason


def test_one_input_of_two_may_be_without_effect():
    sizes, tokens = (each.ravel() for each in np.meshgrid(N, np.geomspace(1e9, 1e12, 5)))
    noise = np.exp(0.002 * np.random.default_rng(0).standard_normal(30))
    x = np.stack([sizes, tokens], axis=1)
    with_both = fit(CHINCHILLA, x, (1.7 + 400 * sizes**-0.34 + 1000 * tokens**-0.3) * noise)
    assert with_both.verdict is Verdict.CONVERGED
    reason = fit(CHINCHILLA, x, (1.7 + 400 * sizes**-0.34) * noise).reason
    assert "with D" in reason and "falls with N" not in reason


def test_an_error_that_few_replicates_make_is_none():
    noise = np.exp(0.05 * np.random.default_rng(1).standard_normal(4))
    result = fit(KAPLAN_N, N[:4], (1e13 / N[:4]) ** 0.05 * noise)
    found = result.derived()["N_c"]
    assert np.isnan(found.standard_error)
    assert "N_c has no standard error" in result.reason
    assert "standard deviation exceeds the interval" in result.reason or (
        "exponent is at or near 0" in result.reason
    )
    assert not BAD.search(result.summary())
