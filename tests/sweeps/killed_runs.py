"""A run on tokens that saves as often as can be and dies of SIGKILL after every second time."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

from scaling.config import RunConfig
from scaling.data.ngram import NGram
from scaling.models.transformer import Transformer
from scaling.pretraining import Pretraining
from scaling.record import Curve, RunRecord
from scaling.run import run as scaling_run
from scaling.training import Adam

CONFIG = RunConfig(
    model=Transformer(width=8, depth=1, heads=2),
    data=NGram(vocab_size=8, context=8, n_tokens=2**12, n_eval=64),
    train=Pretraining(optimizer=Adam(learning_rate=0.01), batch_size=4, steps=60, evaluations=6),
)


def run(config: RunConfig, workspace: Path) -> tuple[RunRecord, Curve]:
    from scaling import checkpoint, train_tokens

    save, saved = checkpoint.save, []

    def save_and_die(*args: Any) -> None:
        save(*args)
        saved.append(args)
        if len(saved) == 2:
            os.kill(os.getpid(), signal.SIGKILL)

    train_tokens.SAVE_SECONDS, train_tokens.SAVE_SHARE = 0.0, float("inf")
    checkpoint.save = save_and_die
    return scaling_run(config, workspace)
