"""Runs without gradients on tokens: counted n-grams, and programs that compress."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from scaling.config import RunConfig
from scaling.data.token_dataset import TokenDataset
from scaling.models.compressor import Compressor
from scaling.models.counted_ngram import CountedNGram, count, log_chances
from scaling.record import positions


def count_tokens(config: RunConfig, dataset: TokenDataset) -> dict[str, Any]:
    """Measures the held-out loss of a model that is counted or of a program, in float64.

    Returns:
        Columns of a RunRecord. Of a counted model they hold the number of its parameters, which
        follows from the data, and its loss by position.
    """
    model, held_out = config.model, dataset.eval_tokens
    if isinstance(model, Compressor):
        text = held_out[:, 1:].astype(np.uint8).tobytes()
        return _losses(8 * math.log(2) * len(model.compressed(text)) / len(text), dataset)
    assert isinstance(model, CountedNGram)
    counts = count(dataset.train, model.order, config.data.n_outputs)
    losses = -log_chances(counts, held_out)
    each = losses.mean(axis=1)
    sem = float(each.std(ddof=1)) / math.sqrt(len(each)) if len(each) > 1 else math.nan
    names = ("total", "trainable", "non_embedding")
    return {
        **_losses(float(each.mean()), dataset),
        "eval_loss_sem_nats": sem,
        "eval_by": {
            part.name: float(np.mean(losses[:, part.first : part.end]))
            for part in positions(losses.shape[1])
        },
        **{f"n_params_{name}": counts.n_contexts for name in names},
    }


def _losses(loss: float, dataset: TokenDataset) -> dict[str, float]:
    return {
        "eval_loss_nats": loss,
        "eval_bits_per_byte": loss / math.log(2) / dataset.bytes_per_token,
    }
