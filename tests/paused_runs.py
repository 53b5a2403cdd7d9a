"""Runs on tokens that cost nothing and can pause, whose losses are planted, and their sweep."""

from __future__ import annotations

import math

from scaling.config import RunConfig, resolved, run_id
from scaling.data.ngram import NGram
from scaling.models.transformer import Transformer
from scaling.pretraining import Pretraining
from scaling.record import Curve, RunRecord
from scaling.training import Adam
from scaling.workspace import Workspace
from sweeps import publishing
from sweeps.computing import Run, computing
from sweeps.plan import Plan, make_plan
from sweeps.pool import Stops
from sweeps.runner import Summary
from sweeps.space import grid
from sweeps.store import Store
from sweeps.worker import load_tasks, work

STEPS = 90
BEST = 0.01
RATE = "train.optimizer.learning_rate"
DONE = Summary(jobs=(), interrupted=False, preempted=False, notices=(), seconds=0.0)


def plan_of(*rates: float, n_seeds: int = 1, depths: tuple[int, ...] = (1,)) -> Plan:
    """Runs of 90 steps at each rate, depth and seed."""
    base = RunConfig(
        model=Transformer(width=8, depth=1, heads=2),
        data=NGram(vocab_size=8, context=8, n_tokens=2**12, n_eval=8),
        train=Pretraining(optimizer=Adam(learning_rate=1.0), batch_size=2, steps=STEPS),
    )
    return make_plan(
        "rates", grid(base, {"model.depth": depths, RATE: rates, "seed": range(n_seeds)})
    )


def loss(rate: float, seed: int, step: int) -> float:
    """A valley about `BEST` that all seeds shift alike; high rates are ahead at first."""
    valley = math.log(rate / BEST) ** 2
    return 2 + valley + 0.1 / (rate * step) + 0.1 * seed


def run(config: RunConfig, workspace: Workspace) -> tuple[RunRecord, Curve]:
    """A rate of 1 and more diverges; one under 1e-6 cannot be computed."""
    assert isinstance(config.train, Pretraining) and isinstance(config.train.optimizer, Adam)
    rate = config.train.optimizer.learning_rate
    if rate < 1e-6:
        raise MemoryError("on purpose")
    until = STEPS if workspace.pause_at is None else workspace.pause_at
    diverges = rate >= 1
    record = RunRecord(
        run_id=run_id(config),
        status="diverged" if diverges else "done" if until == STEPS else "paused",
        config=resolved(config),
        steps=until,
        eval_loss_nats=None if diverges else loss(rate, config.seed, until),
        diverged_at_step=1 if diverges else None,
    )
    return record, ()


def perform(store: Store, plan: Plan, stops: Stops, run: Run = run) -> Summary:
    """What `run_sweeps` does with `stops`, in this process."""
    pending = store.pending(stops)
    publishing.declare(store, plan)
    publishing.make_folders(store, pending)
    settings = {
        "root": str(store.root),
        "plan_id": plan.plan_id,
        "attempts_before": pending,
        "stops": stops,
    }
    work([[load_tasks([settings])]], computing(run), lease=30.0, emit=lambda kind, **more: None)
    return DONE
