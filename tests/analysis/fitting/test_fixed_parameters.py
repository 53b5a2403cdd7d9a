"""Parameters that are held: the others are fitted as if the law had no more."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from analysis.errors import FitError
from analysis.estimate import Bootstrap, Floats
from analysis.fitting.engine.coordinates import in_own_units, to_callers_units
from analysis.fitting.engine.loss import Loss
from analysis.fitting.engine.observations import checked_rows, observe
from analysis.fitting.fit import fit
from analysis.fitting.information import information
from analysis.fitting.profile import profile_likelihood
from analysis.fitting.result import FitResult
from analysis.laws import CHINCHILLA, DATA_CONSTRAINED, POWER_LAW, SATURATING_POWER_LAW
from analysis.planning.allocate import allocate

X = np.geomspace(1e6, 1e9, 30)
Y = (1.7 + 300 * X**-0.35) * np.exp(0.01 * np.random.default_rng(0).standard_normal(30))
TRUTH = {"E": 1.7, "A": 300.0, "alpha": 0.35}


def plane(n_rows: int = 60) -> tuple[Floats, Floats]:
    rng = np.random.default_rng(0)
    x = np.exp(rng.uniform(np.log([5e7, 1e9]), np.log([1e10, 3e11]), (n_rows, 2)))
    noise = np.exp(0.005 * rng.standard_normal(n_rows))
    return x, (1.8 + 480 * x[:, 0] ** -0.35 + 2100 * x[:, 1] ** -0.37) * noise


def test_a_floor_held_at_0_leaves_the_power_law():
    how = Bootstrap(kind="residuals")
    here = fit(SATURATING_POWER_LAW, X, Y, fixed={"E": 0.0}, bootstrap=how)
    power = fit(POWER_LAW, X, Y, bootstrap=how)
    for name in ("A", "alpha"):
        assert here.params[name] == pytest.approx(power.params[name], rel=1e-9)
        assert here.standard_errors[name] == pytest.approx(power.standard_errors[name], rel=1e-6)
        np.testing.assert_allclose(here.intervals[name], power.intervals[name], rtol=1e-6)
    assert here.objective == pytest.approx(power.objective, rel=1e-12)
    assert here.bootstrap == power.bootstrap
    assert here.bounds_hit == ()
    assert information(here) == pytest.approx(information(power))


@pytest.mark.parametrize("name", TRUTH)
@pytest.mark.parametrize("delta", [None, 0.005])
@pytest.mark.parametrize("scale", ["log", "linear"])
def test_what_is_left_is_at_its_minimum(name: str, delta: float | None, scale):
    held = {name: 1.02 * TRUTH[name]}
    result = fit(
        SATURATING_POWER_LAW,
        X,
        Y,
        fixed=held,
        loss=Loss(delta, scale=scale),
        bootstrap=Bootstrap(n=200),
    )
    left = [other for other in TRUTH if other != name]

    def objective(factors: Floats) -> float:
        p = held | {
            other: factor * result.params[other]
            for other, factor in zip(left, factors, strict=True)
        }
        curve = p["E"] + p["A"] * X ** -p["alpha"]
        off = np.log(Y / curve) if scale == "log" else Y - curve
        return 1e4 * float(Loss(delta).value(off).sum())

    at_fit = objective(np.ones(2))
    assert result.objective == pytest.approx(at_fit / 1e4, rel=1e-9)
    found = minimize(objective, np.array([1.001, 0.999]), method="Nelder-Mead", tol=1e-12)
    assert found.fun == pytest.approx(at_fit, rel=1e-9)
    assert result.params[name] == held[name]


def test_the_result_holds_all_parameters_and_the_held_ones_without_error():
    x, y = plane()
    result = fit(CHINCHILLA, x, y, fixed={"alpha": 0.35, "E": 1.8}, bootstrap=Bootstrap(n=300))
    assert list(result.params) == list(CHINCHILLA.params)
    assert result.fixed == ("E", "alpha")
    for name, value in {"alpha": 0.35, "E": 1.8}.items():
        column = CHINCHILLA.params.index(name)
        assert result.params[name] == value
        assert result.standard_errors[name] == 0.0
        assert result.intervals[name] == (value, value)
        assert np.all(result.replicates[:, column] == value)
        assert np.all(result.covariance[column] == 0.0)
    assert all(result.standard_errors[name] > 0 for name in ("A", "B", "beta"))
    assert FitResult.from_json(result.to_json()).fixed == ("E", "alpha")
    assert "alpha" in result.summary() and "held" in result.summary()
    # What takes a fit takes this one.
    low, high = result.predict_interval(x[:3])
    assert np.all((low < result.predict(x[:3])) & (result.predict(x[:3]) < high))
    assert allocate(result, 1e21).parameters.value > 0
    assert result.derived()["a"].standard_error > 0


def test_what_follows_from_held_parameters_alone_has_no_error():
    x, y = plane()
    result = fit(CHINCHILLA, x, y, fixed={"alpha": 0.35, "beta": 0.37}, bootstrap=Bootstrap(n=200))
    assert result.derived()["a"].standard_error == 0.0
    assert result.derived()["G"].standard_error > 0


def test_holding_an_estimate_changes_no_other_and_shrinks_their_errors():
    free = fit(SATURATING_POWER_LAW, X, Y)
    held = fit(SATURATING_POWER_LAW, X, Y, fixed={"A": free.params["A"]})
    for name in ("E", "alpha"):
        assert held.params[name] == pytest.approx(free.params[name], rel=1e-6)
        assert held.standard_errors[name] < 0.5 * free.standard_errors[name]
    assert held.objective == pytest.approx(free.objective, rel=1e-9)


@settings(deadline=None, max_examples=10)
@given(log_c=st.floats(-10, 10), log_k=st.floats(-5, 5))
def test_units_move_a_held_scale_as_they_must(log_c: float, log_k: float):
    c, k = np.exp(log_c), np.exp(log_k)
    # With alpha held too, A's units are known.
    here = fit(
        SATURATING_POWER_LAW, X, Y, fixed={"A": 280.0, "alpha": 0.35}, bootstrap=Bootstrap(n=200)
    )
    fixed = {"A": 280.0 * k * c**0.35, "alpha": 0.35}
    there = fit(SATURATING_POWER_LAW, c * X, k * Y, fixed=fixed, bootstrap=Bootstrap(n=200))
    assert there.params["E"] == pytest.approx(k * here.params["E"], rel=1e-8)
    assert there.standard_errors["E"] == pytest.approx(k * here.standard_errors["E"], rel=1e-5)


def test_profiles_are_those_of_the_law_without_what_is_held():
    here = fit(SATURATING_POWER_LAW, X, Y, fixed={"E": 0.0}, bootstrap=Bootstrap(n=200))
    found = profile_likelihood(here)
    expected = profile_likelihood(fit(POWER_LAW, X, Y, bootstrap=Bootstrap(n=200)))
    assert set(found) == {"A", "alpha"}
    for name, profile in found.items():
        np.testing.assert_allclose(profile.interval, expected[name].interval, rtol=1e-6)


def test_a_profile_with_a_scale_held_is_the_minimum_over_the_rest():
    result = fit(SATURATING_POWER_LAW, X, Y, fixed={"A": 300.0}, bootstrap=Bootstrap(n=200))
    profile = profile_likelihood(result)["alpha"]
    for alpha, expected in zip(profile.values[::5], profile.deviance[::5], strict=True):
        held = {"A": 300.0, "alpha": float(alpha)}
        alone = fit(SATURATING_POWER_LAW, X, Y, fixed=held, bootstrap=Bootstrap(n=200))
        ratio = alone.objective / result.objective
        assert len(X) * np.log(ratio) == pytest.approx(expected, rel=1e-5, abs=1e-6)


def test_starts_of_a_caller_keep_what_is_held():
    starts = [[1.0, 100.0, 0.2], [2.0, 1000.0, 0.5]]
    fixed = {"alpha": 0.35}
    result = fit(
        SATURATING_POWER_LAW.starting_at(starts), X, Y, fixed=fixed, bootstrap=Bootstrap(n=200)
    )
    usual = fit(SATURATING_POWER_LAW, X, Y, fixed=fixed, bootstrap=Bootstrap(n=200))
    assert result.n_starts == result.n_starts_agreeing == 2
    assert result.objective == pytest.approx(usual.objective, rel=1e-10)


def test_one_parameter_can_be_fitted_to_rows_too_few_for_all():
    result = fit(
        SATURATING_POWER_LAW, X[:3], Y[:3], fixed={"E": 1.7, "A": 300.0}, bootstrap=Bootstrap(n=200)
    )
    assert result.params["alpha"] == pytest.approx(0.35, abs=0.01)
    with pytest.raises(FitError, match=r"3 parameters.*3 rows: give at least 4"):
        fit(SATURATING_POWER_LAW, X[:3], Y[:3], bootstrap=Bootstrap(n=200))


def test_a_coordinate_in_its_own_units_maps_back():
    rows = observe(CHINCHILLA, checked_rows(CHINCHILLA, *plane()))
    to_raw = to_callers_units(CHINCHILLA, rows)
    theta = np.array([0.7, -1.9, -2.0, 0.4, 0.5])
    raw = to_raw(theta)
    expected = CHINCHILLA.rescale(theta, rows.log_x_scale, rows.log_y_scale)
    np.testing.assert_allclose(raw, expected, rtol=1e-13)
    mixed = theta.copy()
    mixed[[1, 3]] = raw[[1, 3]]
    np.testing.assert_allclose(in_own_units(to_raw, [1, 3], [1, 3])(mixed), theta, rtol=1e-12)


@pytest.mark.parametrize(
    ("fixed", "message"),
    [
        (
            {"alhpa": 0.3},
            r"'alhpa' is no parameter of saturating_power_law; did you mean 'alpha'\?",
        ),
        ({"zeta": 0.3}, r"'zeta' is no parameter.*valid: A, E, alpha"),
        ({"A": 0.0}, r"A = 0.0.*it is > 0 and finite"),
        ({"A": -3.0}, r"A = -3.0"),
        ({"E": -0.1}, r"E = -0.1.*at least 0 and finite"),
        ({"E": np.nan}, r"E = nan"),
        ({"alpha": 30.0}, r"alpha = 30.0.*at most 10"),
        ({"E": 1.0, "A": 2.0, "alpha": 0.3}, r"holds every parameter.*nothing is left to fit"),
    ],
)
def test_what_cannot_be_held_is_refused(fixed: dict[str, float], message: str):
    with pytest.raises(ValueError, match=message):
        fit(SATURATING_POWER_LAW, X, Y, fixed=fixed)


def test_bounds_of_a_logarithm_are_told_as_those_of_the_parameter():
    with pytest.raises(ValueError, match=r"R_D = 1000000.0.*at most 10000"):
        fit(DATA_CONSTRAINED, np.ones((9, 3)), np.ones(9), fixed={"R_D": 1e6})
