"""Exponents of planted curves, over teachers whose losses have factors of their own."""

import numpy as np
import pytest

from experiments.four_regimes_networks import _approach, _decay

SIZES = np.array([32.0, 64, 128, 256, 512])


def test_a_decay_has_its_exponent_whatever_the_teacher():
    rng = np.random.default_rng(0)
    teachers = rng.lognormal(0, 2, (6, 1))
    losses = teachers * SIZES**-1.3 * rng.lognormal(0, 0.05, (6, 5))
    found = _decay(SIZES, losses)
    assert found.value == pytest.approx(1.3, abs=0.03)
    assert found.low is not None and found.high is not None
    assert found.low < 1.3 < found.high < found.low + 0.1


@pytest.mark.parametrize("limit", [4096.0, np.inf])
def test_an_approach_to_a_limit_takes_account_of_where_the_limit_was_read(limit):
    """Read at size 4096, losses differ by c (1/size - 1/4096); by c/size from the true limit."""
    rng = np.random.default_rng(1)
    beyond = 3 * (1 / SIZES - 1 / limit) + 0.002 * rng.standard_normal((40, 5))
    found = _approach(SIZES, beyond, limit)
    assert found.value == pytest.approx(1.0, abs=0.03)
    assert found.low is not None and found.high is not None
    assert found.low <= 1.0 <= found.high
