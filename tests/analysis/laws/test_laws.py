"""Laws keep the promises of their interface: exact derivatives, units, bounds, array libraries."""

import pickle

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.laws import LAWS, POWER_LAW, SATURATING_POWER_LAW, Law

every_law = pytest.mark.parametrize("law", LAWS.values(), ids=lambda law: law.name)

PARAMS = {
    "power_law": [[2.5, 0.3], [1e-3, -0.7], [40.0, 0.0]],
    "saturating_power_law": [[1.7, 300.0, 0.35], [0.0, 2.0, 1.2], [1e-3, 50.0, 0.05]],
    "chinchilla": [
        [1.8, 4.0, 2.0, 0.35, 0.37],
        [0.0, 3.0, 1.0, 0.3, 0.9],
        [1.0, 1.0, 5.0, 1.2, 0.05],
    ],
    "chinchilla_tied": [[1.8, 4.0, 2.0, 0.35], [0.0, 3.0, 1.0, 0.9], [1.0, 1.0, 5.0, 0.05]],
    "interaction": [
        [1.8, 4.0, 2.0, 0.35, 0.37, 1.0],
        [0.0, 3.0, 1.0, 0.3, 0.9, 0.3],
        [1.0, 1.0, 5.0, 1.2, 0.05, 2.5],
    ],
    "data_constrained": [
        [1.8, 4.0, 2.0, 0.35, 0.37, 15.0, 5.0],
        [0.0, 3.0, 1.0, 0.3, 0.9, 2.0, 0.5],
        [1.0, 1.0, 5.0, 1.2, 0.05, 40.0, 20.0],
    ],
    "overfitting": [
        [1.8, 4.0, 2.0, 0.1, 0.35, 0.37, 0.9, 0.5],
        [0.0, 3.0, 1.0, 2.0, 0.3, 0.9, 0.1, 1.5],
    ],
    "kaplan": [[4.0, 3.0, 0.176, 0.303], [1.0, 2.0, 0.5, 0.3], [1.0, 5.0, 0.0, 1.2]],
    "kaplan_n": [[11.0, 0.076], [1e-3, -0.7]],
    "kaplan_d": [[20.0, 0.095], [40.0, 0.3]],
    "kaplan_c": [[2.6, 0.05], [1.0, 0.2]],
    "m3": [[2.0, 0.5, 0.1], [1.0, 0.0, 2.0], [5.0, 1.5, 1e-3]],
    "m4": [
        [0.3, 3.0, 1.0, 0.6, 0.5],
        [0.0, 1.0, 2.0, 1.0, 3.0],
        [1.0, 50.0, 1.0, 0.3, 1.0],
    ],
    "bnsl_1": [[0.5, 2.0, 0.3, 0.4, 3.0, 0.3], [0.0, 1.0, 0.8, -1.2, 1.5, 0.1]],
    "bnsl_2": [
        [0.5, 2.0, 0.3, 0.4, -0.2, 3.0, 9.0, 0.3, 0.5],
        [0.0, 1.0, 0.2, -0.9, 1.3, 1.5, 4.0, 0.1, 0.2],
    ],
    "over_training": [
        [1.8, 0.4, 0.9, 0.12, 0.2],
        [0.0, 2.0, 1.0, 0.5, 0.0],
        [1.0, 1e-3, 3.0, 0.05, 0.7],
    ],
    "routed": [
        [-0.082, -0.108, 0.009, 1.104, 1.86, 314.5],
        [-0.2, 0.1, -0.05, 0.0, 0.3, 5.0],
        [0.1, -0.3, 0.0, -0.4, 30.0, 2e4],
    ],
    "granular": [
        [0.5, 2.0, 3.0, 1.0, 0.3, 0.6, 0.4],
        [0.0, 0.1, 1.0, 4.0, 0.8, 0.2, 0.1],
    ],
    "shared_floor_2": [
        [1.8, 4.0, 2.0, 0.35, 0.37, 3.0, 1.0, 0.2, 0.5],
        [0.0, 1.0, 0.1, 0.3, 0.9, 2.0, 5.0, 0.6, 0.1],
    ],
    "width_depth": [
        [1.8, 4.0, 2.0, 3.0, 0.35, 0.37, 0.2],
        [0.0, 3.0, 1.0, 0.1, 0.3, 0.9, 1.2],
    ],
    "width_depth_n": [
        [1.8, 4.0, 2.0, 3.0, 1.0, 0.35, 0.37, 0.2, 0.5],
        [0.0, 3.0, 1.0, 0.1, 2.0, 0.3, 0.9, 1.2, 0.1],
    ],
    "task_sigmoid": [[0.25, 0.95, 0.4, 2.8], [0.9, 0.3, 0.02, 10.0], [0.0, 0.7, 0.1, 1.0]],
    "critical_batch": [[1.0, 1.0], [30.0, 0.2], [0.01, 5.0]],
    "quanta": [[0.6, 0.4, 1.0, 60.0], [2.0, 1.0, 0.1, 400.0]],
    "quanta_n": [[0.6, 0.4, 1.0, 200.0], [2.0, 1.0, 5.0, 400.0]],
    "best_of_n": [[0.1, 0.01, 1e-4], [-0.3, 0.02, -1e-4]],
    "rl_reward": [[0.1, 0.01, 1e-3], [-0.3, 0.02, -1e-3]],
    "mixed_modal": [[0.05, 0.1, 0.25, 0.1], [-0.02, 0.01, 0.1, 0.0]],
    "transfer": [[3.0, 0.18, 0.38], [0.1, -0.2, 1.0]],
    "transfer_p": [[3.0, 0.18, 0.38, 0.5], [0.1, -0.2, 1.0, 0.0]],
    "transfer_loss": [[2.0, 1.0, 0.12, 0.1, 0.02, 0.25], [1.0, 3.0, 0.0, 0.3, -0.1, 1.2]],
    "distillation": [
        [1.0, 4.0, 2.0, 1.5, 1.2, 1.1, 0.3, 0.33, 0.3, 0.7],
        [2.0, 1.0, 0.5, -0.3, 0.0, 3.0, 1.0, 0.1, 0.8, 2.0],
    ],
    "task_exponential": [[0.9, 0.7, 0.3], [0.8, 0.75, 0.01], [2.0, 0.01, 1.0]],
}


def coordinates(law: Law) -> np.ndarray:
    return law.to_theta(np.array(PARAMS[law.name]))


def inputs(law: Law, n_points: int = 7) -> np.ndarray:
    return np.random.default_rng(1).uniform(-3, 5, (n_points, len(law.inputs)))


def test_laws_compute_their_equations():
    x = np.array([[2.0], [10.0]])
    power = POWER_LAW.log_predict(POWER_LAW.to_theta(np.array([3.0, 0.5])), np.log(x))
    np.testing.assert_allclose(np.exp(power), 3.0 * x[:, 0] ** -0.5, rtol=1e-14)
    law = SATURATING_POWER_LAW
    saturating = law.log_predict(law.to_theta(np.array([1.5, 3.0, 0.5])), np.log(x))
    np.testing.assert_allclose(np.exp(saturating), 1.5 + 3.0 * x[:, 0] ** -0.5, rtol=1e-14)


@pytest.mark.medium
@every_law
def test_jacobian_is_the_derivative_that_jax_finds(law: Law):
    log_x = inputs(law)
    with jax.enable_x64(True):
        for theta in coordinates(law):
            expected = jax.jacfwd(law.log_predict)(jax.numpy.asarray(theta), log_x)
            np.testing.assert_allclose(law.jacobian(theta, log_x), expected, rtol=1e-12, atol=1e-14)


@every_law
def test_the_same_functions_run_batched_under_jax(law: Law):
    log_x, thetas = inputs(law), coordinates(law)
    with jax.enable_x64(True):
        batched = jax.jit(jax.vmap(lambda theta: law.log_predict(theta, log_x)))(thetas)
        jacobians = jax.jit(jax.vmap(lambda theta: law.jacobian(theta, log_x)))(thetas)
    np.testing.assert_allclose(law.log_predict(thetas, log_x), batched, rtol=1e-13, atol=1e-14)
    np.testing.assert_allclose(law.jacobian(thetas, log_x), jacobians, rtol=1e-12, atol=1e-14)


@every_law
@settings(deadline=None, max_examples=25)
@given(log_x_scale=st.floats(-40, 40), log_y_scale=st.floats(-20, 20))
def test_rescale_moves_the_curve_to_other_units(law: Law, log_x_scale: float, log_y_scale: float):
    log_x, theta = inputs(law), coordinates(law)
    shift = np.array([0.0 if name in law.unscaled else log_x_scale for name in law.inputs])
    rescaled = law.rescale(theta, shift, log_y_scale)
    np.testing.assert_allclose(
        law.log_predict(rescaled, log_x + shift),
        law.log_predict(theta, log_x) + log_y_scale,
        atol=1e-10,
    )
    on_lower = (theta <= law.lower) == (rescaled <= law.lower)
    assert np.all(on_lower), "a change of units must not move parameters on or off a bound"


@every_law
def test_rescale_is_affine(law: Law):
    shift = np.linspace(1.0, 2.0, len(law.inputs))
    first, second = coordinates(law)[:2]
    middle = law.rescale((first + second) / 2, shift, 0.7)
    ends = (law.rescale(first, shift, 0.7) + law.rescale(second, shift, 0.7)) / 2
    np.testing.assert_allclose(middle, ends, rtol=1e-14)


@every_law
def test_starts_lie_within_bounds_and_give_finite_curves(law: Law):
    log_x = inputs(law) - inputs(law).mean(axis=0)
    log_y = np.linspace(1.0, -1.0, len(log_x))
    starts = law.starts(log_x, log_y)
    assert starts.shape == (len(starts), len(law.params))
    assert np.all((starts >= law.lower) & (starts <= law.upper))
    assert np.all(np.isfinite(law.log_predict(starts, log_x)))


@every_law
def test_coordinates_are_logarithms_of_those_parameters_that_say_so(law: Law):
    params = np.array(PARAMS[law.name])
    theta = law.to_theta(params)
    np.testing.assert_allclose(law.to_params(theta), params, rtol=1e-14)
    for column, name in enumerate(law.params):
        expected = np.log(params[:, column]) if name in law.logs else params[:, column]
        np.testing.assert_array_equal(theta[:, column], expected)


@every_law
def test_a_law_can_be_pickled(law: Law):
    restored, theta, log_x = pickle.loads(pickle.dumps(law)), coordinates(law), inputs(law)
    for each in ("log_predict", "jacobian"):
        expected = getattr(law, each)(theta, log_x)
        np.testing.assert_array_equal(getattr(restored, each)(theta, log_x), expected)


@every_law
def test_law_describes_itself_consistently(law: Law):
    assert LAWS[law.name] is law
    assert len(law.lower) == len(law.upper) == len(law.params)
    assert law.logs <= set(law.params)
