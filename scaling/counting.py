"""Counting tokens, as a configuration; `scaling.trainers.counting` carries it out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from scaling.data.token_dataset import TokenSource
from scaling.fields import Checked
from scaling.kinds import DataConfig, ModelConfig
from scaling.models.compressor import Compressor
from scaling.models.counted_ngram import CountedNGram


@dataclass(frozen=True, kw_only=True)
class Counting(Checked):
    """All training tokens are counted once, and the held-out ones predicted.

    `data.n_tokens` says how many. A compressor counts nothing beforehand.
    """

    kind: ClassVar[str] = "counting"

    def check(self, model: ModelConfig, data: DataConfig) -> None:
        """Refuses models that gradients train, and data without tokens or with too few."""
        if not isinstance(model, CountedNGram | Compressor) or not isinstance(data, TokenSource):
            raise ValueError(
                "train.kind = 'counting' takes model.kind = 'counted_ngram' or 'compressor' on "
                f"data.kind = 'text' or 'ngram', not {model.kind!r} on {data.kind!r}: use "
                "train.kind = 'pretraining'"
            )
        if isinstance(model, CountedNGram) and model.order > data.context:
            raise ValueError(
                f"model.order = {model.order} is above data.context = {data.context}, the most "
                "tokens that a prediction sees: give a smaller order or a longer context"
            )
        if isinstance(model, Compressor) and data.n_outputs > 256:
            raise ValueError(
                f"model.kind = 'compressor' compresses bytes, and the vocabulary has "
                f"{data.n_outputs:,} tokens: use data.tokenizer.kind = 'bytes'"
            )

    def resolve(self, model: ModelConfig, data: DataConfig) -> Self:
        """The configuration itself: no field is left open."""
        return self
