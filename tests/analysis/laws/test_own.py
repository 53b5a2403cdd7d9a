"""A law of one's own: the documented example works, and a faulty law is refused with a remedy."""

import pickle
import re
import sys
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.errors import FitError
from analysis.estimate import Bootstrap, Floats
from analysis.fitting.engine.loss import Loss
from analysis.fitting.fit import fit
from analysis.fitting.profile import profile_likelihood
from analysis.fitting.verdict import Verdict
from analysis.laws import CHINCHILLA, Law
from analysis.laws.own import Parameter, law_of
from analysis.tables import read as sources

PAGE = Path(__file__).parents[3] / "docs/own_law.md"
TRUTH = {"E": 1.7, "A": 400.0, "B": 2000.0, "alpha": 0.34, "beta": 0.37, "gamma": 2.6}
RNG = np.random.default_rng(0)
ROWS = np.column_stack(
    [
        np.exp(RNG.uniform(np.log([3e7, 1e9]), np.log([3e9, 3e11]), (80, 2))),
        RNG.choice([3.0, 4.0, 6.0, 8.0, 12.0, 16.0], 80),
    ]
)


def shown() -> str:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    return code


@pytest.fixture
def own_law(tmp_path, monkeypatch) -> Law:
    (tmp_path / "mypackage").mkdir()
    (tmp_path / "mypackage/mymodule.py").write_text(shown())
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("mypackage", "mypackage.mymodule"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return import_module("mypackage.mymodule").MY_LAW


def precision() -> Floats:
    n, d, bits = ROWS.T
    counted = n * (1 - np.exp(-bits / TRUTH["gamma"]))
    of_n, of_d = TRUTH["A"] * counted ** -TRUTH["alpha"], TRUTH["B"] * d ** -TRUTH["beta"]
    return TRUTH["E"] + of_n + of_d


def test_the_law_shown_takes_about_twenty_lines():
    assert len([line for line in shown().splitlines() if line.strip()]) <= 25


def test_the_law_shown_recovers_what_was_planted(own_law: Law):
    exact = fit(own_law, ROWS, precision(), bootstrap=Bootstrap(n=200))
    assert exact.params == pytest.approx(TRUTH, rel=1e-6)
    noise = np.exp(0.005 * np.random.default_rng(1).standard_normal(len(ROWS)))
    result = fit(own_law, ROWS, precision() * noise)
    assert result.verdict is Verdict.CONVERGED
    for name, true in TRUTH.items():
        low, high = result.intervals[name]
        assert low < true < high


def test_the_law_shown_is_read_from_a_table(own_law: Law, tmp_path):
    table = pd.DataFrame(ROWS, columns=["params", "tokens", "bits"]).assign(val_loss=precision())
    table.to_csv(tmp_path / "runs.csv", index=False)
    (command,) = re.findall(r"scaling fit .*", PAGE.read_text())
    declared = re.search(r"--columns (\S+)", command)
    assert declared is not None
    needs = (*own_law.inputs, own_law.output)
    read = sources.read(tmp_path / "runs.csv", declared[1], needs=needs).table
    result = fit(own_law, read[list(own_law.inputs)], read["loss"], bootstrap=Bootstrap(n=200))
    assert result.params == pytest.approx(TRUTH, rel=1e-6)


EXPONENT = Parameter((0.1, 0.8), bounds=(0.0, 10.0))
COEFFICIENT = Parameter((10.0, 1e5), is_log=True, has_unit_of_y=True)
PARAMS = {
    "E": Parameter((0.5, 2.0), has_unit_of_y=True, bounds=(0.0, np.inf)),
    "A": COEFFICIENT,
    "B": COEFFICIENT,
    "alpha": EXPONENT,
    "beta": EXPONENT,
}
OPTIONS = {
    "name": "mine",
    "formula": "L = E + A N^-alpha + B D^-beta",
    "inputs": ("N", "D"),
    "params": PARAMS,
}


def sum_of_powers(n, d, *, E, A, B, alpha, beta):
    return E + A * n**-alpha + B * d**-beta


def own(function=sum_of_powers, **changed) -> Law:
    return law_of(function, **(OPTIONS | changed))


def plane() -> tuple[Floats, Floats]:
    noise = np.exp(0.005 * np.random.default_rng(2).standard_normal(len(ROWS)))
    n, d, _ = ROWS.T
    return ROWS[:, :2], sum_of_powers(n, d, E=1.7, A=400, B=2000, alpha=0.34, beta=0.37) * noise


@pytest.mark.medium
@pytest.mark.parametrize("delta", [None, 1e-3])
@pytest.mark.parametrize("scale", ["log", "linear"])
def test_a_law_written_twice_is_fitted_alike(scale, delta):
    x, y = plane()
    ours = fit(CHINCHILLA, x, y, loss=Loss(delta, scale=scale))
    theirs = fit(own(), x, y, loss=Loss(delta, scale=scale))
    assert theirs.objective == pytest.approx(ours.objective, rel=1e-9)
    assert theirs.params == pytest.approx(dict(ours.params), rel=1e-5)
    # Huber's replicates stop a little short of their minimum.
    for name, ends in ours.intervals.items():
        assert theirs.intervals[name] == pytest.approx(ends, rel=1e-3)


def test_derivatives_are_those_of_the_law_also_on_a_bound():
    x, _ = plane()
    params = np.array([[1.7, 400.0, 2000.0, 0.34, 0.37], [0.0, 9.0, 50.0, 0.1, 0.0]])
    theta = CHINCHILLA.to_theta(params)
    expected = CHINCHILLA.jacobian(theta, np.log(x))
    found = own().jacobian(theta, np.log(x))
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(found[1], expected[1], rtol=1e-3, atol=1e-9)


def test_starts_are_at_the_level_of_the_rows_and_within_bounds():
    x, y = plane()
    law = own()
    log_y = np.log(y) - np.log(y).mean()
    starts = law.starts(np.log(x), log_y)
    assert starts.shape == (64, 5)
    assert np.all((starts >= law.lower) & (starts <= law.upper))
    level = law.log_predict(starts, np.log(x)).mean(axis=-1)
    np.testing.assert_allclose(level, log_y.mean(), atol=1e-9)


def test_a_law_that_is_not_positive_everywhere_starts_where_it_is():
    def capped(x, *, E, A):
        return E - A * x

    law = own(
        capped,
        inputs=("x",),
        params={
            "E": Parameter((0.0, 4.0), has_unit_of_y=True),
            "A": Parameter((0.1, 1.0), has_unit_of_y=True),
        },
    )
    x = np.linspace(0.5, 1.5, 12)
    result = fit(law, x, 2.0 - 0.5 * x, bootstrap=Bootstrap(n=200))
    assert result.params == pytest.approx({"E": 2.0, "A": 0.5}, rel=1e-6)
    with pytest.raises(FitError, match=r"none of 64 starting points .*Widen `starts`"):
        fit(law, 1e3 * x, 2.0 - 0.5 * x)


@pytest.mark.parametrize("marked", [("A", "B"), (), ("E", "A", "B", "alpha")])
def test_wrong_units_are_refused(marked):
    x, y = plane()
    params = {
        name: replace(each, has_unit_of_y=name in marked, bounds=(-np.inf, np.inf))
        for name, each in PARAMS.items()
    }
    with pytest.raises(ValueError, match=r"has_unit_of_y is wrong: doubling .* not 2\. Set it for"):
        fit(own(params=params), x, y)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"A": replace(COEFFICIENT, starts=(0.0, 1.0))}, "A starts from 0 to 1, .* above 0"),
        ({"alpha": replace(EXPONENT, starts=(0.8, 0.1))}, "alpha starts .* the lower end first"),
        ({"alpha": replace(EXPONENT, starts=(5.0, 20.0))}, "bounded by 0 and 10"),
        ({"E": replace(PARAMS["E"], starts=(0.0, np.inf))}, "E starts .* finite"),
        ({"E": replace(PARAMS["E"], bounds=(0.0, 3.0))}, "E is bounded by 0 and 3, .* unit of y"),
        ({"gamma": Parameter((0.0, 1.0))}, "cannot be called .* 'gamma'"),
    ],
)
def test_parameters_that_do_not_hold_together_are_refused(changed, says):
    with pytest.raises(ValueError, match=says):
        own(params=PARAMS | changed)


def test_a_law_without_parameters_or_with_y_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"no parameters, but .* one or more\. Give `params`"):
        own(lambda n, d: n, params={})
    flat = own(lambda n, d, **params: np.ones(3) * params["E"])
    with pytest.raises(ValueError, match=r"shape \(64, 3\), but .*\(64, 80\).*NumPy's arithmetic"):
        fit(flat, *plane())


def test_a_fit_of_a_law_of_ones_own_can_be_pickled():
    result = fit(own(), *plane(), bootstrap=Bootstrap(n=200))
    restored = pickle.loads(pickle.dumps(result))
    assert restored.to_json() == result.to_json()
    np.testing.assert_array_equal(restored.predict(ROWS[:, :2]), result.predict(ROWS[:, :2]))
    assert profile_likelihood(restored)["E"].interval == profile_likelihood(result)["E"].interval


def test_inputs_that_the_function_does_not_take_are_refused():
    with pytest.raises(ValueError, match="cannot be called with the inputs N, D, P in order"):
        own(inputs=("N", "D", "P"))
