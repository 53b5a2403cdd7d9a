"""Runs over four devices that save as often as can be; one of them may lose a process."""

from __future__ import annotations

import itertools
import os
import signal
from typing import Any

from scaling.config import RunConfig
from scaling.data.ngram import NGram
from scaling.devices.mesh import Mesh
from scaling.models.transformer import Transformer
from scaling.pretraining import Pretraining
from scaling.record import Curve, RunRecord
from scaling.training import Adam
from scaling.workspace import Workspace
from sweeps.plan import make_plan
from sweeps.space import grid

PLAN = make_plan(
    "shared",
    grid(
        RunConfig(
            model=Transformer(width=8, depth=1, heads=2),
            data=NGram(vocab_size=8, context=8, n_tokens=2**12, n_eval=30),
            train=Pretraining(
                optimizer=Adam(learning_rate=0.01),
                batch_size=4,
                steps=16,
                evaluations=4,
                mesh=Mesh(fsdp=2, tensor=2),
            ),
        ),
        {"seed": range(2)},
    ),
)


def run(config: RunConfig, workspace: Workspace) -> tuple[RunRecord, Curve]:
    """Where SHARED_RUNS_KILL names this process, it dies while all save the second state."""
    import jax

    from scaling.run import run as scaling_run
    from scaling.trainers import checkpoint, history

    save, n_saved = checkpoint.save, itertools.count(1)

    def save_and_die(*args: Any) -> None:
        if next(n_saved) == 2 and os.environ.get("SHARED_RUNS_KILL") == str(jax.process_index()):
            os.kill(os.getpid(), signal.SIGKILL)
        save(*args)

    history.SAVE_SECONDS, history.SAVE_SHARE = 0.0, float("inf")
    checkpoint.save = save_and_die
    try:
        return scaling_run(config, workspace)
    finally:
        checkpoint.save = save
