"""Two sets of runs side by side: planted differences are found, and chance is not."""

import numpy as np
import pandas as pd
import pytest

from analysis.checks.comparison import FAR, Known, apart, cells, error_of


def runs(shift=0.0, seed=0, n=8, sd=0.1, sizes=20):
    rng = np.random.default_rng(seed)
    size = np.repeat(np.arange(sizes), n)
    loss = 2 + size / 10 + sd * rng.standard_normal(len(size)) + shift * (size == 7)
    kind = np.where(size % 2, "odd", None)
    return pd.DataFrame({"size": size, "kind": kind, "loss": loss})


def test_an_interval_is_as_wide_as_its_standard_error_says():
    assert error_of(1 - 1.959964 * 0.2, 1 + 1.959964 * 0.2) == pytest.approx(0.2)
    assert error_of(None, 1.0) is None and error_of(0.0, np.inf) is None


@pytest.mark.parametrize(
    ("first", "second", "distance"),
    [
        (Known(1, 0.3), Known(2, 0.4), 2.0),
        (Known(2, 0.3), Known(1, None), -1 / 0.3),
        (Known(1, None), Known(1, None), 0.0),
        (Known(1, None), Known(2, None), None),
        (Known(1, 0.0), Known(2, 0.0), None),
    ],
)
def test_numbers_are_apart_in_standard_errors(first, second, distance):
    assert apart(first, second) == (None if distance is None else pytest.approx(distance))


def test_a_planted_difference_comes_first_and_chance_alone_is_standard_normal():
    found = cells(runs(), runs(shift=0.4, seed=1), "loss", ["size", "kind"])
    assert len(found) == 20
    assert found["size"].iloc[0] == "7" and found["apart"].iloc[0] > FAR
    assert found["difference"].iloc[0] == pytest.approx(0.4, abs=0.15)
    # Of 400 cells without a difference, about one in 100 is as far as FAR of Student's t.
    far = cells(runs(sizes=400), runs(seed=1, sizes=400), "loss", ["size"])["apart"].abs()
    assert (far > FAR).mean() < 0.03 and far.mean() == pytest.approx(0.84, abs=0.1)


def test_equal_runs_are_not_apart_and_cells_of_one_side_are_left_out():
    both = cells(runs(), runs(), "loss", ["size"])
    assert (both["apart"] == 0).all()
    assert len(cells(runs(sizes=5), runs(seed=1), "loss", ["size"])) == 5


def test_a_cell_without_repeats_borrows_the_spread_of_the_others():
    single = runs(n=1, seed=2)
    found = cells(runs(), single, "loss", ["size"])
    assert found["apart"].notna().all() and found["apart"].abs().max() < 4.5
    assert cells(runs(n=1), single, "loss", ["size"])["apart"].isna().all()
