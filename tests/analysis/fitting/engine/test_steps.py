"""Steps in curved valleys: learnt curvature, and coordinates that run out of sight."""

import numpy as np
import pytest

from analysis.estimate import Floats
from analysis.fitting.engine.least_squares import FARTHEST, Points, solve
from analysis.fitting.engine.loss import Loss
from analysis.fitting.engine.steps import Bounds, Problems, Secant, acceleration, tangent
from analysis.laws import LAWS, SATURATING_POWER_LAW

N_PROBLEMS = 20
LOG_X = np.linspace(-3.0, 3.0, 14)[:, None]
TRUTH = SATURATING_POWER_LAW.to_theta(np.array([0.6, 0.4, 0.4]))


def noisy() -> tuple[Problems, Bounds, Floats]:
    """Problems with 10 % of noise, their bounds, and places near the truth."""
    rng, law = np.random.default_rng(0), SATURATING_POWER_LAW
    noise = 0.1 * rng.standard_normal((N_PROBLEMS, len(LOG_X)))
    log_y = law.log_predict(TRUTH, LOG_X) + noise
    shape = (N_PROBLEMS, len(TRUTH))
    bounds = Bounds(np.full(shape, -np.inf), np.full(shape, np.inf))
    problems = Problems(law, LOG_X, np.ones_like(log_y), log_y, Loss(), None)
    return problems, bounds, TRUTH + 0.02 * rng.standard_normal(shape)


def test_what_is_learnt_makes_up_for_the_change_of_the_gradient():
    problems, bounds, theta = noisy()
    every, gone = np.arange(N_PROBLEMS), np.zeros(theta.shape, dtype=bool)
    before = tangent(problems, theta, problems.objective(theta)[0], bounds, gone)
    step = -0.02 * before.gradient
    there = theta + step
    residuals, after = problems.objective(there)
    secant = Secant(*theta.shape)
    change = after - problems.objective(theta)[1]
    secant.remember(every, step, before.bend(every, step), before.gradient, change)
    now = tangent(problems, there, residuals, bounds, gone)
    secant.learn(every, now)
    learnt = np.abs(secant.own).max(axis=(1, 2)) > 0
    assert learnt.mean() > 0.9
    predicted = now.bend(every, step) + (secant.own @ step[..., None])[..., 0]
    bent = now.gradient - before.gradient
    np.testing.assert_allclose(predicted[learnt], bent[learnt], rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(secant.own, np.swapaxes(secant.own, 1, 2), atol=1e-9)


def test_a_change_of_the_gradient_beyond_all_range_teaches_nothing():
    problems, bounds, theta = noisy()
    every, gone = np.arange(N_PROBLEMS), np.zeros(theta.shape, dtype=bool)
    at = tangent(problems, theta, problems.objective(theta)[0], bounds, gone)
    secant = Secant(*theta.shape)
    step = -0.02 * at.gradient
    secant.remember(every, step, at.bend(every, step), 1e200 * step, np.zeros(N_PROBLEMS))
    secant.learn(every, at._replace(gradient=2e200 * step))
    assert not secant.own.any()


def test_a_bent_step_follows_the_curve_to_second_order():
    problems, bounds, theta = noisy()
    at = tangent(
        problems, theta, problems.objective(theta)[0], bounds, np.zeros(theta.shape, dtype=bool)
    )
    damping = np.full(N_PROBLEMS, 1e-9)

    def off(size: float) -> Floats:
        step = np.full_like(theta, size) * [1.0, -1.0, 0.5]
        bent = acceleration(problems, at, step, damping)
        along = step + bent
        moved = problems.law.log_predict(theta + along, LOG_X) - at.fitted
        straight = (at.jacobian @ step[..., None])[..., 0]
        # What is left within reach of the tangent plane, which the correction takes away.
        basis = np.linalg.qr(at.jacobian)[0]
        return np.linalg.norm(np.swapaxes(basis, 1, 2) @ (moved - straight)[..., None], axis=1)

    assert np.all(off(0.02) < 0.2 * off(0.04))  # third order: an eighth


@pytest.mark.parametrize("name", ["width_depth_n", "bnsl_1", "data_constrained"])
def test_replicates_of_a_curved_law_come_to_rest(name: str):
    law, rng = LAWS[name], np.random.default_rng(3)
    log_x = rng.uniform(-2.0, 2.0, (40, len(law.inputs)))
    y = 0.4 + np.exp(-0.3 * log_x.sum(axis=1) - 1)
    log_y = np.log(y / np.exp(np.log(y).mean())) + 0.01 * rng.standard_normal((N_PROBLEMS, 40))
    start = law.starts(log_x, log_y[0])
    points = Points(log_x, np.ones(40))
    first = solve(law, points, np.repeat(log_y[:1], len(start), axis=0), start)
    best = first.theta[np.argmin(first.objective)]
    found = solve(law, points, log_y, np.tile(best, (N_PROBLEMS, 1)))
    assert np.mean(found.converged) >= 0.9
    assert np.all(np.abs(found.theta) <= FARTHEST)
