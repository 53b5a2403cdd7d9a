"""One RunConfig -> one RunRecord."""

from __future__ import annotations

import datetime
import json
import time
from dataclasses import asdict
from typing import Any

import numpy as np

from scaling import runtime
from scaling.accounting import account
from scaling.config import RunConfig, canonical_json, run_id
from scaling.data.label_noise import mask_sha256
from scaling.record import Curve, RunRecord, finite
from scaling.training import Gradient


def run(config: RunConfig) -> tuple[RunRecord, Curve]:
    """Loads the data, trains the model, measures it.

    The same configuration on the same device gives the same bits.

    Returns:
        The record, `done` or `diverged`, and the learning curve (empty for closed-form runs).
    """
    start = time.perf_counter()
    dataset = config.data.load(config.seed)
    curve: Curve = ()
    columns: dict[str, Any]
    if isinstance(config.train, Gradient):
        from scaling.train import train

        columns, curve = train(config, dataset)
        precision = "float32"
    else:
        from scaling.solve import solve

        columns, precision = {"status": "done", **solve(config, dataset)}, "float64"
    columns |= {k: finite(v) for k, v in columns.items() if isinstance(v, float)}
    if config.data.n_classes is not None:
        changed = dataset.train_targets != dataset.train_targets_clean
        columns["label_noise_fraction"] = float(np.mean(changed))
        columns["label_noise_mask_sha256"] = mask_sha256(changed)
    environment: dict[str, Any] = {
        **runtime.environment(),
        "device": runtime.device_name(),
        "precision": precision,
    }
    counts: dict[str, Any] = asdict(account(config, columns.pop("steps", None)))
    record = RunRecord(
        run_id=run_id(config),
        config=json.loads(canonical_json(config)),
        **counts,
        n_features=getattr(config.model, "n_features", None),
        n_outputs=config.data.n_outputs,
        n_train_examples=config.data.n_train,
        n_eval_examples=config.data.n_eval,
        wall_seconds=time.perf_counter() - start,
        finished_at_utc=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        environment=environment,
        **columns,
    )
    return record, curve
