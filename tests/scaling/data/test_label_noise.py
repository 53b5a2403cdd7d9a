"""Label noise: conventions, exact extremes, rates within binomial bounds, common random numbers."""

from __future__ import annotations

import hashlib
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from scaling.data.label_noise import LabelNoise, corrupt, mask_sha256
from scaling.fields import from_dict, to_dict
from scaling.keys import rng_for

CONVENTIONS = ("wrong_class", "any_class")

ALL = math.nextafter(1, 0)
fractions = st.floats(0, ALL)
seeds = st.integers(0, 2**32 - 1)
labellings = st.integers(2, 12).flatmap(
    lambda k: st.tuples(
        st.just(k), st.lists(st.integers(0, k - 1), max_size=60).map(lambda c: np.array(c, int))
    )
)


def noisy(labels, fraction, convention, n_classes, seed=0):
    noise = LabelNoise(fraction=fraction, convention=convention)
    return corrupt(labels, noise, n_classes, rng_for(seed, "label_noise"))


@settings(deadline=None, max_examples=60)
@given(labellings, seeds)
def test_wrong_class_at_fraction_one_leaves_no_label_true(labelling, seed):
    n_classes, labels = labelling
    result = noisy(labels, ALL, "wrong_class", n_classes, seed)
    assert (result != labels).all()
    assert ((result >= 0) & (result < n_classes)).all()


@pytest.mark.parametrize("convention", CONVENTIONS)
@settings(deadline=None, max_examples=40)
@given(labelling=labellings, seed=seeds)
def test_no_noise_changes_nothing(convention, labelling, seed):
    n_classes, labels = labelling
    np.testing.assert_array_equal(noisy(labels, 0.0, convention, n_classes, seed), labels)


@pytest.mark.parametrize("convention", CONVENTIONS)
@settings(deadline=None, max_examples=60)
@given(labelling=labellings, seed=seeds, one=fractions, other=fractions)
def test_less_noise_corrupts_a_subset_in_the_same_way(convention, labelling, seed, one, other):
    n_classes, labels = labelling
    less = noisy(labels, min(one, other), convention, n_classes, seed)
    more = noisy(labels, max(one, other), convention, n_classes, seed)
    changed = less != labels
    np.testing.assert_array_equal(less[changed], more[changed])


@settings(deadline=None, max_examples=60)
@given(labellings, seeds, fractions, st.sampled_from(CONVENTIONS), st.floats(0, 1))
def test_fewer_labels_are_corrupted_like_the_first_of_more(labelling, seed, fraction, how, part):
    n_classes, labels = labelling
    n = int(part * len(labels))
    np.testing.assert_array_equal(
        noisy(labels[:n], fraction, how, n_classes, seed),
        noisy(labels, fraction, how, n_classes, seed)[:n],
    )


@pytest.mark.parametrize("fraction", [0.05, 0.15, 0.5])
@pytest.mark.parametrize(("convention", "effective"), [("wrong_class", 1.0), ("any_class", 0.9)])
def test_effective_rate_is_binomial(fraction, convention, effective):
    n, rate = 300_000, fraction * effective
    labels = np.arange(n) % 10
    changed = np.count_nonzero(noisy(labels, fraction, convention, 10) != labels)
    z_score = (changed - n * rate) / math.sqrt(n * rate * (1 - rate))
    assert abs(z_score) < 4
    other = fraction * (1.9 - effective)  # the rate of the other convention would be noticed
    assert abs(changed - n * other) > 8 * math.sqrt(n * other * (1 - other))


def test_wrong_class_is_uniform_over_the_others_whatever_the_truth():
    labels = np.arange(90_000) % 10
    shift = (noisy(labels, ALL, "wrong_class", 10) - labels) % 10
    counts = np.stack([np.bincount(shift[labels == c], minlength=10)[1:] for c in range(10)])
    assert counts.sum() == len(labels)
    assert chisquare(counts, axis=None).pvalue > 1e-3


def test_any_class_is_uniform_over_all_whatever_the_truth():
    labels = np.arange(90_000) % 10
    result = noisy(labels, ALL, "any_class", 10)
    counts = np.stack([np.bincount(result[labels == c], minlength=10) for c in range(10)])
    assert chisquare(counts, axis=None).pvalue > 1e-3


def test_labels_given_are_left_alone_and_the_kind_is_kept():
    labels = np.arange(10, dtype=np.int32)
    result = noisy(labels, ALL, "wrong_class", 10)
    np.testing.assert_array_equal(labels, np.arange(10))
    assert result.dtype == np.int32


def test_mask_hash_is_of_one_byte_an_example():
    assert mask_sha256(np.array([False, True])) == hashlib.sha256(b"\x00\x01").hexdigest()
    assert mask_sha256(np.zeros(3, bool)) != mask_sha256(np.zeros(4, bool))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"fraction": 1.5},
            "LabelNoise.fraction = 1.5 is impossible: .* at least 0 and less than 1",
        ),
        ({"fraction": -0.1}, "fraction = -0.1 is impossible"),
        ({"fraction": math.nan}, "fraction = nan is not a finite number"),
        ({"fraction": "much"}, "fraction = 'much': give a number"),
        ({"convention": "wrong_clas"}, "did you mean 'wrong_class'"),
    ],
)
def test_impossible_noise_is_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        LabelNoise(**fields)


@pytest.mark.parametrize(
    ("labels", "n_classes", "message"),
    [
        ([0, 0], 1, "n_classes = 1: label noise needs at least 2 classes"),
        ([0, 3], 3, "labels reach from 0 to 3, outside 0 to 2"),
        ([-1, 1], 3, "labels reach from -1 to 1, outside 0 to 2"),
    ],
)
def test_impossible_labels_are_refused(labels, n_classes, message):
    with pytest.raises(ValueError, match=message):
        noisy(np.array(labels), 0.1, "wrong_class", n_classes)


def test_round_trip_through_plain_values():
    noise = LabelNoise(fraction=0.15, convention="any_class")
    assert from_dict(LabelNoise, to_dict(noise)) == noise
