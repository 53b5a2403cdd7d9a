"""Profile likelihood against textbook intervals, closed forms and brute force."""

import numpy as np
import pytest
from scipy import integrate, optimize, stats

from analysis.errors import FitError
from analysis.estimate import Bootstrap
from analysis.fitting.engine.likelihood import deviance, deviance_limit
from analysis.fitting.engine.loss import Loss
from analysis.fitting.fit import fit
from analysis.fitting.profile import profile_likelihood
from analysis.fitting.result import FitResult
from analysis.laws import CHINCHILLA, POWER_LAW, SATURATING_POWER_LAW

X = np.geomspace(1e6, 1e9, 12)


def noisy(sigma: float = 0.05, seed: int = 0) -> np.ndarray:
    return 30 * X**-0.1 * np.exp(sigma * np.random.default_rng(seed).standard_normal(len(X)))


@pytest.mark.parametrize("copies", [1, 3])
def test_of_a_line_it_is_students_interval(copies: int):
    x = np.repeat(X, copies)
    # Of this noise the trend is not significant: where it is, the likelihood is not left as it is.
    y = np.repeat(noisy(seed=1), copies) * np.exp(np.random.default_rng(1).normal(0, 0.02, len(x)))
    result = fit(POWER_LAW, x, y, bootstrap=Bootstrap(n=200))
    profiles = profile_likelihood(result)
    columns = np.stack([np.ones(len(x)), -np.log(x)], axis=1)
    estimate, rss = np.linalg.lstsq(columns, np.log(y), rcond=None)[:2]
    errors = np.sqrt(np.diag(np.linalg.inv(columns.T @ columns)) * rss / (len(x) - 2))
    half = stats.t.ppf(0.975, len(x) - 2) * errors
    for name, centre, reach in zip(("A", "alpha"), estimate, half, strict=True):
        found = profiles[name].interval
        ends = np.log(found) if name == "A" else found
        np.testing.assert_allclose(ends, [centre - reach, centre + reach], rtol=1e-6)


def test_some_are_profiled_as_all_are_and_what_is_held_is_not():
    result = fit(SATURATING_POWER_LAW, X, noisy() + 1, bootstrap=Bootstrap(n=200), fixed={"A": 30})
    every = profile_likelihood(result)
    assert every.keys() == {"E", "alpha"}
    (some,) = profile_likelihood(result, ["alpha"]).values()
    assert some.interval == every["alpha"].interval
    with pytest.raises(ValueError, match="'A' is no parameter"):
        profile_likelihood(result, ["A"])


def test_it_is_the_minimum_over_the_others():
    x = np.geomspace(1e6, 1e9, 30)
    y = (1.7 + 300 * x**-0.35) * np.exp(0.01 * np.random.default_rng(0).standard_normal(30))
    result = fit(SATURATING_POWER_LAW, x, y, loss=Loss(0.005), bootstrap=Bootstrap(n=200))
    profile = profile_likelihood(result)["alpha"]
    assert np.all(np.diff(profile.values) > 0)
    assert profile.deviance.min() == 0.0
    for k in (0, len(profile.values) - 1):
        alpha = profile.values[k]

        def objective(theta: np.ndarray, alpha: float = alpha) -> float:
            size = np.abs(np.log(y) - np.log(theta[0] + np.exp(theta[1]) * (x / 1e7) ** -alpha))
            return float(np.where(size < 0.005, size**2 / 2, 0.005 * (size - 0.0025)).sum()) * 1e4

        found = optimize.minimize(objective, [1.7, 0.0], method="Nelder-Mead", tol=1e-10)
        expected = deviance(np.array([found.fun / 1e4]), result.objective, 30, Loss(0.005))[0]
        assert profile.deviance[k] == pytest.approx(expected, rel=1e-5)


def test_ends_have_the_deviance_of_the_level_and_widen_with_it():
    result = fit(POWER_LAW, X, noisy(), bootstrap=Bootstrap(n=200))
    narrow, wide = (profile_likelihood(result, level=level)["alpha"] for level in (0.5, 0.99))
    assert wide.interval[0] < narrow.interval[0] < narrow.estimate
    assert narrow.estimate < narrow.interval[1] < wide.interval[1]
    at_end = np.interp(wide.interval[1], wide.values, np.sqrt(wide.deviance))
    assert at_end == pytest.approx(np.sqrt(wide.limit), rel=0.01)


def test_units_and_a_factor_of_all_weights_change_nothing_else():
    x = np.geomspace(1e6, 1e9, 30)
    y = (1.7 + 300 * x**-0.35) * np.exp(0.01 * np.random.default_rng(0).standard_normal(30))
    law, n_replicates = SATURATING_POWER_LAW, 200
    here = profile_likelihood(fit(law, x, y, bootstrap=Bootstrap(n=n_replicates)))
    weights = np.full(30, 7.0)
    scaled = fit(law, 1e-6 * x, 5 * y, weights=weights, bootstrap=Bootstrap(n=n_replicates))
    there = profile_likelihood(scaled)
    np.testing.assert_allclose(there["alpha"].interval, here["alpha"].interval, rtol=1e-5)
    np.testing.assert_allclose(
        there["E"].interval, 5 * np.array(here["E"].interval), rtol=1e-5, atol=1e-12
    )


def test_an_open_side_is_named():
    # A floor far below the rows: no value is too small for them.
    y = np.exp(0.02 * np.random.default_rng(3).standard_normal(12)) * 30 * X**-0.2
    result = fit(SATURATING_POWER_LAW, X, y, bootstrap=Bootstrap(n=200))
    profile = profile_likelihood(result)["E"]
    assert profile.open_sides == ("lower",)
    assert not profile.identifiable
    assert profile.interval[0] == 0.0 < profile.interval[1] < np.inf
    assert "E is not identifiable from these rows: no value is too small" in profile.reason


@pytest.mark.medium
def test_a_term_that_the_rows_do_not_show_is_open():
    rng = np.random.default_rng(0)
    x = np.exp(rng.uniform(np.log([5e7, 1e9]), np.log([1e10, 3e11]), (40, 2)))
    y = (1.8 + 480 * x[:, 0] ** -0.35) * np.exp(0.01 * rng.standard_normal(40))
    profiles = profile_likelihood(fit(CHINCHILLA, x, y, bootstrap=Bootstrap(n=200)))
    assert not profiles["beta"].identifiable
    assert "lower" in profiles["B"].open_sides
    assert profiles["B"].interval[0] == 0.0
    assert profiles["alpha"].identifiable


def test_huber_density_integrates_to_one_and_its_limits_are_known():
    least, n_rows = 0.3, 40
    objective = np.array([0.3, 0.4, 0.9])
    normal = n_rows * np.log(objective / least)
    np.testing.assert_allclose(deviance(objective, least, n_rows, Loss()), normal)
    np.testing.assert_allclose(deviance(objective, least, n_rows, Loss(1e4)), normal, rtol=1e-6)
    # Exponential noise, of mean size S / (n delta): 2 n log of the ratio.
    np.testing.assert_allclose(
        deviance(objective, least, n_rows, Loss(1e-6)), 2 * normal, rtol=1e-4, atol=1e-9
    )

    def log_likelihood(total: float, delta: float) -> float:
        def negative(log_s: float) -> float:
            s = np.exp(log_s)
            inner = integrate.quad(lambda r: np.exp(-(r**2) / (2 * s**2)), 0, delta)[0]
            outer = integrate.quad(
                lambda r: np.exp(-delta * (r - delta / 2) / s**2), delta, np.inf
            )[0]
            return total / s**2 + n_rows * np.log(2 * (inner + outer))

        found = optimize.minimize(lambda theta: negative(theta[0]), [-2.0], tol=1e-12)
        return -float(found.fun)

    expected = 2 * (log_likelihood(0.3, 0.1) - log_likelihood(0.9, 0.1))
    assert deviance(objective, least, n_rows, Loss(0.1))[2] == pytest.approx(expected, rel=1e-5)


def test_limit_is_chi_squared_for_many_rows_and_wider_for_few():
    assert deviance_limit(0.95, 10**6, 5) == pytest.approx(stats.chi2.ppf(0.95, 1), rel=1e-4)
    assert deviance_limit(0.95, 8, 5) > 2 * stats.chi2.ppf(0.95, 1)


def test_missing_rows_exact_rows_and_impossible_levels_are_refused():
    result = fit(POWER_LAW, X, noisy(), bootstrap=Bootstrap(n=200))
    with pytest.raises(ValueError, match=r"read from JSON.*Fit the rows again"):
        profile_likelihood(FitResult.from_json(result.to_json()))
    with pytest.raises(ValueError, match=r"level = 1.5"):
        profile_likelihood(result, level=1.5)
    exact = fit(POWER_LAW, X, X**-0.3, bootstrap=Bootstrap(n=200))
    with pytest.raises(FitError, match="without noise"):
        profile_likelihood(exact)
