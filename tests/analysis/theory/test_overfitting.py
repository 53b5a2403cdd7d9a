"""Effective ranks, and the tempered limit of power-law spectra."""

import numpy as np
import pytest

from analysis.theory import effective_ranks, kernel_ridge_risk


@pytest.mark.medium
@pytest.mark.parametrize("alpha", [1.5, 2.0, 3.0])
def test_a_power_law_overfits_by_its_exponent(alpha):
    # Modes far beyond n: cutting the spectrum changes the tail that decides.
    eigenvalues = np.arange(1, 4_000_001, dtype=np.float64) ** -alpha
    risk = kernel_ridge_risk(
        eigenvalues, np.zeros_like(eigenvalues), 500, ridge=0.0, noise_variance=1.0
    )
    assert risk.test_risk == pytest.approx(alpha, rel=0.006)


def test_ranks_equal_their_definition():
    l, n = np.array([4.0, 2.0, 1.0, 1.0, 1.0, 1.0]), 3.0  # noqa: E741
    ranks = effective_ranks(l[::-1], n)
    # r_0 = 10/4, r_1 = 6/2, the first of at least 3.
    assert ranks.split == 1 and ranks.tail_rank == 3.0
    assert ranks.squared_rank == pytest.approx(6**2 / (4 + 4))
    assert ranks.trace_share == pytest.approx(2.5 / 3)
    assert ranks.noise_share == pytest.approx(1 / 3 + 3 / 4.5)


def test_spikes_over_a_flat_tail_are_benign_and_a_power_law_is_not():
    def noise_share(n, eigenvalues):
        return effective_ranks(eigenvalues, n).noise_share

    spiked = [noise_share(n, np.r_[np.full(5, 10.0), np.full(n**2, 1 / n)]) for n in (30, 100, 300)]
    decay = [noise_share(n, np.arange(1, n**2) ** -2.0) for n in (30, 100, 300)]
    assert spiked[0] > 2 * spiked[1] > 4 * spiked[2]
    assert min(decay) > 0.5


def test_no_split_where_the_tail_is_short():
    ranks = effective_ranks(np.ones(5), 10)
    assert ranks.split is None and ranks.noise_share == np.inf
    with pytest.raises(ValueError, match="none above 0"):
        effective_ranks(np.zeros(3), 10)
