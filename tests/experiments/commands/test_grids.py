"""Grids that miss the interpolation threshold are said before anything is trained."""

import re

import pytest

from experiments import catalogue
from experiments.cli import main
from experiments.commands.grids import missed_thresholds
from sweeps.space import overridden

CARDS = [part for name in catalogue.names() for part in catalogue.load(name).parts]
ALONG = {part.name: part for part in CARDS if part.threshold_along}


def missed(name, *overrides):
    part = ALONG[name]
    return missed_thresholds(overridden(part.sweep["smoke"](), overrides), part.threshold_along)


@pytest.mark.parametrize("name", ALONG)
def test_declared_grids_hold_the_threshold(name):
    part = ALONG[name]
    assert missed_thresholds(part.sweep["cpu"](), part.threshold_along) == []
    assert missed_thresholds(part.sweep["smoke"](), part.threshold_along) == []


@pytest.mark.parametrize(
    ("name", "n", "end"),
    [
        ("double_descent_mlp", 4000, 48),
        ("label_noise", 4000, 24),
        ("belkin", 4000, 4000),
        ("double_descent_random_features", 2000, 1000),
        ("double_descent_linear", 2000, 600),
        ("ensembling", 1000, 150),
    ],
)
def test_more_samples_than_the_largest_can_fit(name, n, end):
    """The remedies work: whole sizes beyond the grid, and the most samples that it can fit."""
    lines = missed(name, f"data.n_train={n}")
    assert lines and all(f"n = {n:,}" in line for line in lines)
    sizes, samples = re.search(
        r"Add [\w.]+ ([\d., ]+), or --set data.n_train=(\d+)", lines[0]
    ).groups()
    assert all(int(size) > end for size in sizes.split(", "))
    assert missed(name, f"data.n_train={samples}") == []
    assert missed(name, f"data.n_train={int(samples) + 1}")


def test_fewer_samples_than_the_smallest_fits():
    lines = missed("belkin", "data.n_train=20")
    assert "its smallest has 400 parameters, and 200 are expected to reach it" in lines[0]
    assert "--set data.n_train=41 at least" in lines[0]
    assert missed("belkin", "data.n_train=41") == []
    assert missed("belkin", "data.n_train=40")


def test_one_size_is_no_curve_and_is_not_judged():
    assert missed("double_descent_mlp", "model.width=4") == []


def test_a_plan_says_it_and_spends_nothing(tmp_path, capsys):
    words = ["--budget", "smoke", "--set", "data.n_train=4000", "--results", str(tmp_path / "r")]
    assert main(["plan", "double_descent_mlp", *words]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "misses the interpolation threshold: its largest has 4,810 parameters" in printed
    assert (
        "8,000 are expected to reach it (n x outputs = 40,000). Add model.width 69, 97," in printed
    )
    assert not (tmp_path / "r").exists()
