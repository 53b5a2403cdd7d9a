"""A planted language pair: sentences and their translations by a lexicon, a context and an order.

A stand-in for corpora of translations: small, generated, with a rule that a network can find out,
and an error of 0 for those that do.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal, NamedTuple

import numpy as np
from jaxtyping import Int

from scaling.data.dataset import Dataset
from scaling.data.label_noise import LabelNoise, corrupt, replaced
from scaling.fields import Checked, Count, Range
from scaling.keys import rng_for


class Lexicon(NamedTuple):
    """The rule of the language pair.

    Attributes:
        n_modifiers: Words below it are modifiers; the others are heads.
        senses: Translation of each word, where no modifier stands before it and where one does.
    """

    n_modifiers: int
    senses: Int[np.ndarray, "2 words"]

    def translate(self, sources: Int[np.ndarray, "n length"]) -> Int[np.ndarray, "n length"]:
        """Translations of sentences, word by word, each phrase from its end to its beginning.

        A phrase is a head and the modifiers just before it.
        """
        modifier = sources < self.n_modifiers
        after_modifier = np.zeros_like(modifier)
        after_modifier[:, 1:] = modifier[:, :-1]
        words = self.senses[after_modifier.astype(int), sources]
        phrase = np.cumsum(~modifier, axis=1) - ~modifier  # heads before each word
        place = np.arange(sources.shape[1])
        order = np.argsort(phrase * sources.shape[1] - place, axis=1)
        return np.take_along_axis(words, order, axis=1)


def lexicon(n_words: int, seed: int) -> Lexicon:
    """A lexicon drawn at random: half of the words are modifiers, and both senses permutations."""
    rng = rng_for(seed, "grammar")
    return Lexicon(n_words // 2, np.stack([rng.permutation(n_words) for _ in range(2)]))


@dataclass(frozen=True, kw_only=True)
class PlantedTranslation(Checked):
    """Pairs of a sentence of uniform random words and its translation, `length` words each.

    A word has two translations, one for where a modifier stands before it, and translations
    stand in another order (`Lexicon.translate`): what is predicted depends on a word, on its left
    neighbour and on where the phrase ends. An input is the source, then a token that begins the
    target and all of the target but its last word; the labels are the target. Labels are corrupted
    word by word or, with `noise_unit` = "pair", all words of a chosen pair; the decoder reads the
    target that it is trained on. The language pair is drawn from `grammar_seed`, sentences from
    a run's seed: at one seed fewer pairs are the beginning of more, and held-out pairs, which are
    clean, do not depend on `n_train`.
    """

    kind: ClassVar[str] = "planted_translation"
    n_train: Count
    n_words: Annotated[int, Range(low=4, high=30_000)] = 32
    length: Annotated[int, Range(low=2, high=1000)] = 8
    n_eval: Count = 1000
    label_noise: LabelNoise = field(default_factory=LabelNoise)
    noise_unit: Literal["token", "pair"] = "token"
    grammar_seed: Annotated[int, Range(low=0, high=2**32 - 1)] = 0

    @property
    def source_length(self) -> int:
        """Tokens of the source."""
        return self.length

    @property
    def n_inputs(self) -> int:
        """Tokens of an input: the source, and what comes before each word of the target."""
        return 2 * self.length

    @property
    def n_outputs(self) -> int:
        """Size of the vocabulary: the words and the token that begins a target."""
        return self.n_words + 1

    @property
    def n_classes(self) -> int | None:
        """Number of classes: the vocabulary."""
        return self.n_outputs

    def fingerprint(self) -> str:
        """Name and version of the draws."""
        return "planted_translation/1"

    def load(self, seed: int) -> Dataset:
        """The pairs of one run."""
        rule = lexicon(self.n_words, self.grammar_seed)
        sources = self._sentences(self.n_train, rng_for(seed, "data"))
        held_out = self._sentences(self.n_eval, rng_for(seed, "data_eval"))
        clean, truth = rule.translate(sources), rule.translate(held_out)
        noisy = self._corrupted(clean, rng_for(seed, "label_noise"))
        return Dataset(
            train_inputs=self._inputs(sources, noisy),
            train_targets=noisy,
            train_targets_clean=clean,
            eval_inputs=self._inputs(held_out, truth),
            eval_targets=truth,
        )

    def _sentences(self, n: int, rng: np.random.Generator) -> Int[np.ndarray, "n length"]:
        return np.floor(rng.random((n, self.length)) * self.n_words).astype(np.int64)

    def _corrupted(
        self, targets: Int[np.ndarray, "n length"], rng: np.random.Generator
    ) -> Int[np.ndarray, "n length"]:
        if self.noise_unit == "token":
            noisy = corrupt(targets.ravel(), self.label_noise, self.n_words, rng)
            return noisy.reshape(targets.shape)
        chance, *choices = rng.random((len(targets), 1 + self.length)).T
        wrong = replaced(targets, np.stack(choices, axis=1), self.label_noise, self.n_words)
        return np.where(chance[:, None] < self.label_noise.fraction, wrong, targets)

    def _inputs(
        self, sources: Int[np.ndarray, "n length"], targets: Int[np.ndarray, "n length"]
    ) -> Int[np.ndarray, "n inputs"]:
        begin = np.full((len(sources), 1), self.n_words)
        return np.concatenate([sources, begin, targets[:, :-1]], axis=1)
