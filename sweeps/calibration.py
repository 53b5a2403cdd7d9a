"""A short measurement of this machine: a few steps of a few shapes of a sweep, before it runs.

Of each family and way to train, up to four shapes from the smallest to the largest are run at two
lengths, so that the seconds of a step are separated from those of everything else, and at the
longer one again, since the first run of a process loads data. All is done twice: the first time
compiles, the second finds the programs. Closed-form runs that share work are measured as they are,
in packs.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import suppress
from typing import TypeVar

from scaling.accounting import account
from scaling.config import RunConfig
from scaling.overrides import replace_at
from scaling.packs import pack_of
from sweeps.plan import FLOPS_PER_SECOND, Plan, PlannedRun, make_plan
from sweeps.runner import run_sweeps
from sweeps.speeds import Speeds, work_of
from sweeps.store import Store

T = TypeVar("T")

SECONDS = 1.5
"""Roughly how long the longer run of a shape is to take."""

_LONGEST = 60.0  # seconds of a run that cannot be shortened and is measured whole
_LEAST_STEPS = 8


def calibrate(plan: Plan, speeds: Speeds) -> Speeds:
    """Measures shapes of a sweep that are not known yet, and adds them to what is known.

    Raises:
        StoreError: the machine has no room for a few runs.
    """
    short = [run for config in _chosen(plan, speeds) for run in _shortened(config)]
    short += _packed(plan, speeds)
    if not short:
        return speeds
    plan = make_plan("calibration", short)
    for _ in range(2):
        with tempfile.TemporaryDirectory() as folder:
            run_sweeps([(folder, plan)], workers=1).pass_signal_on()
            records = Store.open(folder).read(plan)
        groups = [run.group for run in plan.runs]
        speeds = speeds.learning(zip(plan.configs, groups, records, strict=True))
    return speeds


def _chosen(plan: Plan, speeds: Speeds) -> list[RunConfig]:
    """Up to four shapes, from small to large, of each kind of runs that are done alone."""
    shapes: dict[str, dict[str, tuple[float, RunConfig]]] = {}
    for config, run in zip(plan.configs, plan.runs, strict=True):
        if _pack(run) is not None:
            continue
        work = work_of(config, run.group)
        shapes.setdefault(work.kinds, {}).setdefault(work.shape, (work.flops_a_step, config))
    chosen: dict[str, RunConfig] = {}
    for by_shape in shapes.values():
        ordered = sorted(by_shape, key=lambda shape: by_shape[shape][0])
        chosen |= {shape: by_shape[shape][1] for shape in reversed(_spread(ordered))}
    return [config for shape, config in chosen.items() if shape not in speeds.shapes]


def _packed(plan: Plan, speeds: Speeds) -> list[RunConfig]:
    """Up to four packs, from small to large, of each kind of closed-form runs that share work.

    Each is done again from other seeds, since the first run of a shape takes longer. Those that
    take long are left out.
    """
    packs: dict[str, dict[str, list[RunConfig]]] = {}
    for config, run in zip(plan.configs, plan.runs, strict=True):
        if (pack := _pack(run)) is not None and run.group not in speeds.shapes:
            kinds = work_of(config, run.group).kinds
            packs.setdefault(kinds, {}).setdefault(pack, []).append(config)
    found = []
    for by_key in packs.values():
        by_size = {_flops(pack): pack for pack in by_key.values()}
        sizes = sorted(size for size in by_size if size < _LONGEST * FLOPS_PER_SECOND)
        for pack in map(by_size.__getitem__, _spread(sizes)):
            found += [*pack, *(replace_at(each, "seed", each.seed + 1) for each in pack)]
    return found


def _spread(ordered: Sequence[T]) -> list[T]:
    """Four of them or fewer, the first, the last and evenly between."""
    last = len(ordered) - 1
    return [ordered[i] for i in sorted({last * k // 3 for k in range(4) if ordered})]


def _flops(configs: Sequence[RunConfig]) -> float:
    return sum(account(config).flops_train for config in configs)


def _pack(run: PlannedRun) -> str | None:
    """The pack of a closed-form run on a processor, where networks are not packed."""
    pack = pack_of(run.config, run.group, "cpu")
    return None if pack is None else pack.key


def _shortened(config: RunConfig) -> Sequence[RunConfig]:
    """A run at two shorter lengths, the longer one again from another seed.

    Where it has no steps it is itself, unless it takes long.
    """
    counts = account(config)
    if not counts.steps:
        again = [config, replace_at(config, "seed", config.seed + 1)]
        return again if counts.flops_train < _LONGEST * FLOPS_PER_SECOND else []
    wanted = round(SECONDS * FLOPS_PER_SECOND * counts.steps / counts.flops_train)
    long = min(counts.steps, max(wanted, _LEAST_STEPS))
    for field in ("train.warmup_tokens", "train.warmup"):
        with suppress(ValueError):
            config = replace_at(config, field, 0)
    found = []
    for steps in dict.fromkeys((long, max(long // 4, 1))):
        with suppress(ValueError):
            found.append(replace_at(config, "train.steps", steps))
    return [*found[:1], *(replace_at(each, "seed", each.seed + 1) for each in found)]
