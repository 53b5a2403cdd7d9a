"""A plan is a sweep resolved: each run once, with an identity, a group and a price."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from scaling.accounting import Account, account
from scaling.config import Resolved, RunConfig, compile_key, resolved, run_id, trunk_of

FLOPS_PER_SECOND = 4e10
SECONDS_A_STEP = 2e-5
SECONDS_A_RUN = 5e-3
SECONDS_A_SHAPE = 3.0
"""Order-of-magnitude prices of one CPU core, for how workers share runs, and for estimates where
nothing was measured (`sweeps.speeds`); no result depends on them."""

BYTES_A_BLOCK = 4096
BLOCKS_A_RUN = 8
BLOCKS_A_CURVE = 1
BYTES_A_POINT = 430
BYTES_OF_A_RUN_IN_A_PLAN = 800
BYTES_A_REPORT = 220_000
BYTES_A_TRUNK_PARAMETER = 24
BYTES_A_PARAMETER = 4
"""Room on a disk that gives whole blocks.

A run takes three folders and five files, and where it has a learning curve that file and one of its
heartbeat. A trunk keeps two checkpoints: parameters and two averages of their gradients, in
float32.
"""

N_FOLDERS = 256
"""Folders among which those of runs are divided, by the first two digits of their identity."""


@dataclass(frozen=True)
class PlannedRun:
    """One run of a sweep, as a plan holds it and as its file in the results folder declares it."""

    run_id: str
    group: str  # runs of one group share a compiled shape
    devices: int  # number of devices that share the run
    seconds: float  # estimated core-seconds, the shared prefix left out
    config: Mapping[str, Any]  # resolved, plain JSON values
    parent_id: str | None = None  # run of the sweep whose final weights it starts from, if any
    teacher_id: str | None = None  # run of the sweep that it is distilled from, if any
    is_parent: bool = False  # whether other runs of the sweep take its final weights
    trunk_id: str | None = None  # trunk that the run shares with other runs of the sweep, if any
    starts_at: int = 0  # step at which the run before it left that trunk

    @property
    def parents(self) -> tuple[str, ...]:
        """Runs of the sweep whose final weights it takes."""
        return tuple(filter(None, (self.parent_id, self.teacher_id)))


@dataclass(frozen=True)
class Plan:
    """The runs of a sweep, each once, under its own identity."""

    name: str
    plan_id: str  # follows from the name and the runs
    configs: tuple[RunConfig, ...]
    runs: tuple[PlannedRun, ...]  # the same runs, resolved, in the same order
    n_duplicates: int  # configurations that were left out because they came before
    flops: float  # to train the whole sweep, every trunk once
    flops_saved: float  # what it would take more if every run trained its trunk alone
    command: str | None = None  # that declared it, where no experiment did

    @property
    def n_groups(self) -> int:
        """Number of distinct compiled shapes."""
        return len({run.group for run in self.runs})

    @property
    def seconds(self) -> float:
        """Estimated core-seconds: a guide to the order of magnitude, compilation included."""
        return sum(run.seconds for run in self.runs) + SECONDS_A_SHAPE * self.n_groups

    @property
    def disk_bytes(self) -> int:
        """Estimated size of the results."""
        planned = zip(self.runs, self.configs, strict=True)
        trunks = {run.trunk_id: config for run, config in planned if run.trunk_id}
        n_params = sum(account(config).n_params_total for config in trunks.values())
        planned = zip(self.runs, self.configs, strict=True)
        left = sum(account(config).n_params_total for run, config in planned if run.is_parent)
        n_runs = len(self.runs)
        folders = N_FOLDERS * (1 - (1 - 1 / N_FOLDERS) ** n_runs)
        blocks = sum(_blocks(config) for config in self.configs) + folders
        return (
            round(blocks * BYTES_A_BLOCK)
            + BYTES_OF_A_RUN_IN_A_PLAN * n_runs
            + BYTES_A_REPORT
            + BYTES_A_TRUNK_PARAMETER * n_params
            + BYTES_A_PARAMETER * left
        )


def make_plan(name: str, configs: Sequence[RunConfig]) -> Plan:
    """Resolves a sweep: one run for each run_id, in the order in which they first appear.

    A run whose weights others take is a run of the sweep, before the first of them.

    Raises:
        ValueError: the sweep is empty.

    Examples:
        >>> from scaling import GaussianTeacher, Linear, Ridgeless, RunConfig
        >>> data = GaussianTeacher(n_train=40, dimension=80)
        >>> base = RunConfig(model=Linear(n_features=20), data=data, train=Ridgeless())
        >>> plan = make_plan("features", [base, base])
        >>> len(plan.runs), plan.n_duplicates, f"{plan.flops:.2g} FLOPs"
        (1, 1, '2.6e+05 FLOPs')
    """
    if not configs:
        raise ValueError(f"the sweep {name!r} has no runs: give every axis at least one value")
    # 1. Each configuration is resolved once; the rest uses the plain values.
    unique: dict[str, tuple[RunConfig, Resolved]] = {}
    asked = set()
    alike: dict[_Alike, Resolved] = {}
    for config in configs:
        asked.add(_add(config, _resolved(config, alike), unique))
    # 2. The cost of a run depends on the runs before it on its trunk, so places come first.
    places = _places_on_trunks({identity: plain for identity, (_, plain) in unique.items()})
    prices: dict[_Alike, _Price] = {}
    priced = [
        _priced(identity, plain, _price(config, prices), *places.get(identity, (None, 0)))
        for identity, (config, plain) in unique.items()
    ]
    with_children = {parent for run, _, _ in priced for parent in run.parents}
    runs = (replace(run, is_parent=run.run_id in with_children) for run, _, _ in priced)
    # 3. The same runs under the same name are the same plan, whatever their order.
    digest = hashlib.sha256("\n".join([name, *sorted(unique)]).encode()).hexdigest()[:32]
    return Plan(
        name=name,
        plan_id=digest,
        configs=tuple(config for config, _ in unique.values()),
        runs=tuple(runs),
        n_duplicates=len(configs) - len(asked),
        flops=sum(flops for _, flops, _ in priced),
        flops_saved=sum(saved for _, _, saved in priced),
    )


def empty_plan(name: str) -> Plan:
    """The plan of an experiment that trains nothing."""
    digest = hashlib.sha256(name.encode()).hexdigest()[:32]
    return Plan(name, digest, configs=(), runs=(), n_duplicates=0, flops=0.0, flops_saved=0.0)


def _blocks(config: RunConfig) -> int:
    """Blocks of the disk that the files of a run take."""
    evaluations = getattr(config.train, "evaluations", None)
    if evaluations is None:
        return BLOCKS_A_RUN
    curve = -(-(evaluations + 1) * BYTES_A_POINT // BYTES_A_BLOCK)
    return BLOCKS_A_RUN + BLOCKS_A_CURVE + curve


_Alike = tuple[Any, ...]
"""All of a configuration but its seed.

Runs that differ in their seed alone resolve to the same values, and have one price and one group.
They are looked up within a plan only, since files that data are read from may change.
"""


def _alike(config: RunConfig) -> _Alike:
    return config.model, config.data, config.train, config.init_from, config.distilled_from


def _resolved(config: RunConfig, known: dict[_Alike, Resolved]) -> Resolved:
    """The resolved configuration; those that are alike have all but the seed in common."""
    key = _alike(config)
    if key not in known:
        known[key] = resolved(config)
    return known[key] | {"seed": config.seed}


class _Price(NamedTuple):
    counts: Account
    group: str
    devices: int


def _price(config: RunConfig, known: dict[_Alike, _Price]) -> _Price:
    """What a run costs."""
    key = _alike(config)
    if key not in known:
        known[key] = _Price(account(config), compile_key(config), config.n_devices)
    return known[key]


def _add(config: RunConfig, plain: Resolved, unique: dict[str, tuple[RunConfig, Resolved]]) -> str:
    """Adds a run, after those whose weights it takes; returns its identity."""
    identity = run_id(plain)
    if identity not in unique:
        for parent in config.parents:
            _add(parent, resolved(parent), unique)
    unique.setdefault(identity, (config, plain))
    return identity


def _places_on_trunks(plains: Mapping[str, Resolved]) -> dict[str, tuple[str, int]]:
    """`trunk_id` and `starts_at` of the runs that share a trunk with others, by run_id."""
    leaving: dict[str, list[tuple[int, str]]] = {}
    for identity, plain in plains.items():
        if trunk := trunk_of(plain):
            leaving.setdefault(trunk.trunk_id, []).append((trunk.steps, identity))
    found = {}
    for trunk_id, runs in leaving.items():
        starts_at = 0
        for steps, identity in sorted(runs) if len(runs) > 1 else ():
            found[identity] = trunk_id, starts_at
            starts_at = steps
    return found


def _priced(
    identity: str, plain: Resolved, price: _Price, trunk_id: str | None, starts_at: int
) -> tuple[PlannedRun, float, float]:
    """Returns a run, its FLOPs after the step where it starts, and those before, which it saves."""
    counts, group, devices = price
    steps = counts.steps or 0
    saved = counts.flops_train * starts_at / steps if starts_at else 0.0
    flops = counts.flops_train - saved
    seconds = SECONDS_A_RUN + flops / FLOPS_PER_SECOND + SECONDS_A_STEP * (steps - starts_at)
    run = PlannedRun(
        run_id=identity,
        group=group,
        devices=devices,
        seconds=seconds,
        config=plain,
        parent_id=run_id(plain["init_from"]) if "init_from" in plain else None,
        teacher_id=run_id(plain["distilled_from"]) if "distilled_from" in plain else None,
        trunk_id=trunk_id,
        starts_at=starts_at,
    )
    return run, flops, saved
