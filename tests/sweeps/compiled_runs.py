"""A run that compiles two programs, and reports how many were on disk."""

from __future__ import annotations

import dataclasses

import trivial_runs

from scaling.config import RunConfig
from scaling.record import Curve, RunRecord


def run(config: RunConfig) -> tuple[RunRecord, Curve]:
    import jax

    events: list[str] = []
    jax.monitoring.register_event_listener(lambda event, **_: events.append(event))
    twice = jax.jit(lambda x: 2 * x)(config.seed + 0.75)
    loss = jax.jit(lambda x: jax.numpy.sinh(x) / 7)(twice)
    record, curve = trivial_runs.run(config)
    hits = events.count("/jax/compilation_cache/cache_hits")
    misses = events.count("/jax/compilation_cache/cache_misses")
    environment = {"hits": hits, "misses": misses}
    return dataclasses.replace(record, eval_loss_nats=float(loss), environment=environment), curve
