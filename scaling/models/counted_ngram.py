"""Counted n-gram: interpolated Kneser-Ney, exact, of any order, with NumPy alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import numpy as np
from jaxtyping import Float, Int, Integer

from scaling.fields import Checked, Count
from scaling.models.family import Family

if TYPE_CHECKING:
    from scaling.model import Model

UNSEEN = -1
"""Number of a sequence of tokens that training has not seen."""


@dataclass(frozen=True, kw_only=True)
class CountedNGram(Checked, Family):
    """Probabilities of the token after the last `order`, by counting, discounted and interpolated.

    With h the last m tokens and h' the last m - 1, p(w | h) = (c(hw) - d)+ / c(h) + d n(h) / c(h)
    p(w | h'), where n(h) is the number of different tokens after h. At the longest m, c counts
    occurrences; below it c(hw) is the number of different tokens before hw (Kneser & Ney 1995; Chen
    & Goodman 1999, section 3.1, interpolated). Below m = 0 all tokens are equally likely. The
    discount of each m is d = n1 / (n1 + 2 n2), of the numbers of hw that are counted once and
    twice, each raised by 1, so that d is in (0, 1) where there are none.

    Near the beginning of a sequence, where fewer than `order` tokens are seen, the longest m is
    their number. The parameters are the different sequences of up to `order` tokens before a token
    of the training data; `count_params` leaves them out, since the family does not know the data.

    Attributes:
        order: Tokens that a prediction sees: 2 for trigrams.
    """

    kind: ClassVar[str] = "counted_ngram"
    order: Count

    def build(self, n_inputs: int, n_outputs: int) -> Model:
        """Refuses to: counts are not trained by gradients.

        Raises:
            ValueError: always.
        """
        raise ValueError(
            "model.kind = 'counted_ngram' has no parameters that gradients could train: use "
            "train.kind = 'counting'"
        )

    def count_params(self, n_inputs: int, n_outputs: int) -> dict[str, int]:
        """Parameters by group: none but the contexts that are counted."""
        return {}

    def flops_forward(self, n_inputs: int, n_outputs: int) -> int:
        """FLOPs of matrix products: there are none."""
        return 0


class Level(NamedTuple):
    """The different sequences of one length in the training tokens, numbered in ascending order.

    Attributes:
        keys: Number of each without its last token, times the vocabulary, plus that token.
        counts: How often each occurs.
        suffixes: Number of each without its first token, among those one shorter.
    """

    keys: Int[np.ndarray, " sequences"]
    counts: Int[np.ndarray, " sequences"]
    suffixes: Int[np.ndarray, " sequences"]


class Counts(NamedTuple):
    """The sequences of 1, 2, ..., order + 1 tokens in the training tokens."""

    levels: list[Level]
    vocab_size: int

    @property
    def n_contexts(self) -> int:
        """Different sequences of 0 to `order` tokens that come before a token."""
        return sum(len(np.unique(level.keys // self.vocab_size)) for level in self.levels)


def count(tokens: Integer[np.ndarray, " tokens"], order: int, vocab_size: int) -> Counts:
    """Counts every sequence of up to `order` + 1 neighbouring tokens, of more tokens than that.

    The key of a sequence is the number of all but its last token, and that token: any length fits
    into 64 bits.
    """
    row = tokens.astype(np.int64)
    ids, levels = np.zeros(len(row) + 1, np.int64), []
    for length in range(1, order + 2):
        keys = ids[:-1] * vocab_size + row[length - 1 :]
        found, first, longer, counts = np.unique(
            keys, return_index=True, return_inverse=True, return_counts=True
        )
        levels.append(Level(found, counts, ids[1:][first]))
        ids = longer
    return Counts(levels, vocab_size)


def log_chances(
    counts: Counts, sequences: Integer[np.ndarray, "n_eval length"]
) -> Float[np.ndarray, "n_eval predictions"]:
    """Log probability of every token of some sequences but the first of each, in nats."""
    levels, vocab = counts.levels, counts.vocab_size
    ids = _ids(counts, sequences.astype(np.int64))
    lower = np.full((len(sequences), sequences.shape[1] - 1), 1 / vocab)
    chances = lower.copy()
    for seen, level in enumerate(levels):
        # Predictions after at least as many tokens, and those for which it is the longest.
        start = max(seen - 1, 0)
        longest = slice(start, None if seen == len(levels) - 1 else seen)
        given = ids[seen][:, :-1], ids[seen + 1][:, 1:]
        by_count = _chances(level, level.counts, vocab, *(x[:, longest] for x in (*given, lower)))
        chances[:, longest] = by_count
        if seen < len(levels) - 1:
            neighbours = np.bincount(levels[seen + 1].suffixes, minlength=len(level.keys))
            rest = (x[:, start:] for x in (*given, lower))
            lower[:, start:] = _chances(level, neighbours, vocab, *rest)
    return np.log(chances)


Ids = Int[np.ndarray, "n_eval times"]


def _ids(counts: Counts, sequences: Ids) -> list[Ids]:
    """The number of the last 0, 1, 2, ... tokens at every place of some sequences."""
    ids = [np.zeros_like(sequences)]
    for level in counts.levels:
        before = np.pad(ids[-1][:, :-1], ((0, 0), (1, 0)), constant_values=UNSEEN)
        before = before if len(ids) > 1 else ids[0]
        keys = np.where(before == UNSEEN, UNSEEN, before * counts.vocab_size + sequences)
        place = np.minimum(np.searchsorted(level.keys, keys), len(level.keys) - 1)
        ids.append(np.where(level.keys[place] == keys, place, UNSEEN))
    return ids


def _chances(
    level: Level,
    weights: Int[np.ndarray, " sequences"],
    vocab_size: int,
    contexts: Ids,
    sequences: Ids,
    lower: Float[np.ndarray, "n_eval times"],
) -> Float[np.ndarray, "n_eval times"]:
    """Interpolates one level with the chances that the level below it gives."""
    context_of = level.keys // vocab_size
    size = max(int(context_of[-1]), int(contexts.max(initial=0))) + 1
    totals = np.bincount(context_of, weights, minlength=size)
    kinds = np.bincount(context_of, weights > 0, minlength=size)
    once, twice = (1 + np.sum(weights == n) for n in (1, 2))
    discount = once / (once + 2 * twice)
    weight = np.where(sequences == UNSEEN, 0, weights[sequences])
    total = np.where(contexts == UNSEEN, 0, totals[contexts])
    kept = np.maximum(weight - discount, 0) + discount * kinds[contexts] * lower
    return np.where(total > 0, kept / np.maximum(total, 1), lower)
