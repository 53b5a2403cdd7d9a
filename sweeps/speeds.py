"""How long runs take on this machine, and how much memory: measured, kept, and predicted from.

Seconds are those of processors on a CPU, on which other work has little effect, and of the wall on
an accelerator. A run takes `fixed + a_step * steps` seconds beside compilation; a solution in
closed form counts as one step. What is known of a shape predicts its runs; a shape that was never
run is interpolated between others of its family and way to train, along FLOPs a step. Where there
are none, the prices of `sweeps.plan` are all there is.

Measurements are a cache, by processor: they can be deleted at any time.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from statistics import median, median_low
from typing import NamedTuple

import numpy as np

from scaling.accounting import account
from scaling.config import RunConfig
from scaling.data.cache import cache_folder, recall, remember
from scaling.memory import memory_of
from scaling.record import RunRecord
from sweeps.compile_cache import processor
from sweeps.plan import SECONDS_A_SHAPE, PlannedRun

MOST_SHAPES = 5_000
"""Most shapes that are remembered; the oldest are forgotten."""

_NAME = "speeds"


class Work(NamedTuple):
    """What the time of a run depends on.

    Attributes:
        kinds: Its family of models, and way to train.
        shape: Key of its compiled shape.
        steps: Its steps; 1 in closed form.
        flops_a_step: FLOPs of one.
    """

    kinds: str
    shape: str
    steps: int
    flops_a_step: float


@dataclass(frozen=True)
class Speed:
    """What was measured of the runs of one shape.

    Attributes:
        kinds: As of `Work`.
        flops_a_step: As of `Work`.
        fixed: Seconds of a run beside its steps: evaluations, files.
        a_step: Seconds of a step.
        compiling: Seconds that the first run of a process took longer, when its program was
            compiled anew: for that, and for data.
        loading: The same when the program came from the cache of compiled programs.
        compiling_bytes: Most memory of a process that ran it when it was compiled anew; of several
            runs in one process, that after the first of them.
        loading_bytes: The same when the program came from the cache.
    """

    kinds: str
    flops_a_step: float
    fixed: float
    a_step: float
    compiling: float
    loading: float
    compiling_bytes: float
    loading_bytes: float


class Predicted(NamedTuple):
    """Time and memory of one run, and whether anything measured stands behind them."""

    seconds: float
    start: float  # seconds that the first run of its shape takes longer
    peak_bytes: float
    is_measured: bool


@dataclass(frozen=True)
class Speeds:
    """What is known of this machine, by shape."""

    shapes: Mapping[str, Speed] = field(default_factory=dict)

    @classmethod
    def load(cls) -> Speeds:
        """Reads what was measured; nothing where the cache is gone or damaged."""
        try:
            plain = recall(_path(), _NAME) or {}
            return cls({shape: Speed(**each) for shape, each in plain.items()})
        except (TypeError, AttributeError):
            return cls()

    def save(self) -> None:
        """Keeps it, by an atomic write.

        Raises:
            ValueError: the cache cannot be written.
        """
        newest = list(self.shapes.items())[-MOST_SHAPES:]
        remember(_path(), _NAME, {shape: asdict(each) for shape, each in newest})

    def learning(self, done: Iterable[tuple[RunConfig, str, RunRecord]]) -> Speeds:
        """Adds what finished runs took; those that resumed, or began on a trunk, say nothing.

        Args:
            done: Each run with the key of its shape and its record.
        """
        found: dict[str, list[tuple[Work, RunRecord]]] = {}
        for config, group, record in done:
            began_later = {"resumed_at_steps", "from_trunk_at_step"} & record.environment.keys()
            if record.status == "done" and _seconds(record) is not None and not began_later:
                work = work_of(config, group)
                found.setdefault(work.shape, []).append((work, record))
        shapes = dict(self.shapes)
        for shape, runs in found.items():
            known = shapes.pop(shape, None)  # the newest last
            shapes[shape] = _measured(runs, known)
        return Speeds(shapes)

    def predict(self, config: RunConfig, planned: PlannedRun) -> Predicted:
        """Time and memory of a run, from where it begins on its trunk."""
        work = work_of(config, planned.group)
        alike = [each for each in self.shapes.values() if each.kinds == work.kinds]
        memory = memory_of(config)
        if not alike:
            return Predicted(planned.seconds, SECONDS_A_SHAPE, memory.total, False)
        known = self.shapes.get(work.shape)
        speed = known or _between(alike, work.flops_a_step)
        steps = work.steps - planned.starts_at
        peak = speed.loading_bytes if known else max(memory.total, speed.compiling_bytes)
        start = speed.loading if known else speed.compiling
        return Predicted(speed.fixed + speed.a_step * steps, start, peak, True)


def work_of(config: RunConfig, shape: str) -> Work:
    """What the time of a run of that shape depends on."""
    counts = account(config)
    steps = counts.steps or 1
    kinds = f"{config.model.kind}/{config.train.kind}"
    return Work(kinds, shape, steps, counts.flops_train / steps)


def seconds_of(record: RunRecord) -> float | None:
    """Seconds that a run took, compilation included, as they are measured here."""
    on_cpu = record.environment.get("device") in (None, "cpu")
    return record.processor_seconds if on_cpu else record.wall_seconds


def _seconds(record: RunRecord) -> tuple[float, float] | None:
    """Seconds of a run without compilation, and of compilation; None where nothing says."""
    total, wall = seconds_of(record), record.wall_seconds
    if total is None or not wall:
        return None
    compiling = (record.compile_seconds or 0.0) * min(total / wall, 1.0)
    return max(total - compiling, 0.0), compiling


def _measured(runs: Sequence[tuple[Work, RunRecord]], known: Speed | None) -> Speed:
    """The speed of a shape from its runs, where they differ in steps, or one of its two parts.

    Of runs of one length the lower median counts: the first of a process also loads data.
    """
    work = runs[0][0]
    times = [each for _, record in runs if (each := _seconds(record)) is not None]
    by_steps: dict[int, list[float]] = {}
    for (of, _), (alone, _) in zip(runs, times, strict=True):
        by_steps.setdefault(of.steps, []).append(alone)
    steps = np.array(list(by_steps), np.float64)
    seconds = np.array([median_low(each) for each in by_steps.values()])
    if len(by_steps) > 1:
        a_step = max(float(np.polyfit(steps, seconds, 1)[0]), 0.0)
        fixed = max(float(np.mean(seconds - a_step * steps)), 0.0)
    else:
        fixed = min(known.fixed, float(np.mean(seconds))) if known else 0.0
        a_step = (float(np.mean(seconds)) - fixed) / float(steps[0])
    compiling = max(each for _, each in times)
    for (of, _), (alone, start) in zip(runs, times, strict=True):
        compiling = max(compiling, alone + start - median_low(by_steps[of.steps]))
    peaks = [record.peak_memory_bytes for _, record in runs if record.peak_memory_bytes]
    peak = float(min(peaks, default=0))
    new = Speed(
        kinds=work.kinds,
        flops_a_step=work.flops_a_step,
        fixed=fixed,
        a_step=a_step,
        compiling=compiling,
        loading=compiling,
        compiling_bytes=peak,
        loading_bytes=peak,
    )
    if known is None:
        return new
    return replace(
        new,
        compiling=max(known.compiling, compiling),
        loading=min(known.loading, compiling),
        compiling_bytes=max(known.compiling_bytes, peak),
        loading_bytes=min(known.loading_bytes, peak),
    )


def _between(alike: Sequence[Speed], flops_a_step: float) -> Speed:
    """The speed of a shape of this size, between those that were measured.

    Seconds a FLOP are interpolated between logarithms, and constant beyond the ends.
    """
    ordered = sorted(alike, key=lambda each: each.flops_a_step)
    at = [math.log(max(each.flops_a_step, 1.0)) for each in ordered]
    rates = [math.log(max(each.a_step, 1e-12) / max(each.flops_a_step, 1.0)) for each in ordered]
    rate = math.exp(np.interp(math.log(max(flops_a_step, 1.0)), at, rates))
    return Speed(
        kinds=ordered[0].kinds,
        flops_a_step=flops_a_step,
        fixed=median(each.fixed for each in ordered),
        a_step=rate * max(flops_a_step, 1.0),
        compiling=median(each.compiling for each in ordered),
        loading=median(each.loading for each in ordered),
        compiling_bytes=min(each.compiling_bytes for each in ordered),
        loading_bytes=min(each.loading_bytes for each in ordered),
    )


def _path() -> Path:
    # Programs that XLA hardly optimises, as in tests, say nothing of others.
    compiled = "-unoptimised" if os.environ.get("JAX_DISABLE_MOST_OPTIMIZATIONS") == "1" else ""
    return cache_folder() / _NAME / f"{processor()}{compiled}.json"
