"""Over-training, routing, shape and task laws say what their papers say of them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.estimate import Bootstrap, Floats
from analysis.fitting.engine.loss import Loss
from analysis.fitting.fit import fit
from analysis.fitting.verdict import Verdict
from analysis.laws import (
    CHINCHILLA_TIED,
    LAWS,
    OVER_TRAINING,
    ROUTED,
    TASK_EXPONENTIAL,
    TASK_SIGMOID,
    WIDTH_DEPTH,
    WIDTH_DEPTH_N,
    Law,
)
from analysis.laws.routed import effective_parameters

RNG = np.random.default_rng(0)
OVER_TRAINED = np.exp(RNG.uniform(np.log([1e18, 0.5]), np.log([1e22, 640.0]), (60, 2)))
EXPERTS = np.exp(RNG.uniform(np.log([1e7, 1.0]), np.log([2e9, 512.0]), (80, 2)))
SHAPES = np.exp(RNG.uniform(np.log([64.0, 2.0, 1e8]), np.log([4096.0, 96.0, 3e11]), (60, 3)))
LOSSES = np.linspace(1.6, 4.5, 40)[:, None]

GADRE = (1.5, 220.0, 900.0, 0.12, 0.18)
CLARK = (-0.082, -0.108, 0.009, 1.104, 1.86, 314.5)
SHAPE = (1.6, 40.0, 1.5, 3e3, 0.6, 0.8, 0.4)
ACCURACY = (0.25, 0.95, 4.0, 2.8)
ERROR = (0.86, 2.2, 0.72)


def curve(law: Law, params: tuple[float, ...], x: Floats) -> Floats:
    return np.exp(law.log_predict(law.to_theta(np.array(params)), np.log(x)))


def test_laws_compute_their_equations():
    c, m = OVER_TRAINED.T
    e, a, b, alpha, eta = GADRE
    expected = e + (a * m**eta + b * m**-eta) * c**-alpha
    np.testing.assert_allclose(curve(OVER_TRAINING, GADRE, OVER_TRAINED), expected, rtol=1e-12)

    n, x = EXPERTS.T
    a, b, c, d, k, most = CLARK
    first = 1 / (1 / k + 1 / most)
    counted = 1 / (1 / (x - 1 + 1 / (1 / first - 1 / most)) + 1 / most)
    log10 = a * np.log10(n) + (b + c * np.log10(n)) * np.log10(counted) + d
    np.testing.assert_allclose(curve(ROUTED, CLARK, EXPERTS), 10**log10, rtol=1e-12)
    assert ROUTED.derived(np.array(CLARK))["X_start"] == pytest.approx(first)

    w, h, tokens = SHAPES.T
    e, a, b, g, alpha, beta, gamma = SHAPE
    expected = e + a * w**-alpha + b * h**-beta + g * tokens**-gamma
    np.testing.assert_allclose(curve(WIDTH_DEPTH, SHAPE, SHAPES), expected, rtol=1e-12)
    n = 12 * w**2 * h
    params = (*SHAPE[:4], 60.0, *SHAPE[4:], 0.3)
    larger = curve(WIDTH_DEPTH_N, params, np.column_stack([SHAPES, n]))
    np.testing.assert_allclose(larger, expected + 60 * n**-0.3, rtol=1e-12)

    floor, ceiling, slope, midpoint = ACCURACY
    accuracy = floor + (ceiling - floor) / (1 + np.exp(slope * (LOSSES[:, 0] - midpoint)))
    np.testing.assert_allclose(curve(TASK_SIGMOID, ACCURACY, LOSSES), accuracy, rtol=1e-12)
    eps, k, gamma = ERROR
    error = eps - k * np.exp(-gamma * LOSSES[:, 0])
    np.testing.assert_allclose(curve(TASK_EXPONENTIAL, ERROR, LOSSES), error, rtol=1e-12)


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


def test_experts_count_from_x_start_to_x_max_and_fewer_than_one_count_as_one():
    x = np.array([[1e8, 0.2], [1e8, 1.0], [1e8, 1e12]])
    a, b, c, d, k, most = CLARK
    first = 1 / (1 / k + 1 / most)
    expected = [a * 8 + (b + c * 8) * np.log10(counted) + d for counted in (first, first, most)]
    np.testing.assert_allclose(np.log10(curve(ROUTED, CLARK, x)), expected, rtol=1e-9)


@given(log10_n=st.floats(6, 11), log2_x=st.floats(0, 12))
@settings(deadline=None, max_examples=25)
def test_a_dense_model_of_the_effective_size_is_as_good(log10_n, log2_x):
    n, x = 10**log10_n, 2**log2_x
    effective = float(effective_parameters(np.array(CLARK), n, x))
    dense, routed = curve(ROUTED, CLARK, np.array([[effective, 1.0], [n, x]]))
    assert dense == pytest.approx(routed, rel=1e-10)


def test_experts_cease_to_help_at_the_cutoff():
    cutoff = float(ROUTED.derived(np.array(CLARK))["N_cutoff"])
    assert cutoff == pytest.approx(1e12)
    for n, helps in ((cutoff / 10, True), (cutoff * 10, False)):
        one, many = curve(ROUTED, CLARK, np.array([[n, 1.0], [n, 64.0]]))
        assert (many < one) == helps
    assert effective_parameters(np.array(CLARK), cutoff, 64.0) == pytest.approx(cutoff)
    never = ROUTED.derived(np.array([-0.08, -0.1, -0.01, 1.0, 2.0, 300.0]))
    assert np.isnan(never["N_cutoff"])


def test_without_saturation_x_max_is_not_known():
    rows = EXPERTS[EXPERTS[:, 1] < 30]
    truth = (*CLARK[:5], 1e5)
    noise = np.exp(0.001 * np.random.default_rng(3).standard_normal(len(rows)))
    result = fit(ROUTED, rows, curve(ROUTED, truth, rows) * noise)
    assert result.verdict in (Verdict.BOUND_HIT, Verdict.INTERVAL_AT_BOUND)
    assert "X_max" in result.reason


def test_one_aspect_ratio_does_not_tell_width_from_depth():
    narrow = SHAPES.copy()
    narrow[:, 1] = narrow[:, 0] / 64
    noise = np.exp(0.003 * np.random.default_rng(4).standard_normal(60))
    free = fit(WIDTH_DEPTH, SHAPES, curve(WIDTH_DEPTH, SHAPE, SHAPES) * noise)
    tied = fit(WIDTH_DEPTH, narrow, curve(WIDTH_DEPTH, SHAPE, narrow) * noise)
    assert free.verdict is Verdict.CONVERGED
    assert tied.verdict is not Verdict.CONVERGED
    assert tied.condition_number > 1e4 * free.condition_number


def test_a_sigmoid_is_halfway_at_its_midpoint_and_may_rise():
    for floor, ceiling in ((0.25, 0.95), (0.9, 0.3)):
        x = np.array([[2.8], [30.0], [1e-3]])
        middle, far, near = curve(TASK_SIGMOID, (floor, ceiling, 4.0, 2.8), x)
        assert middle == pytest.approx((floor + ceiling) / 2)
        assert (far, near) == pytest.approx((floor, ceiling), rel=1e-4)


def test_an_error_that_would_not_be_positive_is_nothing():
    # eps - k e^(-gamma loss) is 0 at a loss of 1.31.
    losses = np.array([[0.1], [1.3], [1.32]])
    *below, above = curve(TASK_EXPONENTIAL, ERROR, losses)
    assert np.all(np.array(below) < 1e-200)
    assert 0 < above < 0.01
    theta = TASK_EXPONENTIAL.to_theta(np.array(ERROR))
    jacobian = TASK_EXPONENTIAL.jacobian(theta, np.log(losses))
    assert np.all(jacobian[:2] == 0) and np.all(jacobian[2] != 0)


@pytest.mark.parametrize(
    ("law", "params", "x"),
    [
        (OVER_TRAINING, GADRE, OVER_TRAINED),
        (WIDTH_DEPTH, SHAPE, SHAPES),
        (TASK_SIGMOID, ACCURACY, LOSSES),
        (TASK_EXPONENTIAL, ERROR, LOSSES),
    ],
    ids=lambda value: value.name if isinstance(value, Law) else "",
)
@pytest.mark.parametrize("delta", [None, 1e-3])
def test_planted_parameters_are_recovered_on_the_linear_scale(law, params, x, delta):
    result = fit(
        law, x, curve(law, params, x), loss=Loss(delta, scale="linear"), bootstrap=Bootstrap(n=200)
    )
    np.testing.assert_allclose(list(result.params.values()), params, rtol=1e-4)


@pytest.mark.parametrize(
    ("law", "params"), [(TASK_SIGMOID, ACCURACY), (TASK_EXPONENTIAL, ERROR)], ids=lambda v: ""
)
def test_metrics_with_errors_of_some_points_are_fitted_on_the_linear_scale(law, params):
    noise = 0.006 * np.random.default_rng(5).standard_normal(len(LOSSES))
    result = fit(law, LOSSES, curve(law, params, LOSSES) + noise, loss=Loss(scale="linear"))
    assert result.verdict is Verdict.CONVERGED
    for name, true in zip(law.params, params, strict=True):
        low, high = result.intervals[name]
        assert low < true < high
    predicted = result.predict(LOSSES) - curve(law, params, LOSSES)
    assert np.abs(predicted).max() < 0.01


def test_what_laws_predict_has_a_name():
    outputs = {law.name: law.output for law in LAWS.values() if law.output != "loss"}
    assert outputs == {
        "task_sigmoid": "accuracy",
        "task_exponential": "error",
        "critical_batch": "steps",
    }
