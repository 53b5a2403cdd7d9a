"""The over-training law says what its paper says of it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.estimate import Bootstrap, Floats
from analysis.fitting.engine.loss import Loss
from analysis.fitting.fit import fit
from analysis.laws import CHINCHILLA_TIED, OVER_TRAINING, Law

RNG = np.random.default_rng(0)
OVER_TRAINED = np.exp(RNG.uniform(np.log([1e18, 0.5]), np.log([1e22, 640.0]), (60, 2)))
GADRE = (1.5, 220.0, 900.0, 0.12, 0.18)


def curve(law: Law, params: tuple[float, ...], x: Floats) -> Floats:
    return np.exp(law.log_predict(law.to_theta(np.array(params)), np.log(x)))


def test_it_computes_its_equation():
    c, m = OVER_TRAINED.T
    e, a, b, alpha, eta = GADRE
    expected = e + (a * m**eta + b * m**-eta) * c**-alpha
    np.testing.assert_allclose(curve(OVER_TRAINING, GADRE, OVER_TRAINED), expected, rtol=1e-12)


def test_over_training_with_equal_exponents_is_the_tied_chinchilla_law():
    e, a, b, alpha = 1.8, 480.0, 2100.0, 0.35
    n, d = np.exp(RNG.uniform(np.log([1e7, 1e9]), np.log([1e10, 1e12]), (20, 2))).T
    expected = curve(CHINCHILLA_TIED, (e, a, b, alpha), np.column_stack([n, d]))
    scale = 6.0 ** (alpha / 2)
    params = (e, a * scale, b * scale, alpha / 2, alpha / 2)
    found = curve(OVER_TRAINING, params, np.column_stack([6 * n * d, d / n]))
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    # Its optimum is theirs: D / N = 1 / G^2 at any compute.
    best = CHINCHILLA_TIED.derived(np.array([e, a, b, alpha]))["G"] ** -2
    assert OVER_TRAINING.derived(np.array(params))["M_opt"] == pytest.approx(float(best))


@given(
    log_a=st.floats(-5, 8), log_b=st.floats(-5, 8), alpha=st.floats(0.01, 1), eta=st.floats(0.05, 2)
)
@settings(deadline=None, max_examples=25)
def test_m_opt_is_where_the_loss_is_least_and_lambda_what_is_left(log_a, log_b, alpha, eta):
    params = np.array([0.0, np.exp(log_a), np.exp(log_b), alpha, eta])
    derived = OVER_TRAINING.derived(params)

    def log_loss(log_m: float) -> float:
        theta = OVER_TRAINING.to_theta(params)
        return float(OVER_TRAINING.log_predict(theta, np.array([[0.0, log_m]]))[0])

    best = float(np.log(derived["M_opt"]))
    assert log_loss(best) == pytest.approx(float(np.log(derived["lambda"])), abs=1e-9)
    for step in (1e-3, 0.1, 2.0):
        assert log_loss(best) < min(log_loss(best - step), log_loss(best + step))


def test_m_opt_is_nowhere_at_eta_0():
    params = np.array([[1.0, 2.0, 2.0, 0.1, 0.0], [1.0, 2.0, 2.0, 0.1, 0.2]])
    derived = OVER_TRAINING.derived(params)
    assert np.isnan(derived["M_opt"][0])
    assert derived["M_opt"][1] == pytest.approx(1.0)


def test_rows_on_one_side_of_m_opt_know_alpha_and_hardly_m_opt():
    # M_opt of the truth is 50.3.
    noise = np.exp(0.003 * np.random.default_rng(1).standard_normal(60))
    low, high = np.log([[1e18, 300.0], [1e22, 3e3]])
    beyond = np.exp(np.random.default_rng(2).uniform(low, high, (60, 2)))
    both, one = (
        fit(OVER_TRAINING, x, curve(OVER_TRAINING, GADRE, x) * noise)
        for x in (OVER_TRAINED, beyond)
    )

    def width(ends: tuple[float, float]) -> float:
        return float(np.log(ends[1] / ends[0]))

    assert width(one.intervals["alpha"]) < 2 * width(both.intervals["alpha"])
    optima = [result.derived()["M_opt"].interval for result in (both, one)]
    assert width(optima[1]) > 10 * width(optima[0])
    assert all(low < 50.3 < high for low, high in optima)


@pytest.mark.parametrize("delta", [None, 1e-3])
def test_planted_parameters_are_recovered_on_the_linear_scale(delta):
    y = curve(OVER_TRAINING, GADRE, OVER_TRAINED)
    loss, few = Loss(delta, scale="linear"), Bootstrap(n=200)
    result = fit(OVER_TRAINING, OVER_TRAINED, y, loss=loss, bootstrap=few)
    np.testing.assert_allclose(list(result.params.values()), GADRE, rtol=1e-4)
