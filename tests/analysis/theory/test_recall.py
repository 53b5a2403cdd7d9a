"""Recall from a finite memory against memories that are simulated."""

import numpy as np
import pytest

from analysis import theory


def test_a_memory_of_some_tokens_reaches_the_bound():
    """It says those that it holds, and guesses the others."""
    length, vocabulary, held = 12, 16, 5
    loss = (length - held) * np.log(vocabulary) / length
    bits = held * np.log2(vocabulary)
    of = {"length": length, "vocabulary": vocabulary}
    assert theory.least_recall_loss(bits, **of) == pytest.approx(loss)
    assert theory.recalled_bits(loss, **of) == pytest.approx(bits)
    np.testing.assert_allclose(
        theory.least_recall_loss([0, 1e3], **of), [np.log(vocabulary), 0], atol=1e-12
    )


def test_no_random_memory_beats_the_bound():
    """Two tokens of four kinds, kept as one of a few states, said again by the exact posterior."""
    rng = np.random.default_rng(0)
    sequences = np.stack(np.meshgrid(np.arange(4), np.arange(4)), axis=-1).reshape(-1, 2)
    for states in (2, 4, 8):
        state = rng.integers(states, size=16)
        loss = 0.0
        for own in state:
            members = sequences[state == own]
            loss += np.log(len(members)) / 16 / 2  # all members are as likely
        assert loss >= theory.least_recall_loss(np.log2(states), length=2, vocabulary=4) - 1e-12
