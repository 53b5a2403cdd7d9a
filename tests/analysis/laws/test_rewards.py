"""Rewards are fitted through their exponential: negative ones too, and with additive noise."""

import numpy as np

from analysis.estimate import Bootstrap
from analysis.fitting.fit import fit
from analysis.laws import BEST_OF_N, QUANTA, RL_REWARD

D = np.linspace(0.3, 3.2, 40)


def test_negative_rewards_are_fitted_as_least_squares_fits_them():
    noise = 0.05 * np.random.default_rng(0).standard_normal(len(D))
    reward = D * (0.8 - 0.5 * D) + noise
    assert reward.min() < -1
    result = fit(BEST_OF_N, D, np.exp(reward), fixed={"base": 0.0}, bootstrap=Bootstrap(n=200))
    basis = np.stack([D, -(D**2)], axis=-1)
    alpha, beta = np.linalg.lstsq(basis, reward, rcond=None)[0]
    found = [result.params[name] for name in ("alpha", "beta")]
    np.testing.assert_allclose(found, [alpha, beta], rtol=1e-6)
    low, high = result.intervals["beta"]
    assert low < 0.5 < high


def test_a_peak_is_that_of_the_curve_and_none_where_there_is_none():
    d = np.linspace(0.01, 5, 5000)
    for law, reward in (
        (BEST_OF_N, 0.2 + d * (1.3 - 0.4 * d)),
        (RL_REWARD, 0.2 + d * (0.3 - 0.4 * np.log(d))),
    ):
        assert law.derived is not None
        alpha = 1.3 if law is BEST_OF_N else 0.3
        peak = law.derived(np.array([0.2, alpha, 0.4]))
        assert np.isclose(peak["d_peak"], d[reward.argmax()], atol=1e-3)
        assert np.isclose(peak["reward_peak"], reward.max(), atol=1e-6)
        assert np.isnan(list(law.derived(np.array([0.2, 1.3, -0.02])).values())).all()
    assert BEST_OF_N.derived is not None
    assert np.isnan(BEST_OF_N.derived(np.array([0.2, -1.3, 0.4]))["d_peak"])


def test_tasks_learnt_leave_the_tail_sum():
    """The midpoint rule against the sum itself, A scaled to a loss of log 2 a task."""
    alpha, n_tasks = 0.4, 64
    frequency = np.arange(1.0, n_tasks + 1) ** -(1 + alpha)
    scale = np.log(2) / (alpha * frequency.sum())
    learnt = np.arange(2, 45)
    tail = np.log(2) * np.array([frequency[n:].sum() for n in learnt]) / frequency.sum()
    theta = QUANTA.to_theta(np.array([scale, alpha, 1.0, n_tasks]))
    predicted = np.exp(QUANTA.log_predict(theta, (1 + alpha) * np.log(learnt)[:, None]))
    np.testing.assert_allclose(predicted, tail, rtol=0.005)
