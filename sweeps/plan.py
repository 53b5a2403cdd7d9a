"""A plan: a sweep resolved. Duplicates gone, identities known, runs grouped and priced."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from scaling.accounting import account
from scaling.config import RunConfig, canonical_json, run_id

FLOPS_PER_SECOND = 4e10
SECONDS_A_STEP = 2e-5
SECONDS_A_RUN = 5e-3
SECONDS_A_SHAPE = 1.0
BYTES_A_RUN = 12_000
"""Order-of-magnitude prices of one CPU core and its disk, for estimates only."""


@dataclass(frozen=True)
class PlannedRun:
    """One run to be done. Runs of one `group` share a compiled shape."""

    run_id: str
    config: RunConfig
    group: str
    flops: float
    seconds: float


@dataclass(frozen=True)
class Plan:
    """The runs of a sweep, each once, under an identity of their own."""

    name: str
    plan_id: str
    runs: tuple[PlannedRun, ...]
    n_duplicates: int

    @property
    def n_groups(self) -> int:
        """Distinct compiled shapes."""
        return len({run.group for run in self.runs})

    @property
    def flops(self) -> float:
        """Training FLOPs of the whole sweep."""
        return sum(run.flops for run in self.runs)

    @property
    def seconds(self) -> float:
        """Estimated core-seconds: a guide to the order of magnitude, compilation included."""
        return sum(run.seconds for run in self.runs) + SECONDS_A_SHAPE * self.n_groups

    @property
    def disk_bytes(self) -> int:
        """Estimated size of the results."""
        return BYTES_A_RUN * len(self.runs)


def make_plan(name: str, configs: Sequence[RunConfig]) -> Plan:
    """Resolves a sweep: one run for each run_id, in the order in which they first appear.

    Raises:
        ValueError: the sweep is empty.
    """
    if not configs:
        raise ValueError(f"the sweep {name!r} has no runs: give every axis at least one value")
    unique: dict[str, RunConfig] = {}
    for config in configs:
        unique.setdefault(run_id(config), config)
    runs = tuple(_planned(identity, config) for identity, config in unique.items())
    digest = hashlib.sha256("\n".join([name, *sorted(unique)]).encode()).hexdigest()[:32]
    return Plan(name, digest, runs, n_duplicates=len(configs) - len(unique))


def _planned(identity: str, config: RunConfig) -> PlannedRun:
    counts = account(config)
    seconds = SECONDS_A_RUN + counts.flops_train / FLOPS_PER_SECOND
    seconds += SECONDS_A_STEP * (counts.steps or 0)
    return PlannedRun(identity, config, _compiled_shape(config), counts.flops_train, seconds)


_ARGUMENTS = {
    "seed",
    "learning_rate",
    "steps",
    "evaluations",
    "warmup_tokens",
    "ridge",
    "rcond",
    "noise_variance",
    "label_noise",
}
"""Fields that reach compiled code as arguments: runs that differ in them alone share it."""


def _compiled_shape(config: RunConfig) -> str:
    def strip(tree: Any) -> Any:
        if not isinstance(tree, dict):
            return tree
        return {name: strip(value) for name, value in tree.items() if name not in _ARGUMENTS}

    shape = strip(json.loads(canonical_json(config)))
    return hashlib.sha256(json.dumps(shape, sort_keys=True).encode()).hexdigest()[:16]
