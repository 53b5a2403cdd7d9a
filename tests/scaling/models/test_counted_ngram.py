"""Counted n-grams are those of a brute force, and baselines of a text compare with them."""

import math
from collections import Counter

import numpy as np
import pytest

from scaling.config import RunConfig
from scaling.counting import Counting
from scaling.data.ngram import NGram
from scaling.models.compressor import Compressor
from scaling.models.counted_ngram import CountedNGram, count, log_chances
from scaling.models.lstm import LSTM
from scaling.pretraining import Pretraining
from scaling.run import run
from scaling.training import Adam

VOCAB = 4
RANDOM = np.random.default_rng(0)
TRAIN = RANDOM.choice(VOCAB - 1, 80, p=[0.6, 0.3, 0.1])  # one token of the vocabulary is unseen


def brute_force(train, order):
    """Probabilities by dictionaries over sequences of tokens."""
    occurring = [
        Counter(tuple(train[i : i + n]) for i in range(len(train) - n + 1))
        for n in range(1, order + 2)
    ]
    before = [Counter(gram[1:] for gram in longer) for longer in occurring[1:]]

    def chance(token, context, counts):
        seen = len(context)
        below = chance(token, context[1:], before[seen - 1]) if seen else 1 / VOCAB
        once, twice = (1 + sum(n == k for n in counts.values()) for k in (1, 2))
        discount = once / (once + 2 * twice)
        total = sum(n for gram, n in counts.items() if gram[:-1] == context)
        kinds = sum(gram[:-1] == context for gram in counts)
        kept = max(counts[(*context, token)] - discount, 0) + discount * kinds * below
        return kept / total if total else below

    def of_sequence(sequence):
        at = range(1, len(sequence))
        contexts = [tuple(sequence[max(0, t - order) : t]) for t in at]
        pairs = zip(sequence[1:], contexts, strict=True)
        return [math.log(chance(w, h, occurring[len(h)])) for w, h in pairs]

    return of_sequence, occurring


@pytest.mark.parametrize("order", [1, 3])
def test_chances_are_those_of_a_brute_force(order):
    sequences = RANDOM.integers(0, VOCAB, (5, 9))
    of_sequence, occurring = brute_force(TRAIN.tolist(), order)
    counts = count(TRAIN, order, VOCAB)
    expected = [of_sequence(row) for row in sequences.tolist()]
    np.testing.assert_allclose(log_chances(counts, sequences), expected, rtol=1e-12)
    contexts = {gram[:-1] for grams in occurring for gram in grams}
    assert counts.n_contexts == len(contexts)


def test_chances_of_all_tokens_add_up_to_one():
    counts = count(TRAIN, 2, VOCAB)
    before = np.repeat(RANDOM.integers(0, VOCAB, (6, 4)), VOCAB, axis=0)
    ends = np.tile(np.arange(VOCAB), 6)[:, None]
    chances = np.exp(log_chances(counts, np.hstack([before, ends]))[:, -1])
    np.testing.assert_allclose(chances.reshape(6, VOCAB).sum(axis=1), 1)


SOURCE = NGram(vocab_size=4, order=2, context=16, n_tokens=2**14, n_eval=256)


def measured(model):
    return run(RunConfig(model=model, data=SOURCE, train=Counting()))[0]


def test_the_order_of_a_source_is_found_and_its_entropy_reached():
    losses = [measured(CountedNGram(order=order)).eval_loss_nats for order in (1, 2, 3)]
    best = SOURCE.least_loss()
    assert losses[0] > best + 0.1
    assert losses[1] == pytest.approx(best, abs=0.03)
    assert losses[1] < losses[2] < losses[1] + 0.02  # it has more to learn, and no more to know


def test_a_record_counts_contexts_and_no_flops():
    record = measured(CountedNGram(order=2))
    assert record.n_params_total == record.n_params_trainable == 1 + 4 + 16
    assert record.n_tokens_seen == record.n_tokens_unique == 2**14
    assert record.flops_train == 0 and record.steps is None
    assert record.eval_by is not None and set(record.eval_by) >= {"position 0-1", "position 8-16"}


@pytest.mark.parametrize("program", ["zlib", "lzma"])
def test_compressors_come_no_nearer_than_the_entropy(program):
    record = measured(Compressor(program=program))
    assert record.eval_loss_nats is not None
    assert SOURCE.least_loss() < record.eval_loss_nats < 1.2 * math.log(4)
    assert record.n_params_total == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": LSTM(width=4, depth=1)}, "takes model.kind = 'counted_ngram' or 'compressor'"),
        ({"model": CountedNGram(order=17)}, "order = 17 is above data.context = 16"),
        (
            {"train": Pretraining(optimizer=Adam(learning_rate=0.1), steps=1)},
            "nothing that gradients could train: use train.kind = 'counting'",
        ),
    ],
)
def test_what_cannot_be_counted_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        RunConfig(**{"model": CountedNGram(order=2), "data": SOURCE, "train": Counting()} | changes)
