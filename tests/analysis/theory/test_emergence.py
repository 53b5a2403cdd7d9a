"""A sharp metric of a smooth error, and the exponents of quanta."""

import numpy as np
import pytest

from analysis.theory import exact_match, quanta_exponents, quanta_loss, token_accuracy, wrong_tokens


def test_the_loss_a_token_is_the_power_law():
    n = np.logspace(6, 11, 6)
    p = token_accuracy(n, scale=1e8, exponent=0.3)
    np.testing.assert_allclose(-np.log(p), (n / 1e8) ** -0.3)


def test_exact_match_is_sharper_than_the_tokens_it_counts():
    n = np.logspace(6, 12, 200)
    p = token_accuracy(n, scale=1e8, exponent=0.4)

    def decades(metric):  # of size, from a tenth to nine tenths of the way
        way = (metric - metric.min()) / np.ptp(metric)
        return np.log10(n[way >= 0.9][0] / n[way >= 0.1][0])

    assert decades(exact_match(p, 30)) < 0.75 * decades(-wrong_tokens(p, 30))
    np.testing.assert_allclose(exact_match(p, 1), 1 - wrong_tokens(p, 1))


def test_quanta_give_the_exponents_of_a_sum_over_skills():
    # Skills k of frequency k^-(1+a): with K of them learnt, what is left is the tail.
    a, skills = 0.4, np.arange(1, 2_000_001, dtype=np.float64)
    use = skills ** -(1 + a)
    left = use.sum() - np.cumsum(use) + skills[-1] ** -a / a
    few, many = 1_000, 10_000
    slope = np.log(left[many - 1] / left[few - 1]) / np.log(many / few)
    assert -slope == pytest.approx(quanta_exponents(a).params, rel=0.01)
    # Of D examples the skills learnt are those that occur often enough: K ~ D^(1 / (1 + a)).
    assert quanta_exponents(a).data == pytest.approx(quanta_exponents(a).params / (1 + a))


def test_what_is_left_of_64_tasks_is_the_tail_sum():
    """The figures of the design: 64 tasks, exponent 0.4."""
    left = quanta_loss([0, 3, 5, 7, 12, 15, 64], exponent=0.4, tasks=64)
    expected = [np.log(2), 0.274, 0.208, 0.170, 0.115, 0.096, 0]
    np.testing.assert_allclose(left, expected, atol=6e-4)
    with pytest.raises(ValueError, match=r"learnt = 65 of tasks = 64: give whole numbers"):
        quanta_loss(65, exponent=0.4, tasks=64)
    np.testing.assert_array_equal(quanta_loss([3.0], exponent=0.4, tasks=64), left[1:2])
    with pytest.raises(ValueError, match=r"learnt = 2\.5 of tasks = 64: give whole numbers"):
        quanta_loss(2.5, exponent=0.4, tasks=64)
