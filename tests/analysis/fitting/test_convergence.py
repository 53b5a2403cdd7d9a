"""A fit is returned once its objective and its curve have settled, wherever its parameters run."""

import csv

import numpy as np
import pytest

from analysis.errors import FitError
from analysis.estimate import Bootstrap, Floats
from analysis.fitting.engine.loss import Loss
from analysis.fitting.engine.observations import checked_rows, observe
from analysis.fitting.engine.optimum import Optimum, find_optimum
from analysis.fitting.engine.problem import pose
from analysis.fitting.fit import fit
from analysis.fitting.ranking import rank
from analysis.fitting.verdict import Verdict
from analysis.laws import LAWS, POWER_LAW, SATURATING_POWER_LAW, Law
from tests.published_data import published_path

DELAYED_POWER_LAW, M4, BNSL_1, BNSL_2 = (LAWS[name] for name in ("m3", "m4", "bnsl_1", "bnsl_2"))

X = np.geomspace(1e3, 1e7, 30)
FEW = Bootstrap(n=200)
NESTED = (
    (POWER_LAW, SATURATING_POWER_LAW),
    (POWER_LAW, DELAYED_POWER_LAW),
    (SATURATING_POWER_LAW, M4),
    (SATURATING_POWER_LAW, BNSL_1),
)


def noise(seed: int, sd: float = 0.02) -> Floats:
    return np.exp(sd * np.random.default_rng(seed).standard_normal(len(X)))


TABLES = {
    "a power law": 30 * X**-0.4 * noise(0),
    "a jump": np.where(X > 1e5, 1.0, 3.0) * noise(1),
    "a curve that bends the other way": np.exp(-0.02 * np.log(X) ** 2) * noise(2),
    "noise alone": noise(4, 0.5),
    "a rising curve": X**0.3 * noise(5, 0.1),
    "rounded losses": np.round(2 + 10 * X**-0.5, 2),
    "an outlier": (1 + 30 * X**-0.4) * noise(6) * np.where(np.arange(30) == 7, 9.0, 1.0),
}


def optimum(law: Law, x: Floats, y: Floats, loss: Loss = Loss()) -> Optimum:
    return find_optimum(pose(law, observe(law, checked_rows(law, x, y)), loss))


def on_real_curves() -> dict[str, tuple[Floats, Floats]]:
    found: dict[str, list[tuple[float, float]]] = {}
    with published_path("learning_curves_nmt.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            if row["Training"] == "1":
                key = f"{row['Domain']} {row['Task']} {row['Model']}"
                found.setdefault(key, []).append((float(row["Seen Examples"]), float(row["Loss"])))
    curves = {key: np.unique(rows, axis=0).T for key, rows in found.items()}
    return {key: (x, y) for key, (x, y) in curves.items()}


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(TABLES) - {"a rising curve"}))
@pytest.mark.parametrize(("inner", "outer"), NESTED, ids=lambda law: law.name)
def test_a_law_fits_no_worse_than_one_that_it_contains(name: str, inner: Law, outer: Law):
    of_inner, of_outer = (optimum(law, X, TABLES[name]).objective for law in (inner, outer))
    assert of_outer <= of_inner * (1 + 1e-4) + 1e-12


def test_a_term_that_rows_do_not_want_leaves_the_curve_of_the_law_without_it():
    x, y = X, TABLES["a curve that bends the other way"]
    found = fit(DELAYED_POWER_LAW, x, y, bootstrap=FEW)
    assert found.verdict is Verdict.ILL_CONDITIONED
    assert "g has no effect on the curve: fit a law without it" in found.reason
    simpler = fit(POWER_LAW, x, y, bootstrap=FEW)
    np.testing.assert_allclose(found.predict(x), simpler.predict(x), rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("loss", [Loss(), Loss(1e-3), Loss(scale="linear")], ids=str)
@pytest.mark.parametrize("law", [DELAYED_POWER_LAW, M4, BNSL_1], ids=lambda law: law.name)
def test_noise_has_a_fit_and_a_doubt(law: Law, loss: Loss):
    found = fit(law, X, TABLES["noise alone"], loss=loss, bootstrap=FEW)
    assert found.verdict is not Verdict.CONVERGED
    assert np.all(np.isfinite(found.predict(X)))


def test_the_advice_fits_the_cause():
    y, few = TABLES["a power law"], slice(0, 28, 4)
    assert "7 rows are few for 6 parameters" in fit(BNSL_1, X[few], y[few], bootstrap=FEW).reason
    held = fit(SATURATING_POWER_LAW, X, y, fixed={"A": 1e-9}, bootstrap=FEW)
    assert held.verdict is Verdict.ILL_CONDITIONED
    assert "A was held: other values, or none" in held.reason


def test_no_finite_prediction_is_refused_with_what_to_do():
    nowhere = POWER_LAW._replace(log_predict=lambda theta, log_x: theta[..., :1] * log_x[:, 0] / 0)
    with np.errstate(all="ignore"), pytest.raises(FitError, match=r"none of \d+ starting points"):
        optimum(nowhere, X, TABLES["a power law"])


@pytest.mark.slow
def test_rank_loses_no_law_to_a_gradient():
    laws = [law for law in LAWS.values() if law.inputs == ("x",)]
    found = rank(laws, X, TABLES["a jump"], to=4e7, bootstrap=FEW)
    assert [row.law.name for row in found.rows if row.fit is None] == []


@pytest.mark.slow
@pytest.mark.parametrize("law", [DELAYED_POWER_LAW, M4, BNSL_1, BNSL_2], ids=lambda law: law.name)
def test_published_curves_all_have_fits(law: Law):
    curves = on_real_curves()
    unsettled = 0
    for x, y in list(curves.values())[::3]:
        if len(x) > len(law.params):
            found = optimum(law, x, y)
            assert np.isfinite(found.objective)
            unsettled += not (found.ending.is_stationary or found.ending.is_settled)
    assert unsettled <= 1
