"""Trivial runs done in packs of at most four, whatever they are; imported by worker processes."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping, Sequence
from typing import Any

import trivial_runs

from scaling.config import RunConfig
from scaling.packs import Pack
from scaling.record import Curve, RunRecord
from sweeps import visiting

MOST = 4

run = trivial_runs.run


def pack_of(run: Mapping[str, Any], shape: str, platform: str) -> Pack:
    return Pack("all", MOST)


visiting.pack_of = pack_of


def run_pack(configs: Sequence[RunConfig]) -> list[tuple[RunRecord, Curve]]:
    """Their records say how many there were."""
    found = []
    for config in configs:
        record, curve = run(config)
        assert isinstance(record.environment, dict)
        record.environment["pack"] = {"size": len(configs)}
        found.append((record, curve))
    return found


def run_pack_fatally(configs: Sequence[RunConfig]) -> list[tuple[RunRecord, Curve]]:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def run_pack_and_die_while_publishing(
    configs: Sequence[RunConfig],
) -> list[tuple[RunRecord, Curve]]:
    """Its process dies when it has published two of the results."""
    from sweeps import publishing

    publish, results = publishing.publish, []

    def publish_two(*args):
        results.append(publish(*args))
        if len(results) == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return results[-1]

    publishing.publish = publish_two
    return run_pack(configs)
