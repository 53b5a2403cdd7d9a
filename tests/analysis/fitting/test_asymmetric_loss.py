"""Rows above the curve may count for less or for more than those below."""

import numpy as np
import pytest
from many_fits import fits
from scipy import stats
from scipy.optimize import minimize, root_scalar

from analysis.estimate import Bootstrap, Floats
from analysis.fitting.engine.least_squares import Points, solve
from analysis.fitting.engine.loss import Loss
from analysis.fitting.fit import fit
from analysis.fitting.information import information
from analysis.fitting.profile import profile_likelihood
from analysis.fitting.result import FitResult
from analysis.fitting.verdict import Verdict
from analysis.laws import POWER_LAW, SATURATING_POWER_LAW

X = np.geomspace(1e6, 1e9, 40)
# Settings are never better than the best ones.
Y = (1.7 + 300 * X**-0.35) * np.exp(0.02 * np.random.default_rng(0).exponential(size=40))


@pytest.mark.parametrize("above", [0.1, 3.0])
@pytest.mark.parametrize("delta", [None, 0.01])
@pytest.mark.parametrize("scale", ["log", "linear"])
def test_the_optimum_is_that_of_scipy(scale, delta: float | None, above: float):
    result = fit(
        SATURATING_POWER_LAW,
        X,
        Y,
        loss=Loss(delta, scale=scale, above=above),
        bootstrap=Bootstrap(n=200),
    )
    assert result.verdict is Verdict.CONVERGED

    def objective(p: Floats) -> float:
        curve = p[0] + np.exp(p[1]) * (X / 1e7) ** -p[2]
        off = np.log(Y / curve) if scale == "log" else Y - curve
        cost = 0.5 * off**2
        if delta is not None:
            cost = np.where(np.abs(off) > delta, delta * (np.abs(off) - delta / 2), cost)
        return 1e4 * float(np.sum(np.where(off > 0, above, 1.0) * cost))

    p = result.params
    at_fit = np.array([p["E"], np.log(p["A"] * 1e7 ** -p["alpha"]), p["alpha"]])
    assert objective(at_fit) == pytest.approx(1e4 * result.objective, rel=1e-9)
    precise = {"maxfev": 8000, "xatol": 1e-10, "fatol": 1e-12}
    alone = minimize(objective, 1.02 * at_fit, method="Nelder-Mead", options=precise)
    assert alone.fun == pytest.approx(1e4 * result.objective, rel=1e-7)


@pytest.mark.parametrize("delta", [None, 0.02])
def test_batches_of_the_solver_reach_the_minimum_from_elsewhere(delta: float | None):
    log_x = np.log(X / 3e7)[:, None]
    points, log_y = Points(log_x, np.ones(40)), np.log(Y / Y.mean())
    starts = SATURATING_POWER_LAW.starts(log_x, log_y)
    targets = np.tile(log_y, (len(starts), 1))
    found = solve(SATURATING_POWER_LAW, points, targets, starts, loss=Loss(delta, above=0.1))
    assert np.all(found.converged)
    np.testing.assert_allclose(found.objective, found.objective.min(), rtol=1e-6)


def test_below_1_the_curve_sinks_to_the_floor_and_above_1_it_rises():
    curves = {
        above: fit(
            SATURATING_POWER_LAW, X, Y, loss=Loss(above=above), bootstrap=Bootstrap(n=200)
        ).predict(X)
        for above in (0.01, 0.1, 1.0, 10.0)
    }
    assert np.all(curves[0.01] < curves[0.1])
    assert np.all(curves[0.1] < curves[1.0])
    assert np.all(curves[1.0] < curves[10.0])
    floor = 1.7 + 300 * X**-0.35
    np.testing.assert_allclose(curves[0.01], floor, rtol=0.006)
    assert np.mean(curves[1.0] / floor - 1) > 0.015


def test_a_factor_turned_round_with_the_rows_changes_nothing():
    # log y -> -log y turns the power law's slope; rows above become rows below.
    here = fit(POWER_LAW, X, Y, loss=Loss(above=0.25), bootstrap=Bootstrap(n=200))
    there = fit(POWER_LAW, X, 1 / Y, loss=Loss(above=4.0), bootstrap=Bootstrap(n=200))
    assert there.params["alpha"] == pytest.approx(-here.params["alpha"], rel=1e-8)
    assert there.objective == pytest.approx(4 * here.objective, rel=1e-9)


def test_repeats_at_one_x_count_each_by_itself():
    x = np.repeat([1e6, 1e9], 50)
    noise = np.random.default_rng(1).standard_normal(100)
    result = fit(POWER_LAW, x, np.exp(noise), loss=Loss(above=0.1), bootstrap=Bootstrap(n=200))
    for value, rows in ((1e6, noise[:50]), (1e9, noise[50:])):
        # At its own x a power law of two parameters is free: the expectile of the rows there.
        expectile = root_scalar(
            lambda c, rows=rows: np.sum(np.where(rows > c, 0.1, 1.0) * (rows - c)), bracket=(-3, 3)
        )
        here = np.log(result.predict(np.array([value])))[0]
        assert here == pytest.approx(expectile.root, abs=1e-9)


def test_the_result_says_it_and_what_has_no_likelihood_is_refused():
    result = fit(SATURATING_POWER_LAW, X, Y, loss=Loss(0.01, above=0.1), bootstrap=Bootstrap(n=200))
    assert result.loss.above == 0.1
    assert result.bootstrap.resampling == "rows"
    assert "Huber 0.01, rows above times 0.1" in result.summary()
    assert FitResult.from_json(result.to_json()).loss.above == 0.1
    squared = fit(SATURATING_POWER_LAW, X, Y, loss=Loss(above=0.1), bootstrap=Bootstrap(n=200))
    with pytest.raises(ValueError, match=r"rows above times 0.1.*For AIC.*squared error"):
        information(squared)
    with pytest.raises(ValueError, match="maximises no likelihood"):
        profile_likelihood(squared)
    with pytest.raises(ValueError, match=r"'residuals' with above = 0.1.*Give 'rows'"):
        fit(SATURATING_POWER_LAW, X, Y, loss=Loss(above=0.1), bootstrap=Bootstrap(kind="residuals"))
    for above in (0.0, -1.0, np.inf, np.nan):
        with pytest.raises(ValueError, match=r"above = .*positive and finite"):
            fit(SATURATING_POWER_LAW, X, Y, loss=Loss(above=above))


@pytest.mark.slow
@pytest.mark.parametrize("delta", [None, 0.01])
def test_intervals_hold_the_curve_sought_nearly_as_often_as_they_say(delta: float | None):
    x, above, n_sets = np.geomspace(1e6, 1e9, 60), 0.1, 100
    many = 0.02 * np.random.default_rng(99).exponential(size=200_000)

    def slope(centre: float) -> float:
        off = many - centre
        return float(np.sum(Loss(delta, above).influence(off) * off))

    sought = root_scalar(slope, bracket=(0.0, many.max())).root
    noise = [
        0.02 * np.random.default_rng(data_set).exponential(size=60) for data_set in range(n_sets)
    ]
    sets = [(x, 30 * x**-0.1 * np.exp(each - sought), None) for each in noise]
    results = fits(POWER_LAW, (30.0, 0.1), sets, loss=Loss(delta, above=above))
    intervals = [result.intervals["A"] for result in results]
    covered = sum(low <= 30 <= high for low, high in intervals)
    assert stats.binom.cdf(covered, n_sets, 0.92) > 0.01
    assert stats.binom.sf(covered - 1, n_sets, 0.98) > 0.01
