"""Checks of tables: what is planted is found, clean data stay clean, nothing is dropped."""

import numpy as np
import pandas as pd
import pyarrow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from published_data import published_path
from pyarrow.csv import write_csv

from analysis.checks.flags import ABOUT_ROWS, Reason, without_flagged
from analysis.checks.rows import check
from analysis.tables import read


def chinchilla(n, d):
    return 1.817 + 477.84 * n**-0.3473 + 2143.9 * d**-0.3672


def measured(n, d, noise, rng, **labels):
    loss = chinchilla(n, d) * np.exp(noise * rng.normal(size=len(n)))
    return pd.DataFrame({"N": n, "D": d, "C": 6 * n * d, "loss": loss, **labels})


def scattered(n_rows, noise, seed):
    rng = np.random.default_rng(seed)
    n, d = 10 ** rng.uniform(6, 10, n_rows), 10 ** rng.uniform(8.5, 12, n_rows)
    return measured(n, d, noise, rng)


def iso_flop(noise=0.003, sizes=9, off=0.0, seed=0):
    """Budgets whose sizes lie about the optimum of each, moved by `off` decades."""
    flops = np.geomspace(1e18, 1e22, 6)[:, None]
    a, b = 0.3473, 0.3672
    best = (a * 477.84 / (b * 2143.9)) ** (1 / (a + b)) * (flops / 6) ** (b / (a + b))
    n = (best * 10 ** (np.linspace(-0.8, 0.8, sizes) + off)).ravel()
    d = (flops / 6).repeat(sizes, axis=1).ravel() / n
    return measured(n, d, noise, np.random.default_rng(seed))


def rows_with(flags, reason):
    return flags.loc[flags["reason"] == reason, "row"].tolist()


@pytest.mark.slow
def test_clean_tables_have_hardly_a_flag():
    """Less than 1 row in 1,000 has one in 60 tables of 60 to 240 rows, noise 0.3 % to 2 %."""
    flagged = rows = 0
    for seed in range(20):
        for n_rows, noise in ((60, 0.003), (120, 0.01), (240, 0.02)):
            table = scattered(n_rows, noise, seed)
            flagged += len(check(table))
            rows += n_rows
    assert flagged / rows < 1e-3
    assert not len(check(iso_flop()))


@given(st.integers(0, 10**6), st.lists(st.integers(0, 119), min_size=1, max_size=6, unique=True))
@settings(deadline=None, max_examples=15)
def test_planted_outliers_are_found_and_little_else(seed, planted):
    table = scattered(120, 0.005, seed)
    sign = np.where(np.arange(len(planted)) % 2, -1, 1)
    table.loc[planted, "loss"] *= np.exp(0.5 * sign)
    flags = check(table)
    found = rows_with(flags, Reason.OUTLIER)
    assert set(planted) <= set(found)
    assert len(found) <= len(planted) + 3
    assert flags["detail"].str.contains("robust standard deviations").all()


def test_outliers_in_one_input_too():
    d = np.geomspace(1e7, 1e12, 25)
    table = pd.DataFrame({"D": d, "loss": chinchilla(1e9, d)})
    table["loss"] *= np.exp(0.003 * np.random.default_rng(0).normal(size=25))
    assert not len(check(table))
    table.loc[[3, 20], "loss"] *= [1.1, 0.9]
    assert rows_with(check(table), Reason.OUTLIER) == [3, 20]


def test_groups_are_judged_apart():
    one, other = scattered(60, 0.003, 1), scattered(60, 0.003, 2)
    other["loss"] *= 2
    table = pd.concat([one.assign(group="a"), other.assign(group="b")], ignore_index=True)
    assert not rows_with(check(table), Reason.OUTLIER)
    table.loc[70, "loss"] /= 2
    assert rows_with(check(table), Reason.OUTLIER) == [70]


@given(st.permutations(range(40)))
@settings(deadline=None, max_examples=10)
def test_the_order_of_rows_makes_no_difference(order):
    table = scattered(40, 0.005, 3)
    table.loc[5, "loss"] *= 1.3
    flags = check(table.loc[list(order)])
    assert set(flags["row"]) == set(check(table)["row"])
    assert 5 in set(flags["row"])


def test_duplicates_but_the_first_are_flagged_and_no_others():
    table = scattered(50, 0.01, 0).assign(run=[f"r{i}" for i in range(50)])
    copies = table.iloc[[7, 7, 30]].assign(run=["x", "y", "z"])
    table = pd.concat([table, copies], ignore_index=True).rename_axis("line")
    flags = check(table)
    assert rows_with(flags, Reason.DUPLICATE) == [50, 51, 52]
    assert flags["detail"].tolist()[0].startswith("line 50 repeats line 7 in every column")
    # Equal sizes with another seed's loss are repeats, not copies.
    table.loc[50:, "loss"] *= 1.001
    assert rows_with(check(table), Reason.DUPLICATE) == [51]


def test_repeats_that_scatter_too_much():
    rng = np.random.default_rng(0)
    sizes = np.geomspace(1e6, 1e9, 12).repeat(4)
    table = measured(sizes, 20 * sizes, 0.003, rng, seed=np.tile(range(4), 12))
    assert not rows_with(check(table), Reason.SEED_SPREAD)
    table.loc[21, "loss"] *= 1.08
    flags = check(table)
    assert rows_with(flags, Reason.SEED_SPREAD) == [20, 21, 22, 23]
    assert "the 4 runs at N = 2.31013e+07" in flags["detail"].str.cat()


@pytest.mark.slow
def test_repeats_are_rarely_flagged_by_chance():
    """About one set in 1,000 tables is to be flagged: none in 100 tables of 12 sets of 3."""
    flagged = 0
    for seed in range(100):
        sizes = np.geomspace(1e6, 1e9, 12).repeat(3)
        table = measured(sizes, 20 * sizes, 0.01, np.random.default_rng(seed))
        flagged += len(rows_with(check(table), Reason.SEED_SPREAD)) > 0
    assert flagged <= 1


def test_decreasing_data_within_a_run_alone():
    d = [1e9, 2e9, 3e9, 2.5e9, 4e9, 1e9, 2e9]
    table = pd.DataFrame({"run": list("aaaaabb"), "N": 1e6, "D": d, "loss": range(7, 0, -1)})
    flags = check(table)
    assert rows_with(flags, Reason.DECREASING_DATA) == [3]
    assert "row 3, column D: 2.5e+09 after 3e+09 in run 'a'" in flags["detail"].str.cat()


def test_mixed_units():
    table = scattered(40, 0.01, 0)
    assert not rows_with(check(table), Reason.MIXED_UNITS)
    in_billions = table.copy()
    in_billions.loc[[3, 9], "D"] /= 1e9
    flags = check(in_billions)
    assert set(rows_with(flags, Reason.MIXED_UNITS)) == {3, 9}
    assert "column D" in flags["detail"].str.cat()
    # Within the range of the others, but at odds with C.
    table.loc[table["C"].idxmax(), "C"] /= 1e3
    assert rows_with(check(table), Reason.MIXED_UNITS) == [table["N"].mul(table["D"]).idxmax()]


def test_budgets_off_centre_and_with_too_few_sizes():
    assert not len(check(iso_flop()))
    off = check(iso_flop(off=0.9))
    assert set(rows_with(off, Reason.OFF_CENTRE)) == set(range(54))
    assert "near the smallest of its 9 sizes" in off["detail"][0]
    few = iso_flop().drop([1, 2, 4, 6, 7])
    flags = check(few)
    assert rows_with(flags, Reason.TOO_FEW_SIZES) == [0, 3, 5, 8]
    assert "has 4 sizes" in flags["detail"][0]
    # Such flags concern parabolas; the rows are as good as others for a fit of L(N, D).
    assert len(without_flagged(few, flags)) == len(few)
    assert len(without_flagged(few, flags, list(Reason))) == len(few) - 4


def test_a_grid_of_n_times_d_is_no_iso_flop_grid():
    n, d = (v.ravel() for v in np.meshgrid(2.0 ** np.arange(20, 28), 2.0 ** np.arange(28, 36)))
    assert not len(check(measured(n, d, 0.005, np.random.default_rng(0))))


def test_flags_drop_nothing_and_without_flagged_says_which():
    table = scattered(60, 0.005, 0)
    table.loc[10, "loss"] *= 2
    before = table.copy()
    flags = check(table)
    pd.testing.assert_frame_equal(table, before)
    assert set(table.index) - set(without_flagged(table, flags).index) == {10}
    assert len(without_flagged(table, flags, ABOUT_ROWS - {Reason.OUTLIER})) == 60


def test_tables_too_small_to_judge_have_no_flags():
    for n_rows in (0, 1, 5):
        flags = check(scattered(n_rows, 0.01, 0))
        assert len(flags) == 0
        assert list(flags) == ["row", "reason", "detail"]
    with pytest.raises(ValueError, match="gives two rows one label"):
        check(scattered(3, 0.1, 0).set_axis([1, 1, 2]))


@pytest.mark.slow
def test_a_million_rows_are_read_and_checked_in_seconds(tmp_path):
    rng = np.random.default_rng(0)
    n, d = 10 ** rng.uniform(6, 10, 1000).repeat(1000), np.tile(np.geomspace(1e8, 1e12, 1000), 1000)
    table = measured(n, d, 0.01, rng).drop(columns="C").assign(run=np.arange(10**6) // 1000)
    planted = np.sort(rng.choice(10**6, 500, replace=False))
    table.loc[planted, "loss"] *= 1.3
    rows = pyarrow.Table.from_pandas(table, preserve_index=False)  # ten times as fast as to_csv
    write_csv(rows, tmp_path / "runs.csv")
    flags = check(read.read(tmp_path / "runs.csv").table)
    found = set(rows_with(flags, Reason.OUTLIER))
    assert set(planted + 2) <= found
    assert len(found) < 520


def test_the_outliers_of_the_digitised_chinchilla_points():
    table = read.read(published_path("chinchilla_digitised.csv")).table
    flags = check(table)
    five = table.sort_values("loss").index[-5:]
    assert set(five) <= set(rows_with(flags, Reason.OUTLIER))
    assert len(flags) <= 8


def test_the_duplicates_of_the_learning_curves():
    table = read.read(published_path("learning_curves_nmt.csv"), "group=Domain+Task+Model").table
    flags = check(table)
    duplicates = rows_with(flags, Reason.DUPLICATE)
    assert len(duplicates) == 687
    frame = pd.read_csv(published_path("learning_curves_nmt.csv"))
    assert [row - 2 for row in duplicates] == frame.index[frame.duplicated()].tolist()
    left = without_flagged(table, flags, [Reason.DUPLICATE])
    assert len(left) == 1399 - 687
