"""Curves with and without seeds are judged as they were planted; what cannot be told is refused."""

from pathlib import Path

import numpy as np
import pytest
from planted_curves import ENDS, WITHOUT_PEAK, falling, peaked, seeds_of, single, true_peak
from scipy import stats

from analysis.double_descent.judge import judge
from analysis.double_descent.judgement_table import HEADINGS, cells, latex, limits, to_dict
from analysis.double_descent.lone_point import standing
from analysis.double_descent.missing_sizes import missing_sizes, sizes_beyond
from analysis.double_descent.rows import curve_rows
from analysis.double_descent.smooth_curve import one_curve_noise, smoother
from analysis.double_descent.verdict import Verdict
from analysis.estimate import Bootstrap
from analysis.writing import dumps

FEW = Bootstrap(n=400)
SIZE = np.geomspace(*ENDS, 20)


def noisy(values, noise=0.005, seed=0):
    return values * np.exp(noise * np.random.default_rng(seed).standard_normal(len(values)))


@pytest.mark.parametrize("make", [seeds_of, single])
def test_a_planted_peak_is_found_with_its_width_and_minima(make):
    curve = peaked(40.0)
    found = judge(make(curve, np.random.default_rng(0), noise=0.005), bootstrap=FEW)
    assert found.verdict is Verdict.SECOND_DESCENT_BELOW
    assert found.basis == ("seeds" if make is seeds_of else "smoothness")
    assert found.peak and found.first and found.final and found.second
    assert found.peak.location.low <= true_peak(curve, 40.0) <= found.peak.location.high
    assert found.peak.p_value < 0.05 and found.peak.resolved
    fine = np.geomspace(*ENDS, 20_001)
    values = curve(fine)
    top = int(np.argmax(np.where((fine > 25) & (fine < 60), values, 0)))
    first = int(np.argmin(values[:top]))
    above = values > (values[top] + values[first]) / 2
    left = fine[:top][~above[:top]].max()
    right = fine[top:][~above[top:]].min()
    assert found.peak.width.value == pytest.approx(right / left, rel=0.1)
    assert found.first.size.low <= fine[first] <= found.first.size.high
    assert found.final.size.high == pytest.approx(ENDS[1])
    assert found.second.high < 0 and found.still_falls


def test_the_runs_of_the_network_have_a_peak_and_a_second_descent_below():
    columns = np.loadtxt(Path(__file__).with_name("mnist1d_mlp.csv"), delimiter=",", skiprows=1).T
    width, seed, train, error, loss = columns
    curve = curve_rows(width, error, seed, train=train)
    found = judge(curve, tolerance=0.01, statistic="mean")
    assert found.verdict is Verdict.SECOND_DESCENT_BELOW
    assert found.peak is not None and found.peak.p_value < 0.02
    assert found.confidence_below is not None and found.confidence_below > 0.99
    assert found.threshold is not None and found.threshold.low <= 31 <= found.threshold.high
    by_loss = judge(curve_rows(width, loss, seed), statistic="median")
    assert by_loss.verdict is Verdict.SECOND_DESCENT_ABOVE and by_loss.still_falls
    assert "not resolved at this horizon" in by_loss.reason


def test_one_curve_without_a_peak_is_monotone_and_one_that_ends_high_is_open():
    monotone = judge(curve_rows(SIZE, noisy(falling(SIZE))), bootstrap=FEW)
    assert monotone.verdict is Verdict.MONOTONE
    rising = judge(curve_rows(SIZE, noisy(falling(SIZE)[::-1])), bootstrap=FEW)
    assert rising.verdict is Verdict.NOT_AT_THIS_HORIZON
    scattered = judge(curve_rows(SIZE, noisy(falling(SIZE), 0.3)), bootstrap=FEW)
    assert scattered.verdict is Verdict.NOT_RESOLVED


def test_one_curve_that_ends_above_its_first_minimum_is_said_to():
    above = peaked(40.0)(SIZE) + 0.6 / (1 + (60 / SIZE) ** 3)
    found = judge(curve_rows(SIZE, noisy(above)), bootstrap=FEW)
    assert found.verdict is Verdict.SECOND_DESCENT_ABOVE
    assert found.second is not None and found.second.low > 0


@pytest.mark.parametrize("size", [5, 10, 15])
@pytest.mark.parametrize("sign", [-1, 1])
def test_a_lone_noisy_point_is_no_peak(size, sign):
    test = noisy(falling(SIZE))
    test[size] *= 1 + sign * 0.25
    assert not judge(curve_rows(SIZE, test), bootstrap=FEW).verdict.has_peak


def test_a_peak_narrower_than_the_grid_reaches_to_its_neighbours():
    size = np.geomspace(*ENDS, 14)
    spike = np.where(np.isclose(size, size[7]), 60.0, 1.0) * falling(size)
    spike[[6, 8]] *= 3
    seed = np.tile(np.arange(5), 14)
    rng = np.random.default_rng(0)
    test = np.repeat(spike, 5) * np.exp(0.02 * rng.standard_normal(70))
    found = judge(curve_rows(np.repeat(size, 5), test, seed), bootstrap=FEW)
    assert found.peak is not None and not found.peak.resolved
    assert found.peak.location.value == pytest.approx(size[7])
    assert found.peak.location.low <= size[6] and found.peak.location.high >= size[8]
    assert "narrower than the grid" in " ".join(limits(found, has_train=True, is_time=False))


@pytest.mark.parametrize(("factor", "beats"), [(0.5, False), (1.5, True), (1.0, None)])
@pytest.mark.parametrize("make", [seeds_of, single])
def test_the_second_descent_is_compared_with_early_stopping(make, factor, beats):
    curve = make(peaked(40.0), np.random.default_rng(0), noise=0.005)
    lowest = curve.test[curve.size == curve.size.max()]
    rng = np.random.default_rng(1)
    best = factor * lowest.mean() * np.exp(0.01 * rng.standard_normal(len(curve.test)))
    with_best = curve_rows(curve.size, curve.test, curve.seed, best=best)
    found = judge(with_best, bootstrap=FEW)
    assert found.early is not None and found.early.beats is beats


def test_too_few_seeds_or_sizes_leave_no_interval_and_say_why():
    size, seed = np.repeat(SIZE, 2), np.tile([0, 1], 20)
    test = noisy(np.repeat(falling(SIZE), 2))
    lone = judge(curve_rows(size[1:], test[1:], seed[1:]))
    assert lone.basis == "none" and lone.smooth is None and lone.verdict is Verdict.NOT_RESOLVED
    assert "Size 4 has a single seed" in lone.reason
    short = judge(curve_rows(SIZE[:6], test[:12:2]))
    assert short.basis == "none" and "give 8" in short.reason
    two = judge(curve_rows(size, test, seed), bootstrap=FEW)
    assert two.basis == "seeds" and two.verdict is Verdict.NOT_RESOLVED
    assert "3 seeds" in two.reason


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"size": np.append(SIZE, 4.0)}, "size 4 occurs 2 times, but no column tells runs apart"),
        ({"size": np.append(SIZE, 4.0), "seed": np.zeros(21)}, "2 times with one seed"),
        ({"size": np.append(SIZE, -1.0)}, "positive"),
        ({"test": np.append(SIZE, np.nan)}, "finite"),
        ({"train": SIZE}, r"train has shape \(20,\), not \(21,\)"),
        ({"size": np.tile([1.0, 2.0, 1.0], 7), "seed": np.arange(21)}, "2 distinct sizes"),
    ],
)
def test_bad_rows_are_refused(change, message):
    given = {"size": np.append(SIZE, 300.0), "test": np.ones(21)} | change
    with pytest.raises(ValueError, match=message):
        curve_rows(**given)


def test_a_train_metric_needs_a_tolerance():
    with pytest.raises(ValueError, match="tolerance = None"):
        judge(curve_rows(SIZE, SIZE, train=SIZE))


def test_long_histories_are_averaged_over_even_steps():
    epoch = np.arange(1.0, 1001.0)
    curve = curve_rows(np.tile(epoch, 2), np.tile(epoch, 2), np.repeat([0, 1], 1000), most=20)
    assert curve.n_averaged == 1000 and curve.weight.sum() == 2000
    assert len(np.unique(curve.size)) <= 20 and curve.fewest_seeds == 2
    np.testing.assert_allclose(curve.test @ curve.weight, 2 * epoch.sum())


def test_a_threshold_of_one_curve_is_its_grid_step():
    train = np.maximum(0.5 - 0.2 * np.log(SIZE / 10), 0)
    found = judge(curve_rows(SIZE, noisy(falling(SIZE)), train=train), tolerance=0.1, bootstrap=FEW)
    assert found.threshold is not None
    truth = 10 * np.exp(2.0)
    assert found.threshold.value == pytest.approx(truth, rel=0.02)
    steps = SIZE[SIZE < truth].max(), SIZE[SIZE > truth].min()
    assert (found.threshold.low, found.threshold.high) == pytest.approx(steps)
    never = judge(curve_rows(SIZE, falling(SIZE), train=train + 1), tolerance=0.1, bootstrap=FEW)
    assert never.threshold is not None and never.threshold.censored == "above"


def test_leaving_a_point_out_is_a_fit_to_the_others():
    log_size = np.linspace(0, 3, 9)
    points = np.sin(log_size) + 0.1 * np.random.default_rng(0).standard_normal(9)
    noise = one_curve_noise(log_size, np.ones(9))
    known = smoother(log_size, noise, log_size)
    j = 4
    projected = known.projections @ points
    for member in (0, 17, 40):
        p = known.projections[member]
        filled = points.copy()
        filled[j] -= projected[member, j] / p[j, j]
        fitted = known.to_curve[member] @ filled
        # The curve does not depend on what is put in the place of the point...
        other = points + 5.0 * (np.arange(9) == j)
        again = other.copy()
        again[j] -= (p @ other)[j] / p[j, j]
        np.testing.assert_allclose(known.to_curve[member] @ again, fitted, atol=1e-9)
        # ... and passes through it.
        np.testing.assert_allclose(fitted[j], filled[j], atol=1e-9)


def test_a_line_is_its_own_smooth_curve():
    log_size = np.linspace(0, 3, 9)
    known = smoother(log_size, one_curve_noise(log_size, np.ones(9)), log_size)
    line = 2 - 0.7 * log_size
    np.testing.assert_allclose(known.to_curve @ line, np.tile(line, (len(known.constants), 1)))
    assert standing(known, -np.stack([log_size, log_size])).bump.max() <= 1e-6


def test_a_judgement_is_a_row_strict_json_and_latex():
    found = judge(single(peaked(40.0), np.random.default_rng(0)), bootstrap=FEW)
    assert len(cells(found)) == len(HEADINGS)
    values = to_dict(found)
    assert "smooth" not in values and values["verdict"] == found.verdict.value
    assert values["peak"]["location"]["low"] == found.peak.location.low
    dumps(values)
    text = latex({"noise 15 %": found, "": judge(curve_rows(SIZE[:4], SIZE[:4]))}, "a_b")
    assert r"noise 15 \%" in text and r"a\_b" in text and text.count(r"\\") == 3
    said = limits(found, has_train=False, is_time=True)
    assert len(said) == 3 and "another seed" in said[0]


def test_sizes_to_add_surround_the_expected_threshold():
    width = np.array([4.0, 8.0, 16.0])
    beyond = missing_sizes(width, 10 * width, 800.0)
    assert beyond.expected == pytest.approx(80.0) and not beyond.inside
    assert beyond.add == (40, 56, 80, 112, 160)
    odd = np.array([4, 8, 12, 16, 24, 48])  # of which logarithms and back make other numbers
    assert all(each == round(each) for each in missing_sizes(odd, 100 * odd, 6910.0).add)
    within = missing_sizes(width, 10 * width, 100.0)
    assert within.inside and within.expected == pytest.approx(10.0) and within.add == (20,)
    assert sizes_beyond(width, above=True) == (22, 32, 48, 64)
    assert max(sizes_beyond(width, above=False)) < 4
    with pytest.raises(ValueError, match="parameters must grow"):
        missing_sizes(width, width[::-1], 10.0)


def covered(make, noise, n_draws):
    hits = 0
    for k in range(n_draws):
        rng = np.random.default_rng(k)
        centre = 40 * np.exp(rng.uniform(-0.15, 0.15))
        found = judge(make(peaked(centre), rng, noise), bootstrap=FEW)
        truth = true_peak(peaked(centre), centre)
        hits += found.peak is not None and (
            found.peak.location.low <= truth <= found.peak.location.high
        )
    return hits


@pytest.mark.slow
@pytest.mark.parametrize(("make", "noise", "n_draws"), [(seeds_of, 0.02, 60), (single, 0.004, 30)])
def test_intervals_of_the_peak_cover(make, noise, n_draws):
    # 500 draws are in benchmarks/descent.py; fewer hits than this have a chance of 1e-3 at 95 %.
    assert covered(make, noise, n_draws) >= stats.binom.ppf(1e-3, n_draws, 0.95)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["level", "levelling"])
def test_one_curve_without_a_peak_seldom_gets_one(name):
    count = sum(
        judge(single(WITHOUT_PEAK[name], np.random.default_rng(k)), bootstrap=FEW).verdict.has_peak
        for k in range(25)
    )
    assert count <= stats.binom.ppf(1 - 1e-3, 25, 0.05)


@pytest.mark.parametrize(
    ("values", "verdict", "says"),
    [
        (np.full(20, 0.3), Verdict.NOT_RESOLVED, "does not fall from its smallest size"),
        (np.zeros(20), Verdict.NOT_RESOLVED, "does not fall from its smallest size"),
        (np.full(20, -2.0), Verdict.NOT_RESOLVED, "does not fall from its smallest size"),
        (SIZE**-0.5, Verdict.MONOTONE, "no interior maximum"),
        (SIZE**0.5, Verdict.NOT_AT_THIS_HORIZON, "the curve rises"),
    ],
)
def test_curves_without_any_scatter_show_what_they_are(values, verdict, says):
    found = judge(curve_rows(SIZE, values), bootstrap=FEW)
    assert found.verdict is verdict and says in found.reason
