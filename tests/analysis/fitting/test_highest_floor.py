"""The highest floor: planted truths, and the option of both commands."""

import numpy as np
import pytest

from analysis.errors import FitError
from analysis.estimate import Bootstrap
from analysis.fitting.extrapolation import extrapolation
from analysis.fitting.fit import fit
from analysis.fitting.highest_floor import at_highest_floor, highest_floor
from analysis.fitting.result import FitResult
from analysis.laws import M4, POWER_LAW, SATURATING_POWER_LAW

X = np.geomspace(1e3, 1e7, 25)
CURVE = 0.5 + 30 * X**-0.4
FEW = Bootstrap(n=200)


def test_a_planted_floor_is_found():
    found = highest_floor(X, CURVE)
    assert found is not None and found.bend == 0
    assert found.floor == pytest.approx(0.5, abs=1e-6)
    assert found.exponent == pytest.approx(0.4, abs=1e-5)
    assert np.exp(found.log_b) == pytest.approx(30, rel=1e-4)
    bent = M4.log_predict(M4.to_theta(np.array([0.5, 4.0, 30.0, 0.4, 0.7])), np.log(X)[:, None])
    found = highest_floor(X, np.exp(bent), ceiling=4.5)
    assert found is not None
    assert [found.floor, found.exponent, found.bend] == pytest.approx([0.5, 0.4, 0.7], abs=1e-3)


def test_a_curve_without_a_floor_has_none():
    assert highest_floor(X, 30 * X**-0.4 * np.exp(-0.01 * np.log(X) ** 2)) is None
    same = fit(at_highest_floor(SATURATING_POWER_LAW), X, 30 * X**-0.4, bootstrap=FEW)
    assert same.fixed == () or same.params["E"] < 1e-3


def test_a_fit_holds_the_floor_and_is_read_back():
    found = fit(at_highest_floor(SATURATING_POWER_LAW), X, CURVE, bootstrap=FEW)
    assert found.fixed == ("E",)
    assert list(found.params.values()) == pytest.approx([0.5, 30, 0.4], rel=1e-4)
    again = FitResult.from_json(found.to_json())
    np.testing.assert_array_equal(again.predict(X), found.predict(X))
    held = fit(at_highest_floor(SATURATING_POWER_LAW), X, CURVE, fixed={"E": 0.4}, bootstrap=FEW)
    assert held.params["E"] == 0.4
    assert at_highest_floor(POWER_LAW) is POWER_LAW


@pytest.mark.parametrize(
    "law",
    [SATURATING_POWER_LAW, pytest.param(M4, marks=pytest.mark.slow)],
    ids=lambda law: law.name,
)
def test_the_floor_is_above_that_of_least_error_where_noise_hides_it(law):
    y = CURVE * np.exp(0.01 * np.random.default_rng(1).standard_normal(25))
    least, highest = (fit(each, X, y, bootstrap=FEW) for each in (law, at_highest_floor(law)))
    assert highest.objective >= least.objective * (1 - 1e-9)
    assert 0 < highest.params["E"] < y.min()


def test_windows_are_predicted_as_the_fit_predicts():
    law = at_highest_floor(SATURATING_POWER_LAW)
    y = CURVE * np.exp(0.005 * np.random.default_rng(2).standard_normal(25))
    (window, *_) = extrapolation(law, X, y).windows
    below = X <= window.fitted_to
    scored = (X >= window.scored_from) & (X <= window.scored_to)
    expected = fit(law, X[below], y[below], bootstrap=FEW).predict(X[scored])
    np.testing.assert_allclose(window.log_errors, np.log(y[scored] / expected), atol=1e-9)


@pytest.mark.slow
def test_rows_that_show_no_ceiling_still_have_an_answer():
    try:
        found = fit(at_highest_floor(M4), X[:7], CURVE[:7], bootstrap=FEW)
    except FitError as error:
        assert "rows" in str(error)
    else:
        assert found.params["E"] >= 0
