"""Tokens that repeat: their periods, the exact probabilities, and what is refused."""

import itertools

import numpy as np
import pytest

from scaling.data.repeated import Repeated

SMALL = Repeated(
    context=6, vocab_size=3, least_period=2, period=4, n_tokens=600, n_eval=64, repeat=True
)


def test_every_window_repeats_with_a_period_of_its_own():
    data = SMALL.load(0)
    windows = data.sequences(0, 0, 100)
    fits = np.stack([(windows[:, p:] == windows[:, :-p]).all(axis=1) for p in (2, 3, 4)])
    assert fits.any(axis=0).all()
    assert (fits.sum(axis=0) == 1).any() and fits.any(axis=1).all()
    assert np.array_equal(SMALL.load(1).eval_tokens, data.eval_tokens)


def test_exact_probabilities_are_those_of_counting():
    """Of all sequences that begin alike, over every period and first period of tokens."""
    counted: dict[tuple[int, ...], float] = {}
    for p in (2, 3, 4):
        for start in itertools.product(range(3), repeat=p):
            sequence = tuple(start[t % p] for t in range(7))
            for length in range(1, 8):
                key = sequence[:length]
                counted[key] = counted.get(key, 0.0) + 3.0**-p / 3
    windows = SMALL.load(0).eval_tokens[:20]
    expected = [
        [np.log(counted[tuple(w[: t + 1])] / counted[tuple(w[:t])]) for t in range(1, 7)]
        for w in windows.tolist()
    ]
    np.testing.assert_allclose(SMALL.log_chances(windows), expected, atol=1e-12)


def test_tokens_are_free_once_the_period_is_known_and_cost_log_v_before():
    data = Repeated(context=31, vocab_size=16, least_period=8, period=8, n_tokens=620, n_eval=200)
    loss = -data.log_chances(data.load(0).eval_tokens)
    np.testing.assert_allclose(loss[:, :7], np.log(16))
    np.testing.assert_allclose(loss[:, 7:], 0, atol=1e-12)


@pytest.mark.parametrize("change", [{"least_period": 40}, {"context": 32}, {"period": 64}])
def test_sequences_that_would_not_repeat_are_refused(change):
    with pytest.raises(ValueError, match="so that every sequence repeats"):
        Repeated(**change)


def test_windows_that_would_all_begin_alike_are_refused():
    with pytest.raises(ValueError, match="context = 32 is a multiple of the only period, 8"):
        Repeated(context=32, least_period=8, period=8)
