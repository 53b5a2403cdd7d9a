"""Runs on tokens that save as often as can be, and die of SIGKILL after some of these times."""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from scaling.config import RunConfig, trunk_of
from scaling.data.ngram import NGram
from scaling.models.transformer import Transformer
from scaling.pretraining import Pretraining
from scaling.record import Curve, RunRecord
from scaling.run import run as scaling_run
from scaling.schedules import StableDecay
from scaling.training import Adam
from scaling.workspace import Workspace

CONFIG = RunConfig(
    model=Transformer(width=8, depth=1, heads=2),
    data=NGram(vocab_size=8, context=8, n_tokens=2**12, n_eval=64),
    train=Pretraining(optimizer=Adam(learning_rate=0.01), batch_size=4, steps=60, evaluations=6),
)

BRANCHING = replace(CONFIG.train, schedule=StableDecay(decay=0.25), evaluations=2)
BRANCHES = [replace(CONFIG, train=replace(BRANCHING, steps=steps)) for steps in (60, 40, 80)]
"""They leave their trunk after 45, 30 and 60 steps, and are saved once more after that."""


def run(config: RunConfig, workspace: Workspace) -> tuple[RunRecord, Curve]:
    """Dies after every second time."""
    saves = itertools.count(1)
    return _dying(config, workspace, lambda step: next(saves) == 2)


def branch(config: RunConfig, workspace: Workspace) -> tuple[RunRecord, Curve]:
    """Dies beyond the trunk."""
    trunk = trunk_of(config)
    assert trunk is not None
    return _dying(config, workspace, lambda step: step > trunk.steps)


def _dying(
    config: RunConfig, workspace: Workspace, dies_after: Callable[[int], bool]
) -> tuple[RunRecord, Curve]:
    from scaling.trainers import checkpoint, history

    save = checkpoint.save

    def save_and_die(folder: Path, identity: str, step: int, *more: Any) -> None:
        save(folder, identity, step, *more)
        if dies_after(step):
            os.kill(os.getpid(), signal.SIGKILL)

    history.SAVE_SECONDS, history.SAVE_SHARE = 0.0, float("inf")
    checkpoint.save = save_and_die
    try:
        return scaling_run(config, workspace)
    finally:
        checkpoint.save = save
