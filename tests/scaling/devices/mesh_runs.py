"""Runs over emulated devices, as a program of its own: their number is set before JAX starts.

JAX_NUM_CPU_DEVICES=4 python mesh_runs.py FOLDER    prints what it finds as JSON
"""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np

from scaling.config import RunConfig, shape_of
from scaling.data.ngram import NGram
from scaling.devices.mesh import Mesh
from scaling.keys import key_for
from scaling.models import transformer_apply
from scaling.models.transformer import Transformer
from scaling.pretraining import Pretraining
from scaling.run import run
from scaling.trainers import history, token_programs
from scaling.training import Adam
from scaling.workspace import Workspace

PLAIN = RunConfig(
    model=Transformer(
        width=16, depth=1, heads=2, positions="learned", norm="layer", activation="gelu"
    ),
    data=NGram(vocab_size=24, context=8, n_tokens=2**12, n_eval=30),
    train=Pretraining(
        optimizer=Adam(learning_rate=0.01, weight_decay=0.1),
        batch_size=20,
        warmup_tokens=3 * 160,
        clip_norm=0.5,
        steps=10,
        evaluations=10,
    ),
    seed=3,
)
GROUPED = dataclasses.replace(
    PLAIN, model=Transformer(width=16, depth=2, heads=4, kv_heads=2, tied=True, qk_norm=True)
)
MESHES = {"one": Mesh(), "data": Mesh(data=4), "both": Mesh(data=2, fsdp=2)}


def on(config: RunConfig, mesh: Mesh, **changes: Any) -> RunConfig:
    train = dataclasses.replace(config.train, mesh=mesh, **changes)
    return dataclasses.replace(config, train=train)


def losses(config: RunConfig, workspace: Path | None = None) -> dict[str, list[float]]:
    record, curve = run(config, Workspace(workspace) if workspace else None)
    return {
        "train": [point.train_loss for point in curve],
        "eval": [point.eval_loss for point in curve],
        "end": [record.eval_loss_sem_nats or 0.0, record.weight_norm_l2 or 0.0],
        "resumed": record.environment.get("resumed_at_steps", []),
    }


def trainer(config: RunConfig) -> token_programs.Trainer:
    return token_programs.compiled(shape_of(config), 1)


def kept(config: RunConfig) -> dict[str, list[float]]:
    """Bytes of the state on each device, and in all; and the weights as they were drawn."""
    state = trainer(config).init(key_for(config.seed, "init"))
    leaves = jax.tree.leaves((state.params, state.optimizer))
    on_device: dict[int, int] = {}
    for leaf in leaves:
        for shard in leaf.addressable_shards:
            on_device[shard.device.id] = on_device.get(shard.device.id, 0) + shard.data.nbytes
    drawn = [float(np.asarray(leaf, np.float64).sum()) for leaf in jax.tree.leaves(state.params)]
    return {"each": [*on_device.values()], "all": [sum(x.nbytes for x in leaves)], "drawn": drawn}


def sent(config: RunConfig) -> dict[str, list[list[int]]]:
    """Shapes of what a step sends between devices, by the kind of message."""
    found: dict[str, list[list[int]]] = {}
    compiled: Any = trainer(config).advance
    for line in compiled.as_text().splitlines():
        match = re.search(r"= (.*?) (all-gather|all-reduce|all-to-all|reduce-scatter)\(", line)
        if match:
            shapes = re.findall(r"f32\[([\d,]*)\]", match[1])
            found.setdefault(match[2], []).extend(
                [int(size) for size in shape.split(",") if size] for shape in shapes
            )
    return found


def resumed(config: RunConfig, folder: Path) -> list[dict[str, list[float]]]:
    """A run, and the same once more from the state that it saved two steps before its end."""
    history.SAVE_SECONDS, history.SAVE_SHARE = 0.0, float("inf")
    whole = losses(config, folder)
    shutil.rmtree(max(folder.glob("[0-9]*")))
    return [whole, losses(config, folder)]


def main(folder: Path) -> Any:
    """Plain runs on every mesh, one of them resumed, and others along fsdp alone."""
    fsdp = Mesh(fsdp=4)
    found: dict[str, Any] = {
        name: {
            "losses": losses(on(PLAIN, mesh)),
            "kept": kept(on(PLAIN, mesh)),
            "sent": sent(on(PLAIN, mesh)),
        }
        for name, mesh in MESHES.items()
    }
    found["resumed"] = resumed(on(PLAIN, MESHES["both"]), folder)
    # Two layers in a loop are half as much to compile as one after the other.
    transformer_apply.UNROLLED_DEPTH = 0
    found["grouped"] = {
        "one": losses(on(GROUPED, Mesh())),
        "in parts": losses(on(GROUPED, fsdp, microbatches=5)),
        "kept": kept(on(GROUPED, fsdp, microbatches=5)),
    }
    return found


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]))))
