"""The laws from loss to a task metric say what their papers say of them."""

import numpy as np
import pytest

from analysis.estimate import Bootstrap, Floats
from analysis.fitting.engine.loss import Loss
from analysis.fitting.fit import fit
from analysis.fitting.verdict import Verdict
from analysis.laws import LAWS, TASK_EXPONENTIAL, TASK_SIGMOID, Law

LOSSES = np.linspace(1.6, 4.5, 40)[:, None]
ACCURACY = (0.25, 0.95, 4.0, 2.8)
ERROR = (0.86, 2.2, 0.72)


def curve(law: Law, params: tuple[float, ...], x: Floats) -> Floats:
    return np.exp(law.log_predict(law.to_theta(np.array(params)), np.log(x)))


def test_they_compute_their_equations():
    floor, ceiling, slope, midpoint = ACCURACY
    accuracy = floor + (ceiling - floor) / (1 + np.exp(slope * (LOSSES[:, 0] - midpoint)))
    np.testing.assert_allclose(curve(TASK_SIGMOID, ACCURACY, LOSSES), accuracy, rtol=1e-12)
    eps, k, gamma = ERROR
    error = eps - k * np.exp(-gamma * LOSSES[:, 0])
    np.testing.assert_allclose(curve(TASK_EXPONENTIAL, ERROR, LOSSES), error, rtol=1e-12)


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
        "transfer": "D_T",
        "transfer_p": "D_T",
        "best_of_n": "exp_reward",
        "rl_reward": "exp_reward",
        "mixed_modal": "exp_excess",
    }
