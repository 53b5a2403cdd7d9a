"""Two marked n-gram sources: their least loss is exact, and what they share is what was asked."""

import numpy as np
import pytest

from scaling.data.mixed_ngrams import MixedNGrams, tables
from scaling.data.ngram import stationary_of
from scaling.overrides import replace_at

SOURCE = MixedNGrams(
    order=2, vocab_size=4, context=10, shared=0.5, n_tokens=10 * 1000, n_eval=64, generator_seed=3
)


def sequences(source):
    """Training sequences in the order of the row: the beginning, a marker, and eight tokens."""
    dataset = source.load(0)
    return dataset.train[:-1].reshape(-1, source.context), dataset


@pytest.mark.parametrize("sources", ["first", "second", "both"])
def test_the_least_loss_is_that_of_the_chains_themselves(sources):
    source = replace_at(SOURCE, "sources", sources)
    rows, _ = sequences(source)
    chains, marker = tables(source), np.log(2 if sources == "both" else 1)
    nats = []
    for row in rows:
        transitions, tokens = chains[row[1] - 4], row[2:]
        chance = stationary_of(transitions)[4 * tokens[0] + tokens[1]]
        rules = transitions[4 * tokens[:-2] + tokens[1:-1], tokens[2:]]
        nats.append(marker - np.log(chance) - np.log(rules).sum())
    mean, sem = np.mean(nats), np.std(nats) / len(nats) ** 0.5
    assert source.least_loss() * source.context == pytest.approx(mean, abs=4 * sem)


def test_sources_alternate_behind_their_markers():
    rows, dataset = sequences(SOURCE)
    assert set(rows[:, 0]) == {6} and set(rows[::2, 1]) == {4} and set(rows[1::2, 1]) == {5}
    assert rows[:, 2:].max() < 4 and SOURCE.n_outputs == 7
    assert set(dataset.sequences(0, 0, 5)[:, -1]) == {6}
    alone, _ = sequences(replace_at(SOURCE, "sources", "second"))
    assert set(alone[:, 1]) == {5}


@pytest.mark.parametrize("shared", [0.0, 0.5, 1.0])
def test_a_part_of_the_rules_is_shared(shared):
    first, second = tables(replace_at(SOURCE, "shared", shared))
    assert np.sum(np.all(first == second, axis=1)) == 16 * shared
    np.testing.assert_allclose(second.sum(axis=1), 1)


def test_fewer_tokens_are_the_beginning_of_more():
    rows, _ = sequences(SOURCE)
    fewer, _ = sequences(replace_at(SOURCE, "n_tokens", 1000))
    np.testing.assert_array_equal(rows[:100], fewer)


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("order", 9, "mixed_ngrams.order = 9 with vocab_size = 4 is more"),
        ("context", 3, "more than the 1 tokens of a chain in context = 3"),
        ("shared", 1.5, "shared"),
    ],
)
def test_what_cannot_be_drawn_is_refused(field, value, said):
    with pytest.raises(ValueError, match=said):
        replace_at(SOURCE, field, value)
