"""Random tokens that repeat: nothing predicts them but what stands a period earlier."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from jaxtyping import Float, Int, UInt16

from scaling.data.token_dataset import DrawnSource
from scaling.fields import Count, Range
from scaling.keys import rng_for


@dataclass(frozen=True, kw_only=True)
class Repeated(DrawnSource):
    """Sequences that repeat with a period: token t is token t - P, and the first P are random.

    Each sequence has a period of its own, any from `least_period` to `period` with equal chance,
    and tokens of which each is as likely. In its first period nothing predicts them; from then on
    they are known to whoever finds the current token in the period before and looks one further, as
    induction heads do (Olsson et al. 2022, arXiv 2209.11895), or to whoever remembers the whole
    period. Where all periods are equal, it is enough to look a fixed distance back.

    Windows follow each other in one row, as those of all sources: the first token of one is the
    last of the window before. Tokens follow from `generator_seed`.

    Attributes:
        context: Tokens predicted in a sequence.
        vocab_size: Number of different tokens.
        least_period: Least period.
        period: Largest period.
        generator_seed: Seed of periods and tokens.
        n_tokens: Training tokens.
        n_eval: Held-out sequences.
        repeat: Whether a run may take more tokens than `n_tokens`.
    """

    kind: ClassVar[str] = "repeated"
    context: Count = 64
    vocab_size: Annotated[int, Range(low=2, high=2**16)] = 32
    least_period: Count = 17
    period: Count = 32
    generator_seed: Annotated[int, Range(low=0, high=2**32 - 1)] = 0
    n_tokens: Count = 2**20
    n_eval: Count = 512
    repeat: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.least_period <= self.period < self.context:
            raise ValueError(
                f"repeated.least_period = {self.least_period}, period = {self.period} and context "
                f"= {self.context}: give a least period up to the period, and a context above it, "
                "so that every sequence repeats"
            )
        if self.least_period == self.period and self.context % self.period == 0:
            raise ValueError(
                f"repeated.context = {self.context} is a multiple of the only period, {self.period}"
                ": all sequences would begin with one token; give another context or period"
            )

    @property
    def n_outputs(self) -> int:
        """Tokens of the vocabulary."""
        return self.vocab_size

    def fingerprint(self) -> str:
        """Name and version of the generator: raised whenever the same seed draws other data."""
        return "repeated/1"

    def row(self, n_windows: int, stream: str) -> UInt16[np.ndarray, " tokens"]:
        """A row of windows, each of which begins with the last token of the one before."""
        rng = rng_for(self.generator_seed, stream)
        periods = rng.integers(self.least_period, self.period + 1, n_windows)
        drawn = rng.integers(self.vocab_size, size=(n_windows, self.period), dtype=np.uint16)
        last = self.context % periods
        for window in range(1, n_windows):
            drawn[window, 0] = drawn[window - 1, last[window - 1]]
        within = np.arange(self.context) % periods[:, None]
        row = np.take_along_axis(drawn, within, axis=1).reshape(-1)
        return np.append(row, drawn[-1, last[-1]])

    def log_chances(
        self, sequences: Int[np.ndarray, "n length"]
    ) -> Float[np.ndarray, "n predictions"]:
        """Log probability of every token but the first of each sequence, given those before it.

        It is the mean over all periods, weighted by what the tokens so far say of them, in nats: no
        model predicts better in the mean.
        """
        periods = np.arange(self.least_period, self.period + 1)
        # Chance of the tokens so far under each period, over that of random ones.
        weights = np.ones((len(sequences), len(periods)))
        chances = np.empty((len(sequences), sequences.shape[1] - 1))
        for t in range(1, sequences.shape[1]):
            repeats = t >= periods
            same = sequences[:, np.maximum(t - periods, 0)] == sequences[:, t, None]
            following = np.where(repeats, same * float(self.vocab_size), 1.0)
            after = weights * following
            chances[:, t - 1] = after.sum(axis=1) / weights.sum(axis=1) / self.vocab_size
            weights = after / after.max(axis=1, keepdims=True)
        return np.log(chances)
