"""Profiles of what follows from the parameters, against brute force and against themselves."""

import numpy as np
import planted
import pytest
from scipy import stats
from scipy.optimize import minimize

from analysis.errors import FitError
from analysis.estimate import Bootstrap, Floats
from analysis.fitting.engine.likelihood import deviance
from analysis.fitting.engine.loss import Loss
from analysis.fitting.fit import fit
from analysis.fitting.profile import profile_likelihood
from analysis.fitting.profile_derived import profile_derived
from analysis.laws import CHINCHILLA, CHINCHILLA_TIED, KAPLAN_N, SATURATING_POWER_LAW

X = np.geomspace(1e6, 1e9, 30)
Y = (1.7 + 300 * X**-0.35) * np.exp(0.01 * np.random.default_rng(0).standard_normal(30))


def plane() -> tuple[Floats, Floats]:
    rng = np.random.default_rng(0)
    x = np.exp(rng.uniform(np.log([5e7, 1e9]), np.log([1e10, 3e11]), (60, 2)))
    noise = np.exp(0.005 * rng.standard_normal(60))
    return x, planted.chinchilla_loss(*x.T) * noise


@pytest.mark.parametrize("scale", ["log", "linear"])
@pytest.mark.parametrize("delta", [None, 0.005])
def test_of_a_function_of_one_parameter_it_is_that_parameters(scale, delta: float | None):
    law = SATURATING_POWER_LAW._replace(
        derived=lambda params: {"twice": 2 * params[..., 2], "ratio": params[..., 0] / 3}
    )
    result = fit(law, X, Y, loss=Loss(delta, scale=scale), bootstrap=Bootstrap(n=200))
    expected = profile_likelihood(result)
    twice = profile_derived(result, "twice")
    np.testing.assert_allclose(twice.interval, 2 * np.array(expected["alpha"].interval), rtol=1e-5)
    assert twice.estimate == pytest.approx(2 * result.params["alpha"])
    ratio = profile_derived(result, "ratio", level=0.8)
    assert ratio.level == 0.8
    narrower = profile_likelihood(result, level=0.8)["E"].interval
    np.testing.assert_allclose(ratio.interval, np.array(narrower) / 3, rtol=1e-5)


@pytest.mark.parametrize("delta", [None, 0.005])
def test_of_the_exponent_of_growth_it_is_the_minimum_over_all_that_share_it(delta: float | None):
    x, y = plane()
    result = fit(CHINCHILLA, x, y, loss=Loss(delta), bootstrap=Bootstrap(n=200))
    profile = profile_derived(result, "a")
    assert profile.identifiable
    assert profile.interval[0] < result.derived()["a"].value < profile.interval[1]
    n, d = (x / [1e9, 1e11]).T
    p = result.params
    at_fit = np.array([p["E"], p["A"] * 1e9 ** -p["alpha"], p["B"] * 1e11 ** -p["beta"], 0.35])
    for k in (0, len(profile.values) - 1):
        a = profile.values[k]

        def objective(factors: Floats, a: float = a) -> float:
            floor, of_n, of_d, alpha = factors * at_fit
            curve = floor + of_n * n**-alpha + of_d * d ** -(alpha * a / (1 - a))
            off = np.abs(np.log(y / curve))
            cost = off**2 / 2
            if delta is not None:
                cost = np.where(off > delta, delta * (off - delta / 2), cost)
            return 1e4 * float(cost.sum())

        precise = {"maxfev": 20_000, "maxiter": 20_000, "xatol": 1e-9, "fatol": 1e-9}
        found = minimize(objective, np.ones(4), method="Nelder-Mead", options=precise)
        raised = deviance(np.array([found.fun / 1e4]), result.objective, len(y), Loss(delta))[0]
        assert profile.deviance[k] == pytest.approx(raised, rel=1e-4)


def test_a_and_b_mirror_each_other_and_a_scale_of_many_decades_is_followed():
    x, y = plane()
    result = fit(CHINCHILLA, x, y, bootstrap=Bootstrap(n=200))
    a, b = (profile_derived(result, name).interval for name in "ab")
    np.testing.assert_allclose(np.add(a, b[::-1]), 1.0, rtol=1e-6)

    noise = 0.02 * np.random.default_rng(0).standard_normal(30)
    loss = (8.8e13 / X) ** 0.76 * np.exp(noise)
    line = fit(KAPLAN_N, X, loss, bootstrap=Bootstrap(n=200))
    low, high = profile_derived(line, "N_c").interval
    # Where the line of log L over log N meets L = 1: Fieller's interval of a ratio.
    columns = np.stack([np.ones(30), np.log(X)], axis=1)
    values, rss = np.linalg.lstsq(columns, np.log(loss), rcond=None)[:2]
    covariance = np.linalg.inv(columns.T @ columns) * rss / 28
    for end in (low, high):
        at = np.array([1.0, np.log(end)])
        t_squared = (at @ values) ** 2 / (at @ covariance @ at)
        assert t_squared == pytest.approx(stats.t.ppf(0.975, 28) ** 2, rel=1e-4)


def test_with_exponents_held_one_parameter_is_left_to_move_it():
    x, y = plane()
    result = fit(CHINCHILLA, x, y, fixed={"alpha": 0.35}, bootstrap=Bootstrap(n=200))
    a = profile_derived(result, "a").interval
    beta = np.array(profile_likelihood(result)["beta"].interval)
    np.testing.assert_allclose(a, beta / (0.35 + beta), rtol=1e-5)


def test_what_cannot_be_profiled_is_refused():
    x, y = plane()
    result = fit(CHINCHILLA, x, y, bootstrap=Bootstrap(n=200))
    with pytest.raises(ValueError, match=r"chinchilla derives no 'GG'; did you mean 'G'\?"):
        profile_derived(result, "GG")
    with pytest.raises(ValueError, match="valid: G, a, b"):
        profile_derived(result, "exponent")
    tied = fit(CHINCHILLA_TIED, x, y, bootstrap=Bootstrap(n=200))
    with pytest.raises(FitError, match=r"a = 0.5 cannot be profiled: no parameter"):
        profile_derived(tied, "a")
