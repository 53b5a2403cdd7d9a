"""The batched solver against SciPy, which shares no code with it."""

import numpy as np
import pytest
from scipy.optimize import least_squares

from analysis.fitting.engine import least_squares as least_squares_of_batches
from analysis.fitting.engine.least_squares import Points, solve
from analysis.fitting.engine.loss import Loss
from analysis.laws import POWER_LAW, SATURATING_POWER_LAW, Law

N_PROBLEMS = 30


def problems(law: Law, sigma: float, seed: int = 0) -> tuple[Points, np.ndarray, np.ndarray]:
    """Points, noisy targets and a start, all in centred units."""
    rng = np.random.default_rng(seed)
    # Irregular, for on a regular grid Huber's loss has ties: whole segments of minima.
    log_x = np.sort(rng.uniform(-3.0, 3.0, 10))[:, None]
    params = {"power_law": [1.0, 0.3], "saturating_power_law": [0.6, 0.4, 0.4]}[law.name]
    theta = law.to_theta(np.array(params))
    noise = sigma * rng.standard_t(3, (N_PROBLEMS, 10))
    weights = rng.integers(1, 6, 10).astype(np.float64)
    start = np.broadcast_to(theta, (N_PROBLEMS, len(theta)))
    return Points(log_x, weights), law.log_predict(theta, log_x) + noise, start


def scipy_objective(law: Law, points: Points, log_y: np.ndarray, start: np.ndarray, delta):
    # SciPy's Huber has no weights: a weight is that many copies of the row.
    copies = points.weights.astype(int)
    log_x, log_y = np.repeat(points.log_x, copies, axis=0), np.repeat(log_y, copies)
    found = least_squares(
        lambda theta: law.log_predict(theta, log_x) - log_y,
        start,
        bounds=(law.lower, law.upper),
        method="trf",
        loss="linear" if delta is None else "huber",
        f_scale=1.0 if delta is None else delta,
        xtol=1e-14,
        ftol=1e-14,
        gtol=1e-14,
        max_nfev=2000,
    )
    return found.cost, found.x


@pytest.mark.parametrize("delta", [None, 0.02, 0.005])
@pytest.mark.parametrize("sigma", [0.01, 0.1])
@pytest.mark.parametrize("law", [POWER_LAW, SATURATING_POWER_LAW], ids=lambda law: law.name)
def test_minima_are_those_of_scipy(law: Law, sigma: float, delta: float | None):
    points, log_y, start = problems(law, sigma)
    found = solve(law, points, log_y, start, loss=Loss(delta))
    assert np.all(found.converged)
    same_minimum = 0
    for problem in range(N_PROBLEMS):
        # SciPy needs a start off the bounds.
        cost, theta = scipy_objective(law, points, log_y[problem], start[problem] + 1e-3, delta)
        assert found.objective[problem] <= cost * (1 + 1e-7)
        if found.objective[problem] >= cost * (1 - 1e-9):
            same_minimum += 1
            np.testing.assert_allclose(found.theta[problem], theta, rtol=1e-3, atol=1e-3)
    assert same_minimum >= 0.8 * N_PROBLEMS


def test_a_batch_is_its_problems_one_by_one():
    law = SATURATING_POWER_LAW
    points, log_y, start = problems(law, 0.05)
    together = solve(law, points, log_y, start)
    for problem in range(5):
        one = slice(problem, problem + 1)
        alone = solve(law, points, log_y[one], start[one])
        np.testing.assert_allclose(alone.theta, together.theta[one], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("wanted", "most"), [("1", 1), ("3,2", 3), ("", 8), ("0", 8), ("many", 8)])
def test_no_more_cores_are_used_than_threads_are_wanted(monkeypatch, wanted, most):
    monkeypatch.setattr("os.sched_getaffinity", lambda _: range(8), raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", wanted)
    assert least_squares_of_batches._n_cores() == most


@pytest.mark.parametrize("n_cores", [1, 2])
def test_batches_on_cores_give_the_same_bits(monkeypatch, n_cores):
    points, log_y, start = problems(SATURATING_POWER_LAW, 0.05)
    together = solve(SATURATING_POWER_LAW, points, log_y[:6], start[:6])
    monkeypatch.setattr(least_squares_of_batches, "_n_cores", lambda: n_cores)
    monkeypatch.setattr(least_squares_of_batches, "_VALUES_IN_STEP", 1)
    apart = solve(SATURATING_POWER_LAW, points, log_y[:6], start[:6])
    for ours, theirs in zip(apart, together, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_weight_is_that_many_copies_of_a_row():
    law = SATURATING_POWER_LAW
    points, log_y, start = problems(law, 0.05)
    copies = points.weights.astype(int)
    repeated = Points(np.repeat(points.log_x, copies, axis=0), np.ones(copies.sum()))
    weighted = solve(law, points, log_y, start)
    copied = solve(law, repeated, np.repeat(log_y, copies, axis=1), start)
    np.testing.assert_allclose(weighted.objective, copied.objective, rtol=1e-10)
    np.testing.assert_allclose(weighted.theta, copied.theta, rtol=1e-5, atol=1e-7)


def test_a_bound_holds_exactly_and_its_minimum_is_that_of_the_smaller_law():
    log_x = np.linspace(-2.0, 2.0, 9)[:, None]
    # Curved downward in log-log axes: no floor can help, so E = 0 is best.
    log_y = (-0.4 * log_x[:, 0] - 0.05 * log_x[:, 0] ** 2)[None]
    points = Points(log_x, np.ones(9))
    start = SATURATING_POWER_LAW.starts(log_x, log_y[0])
    n_starts = len(start)
    found = solve(SATURATING_POWER_LAW, points, np.repeat(log_y, n_starts, axis=0), start)
    assert np.all(found.converged)
    np.testing.assert_array_equal(found.theta[:, 0], 0.0)
    slope, intercept = np.polyfit(log_x[:, 0], log_y[0], 1)
    np.testing.assert_allclose(
        found.theta[:, 1:], np.tile([intercept, -slope], (n_starts, 1)), rtol=1e-6
    )
