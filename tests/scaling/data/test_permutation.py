"""Permutations computed place by place: nothing lost, nothing twice, no order preferred."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from scaling.data.permutation import ROUNDS, permuted
from scaling.keys import rng_for


def keys_of(seed):
    return rng_for(seed, "order").integers(0, 2**64, ROUNDS, dtype=np.uint64)


def one(places, size, seed=0, number=0):
    places = np.asarray(places)
    return permuted(places, size, keys_of(seed), np.full(len(places), number))


def many(size, n_permutations, seed):
    """Whole permutations with the same keys, one a row."""
    numbers = np.repeat(np.arange(n_permutations), size)
    places = np.tile(np.arange(size), n_permutations)
    return permuted(places, size, keys_of(seed), numbers).reshape(n_permutations, size)


def unlikely(counts):
    """The chance that counts of equally likely outcomes differ as much."""
    return stats.chisquare(counts).pvalue


def test_every_small_size_is_permuted():
    for size in range(1, 300):
        assert np.array_equal(np.sort(one(np.arange(size), size)), np.arange(size)), size


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 20_000), st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
def test_every_size_is_permuted(size, seed, number):
    found = one(np.arange(size), size, seed, number)
    assert np.array_equal(np.sort(found), np.arange(size))


@pytest.mark.parametrize("size", [1_000_003, 125_000_000, 2**32 + 1, 2**62])
def test_places_of_large_sizes_stay_apart_and_inside(size):
    places = np.concatenate([np.arange(50_000), size - 1 - np.arange(50_000)])
    found = one(places, size)
    assert len(np.unique(found)) == len(places)
    assert found.min() >= 0 and found.max() < size


def test_each_number_is_found_wherever_it_is_looked_for():
    whole = many(1000, 3, seed=5)
    for number in range(3):
        places = np.array([999, 0, 500, 500])
        assert np.array_equal(one(places, 1000, 5, number), whole[number, places])


@pytest.mark.parametrize("size", [2, 3, 4, 5])
def test_all_orders_of_a_few_come_equally_often(size):
    orders, counts = np.unique(many(size, 12_000, seed=1), axis=0, return_counts=True)
    assert len(orders) == math.factorial(size)
    assert unlikely(counts) > 1e-3


@pytest.mark.parametrize("size", [10, 16, 17, 50])
def test_every_number_comes_equally_often_in_every_place(size):
    found = many(size, 4000, seed=2)
    counts = np.stack([np.bincount(found[:, place], minlength=size) for place in range(size)])
    # Rows and columns of the table add up to 4,000 each.
    chi_square = np.sum((counts - 4000 / size) ** 2) / (4000 / size)
    assert 1e-3 < stats.chi2.sf(chi_square, (size - 1) ** 2) < 1 - 1e-3


@pytest.mark.parametrize("size", [5000, 125_000_000])
def test_neighbours_end_up_anywhere(size):
    """Where they land, how far apart and in what order is as for random numbers."""
    n = 5000
    found = one(np.arange(n), size, seed=3)
    if size > n:
        assert unlikely(np.histogram(found, 50, (0, size))[0]) > 1e-3
    apart = np.diff(found) % size
    assert unlikely(np.histogram(apart, 50, (0, size))[0]) > 1e-3
    for lag in (1, 2, 70, 71, 72):  # 71 is about the square root of 5,000
        correlation = np.corrcoef(found[lag:], found[:-lag])[0, 1]
        assert abs(correlation) < 4 / n**0.5


def test_keys_and_numbers_give_unrelated_permutations():
    size = 2000
    found = [one(np.arange(size), size, seed, number) for seed in (0, 1) for number in (0, 1)]
    for i, first in enumerate(found):
        for second in found[:i]:
            assert (first == second).sum() < 8  # one is expected
            assert abs(np.corrcoef(first, second)[0, 1]) < 4 / size**0.5
