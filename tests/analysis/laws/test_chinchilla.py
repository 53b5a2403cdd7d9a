"""The Chinchilla law: planted truths, units, weights, bounds, and what it says of growth."""

import numpy as np
import planted
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from analysis.errors import FitError
from analysis.estimate import Bootstrap, Floats
from analysis.fitting.engine.loss import Loss
from analysis.fitting.fit import fit
from analysis.fitting.result import FitResult
from analysis.fitting.verdict import Verdict
from analysis.laws import CHINCHILLA
from analysis.laws.chinchilla import compute_optimal, growth

TRUTH = np.array(planted.CHINCHILLA)


def losses(x: Floats, sigma: float = 0.0, params: Floats = TRUTH, seed: int = 1) -> Floats:
    noise = sigma * np.random.default_rng(seed).standard_normal(len(x))
    return planted.chinchilla_loss(*x.T, params) * np.exp(noise)


def estimates(result: FitResult) -> Floats:
    return np.array(list(result.params.values()))


@pytest.mark.parametrize("scale", ["log", "linear"])
@pytest.mark.parametrize("delta", [None, 1e-3])
@pytest.mark.parametrize("truth", [TRUTH, np.array([0.5, 30.0, 9e4, 0.15, 0.6])])
def test_planted_parameters_are_recovered(truth: Floats, delta: float | None, scale):
    x = planted.runs(40)
    result = fit(
        CHINCHILLA,
        x,
        losses(x, params=truth),
        loss=Loss(delta, scale=scale),
        bootstrap=Bootstrap(n=200),
    )
    np.testing.assert_allclose(estimates(result), truth, rtol=1e-5)
    assert result.verdict is Verdict.CONVERGED


@settings(deadline=None, max_examples=8)
@given(
    log_n=st.floats(-15, 5), log_d=st.floats(-20, 5), log_y=st.floats(-3, 3), linear=st.booleans()
)
def test_units_move_the_scales_as_they_must(log_n: float, log_d: float, log_y: float, linear: bool):
    x = planted.runs(40)
    y = losses(x, 0.003)
    of_n, of_d, of_y = np.exp([log_n, log_d, log_y])
    scale = "linear" if linear else "log"
    here = fit(CHINCHILLA, x, y, loss=Loss(scale=scale), bootstrap=Bootstrap(n=200))
    there = fit(
        CHINCHILLA, x * [of_n, of_d], y * of_y, loss=Loss(scale=scale), bootstrap=Bootstrap(n=200)
    )
    p = here.params
    expected = [
        p["E"] * of_y,
        p["A"] * of_y * of_n ** p["alpha"],
        p["B"] * of_y * of_d ** p["beta"],
        p["alpha"],
        p["beta"],
    ]
    np.testing.assert_allclose(estimates(there), expected, rtol=1e-5)
    np.testing.assert_allclose(there.intervals["alpha"], here.intervals["alpha"], rtol=1e-4)


@pytest.mark.parametrize("scale", ["log", "linear"])
@pytest.mark.parametrize("delta", [None, 2e-3])
def test_a_weight_is_so_many_copies(scale, delta: float | None):
    x = planted.runs(40)
    y = losses(x, 0.003)
    copies = np.random.default_rng(2).integers(1, 4, len(y))
    options = {"loss": Loss(delta, scale=scale), "bootstrap": Bootstrap(n=200)}
    weighted = fit(CHINCHILLA, x, y, weights=copies, **options)
    repeated = fit(CHINCHILLA, np.repeat(x, copies, axis=0), np.repeat(y, copies), **options)
    np.testing.assert_allclose(estimates(weighted), estimates(repeated), rtol=1e-5)
    assert weighted.objective == pytest.approx(repeated.objective, rel=1e-9)


def test_order_of_rows_is_irrelevant():
    x = planted.runs(40)
    y, weights = losses(x, 0.003), np.linspace(1.0, 2.0, 40)
    order = np.random.default_rng(3).permutation(40)
    for kind in ("residuals", "rows"):
        options = {"bootstrap": Bootstrap(n=200, kind=kind)}
        here = fit(CHINCHILLA, x, y, weights=weights, **options)
        there = fit(CHINCHILLA, x[order], y[order], weights=weights[order], **options)
        assert there.params == here.params
        assert there.intervals == here.intervals


def test_scales_differ_in_what_they_minimise():
    x = planted.runs(40)
    y = losses(x, 0.01)
    logs = fit(CHINCHILLA, x, y, bootstrap=Bootstrap(n=200))
    plain = fit(CHINCHILLA, x, y, loss=Loss(scale="linear"), bootstrap=Bootstrap(n=200))
    np.testing.assert_allclose(plain.residuals, y - plain.predict(x), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(logs.residuals, np.log(y / logs.predict(x)), atol=1e-12)
    assert plain.objective < 0.5 * np.sum((y - logs.predict(x)) ** 2)
    assert logs.objective < 0.5 * np.sum(np.log(y / plain.predict(x)) ** 2)
    assert "residuals" in plain.summary() and "log residuals" not in plain.summary()


def test_rows_redrawn_by_cluster_spread_as_clusters_do():
    x = np.repeat(planted.runs(12), 8, axis=0)
    seeds = np.tile(np.arange(8), 12)
    shared = 0.01 * np.random.default_rng(5).standard_normal(8)[seeds]
    y = losses(x, 0.001) * np.exp(shared)
    options = {"bootstrap": Bootstrap(n=400, kind="rows")}
    alone = fit(CHINCHILLA, x, y, **options)
    by_seed = fit(CHINCHILLA, x, y, clusters=seeds, **options)
    assert by_seed.bootstrap.n_clusters == 8
    # A seed shifts the whole curve: 8 shifts tell its level less well than 96 would, by the root
    # of 12.
    spreads = [
        CHINCHILLA.log_predict(result.replicates, np.log(x)).mean(axis=1).std()
        for result in (alone, by_seed)
    ]
    assert 2.5 < spreads[1] / spreads[0] < 4.5


def test_a_floor_that_the_rows_do_not_want_is_a_bound_hit():
    x = planted.runs(40)
    result = fit(CHINCHILLA, x, losses(x, 0.02, np.array([0.0, 3.0, 5.0, 0.05, 0.06])))
    low, _ = result.intervals["E"]
    assert low == 0.0
    assert result.verdict in (Verdict.BOUND_HIT, Verdict.INTERVAL_AT_BOUND, Verdict.ILL_CONDITIONED)


def test_one_size_is_refused():
    x = planted.runs(40)
    x[:, 0] = 7e7
    with pytest.raises(FitError, match=r"N = 7e\+07 in every row.*several N"):
        fit(CHINCHILLA, x, losses(x, 0.01))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weights": np.ones(3)}, r"weights has shape \(3,\).*40 rows"),
        (
            {"weights": np.r_[np.ones(39), 0.0]},
            r"weights\[39\] = 0.0.*drop rows that are not to count",
        ),
        (
            {"weights": np.arange(1, 41), "bootstrap": Bootstrap(kind="within_x")},
            r"'within_x' with weights that differ",
        ),
    ],
)
def test_arguments_at_fault_are_named(change: dict, message: str):
    x = planted.runs(40)
    with pytest.raises(ValueError, match=message):
        fit(CHINCHILLA, x, losses(x, 0.01), **change)


@pytest.mark.parametrize(
    ("starts", "message"),
    [
        ([[1.0, 2.0]], r"starts has shape \(1, 2\).*5 parameters.*E, A, B"),
        ([[1.0, -2.0, 1.0, 0.3, 0.3]], r"starts\[0\] has A = -2.0.*A, B > 0"),
    ],
)
def test_starts_that_are_none_are_refused(starts: list, message: str):
    with pytest.raises(ValueError, match=message):
        CHINCHILLA.starting_at(starts)


@settings(deadline=None, max_examples=20)
@given(
    exponents=st.tuples(st.floats(0.1, 1.0), st.floats(0.1, 1.0)), log_flops=st.floats(40.0, 60.0)
)
def test_compute_optimum_is_the_minimum_along_the_budget(exponents, log_flops: float):
    params = np.array([1.8, 480.0, 2100.0, *exponents])
    flops = float(np.exp(log_flops))
    optimum = compute_optimal(params, flops)
    assert 6 * optimum.parameters * optimum.tokens == pytest.approx(flops, rel=1e-9)

    # Of a law without E, in whose last bits the rest would be lost, down to 1e-9 of it.
    reducible = np.concatenate([[0.0], params[1:]])

    def loss_at(log_n: float) -> float:
        n = np.exp(log_n)
        return float(losses(np.array([[n, flops / (6 * n)]]), params=reducible)[0])

    centre = float(np.log(optimum.parameters))
    found = minimize_scalar(loss_at, bracket=(centre - 1, centre + 0.7))
    assert found.x == pytest.approx(centre, abs=1e-6)
    assert compute_optimal(reducible, flops).loss == pytest.approx(found.fun, rel=1e-12)
    assert optimum.loss == pytest.approx(params[0] + found.fun, rel=1e-12)


def test_growth_of_hoffmanns_constants():
    tex = np.array([*np.exp([0.5267228, 6.0073404, 6.0179186]), 0.33917084, 0.2849083])
    rounded = np.array([1.69, 406.4, 410.7, 0.34, 0.28])
    exponents = growth(np.stack([tex, rounded]))["a"]
    np.testing.assert_allclose(exponents, [0.4565, 0.4516], atol=5e-5)
    assert np.isnan(growth(np.array([1.0, 1.0, 1.0, 0.0, 0.3]))["a"])


def test_derived_numbers_come_with_intervals():
    x = planted.runs(80)
    result = fit(CHINCHILLA, x, losses(x, 0.002))
    derived = result.derived()
    truth = growth(TRUTH)
    for name in ("a", "b", "G"):
        low, high = derived[name].interval
        assert low < truth[name] < high
    assert derived["a"].value + derived["b"].value == pytest.approx(1.0)
    assert any(line.startswith("a  ") for line in result.summary().splitlines())
