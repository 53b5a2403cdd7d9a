"""Effective data: a planted curve is inverted, noise is passed over, nothing is extrapolated."""

import numpy as np
import pytest

from analysis.planning.effective_data import effective_data

DATA = 4096.0 * 2.0 ** np.arange(11)


def curve(data):
    return 1.2 + 40 * np.asarray(data) ** -0.35


def test_the_data_of_a_planted_curve_come_back():
    asked = np.geomspace(5000, 3.9e6, 7)
    found = effective_data(DATA[::-1], curve(DATA[::-1]), curve(asked))
    np.testing.assert_allclose(found, asked, rtol=0.005)
    np.testing.assert_allclose(effective_data(DATA, curve(DATA), curve(DATA)), DATA, rtol=1e-12)


def test_losses_beyond_the_curve_have_no_value():
    ends = effective_data(DATA, curve(DATA), [curve(DATA[0]) + 0.1, curve(DATA[-1]) - 0.01])
    assert np.isnan(ends).all()


def test_a_loss_that_rises_with_data_counts_for_nothing():
    loss = curve(DATA)
    loss[3] = loss[2] + 0.05
    found = effective_data(DATA, loss, [loss[2], loss[4]])
    np.testing.assert_allclose(found, [DATA[2], DATA[4]], rtol=1e-12)
    assert np.isnan(effective_data(DATA, np.full(11, 2.0), 2.0))


def test_one_size_is_no_curve():
    with pytest.raises(ValueError, match="give a loss for each of at least two sizes"):
        effective_data([4096.0, 4096.0], [2.0, 2.1], 2.0)
