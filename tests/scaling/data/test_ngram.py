"""N-gram source: its entropy against sampling, identities and a counting model's loss."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaling.data.ngram import NGram, chain_of
from scaling.fields import from_dict, to_dict

SMALL = NGram(vocab_size=5, order=2, context=16, n_tokens=4000, n_eval=20)

sources = st.builds(
    NGram,
    vocab_size=st.integers(2, 6),
    order=st.integers(1, 3),
    concentration=st.floats(0.1, 10),
    generator_seed=st.integers(0, 2**32 - 1),
    context=st.integers(1, 20),
)


def log_chances(source, row, order):
    """Log-probability of every token of a row after the `order` tokens before it, by the table."""
    state = np.zeros(len(row) - order, dtype=int)
    for back in range(order):
        state = state * source.vocab_size + row[back : len(row) - order + back]
    return np.log(chain_of(source).transitions[state, row[order:]])


@settings(deadline=None, max_examples=30)
@given(sources)
def test_stationary_distribution_stays_and_entropies_are_ordered(source):
    chain = chain_of(source)
    np.testing.assert_allclose(chain.transitions.sum(axis=1), 1, rtol=1e-12)
    assert chain.stationary.min() >= 0
    np.testing.assert_allclose(chain.stationary.sum(), 1, rtol=1e-9)
    joint = chain.stationary[:, None] * chain.transitions
    after = joint.reshape(source.vocab_size, -1).sum(axis=0)
    np.testing.assert_allclose(after, chain.stationary, atol=1e-9)
    limit = np.log(source.vocab_size)
    assert 0 < source.entropy_rate() <= source.least_loss() + 1e-12 <= limit + 1e-9


def test_a_chain_of_two_tokens_has_its_textbook_entropy():
    source = NGram(vocab_size=2, concentration=1, generator_seed=3)
    (stay, leave), (back, _) = chain_of(source).transitions
    h = lambda p: -p * np.log(p) - (1 - p) * np.log(1 - p)  # noqa: E731
    textbook = (back * h(leave) + leave * h(back)) / (back + leave)  # Cover & Thomas, eq. 4.24
    assert stay + leave == pytest.approx(1)
    np.testing.assert_allclose(source.entropy_rate(), textbook, rtol=1e-12)
    np.testing.assert_allclose(source.least_loss(), textbook, rtol=1e-12)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_entropy_rate_is_what_the_true_table_loses_on_the_tokens(order):
    source = NGram(vocab_size=5, order=order, context=16, n_tokens=200_000, n_eval=20)
    losses = -log_chances(source, source.load(0).train.astype(int), order)
    sem = losses.std() / np.sqrt(len(losses))  # the losses of a chain are nearly independent
    assert abs(losses.mean() - source.entropy_rate()) < 5 * sem < 0.02


def test_least_loss_counts_what_the_first_predictions_cannot_know():
    source = NGram(vocab_size=4, order=3, concentration=0.2, context=2)
    chain = chain_of(source)
    joint = (chain.stationary[:, None] * chain.transitions).reshape(4, 4, 4, 4).sum(axis=0)
    pair, triple = joint.sum(axis=2), joint
    one = -np.sum(pair * np.log(pair / pair.sum(axis=1, keepdims=True)))
    two = -np.sum(triple * np.log(triple / triple.sum(axis=2, keepdims=True)))
    np.testing.assert_allclose(source.least_loss(), (one + two) / 2, rtol=1e-10)
    assert source.least_loss() > source.entropy_rate() + 0.01
    long = replace(source, context=1000)
    assert 0 < long.least_loss() - long.entropy_rate() < 0.01


def test_a_counting_model_comes_down_to_the_entropy_from_above():
    source = NGram(vocab_size=8, context=32, n_tokens=100_000, n_eval=2000)
    data = source.load(0)
    inputs, targets = data.eval_tokens[:, :-1].ravel(), data.eval_tokens[:, 1:].ravel()
    gaps = []
    for n in (1000, 10_000, 100_000):
        row = data.train[: n + 1].astype(int)
        counts = np.ones((8, 8))
        np.add.at(counts, (row[:-1], row[1:]), 1)
        model = counts / counts.sum(axis=1, keepdims=True)
        truth = chain_of(source).transitions[inputs, targets]
        gaps.append(np.mean(np.log(truth) - np.log(model[inputs, targets])))
    assert gaps[0] > gaps[1] > gaps[2] > 0
    assert gaps[2] < 1e-3  # 56 free probabilities cost about 56 / 2n nats


def test_seed_permutes_windows_of_the_same_tokens():
    one, other = SMALL.load(0), SMALL.load(1)
    np.testing.assert_array_equal(one.train, other.train)
    np.testing.assert_array_equal(one.eval_tokens, other.eval_tokens)
    assert not np.array_equal(one.sequences(0, 0, 9), other.sequences(1, 0, 9))
    assert one.eval_tokens.shape == (20, 17) and one.n_windows == 250 == SMALL.n_train
    assert np.isnan(one.bytes_per_token) and one.end_of_document is None


def test_a_smaller_training_set_begins_a_larger_one():
    large, small = SMALL.load(0).train, replace(SMALL, n_tokens=1600).load(0).train
    np.testing.assert_array_equal(small, large[:1601])


def test_generator_seed_makes_another_source():
    other = replace(SMALL, generator_seed=1)
    assert abs(other.entropy_rate() - SMALL.entropy_rate()) > 1e-3
    assert not np.array_equal(other.load(0).train, SMALL.load(0).train)


def test_tokens_frozen():
    """Where this fails the same source draws other tokens: raise the version in `fingerprint`."""
    assert SMALL.fingerprint() == "ngram/2"
    data = SMALL.load(0)
    assert data.train[:12].tolist() == [0, 2, 4, 0, 3, 3, 0, 0, 3, 0, 2, 4]
    assert data.eval_tokens[0, :8].tolist() == [3, 1, 0, 3, 1, 1, 3, 4]
    np.testing.assert_allclose(SMALL.entropy_rate(), 0.8117564857399163, rtol=1e-12)


def test_tokens_are_repeated_only_where_asked():
    assert SMALL.check_tokens(2000) == 0.5
    with pytest.raises(ValueError, match="takes 4,001 tokens and data has 4,000 to train on"):
        SMALL.check_tokens(4001)
    assert replace(SMALL, repeat=True).check_tokens(6000) == 1.5


def test_shape_of_the_problem_and_plain_values():
    assert (SMALL.n_inputs, SMALL.n_outputs, SMALL.n_classes) == (16, 5, None)
    assert from_dict(NGram, to_dict(SMALL)) == SMALL


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"vocab_size": 1}, "ngram.vocab_size = 1 is impossible"),
        (
            {"vocab_size": 40, "order": 2},
            "order = 2 with vocab_size = 40 is more than 1,024 sequen",
        ),
        ({"vocab_size": 2, "order": 10**9}, "order = 1000000000 with vocab_size = 2 is more than"),
        ({"concentration": 0}, "ngram.concentration = 0.0 is impossible"),
        ({"generator_seed": -1}, "ngram.generator_seed = -1 is impossible"),
    ],
)
def test_impossible_values_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        NGram(**fields)


def test_fewer_tokens_than_a_sequence_are_refused():
    with pytest.raises(ValueError, match=r"data.n_tokens = 63 is less than data.context = 64"):
        NGram(n_tokens=63).load(0)


def test_chances_of_the_source_are_those_of_its_chain():
    """Of every sequence of four tokens: its probability, but for that of the first."""
    source = NGram(vocab_size=3, order=2, context=3)
    chain = chain_of(source)
    sequences = np.array(list(itertools.product(range(3), repeat=4)))
    pairs = 3 * sequences[:, :-1] + sequences[:, 1:]
    joint = chain.stationary[pairs[:, 0]]
    for place in (2, 3):
        joint = joint * chain.transitions[pairs[:, place - 2], sequences[:, place]]
    first = chain.stationary.reshape(3, 3).sum(axis=1)[sequences[:, 0]]
    ours = source.log_chances(sequences).sum(axis=1)
    np.testing.assert_allclose(np.exp(ours), joint / first, rtol=1e-10)
