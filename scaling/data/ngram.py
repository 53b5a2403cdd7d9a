"""N-gram source: a random Markov chain over tokens, with an entropy that is known exactly.

No model's expected loss is below that entropy, and a model that learns the chain comes down to it:
the planted truth for everything that measures losses of language models.
"""

from __future__ import annotations

import functools
from bisect import bisect_right
from dataclasses import dataclass
from typing import Annotated, ClassVar, NamedTuple

import numpy as np
from jaxtyping import Float, Int, UInt16

from scaling.data.token_dataset import DrawnSource
from scaling.fields import Count, Positive, Range
from scaling.keys import rng_for

MAX_STATES = 1024
"""Most sequences of `order` tokens that a source may have."""


@dataclass(frozen=True, kw_only=True)
class NGram(DrawnSource):
    """Tokens that each depend on the `order` tokens before them, by a random table.

    For every sequence of `order` tokens the next one's probabilities are drawn from a symmetric
    Dirichlet distribution: the smaller its `concentration`, the more predictable the tokens. The
    table and the tokens follow from `generator_seed`, so every run sees the same; a run's seed
    decides in what order the windows come. A smaller `n_tokens` is the beginning of a larger one.

    Attributes:
        context: Tokens predicted in a sequence.
        vocab_size: Number of different tokens.
        order: Tokens on which the next depends: 1 for bigrams.
        concentration: Concentration of the Dirichlet distribution, for each token.
        generator_seed: Seed of table and tokens.
        n_tokens: Training tokens.
        n_eval: Held-out sequences.
        repeat: Whether a run may take more tokens than `n_tokens`.
    """

    kind: ClassVar[str] = "ngram"
    context: Count = 64
    vocab_size: Annotated[int, Range(low=2, high=MAX_STATES)] = 16
    order: Count = 1
    concentration: Positive = 0.3
    generator_seed: Annotated[int, Range(low=0, high=2**32 - 1)] = 0
    n_tokens: Count = 2**18
    n_eval: Count = 256
    repeat: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.order > 10 or self.vocab_size**self.order > MAX_STATES:
            raise ValueError(
                f"ngram.order = {self.order} with vocab_size = {self.vocab_size} is more than "
                f"{MAX_STATES:,} sequences of {self.order} tokens: give a smaller order or "
                "vocabulary"
            )

    @property
    def n_outputs(self) -> int:
        """Tokens of the vocabulary."""
        return self.vocab_size

    def entropy_rate(self) -> float:
        """Nats per token, given all tokens before it.

        H = sum_s p(s) H(next | s), s the last `order` tokens and p their stationary distribution
        (Cover & Thomas, Elements of Information Theory, theorem 4.2.4).
        """
        return float(_conditional_entropies(self)[-1])

    def least_loss(self) -> float:
        """Least expected loss, in nats per token, of a model that sees one sequence.

        Its first predictions know fewer than `order` tokens, so it is above `entropy_rate`, by
        the mean over the sequence of H(next | tokens seen); for bigrams the two are equal.
        """
        entropies = _conditional_entropies(self)
        seen = np.minimum(np.arange(1, self.context + 1), self.order)
        return float(entropies[seen].mean())

    def log_chances(
        self, sequences: Int[np.ndarray, "n length"]
    ) -> Float[np.ndarray, "n predictions"]:
        """Log probability of every token but the first of each sequence, given those before it.

        It is that of the source itself, in nats: no model predicts its tokens better in the mean.
        """
        chain, vocab = chain_of(self), self.vocab_size
        joint = chain.stationary[:, None] * chain.transitions
        out = np.empty((len(sequences), sequences.shape[1] - 1))
        state = np.zeros(len(sequences), np.int64)
        for place in range(out.shape[1]):
            seen = min(place + 1, self.order)
            state = (state * vocab + sequences[:, place]) % vocab**seen
            block = joint.reshape(-1, vocab**seen, vocab).sum(axis=0)
            of_state = block[state]
            chances = of_state[np.arange(len(state)), sequences[:, place + 1]]
            out[:, place] = np.log(chances / of_state.sum(axis=1))
        return out

    def fingerprint(self) -> str:
        """Name and version of the generator: raised whenever the same seed draws other data."""
        return "ngram/2"

    def row(self, n_windows: int, stream: str) -> UInt16[np.ndarray, " tokens"]:
        """A row of tokens that begins in the stationary distribution."""
        rng, chain = rng_for(self.generator_seed, stream), chain_of(self)
        n_states, vocab = chain.transitions.shape
        n_tokens = n_windows * self.context + 1
        # The last bound is left out: where rounding leaves it below a draw, that token is meant.
        rows = [row.tolist() for row in np.cumsum(chain.transitions, axis=1)[:, :-1]]
        starts = np.cumsum(chain.stationary)[:-1]
        state = int(np.searchsorted(starts, rng.random(), side="right"))
        tokens = [state // vocab**place % vocab for place in reversed(range(self.order))]
        for chance in rng.random(max(n_tokens - self.order, 0)).tolist():
            token = bisect_right(rows[state], chance)
            state = (state * vocab + token) % n_states
            tokens.append(token)
        return np.array(tokens[:n_tokens], dtype=np.uint16)


class Chain(NamedTuple):
    """A Markov chain over sequences of `order` tokens, the oldest token the leading digit.

    Attributes:
        transitions: Probability of each next token after each sequence.
        stationary: Probability of each sequence.
    """

    transitions: Float[np.ndarray, "states vocab"]
    stationary: Float[np.ndarray, " states"]


def chain_of(source: NGram) -> Chain:
    """The table of a source and the sequences' stationary distribution, solved in float64."""
    vocab, n_states = source.vocab_size, source.vocab_size**source.order
    rng = rng_for(source.generator_seed, "transitions")
    transitions = rng.dirichlet(np.full(vocab, source.concentration), size=n_states)
    return Chain(transitions, stationary_of(transitions))


def stationary_of(transitions: Float[np.ndarray, "states vocab"]) -> Float[np.ndarray, " states"]:
    """Stationary distribution of the last tokens of a chain, the oldest the leading digit."""
    n_states, vocab = transitions.shape
    # p = pT: one of its equations follows from the others: sum(p) = 1 replaces it.
    states = np.arange(n_states)
    following = (states * vocab % n_states)[:, None] + np.arange(vocab)
    matrix = np.zeros((n_states, n_states))
    matrix[following, states[:, None]] = transitions
    matrix -= np.eye(n_states)
    matrix[0] = 1.0
    return np.maximum(np.linalg.solve(matrix, np.eye(n_states)[0]), 0.0)


@functools.lru_cache(maxsize=8)
def _conditional_entropies(source: NGram) -> Float[np.ndarray, " entropies"]:
    """H(next | the last k tokens) for k = 0 to order, in nats."""
    chain, vocab = chain_of(source), source.vocab_size
    joint = chain.stationary[:, None] * chain.transitions
    entropies = []
    for k in range(source.order + 1):
        block = joint.reshape(-1, vocab**k, vocab).sum(axis=0)
        chances = block / np.maximum(block.sum(axis=1, keepdims=True), np.finfo(float).tiny)
        entropies.append(-np.sum(block * np.log(np.where(block > 0, chances, 1.0))))
    return np.array(entropies)
