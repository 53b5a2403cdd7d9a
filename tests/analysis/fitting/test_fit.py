"""Fits recover what was planted, move with units as they must, and judge themselves."""

import time

import numpy as np
import planted
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from analysis.errors import FitError
from analysis.estimate import Bootstrap, Redrawn
from analysis.fitting.engine.loss import Loss
from analysis.fitting.fit import estimate, fit
from analysis.fitting.result import FitResult
from analysis.fitting.verdict import Verdict
from analysis.laws import POWER_LAW, SATURATING_POWER_LAW, Law

PLANTED = {
    "power_law": [planted.POWER, (2e5, 0.8), (1e-4, -0.25)],
    "saturating_power_law": [planted.SATURATING, (0.02, 5e4, 0.6), (3.0, 8.0, 0.08)],
}
every_planted = pytest.mark.parametrize(
    ("law", "params"),
    [(law, params) for law in (POWER_LAW, SATURATING_POWER_LAW) for params in PLANTED[law.name]],
    ids=lambda value: value.name if isinstance(value, Law) else str(value),
)
every_law = pytest.mark.parametrize(
    "law", [POWER_LAW, SATURATING_POWER_LAW], ids=lambda law: law.name
)


def curve(law: Law, params: tuple[float, ...], x: np.ndarray) -> np.ndarray:
    return np.exp(law.log_predict(law.to_theta(np.array(params)), np.log(x)[:, None]))


def noisy(law: Law, x: np.ndarray, sigma: float = 0.02, seed: int = 0) -> np.ndarray:
    noise = sigma * np.random.default_rng(seed).standard_normal(len(x))
    return curve(law, PLANTED[law.name][0], x) * np.exp(noise)


def test_an_estimate_is_the_parameters_of_the_fit():
    x = np.geomspace(16, 4096, 9)
    y = noisy(SATURATING_POWER_LAW, x)
    held = {"fixed": {"alpha": 0.5}, "loss": Loss(1e-2)}
    found = fit(SATURATING_POWER_LAW, x, y, bootstrap=Bootstrap(n=200), **held)
    assert estimate(SATURATING_POWER_LAW, x, y, **held) == found.params


def test_starts_that_differ_in_linear_parameters_alone_end_as_one():
    x = np.geomspace(16, 4096, 9)
    y = noisy(SATURATING_POWER_LAW, x)
    starts = [
        [floor, scale, alpha] for floor in (0, 1) for scale in (1e-9, 1e9) for alpha in (0.3, 0.5)
    ]
    found = fit(SATURATING_POWER_LAW.starting_at(starts), x, y, bootstrap=Bootstrap(n=200))
    assert found.n_starts == found.n_starts_agreeing == len(starts)
    usual = estimate(SATURATING_POWER_LAW, x, y)
    np.testing.assert_allclose(list(found.params.values()), list(usual.values()), rtol=1e-6)


def estimates(result: FitResult) -> np.ndarray:
    return np.array(list(result.params.values()))


X = np.geomspace(1e6, 1e9, 10)


@every_planted
@pytest.mark.parametrize("delta", [None, 1e-3])
def test_noise_free_parameters_are_recovered(law: Law, params, delta: float | None):
    y = curve(law, params, X)
    result = fit(law, X, y, loss=Loss(delta))
    np.testing.assert_allclose(estimates(result), params, rtol=1e-6)
    assert result.verdict is Verdict.CONVERGED
    assert result.n_starts_agreeing >= (0.5 if delta else 1.0) * result.n_starts
    for name, value in zip(law.params, params, strict=True):
        np.testing.assert_allclose(result.intervals[name], value, rtol=1e-6)
    far = np.array([1e4, 1e12])
    np.testing.assert_allclose(result.predict(far), curve(law, params, far), rtol=1e-6)


def test_power_law_is_the_regression_line_with_its_textbook_errors():
    x = np.geomspace(1e6, 1e9, 40)
    y = noisy(POWER_LAW, x)
    result = fit(POWER_LAW, x, y, bootstrap=Bootstrap(kind="residuals", n=20_000))
    (slope, intercept), covariance = np.polyfit(np.log(x), np.log(y), 1, cov=True)
    slope_error, intercept_error = np.sqrt(np.diag(covariance))
    assert result.params["alpha"] == pytest.approx(-slope, rel=1e-10)
    assert np.log(result.params["A"]) == pytest.approx(intercept, rel=1e-10)
    assert result.standard_errors["alpha"] == pytest.approx(slope_error, rel=0.03)
    log_a_error = result.standard_errors["A"] / result.params["A"]
    assert log_a_error == pytest.approx(intercept_error, rel=0.03)
    half = stats.t.ppf(0.975, 38) * slope_error
    low, high = result.intervals["alpha"]
    assert low == pytest.approx(-slope - half, abs=0.05 * half)
    assert high == pytest.approx(-slope + half, abs=0.05 * half)
    assert result.objective == pytest.approx(0.5 * np.sum(result.residuals**2))


def test_covariance_of_a_saturating_fit_is_the_gauss_newton_one():
    law, x = SATURATING_POWER_LAW, np.geomspace(1e6, 1e9, 60)
    y = noisy(law, x, sigma=0.005)
    result = fit(law, x, y, bootstrap=Bootstrap(kind="residuals", n=20_000))
    # d log f / d params by central differences, in the units of x and y.
    params, columns = estimates(result), []
    for column, value in enumerate(params):
        step = np.zeros(3)
        step[column] = 1e-5 * value
        ends = [np.log(curve(law, tuple(params + sign * step), x)) for sign in (1, -1)]
        columns.append((ends[0] - ends[1]) / (2e-5 * value))
    jacobian = np.stack(columns, axis=1)
    variance = np.sum(result.residuals**2) / (60 - 3)
    expected = variance * np.linalg.inv(jacobian.T @ jacobian)
    errors = np.sqrt(np.diag(expected))
    np.testing.assert_allclose(list(result.standard_errors.values()), errors, rtol=0.05)
    np.testing.assert_allclose(
        result.covariance / np.outer(errors, errors),
        expected / np.outer(errors, errors),
        atol=0.1,
    )


@every_law
@settings(deadline=None, max_examples=15)
@given(log_c=st.floats(-15, 15), log_k=st.floats(-10, 10))
def test_units_of_x_and_y_move_the_scale_alone(law: Law, log_c: float, log_k: float):
    y = noisy(law, X)
    c, k = np.exp(log_c), np.exp(log_k)
    here = fit(law, X, y, bootstrap=Bootstrap(n=200))
    there = fit(law, c * X, k * y, bootstrap=Bootstrap(n=200))
    # The solver stops within a millionth of a standard error.
    a_millionth = {name: 1e-6 * error for name, error in here.standard_errors.items()}
    alpha, scale = here.params["alpha"], here.params["A"]
    assert there.params["alpha"] == pytest.approx(alpha, abs=a_millionth["alpha"])
    # A x^-alpha is unchanged when A takes on the units of y and of x^alpha.
    rel = a_millionth["A"] / scale + a_millionth["alpha"] * abs(log_c)
    assert there.params["A"] == pytest.approx(scale * k * c**alpha, rel=rel)
    if "E" in law.params:
        assert there.params["E"] == pytest.approx(k * here.params["E"], abs=k * a_millionth["E"])
    np.testing.assert_allclose(there.intervals["alpha"], here.intervals["alpha"], rtol=1e-5)
    assert there.verdict is here.verdict


@every_law
@pytest.mark.parametrize("kind", ["residuals", "curve", "within_x", "clusters"])
@settings(deadline=None, max_examples=8)
@given(seed=st.integers(0, 1000))
def test_order_of_rows_is_irrelevant(law: Law, kind: Redrawn, seed: int):
    x = X if kind in ("residuals", "curve") else np.repeat(X[::2], 6)
    y = noisy(law, x)
    clusters = np.tile(np.arange(6), 5) if kind == "clusters" else None
    order = np.random.default_rng(seed).permutation(len(x))
    how = Bootstrap(n=200, kind=kind)
    here = fit(law, x, y, clusters=clusters, bootstrap=how)
    there = fit(
        law,
        x[order],
        y[order],
        clusters=None if clusters is None else clusters[order],
        bootstrap=how,
    )
    assert here.bootstrap == there.bootstrap
    assert here.bootstrap.resampling == kind
    assert there.params == here.params
    assert there.intervals == here.intervals
    np.testing.assert_array_equal(there.residuals, here.residuals[order])


@every_law
@pytest.mark.parametrize("delta", [None, 0.01])
def test_repeating_every_row_moves_no_estimate(law: Law, delta: float | None):
    y = noisy(law, X)
    once = fit(law, X, y, loss=Loss(delta))
    thrice = fit(law, np.tile(X, 3), np.tile(y, 3), loss=Loss(delta))
    np.testing.assert_allclose(estimates(thrice), estimates(once), rtol=1e-6)
    assert thrice.objective == pytest.approx(3 * once.objective, rel=1e-9)


def test_rows_at_one_x_are_fitted_to_the_mean_of_log_y():
    x = np.repeat(X, 7)
    y = noisy(SATURATING_POWER_LAW, x, sigma=0.3)
    rows = fit(SATURATING_POWER_LAW, x, y)
    geometric_means = np.exp(np.log(y).reshape(-1, 7).mean(axis=1))
    means = fit(SATURATING_POWER_LAW, X, geometric_means)
    # Within what rounding of the objective hides, of the order of sqrt(epsilon) standard errors.
    difference = np.abs(estimates(rows) - estimates(means))
    assert np.all(difference < 1e-6 * np.array(list(rows.standard_errors.values())))
    np.testing.assert_allclose(np.exp(rows.residuals) * rows.predict(x), y, rtol=1e-12)


@every_law
def test_huber_ignores_a_wild_row_that_squared_error_does_not(law: Law):
    truth = PLANTED[law.name][0]
    y = noisy(law, X, sigma=0.001)
    y[2] *= 1.5
    squared, robust = fit(law, X, y), fit(law, X, y, loss=Loss(0.002))
    miss = {
        each.loss.delta: abs(each.params["alpha"] / truth[-1] - 1) for each in (squared, robust)
    }
    assert miss[0.002] < 0.02
    assert miss[None] > 0.08


@every_law
def test_same_seed_same_result_and_another_seed_another(law: Law):
    y = noisy(law, X)
    assert (
        fit(law, X, y, bootstrap=Bootstrap(seed=3)).to_json()
        == fit(law, X, y, bootstrap=Bootstrap(seed=3)).to_json()
    )
    other = fit(law, X, y, bootstrap=Bootstrap(seed=4))
    assert other.params == fit(law, X, y, bootstrap=Bootstrap(seed=3)).params
    assert other.intervals != fit(law, X, y, bootstrap=Bootstrap(seed=3)).intervals


def test_a_thousand_replicates_of_160_rows_take_less_than_two_seconds():
    x = np.repeat(np.geomspace(1e6, 1e9, 8), 20)
    y = noisy(SATURATING_POWER_LAW, x)
    for delta in (None, 0.01):
        start = time.perf_counter()
        fit(SATURATING_POWER_LAW, x, y, loss=Loss(delta))
        assert time.perf_counter() - start < 2.0


@every_law
@pytest.mark.parametrize("bad", [0.0, -1.0, np.nan, np.inf])
@pytest.mark.parametrize("column", ["x", "y"])
def test_values_without_a_logarithm_are_refused_by_row(law: Law, bad: float, column: str):
    rows = {"x": X.copy(), "y": noisy(law, X)}
    rows[column][4] = bad
    with pytest.raises(ValueError, match=rf"{column}\[4\] = {bad}, but it must be positive"):
        fit(law, **rows)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"y": np.ones(9)}, r"y has shape \(9,\).*10 rows"),
        ({"x": np.ones((10, 2))}, r"x has shape \(10, 2\).*1 input"),
        ({"y": ["much"] * 10}, r"y holds .* not a number \(.*'much'\)\. Give numbers only"),
        ({"x": [[1.0], [2.0, 3.0]]}, r"x holds .* Give numbers only, in rows of one length"),
        ({"clusters": np.arange(3)}, r"clusters has shape \(3,\).*10 rows"),
        ({"clusters": [None, "a"] * 5}, r"clusters are labels of one type.*Give all of them"),
        ({"bootstrap": Bootstrap(n=np.nan)}, r"n = nan.*at least 200"),
        ({"bootstrap": Bootstrap(level=1.0)}, r"level = 1.0.*between 0 and 1"),
        ({"bootstrap": Bootstrap(n=199)}, r"n = 199.*at least 200"),
        (
            {"bootstrap": Bootstrap(n=500, level=0.99)},
            r"n = 500.*99 % interval: give at least 1000",
        ),
        ({"bootstrap": Bootstrap(kind="cases")}, r"'cases'.*clusters, within_x, residuals"),
        ({"bootstrap": Bootstrap(kind="clusters")}, r"`clusters` missing"),
        (
            {"clusters": np.arange(10), "bootstrap": Bootstrap(kind="residuals")},
            r"`clusters` given",
        ),
    ],
)
def test_arguments_at_fault_are_named_with_a_remedy(change: dict, message: str):
    arguments = {"x": X, "y": noisy(POWER_LAW, X)} | change
    with pytest.raises(ValueError, match=message):
        fit(POWER_LAW, **arguments)


def test_a_negative_seed_is_refused():
    with pytest.raises(ValueError, match=r"seed = -1, but .* at least 0\. Give"):
        Bootstrap(seed=-1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"delta": 0.0}, r"delta = 0.0.*positive"),
        ({"above": 0.0}, r"above = 0.0.*positive and finite"),
        ({"scale": "plain"}, r"scale = 'plain'.*log, linear"),
    ],
)
def test_losses_that_are_none_are_named_with_a_remedy(arguments: dict, message: str):
    with pytest.raises(ValueError, match=message):
        Loss(**arguments)


@pytest.mark.parametrize(
    ("x", "clusters", "kind", "message"),
    [
        ([], None, None, r"3 parameters \(E, A, alpha\).*0 rows: give at least 4"),
        ([1.0, 2.0, 3.0], None, None, r"3 rows: give at least 4"),
        ([5.0] * 6, None, None, r"1 distinct x: give rows at 3 distinct x"),
        ([1.0, 2.0, 3.0, 4.0, 4.0], None, "within_x", r"3 of 4 distinct x have one row"),
        ([1.0, 2.0, 4.0, 8.0] * 4, np.repeat(range(4), 4), None, r"4 clusters are too few"),
    ],
)
def test_rows_that_cannot_support_the_fit_are_refused(x, clusters, kind, message: str):
    y = 1.0 + 1.0 / np.array(x, dtype=float)
    with pytest.raises(FitError, match=message):
        fit(SATURATING_POWER_LAW, x, y, clusters=clusters, bootstrap=Bootstrap(kind=kind))


def test_parameters_beyond_float64_are_refused_with_a_remedy():
    x = np.geomspace(1e200, 1e203, 8)
    y = 2.0 * (x / 1e200) ** -3.0
    with pytest.raises(FitError, match=r"beyond the range of float64.*millions of parameters"):
        fit(POWER_LAW, x, y)
