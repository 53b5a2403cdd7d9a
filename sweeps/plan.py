"""A plan: a sweep resolved. Duplicates gone, identities known, runs grouped and priced."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scaling.accounting import account
from scaling.config import RunConfig, canonical_json, run_id, trunk_of

FLOPS_PER_SECOND = 4e10
SECONDS_A_STEP = 2e-5
SECONDS_A_RUN = 5e-3
SECONDS_A_SHAPE = 3.0
BYTES_A_RUN = 12_000
BYTES_A_TRUNK_PARAMETER = 24
"""Order-of-magnitude prices of one CPU core and its disk, for estimates and for how workers share
runs; no result depends on them.

Of a trunk two states are kept: parameters and two averages of their gradients, in float32.
"""


@dataclass(frozen=True)
class PlannedRun:
    """One run to be done.

    Attributes:
        run_id: Its identity.
        config: What it does.
        group: Runs of one group share a compiled shape.
        devices: How many share the run.
        flops: Training FLOPs of the run alone.
        flops_saved: Of them, those that the runs before it on its trunk have spent.
        seconds: Estimated core-seconds for the others.
        trunk_id: Of the trunk that it shares with other runs of the sweep, if any.
        starts_at: Step at which the run before it has left that trunk.
    """

    run_id: str
    config: RunConfig
    group: str
    devices: int
    flops: float
    flops_saved: float
    seconds: float
    trunk_id: str | None = None
    starts_at: int = 0


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
        """Training FLOPs of the whole sweep, every trunk trained once."""
        return sum(run.flops - run.flops_saved for run in self.runs)

    @property
    def flops_saved(self) -> float:
        """What it would take more if every run trained its trunk alone."""
        return sum(run.flops_saved for run in self.runs)

    @property
    def seconds(self) -> float:
        """Estimated core-seconds: a guide to the order of magnitude, compilation included."""
        return sum(run.seconds for run in self.runs) + SECONDS_A_SHAPE * self.n_groups

    @property
    def disk_bytes(self) -> int:
        """Estimated size of the results."""
        trunks = {run.trunk_id: run.config for run in self.runs if run.trunk_id}
        n_params = sum(account(config).n_params_total for config in trunks.values())
        return BYTES_A_RUN * len(self.runs) + BYTES_A_TRUNK_PARAMETER * n_params


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
    on_trunks = _on_trunks(unique)
    runs = tuple(
        _planned(identity, config, *on_trunks.get(identity, (None, 0)))
        for identity, config in unique.items()
    )
    digest = hashlib.sha256("\n".join([name, *sorted(unique)]).encode()).hexdigest()[:32]
    return Plan(name, digest, runs, n_duplicates=len(configs) - len(unique))


def _on_trunks(unique: Mapping[str, RunConfig]) -> dict[str, tuple[str, int]]:
    """The trunk that a run shares, and the step where the run before it left it, by run_id."""
    leaving: dict[str, list[tuple[int, str]]] = {}
    for identity, config in unique.items():
        if trunk := trunk_of(config):
            leaving.setdefault(trunk.trunk_id, []).append((trunk.steps, identity))
    found = {}
    for trunk_id, runs in leaving.items():
        if len(runs) > 1:
            steps, identities = zip(*sorted(runs), strict=True)
            found |= {i: (trunk_id, s) for i, s in zip(identities, (0, *steps), strict=False)}
    return found


def _planned(identity: str, config: RunConfig, trunk_id: str | None, starts_at: int) -> PlannedRun:
    counts = account(config)
    steps = counts.steps or 0
    saved = counts.flops_train * starts_at / steps if starts_at else 0.0
    seconds = SECONDS_A_RUN + (counts.flops_train - saved) / FLOPS_PER_SECOND
    seconds += SECONDS_A_STEP * (steps - starts_at)
    what = identity, config, _compiled_shape(config), config.n_devices
    return PlannedRun(*what, counts.flops_train, saved, seconds, trunk_id, starts_at)


_ARGUMENTS = {
    "learning_rate",
    "steps",
    "decay",
    "horizon",
    "evaluations",
    "warmup_tokens",
    "ridge",
    "rcond",
    "noise_variance",
    "label_noise",
}
"""Fields of `train` and `data` that reach compiled code as arguments, as the seed does: runs that
differ in them alone share it."""


def _compiled_shape(config: RunConfig) -> str:
    def strip(tree: Any) -> Any:
        if not isinstance(tree, dict):
            return tree
        return {name: strip(value) for name, value in tree.items() if name not in _ARGUMENTS}

    plain = json.loads(canonical_json(config))
    shape = {"model": plain["model"], "data": strip(plain["data"]), "train": strip(plain["train"])}
    return hashlib.sha256(json.dumps(shape, sort_keys=True).encode()).hexdigest()[:16]
