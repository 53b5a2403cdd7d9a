"""Laws of transfer, distillation and repetition compute the equations of their papers."""

import numpy as np

from analysis.estimate import Floats
from analysis.laws import CHINCHILLA, DISTILLATION, OVERFITTING, TRANSFER, TRANSFER_LOSS, Law

RNG = np.random.default_rng(0)


def rows(*ranges: tuple[float, float]) -> Floats:
    low, high = np.log(np.array(ranges)).T
    return np.exp(RNG.uniform(low, high, (20, len(low))))


def curve(law: Law, params: tuple[float, ...], x: Floats) -> Floats:
    return np.exp(law.log_predict(law.to_theta(np.array(params)), np.log(x)))


def test_fine_tuned_loss_is_kaplans_with_what_pre_training_is_worth():
    """Hernandez et al. 2021, with the exponents that they give for text to Python."""
    x = rows((1e6, 1e9), (1e5, 1e8))
    n = x[:, 0]
    alpha, beta, alpha_n, alpha_d, n_c, d_c, k = 0.18, 0.38, 0.08, 0.1, 1e13, 1e13, 1.9e4
    worth = curve(TRANSFER, (k, alpha, beta), x[:, ::-1])
    expected = ((n_c / n) ** (alpha_n / alpha_d) + d_c / worth) ** alpha_d
    params = (n_c**alpha_n, (d_c / k) ** alpha_d, alpha_n, alpha * alpha_d, beta * alpha_d, alpha_d)
    np.testing.assert_allclose(curve(TRANSFER_LOSS, params, x), expected, rtol=1e-12)
    derived = TRANSFER_LOSS.derived(np.array(params))
    np.testing.assert_allclose(
        [derived["alpha"], derived["beta"], derived["N_c"]], [alpha, beta, n_c]
    )


def test_student_loss_is_that_of_busbridge():
    x = rows((1.6, 3.5), (1.8, 3.5), (1e7, 3e9), (1e9, 1e12))
    teacher, own, n, d = x.T
    a, b, c0, c1, d1, f1, alpha, beta, gamma = 400.0, 900.0, 1.5, 1.2, 1.1, 0.3, 0.5, 0.4, 0.7
    bend = (1 + (teacher / (d1 * own)) ** (1 / f1)) ** (-c1 * f1)
    expected = teacher + teacher**-c0 * bend * (a / n**alpha + b / d**beta) ** gamma
    params = (1.0, a**gamma, b**gamma, c0, c1, d1, f1, alpha * gamma, beta * gamma, gamma)
    np.testing.assert_allclose(curve(DISTILLATION, params, x), expected, rtol=1e-12)


def test_only_repeats_cost_a_penalty():
    x = rows((1e6, 1e9), (1e8, 1e10), (0.5, 30.0))
    n, d, epochs = x.T
    plain, (p, power, share) = (1.8, 400.0, 900.0, 0.35, 0.33), (0.02, 0.9, 0.5)
    repeats = np.maximum(epochs - 1, 0)
    unique = d / np.maximum(epochs, 1)
    expected = curve(CHINCHILLA, plain, x[:, :2]) + p * repeats**power * (n / unique) ** share
    params = (*plain[:3], p, *plain[3:], power, share)
    np.testing.assert_allclose(curve(OVERFITTING, params, x), expected, rtol=1e-12)
    assert (repeats == 0).any()
