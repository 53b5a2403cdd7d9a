"""Two n-gram sources over one vocabulary, marked, which share a part of their rules.

A marker says which source a sequence is of, so that the least loss of each, and of any mixture, is
known exactly: the planted truth for what one modality gains or loses by another.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
from jaxtyping import Float, Int, UInt16

from scaling.data.ngram import MAX_STATES, stationary_of
from scaling.data.token_dataset import DrawnSource
from scaling.fields import Count, Fraction, Positive, Range
from scaling.keys import rng_for

Sources = Literal["first", "second", "both"]
_NUMBERS: dict[Sources, tuple[int, ...]] = {"first": (0,), "second": (1,), "both": (0, 1)}


@dataclass(frozen=True, kw_only=True)
class MixedNGrams(DrawnSource):
    """Sequences of two Markov chains, each behind the marker of its chain.

    Of each chain every `order` tokens have a distribution of the next one, drawn from a symmetric
    Dirichlet distribution. In a random part of `shared` of them both chains have the same; in the
    others each has its own. A sequence is a token that all begin with and end before, a marker of
    its chain, and tokens from the stationary distribution of the chain on. With "both" the chains
    alternate from one sequence to the next, of which a model sees one: of two markers it cannot
    know which. Tables and tokens follow from `generator_seed`. A smaller `n_tokens` is the
    beginning of a larger one.

    Attributes:
        context: Tokens predicted in a sequence.
        vocab_size: Number of different tokens, beside the beginning and two markers.
        order: Tokens on which the next depends: 1 for bigrams.
        concentration: Concentration of the Dirichlet distribution, for each token.
        shared: Share of the rules that both chains have.
        sources: Of which chains the sequences are.
        generator_seed: Seed of tables and tokens.
        n_tokens: Training tokens.
        n_eval: Held-out sequences.
        repeat: Whether a run may take more tokens than `n_tokens`.
    """

    kind: ClassVar[str] = "mixed_ngrams"
    context: Annotated[int, Range(low=3)] = 32
    vocab_size: Annotated[int, Range(low=2, high=MAX_STATES)] = 32
    order: Count = 1
    concentration: Positive = 0.3
    shared: Fraction = 0.0
    sources: Sources = "both"
    generator_seed: Annotated[int, Range(low=0, high=2**32 - 1)] = 0
    n_tokens: Count = 2**18
    n_eval: Count = 256
    repeat: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.order > 10 or self.vocab_size**self.order > MAX_STATES:
            raise ValueError(
                f"mixed_ngrams.order = {self.order} with vocab_size = {self.vocab_size} is more "
                f"than {MAX_STATES:,} sequences of {self.order} tokens: give a smaller order or "
                "vocabulary"
            )
        if self.order > self.context - 2:
            raise ValueError(
                f"mixed_ngrams.order = {self.order} is more than the {self.context - 2} tokens of "
                f"a chain in context = {self.context}: give a longer context, or a smaller order"
            )

    @property
    def n_outputs(self) -> int:
        """Tokens of the vocabulary, both markers and the beginning."""
        return self.vocab_size + 3

    def least_loss(self) -> float:
        """Least expected loss, in nats per token, of a model that knows both chains."""
        numbers = _NUMBERS[self.sources]
        each = [_entropy_of_sequence(self, number) for number in numbers]
        return float(np.log(len(numbers)) + np.mean(each)) / self.context

    def fingerprint(self) -> str:
        """Name and version of the generator: raised whenever the same seed draws other data."""
        return "mixed_ngrams/1"

    def row(self, n_windows: int, stream: str) -> UInt16[np.ndarray, " tokens"]:
        """A row of sequences, and the beginning of one more."""
        numbers = np.resize(_NUMBERS[self.sources], n_windows)
        rows = np.empty((n_windows, self.context), np.uint16)
        rows[:, 0], rows[:, 1] = self.vocab_size + 2, self.vocab_size + numbers
        chances = rng_for(self.generator_seed, stream).random((n_windows, self.context))
        bounds = np.cumsum(tables(self), axis=2)[:, :, :-1]
        for number in _NUMBERS[self.sources]:
            of = np.flatnonzero(numbers == number)
            rows[of, 2:] = _sequences(self, number, bounds[number], chances[of])
        return np.append(rows.reshape(-1), np.uint16(self.vocab_size + 2))


def tables(source: MixedNGrams) -> Float[np.ndarray, "2 states vocab"]:
    """Probability of each next token after each sequence of `order` tokens, for both chains."""
    n_states = source.vocab_size**source.order
    chance = np.full(source.vocab_size, source.concentration)
    first, second = (
        rng_for(source.generator_seed, stream).dirichlet(chance, size=n_states)
        for stream in ("transitions", "transitions_2")
    )
    order = rng_for(source.generator_seed, "shared").permutation(n_states)
    same = order < round(source.shared * n_states)
    return np.stack([first, np.where(same[:, None], first, second)])


def _entropy_of_sequence(source: MixedNGrams, number: int) -> float:
    """Entropy of a sequence given its marker: of its first `order` tokens, and of each rule used.

    The first tokens are a draw from the stationary distribution, which the chain then keeps.
    """
    transitions = tables(source)[number]
    chance = stationary_of(transitions)
    start = -np.sum(chance * np.log(np.where(chance > 0, chance, 1.0)))
    of_rule = -np.sum(transitions * np.log(np.where(transitions > 0, transitions, 1.0)), axis=1)
    n_ruled = source.context - 2 - source.order
    return float(start + n_ruled * (chance @ of_rule))


def _sequences(
    source: MixedNGrams,
    number: int,
    bounds: Float[np.ndarray, "states bounds"],
    chances: Float[np.ndarray, "n context"],
) -> Int[np.ndarray, "n length"]:
    """Sequences of one chain, drawn side by side."""
    vocab, order = source.vocab_size, source.order
    starts = np.cumsum(stationary_of(tables(source)[number]))[:-1]
    state = np.searchsorted(starts, chances[:, 0], side="right")
    tokens = np.empty((len(chances), source.context - 2), np.int64)
    for place in range(order):
        tokens[:, place] = state // vocab ** (order - 1 - place) % vocab
    for place in range(order, source.context - 2):
        token = np.sum(chances[:, place, None] >= bounds[state], axis=1)
        tokens[:, place] = token
        state = (state * vocab + token) % vocab**order
    return tokens
