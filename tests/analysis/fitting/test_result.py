"""A fit as a value: its curve, its band, its text and its JSON."""

import json
import pickle
from dataclasses import FrozenInstanceError

import numpy as np
import pytest

from analysis.estimate import Bootstrap
from analysis.fitting.fit import fit
from analysis.fitting.result import FitResult
from analysis.laws import POWER_LAW, SATURATING_POWER_LAW

X = np.geomspace(1e6, 1e9, 12)


@pytest.fixture(scope="module")
def result() -> FitResult:
    noise = 0.02 * np.random.default_rng(0).standard_normal(12)
    return fit(SATURATING_POWER_LAW, X, (1.7 + 300 * X**-0.35) * np.exp(noise))


def test_predict_is_the_equation(result: FitResult):
    p = result.params
    expected = p["E"] + p["A"] * X ** -p["alpha"]
    np.testing.assert_allclose(result.predict(X), expected, rtol=1e-12)
    np.testing.assert_array_equal(result.predict(X[:, None]), result.predict(X))


def test_band_holds_the_curve_widens_with_level_and_away_from_the_data(result: FitResult):
    far = np.append(X, [1e11, 1e13])
    low, high = result.predict_interval(far)
    curve = result.predict(far)
    assert np.all((low < curve) & (curve < high))
    inner_low, inner_high = result.predict_interval(far, level=0.5)
    assert np.all((low < inner_low) & (inner_high < high))
    width = np.log(high / low)
    assert width[-1] > width[-2] > width[:12].min()


def test_band_at_the_limit_of_large_x_is_the_interval_of_the_floor(result: FitResult):
    low, high = result.predict_interval(np.array([1e60]))
    np.testing.assert_allclose([low[0], high[0]], result.intervals["E"], rtol=1e-5)


def test_intervals_are_percentiles_of_the_replicates(result: FitResult):
    params = result.law.to_params(result.replicates)
    for column, name in enumerate(result.law.params):
        low, high = result.intervals[name]
        inside = np.mean((params[:, column] >= low) & (params[:, column] <= high))
        assert inside == pytest.approx(0.95, abs=0.003)


def test_json_restores_every_digit(result: FitResult):
    text = result.to_json()
    restored = FitResult.from_json(text)
    assert restored.to_json() == text
    assert restored.law is result.law
    assert restored.params == result.params
    assert restored.intervals == result.intervals
    assert restored.bootstrap == result.bootstrap
    assert restored.verdict is result.verdict
    np.testing.assert_array_equal(restored.predict_interval(X), result.predict_interval(X))


def test_json_is_strict_even_for_an_exact_fit():
    exact = fit(SATURATING_POWER_LAW, X, X**0.2)

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    json.loads(exact.to_json(), parse_constant=refuse)


def test_json_of_something_else_is_refused(result: FitResult):
    with pytest.raises(ValueError, match=r"missing fields .*'bootstrap'.*to_json"):
        FitResult.from_json('{"law": "power_law"}')
    with pytest.raises(ValueError, match="Not a FitResult"):
        FitResult.from_json("[1, 2]")
    other = result.to_dict() | {"law": "pwer_law"}
    with pytest.raises(ValueError, match="no law 'pwer_law'; did you mean 'power_law'"):
        FitResult.from_json(json.dumps(other))


def test_json_of_an_older_version_is_refused_with_the_fields_that_changed(result: FitResult):
    older = result.to_dict()
    bootstrap = older["bootstrap"] | {"n_units": None}
    del bootstrap["n_clusters"]
    says = (
        r"Not the bootstrap of a FitResult: missing fields \['n_clusters'\], unknown fields "
        r"\['n_units'\]\. Give .* of this version wrote, or fit the rows again"
    )
    with pytest.raises(ValueError, match=says):
        FitResult.from_dict(older | {"bootstrap": bootstrap})
    with pytest.raises(ValueError, match="Not the bootstrap"):
        FitResult.from_dict(older | {"bootstrap": None})


def test_a_law_of_ones_own_is_given_to_read_its_fit_back():
    own = SATURATING_POWER_LAW._replace(name="my_law")
    text = fit(own, X, 1.7 + 300 * X**-0.35, bootstrap=Bootstrap(n=200)).to_json()
    restored = FitResult.from_json(text, own)
    assert restored.law is own
    assert restored.to_json() == text
    np.testing.assert_allclose(restored.predict(X), 1.7 + 300 * X**-0.35, rtol=1e-9)
    with pytest.raises(ValueError, match=r"no law 'my_law'.*from_json\(text, law\)"):
        FitResult.from_json(text)
    with pytest.raises(ValueError, match=r"fit of my_law \(E, A, alpha\).*power_law \(A, alpha\)"):
        FitResult.from_json(text, POWER_LAW)
    renamed = own._replace(params=("E", "B", "alpha"))
    with pytest.raises(ValueError, match=r"the law is my_law \(E, B, alpha\)"):
        FitResult.from_json(text, renamed)


def test_a_result_is_frozen_and_can_be_pickled(result: FitResult):
    with pytest.raises(FrozenInstanceError):
        result.level = 0.5
    with pytest.raises(ValueError, match="read-only"):
        result.covariance[0, 0] = 0.0
    assert pickle.loads(pickle.dumps(result)).to_json() == result.to_json()


def test_a_result_keeps_the_rows_that_it_saw_but_writes_none(result: FitResult):
    seen = result.require_rows()
    np.testing.assert_array_equal(seen.x[:, 0], X)
    np.testing.assert_allclose(seen.y, result.predict(X) * np.exp(result.residuals))
    with pytest.raises(ValueError, match="read-only"):
        seen.x[0] = 1.0
    assert "rows" not in result.to_dict()
    with pytest.raises(ValueError, match=r"read from JSON.*Fit the rows again"):
        FitResult.from_json(result.to_json()).require_rows()


def test_summary_shows_what_a_reader_needs(result: FitResult):
    text = result.summary()
    assert "saturating_power_law: y = E + A x^-alpha" in text
    assert "converged: Fits agree for 35 of 35 starts." in text
    assert "95 % interval" in text
    for name, value in result.params.items():
        row = next(line for line in text.splitlines() if line.startswith(f"{name} "))
        assert f"{value:.6g}" in row and f"{result.intervals[name][0]:.6g}" in row
    assert "12 points" in text and "1000 replicates" in text and "seed 0" in text
    assert max(map(len, text.splitlines())) < 100


def test_x_without_a_logarithm_is_refused(result: FitResult):
    for method in (result.predict, result.predict_interval):
        with pytest.raises(ValueError, match=r"x\[1\] = 0.0"):
            method(np.array([1.0, 0.0]))


def test_a_level_that_the_replicates_cannot_resolve_is_refused(result: FitResult):
    with pytest.raises(ValueError, match="at least 10000"):
        result.predict_interval(X, level=0.999)


def test_a_fit_prints_nothing(capsys: pytest.CaptureFixture[str]):
    fit(POWER_LAW, X, X**-0.3)
    assert capsys.readouterr() == ("", "")
