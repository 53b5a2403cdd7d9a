"""What a sweep costs before it runs: FLOPs by every convention, memory, time, room on the disk."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from scaling.accounting import Account, account
from scaling.config import RunConfig
from scaling.memory import memory_of
from sweeps.accelerators import accelerators
from sweeps.plan import Plan, PlannedRun
from sweeps.speeds import Predicted, Speeds

SECONDS_TO_START = 3.0
"""Until a worker has loaded JAX and what else it needs."""

SECONDS_A_PROCESS = 1.0
"""Core-seconds by which the first run of a process is longer: JAX starts, and data are loaded. What
was measured of shapes holds those of one process."""


@dataclass(frozen=True)
class Cost:
    """The cost of a plan: FLOPs and disk of all its runs, the rest of those that are not done.

    Attributes:
        n_left: Number of runs that are not done.
        flops: To train all, summed over matrix products.
        flops_left: To train those that are not done.
        flops_6n_non_embedding_d: The same by Kaplan's rule; None where a run has none.
        flops_6n_total_d: The same by 6 N D with all parameters; None likewise.
        peak_bytes: Most memory of a run, with its process.
        seconds: Seconds of one core or accelerator, compilation included.
        wall_seconds: Of all workers together, on a machine with nothing else to do.
        is_measured: Whether measurements of this machine stand behind the time of every run.
        disk_bytes: Room that the whole sweep takes.
    """

    n_left: int
    flops: float
    flops_left: float
    flops_6n_non_embedding_d: float | None
    flops_6n_total_d: float | None
    peak_bytes: float
    seconds: float
    wall_seconds: float
    is_measured: bool
    disk_bytes: int


def cost_of(plan: Plan, done: Collection[str], speeds: Speeds, workers: int) -> Cost:
    """The cost of a plan of which some runs are done, by workers at once."""
    alike = _alike(plan, done, speeds)
    left = [each for each in alike if each.n_left]
    n_left = sum(each.n_left for each in left)
    starts = {each.shape: each.predicted.start for each in left}
    at_once = max(1, min(workers, n_left))
    seconds = sum(each.n_left * each.predicted.seconds for each in left) + sum(starts.values())
    seconds += SECONDS_A_PROCESS * (at_once - 1)
    longest = max((each.predicted.seconds + each.predicted.start for each in left), default=0.0)
    return Cost(
        n_left=n_left,
        flops=plan.flops,
        flops_left=sum(each.n_left * each.share * each.counts.flops_train for each in left),
        flops_6n_non_embedding_d=_summed(alike, "flops_train_6n_non_embedding_d"),
        flops_6n_total_d=_summed(alike, "flops_train_6n_total_d"),
        peak_bytes=max((each.predicted.peak_bytes for each in left), default=0.0),
        seconds=seconds,
        wall_seconds=SECONDS_TO_START + max(seconds / at_once, longest) if n_left else 0.0,
        is_measured=all(each.predicted.is_measured for each in left),
        disk_bytes=plan.disk_bytes,
    )


class _Alike(NamedTuple):
    """Runs that cost the same: of one shape and length, from one place on their trunk."""

    shape: str
    n_runs: int
    n_left: int
    share: float  # of its steps that a run takes, after those of its trunk
    counts: Account
    predicted: Predicted


def _alike(plan: Plan, done: Collection[str], speeds: Speeds) -> list[_Alike]:
    """The runs of a plan, those that cost the same together: there are many of few kinds."""
    found: dict[tuple[Any, ...], list[tuple[RunConfig, PlannedRun]]] = {}
    for config, run in zip(plan.configs, plan.runs, strict=True):
        key = (run.group, run.config["train"].get("steps"), run.starts_at)
        found.setdefault(key, []).append((config, run))
    alike = []
    for runs in found.values():
        config, run = runs[0]
        counts = account(config)
        share = 1 - run.starts_at / counts.steps if counts.steps else 1.0
        n_left = sum(each.run_id not in done for _, each in runs)
        predicted = speeds.predict(config, run)
        alike.append(_Alike(run.group, len(runs), n_left, share, counts, predicted))
    return alike


def _summed(alike: Sequence[_Alike], name: str) -> float | None:
    values = [getattr(each.counts, name) for each in alike]
    if None in values:
        return None
    return sum(each.n_runs * each.share * v for each, v in zip(alike, values, strict=True))


def check_fits(plan: Plan, is_done: Callable[[str], bool]) -> None:
    """Refuses a run that this machine's memory cannot hold, before anything is allocated.

    Where there are accelerators, the machine holds the data of a run alone.

    Args:
        plan: The sweep.
        is_done: Whether a run, by its identity, is done and need not fit.

    Raises:
        ValueError: what the run holds, and what there is.
    """
    room = machine_bytes()
    fits: dict[str, bool] = {}
    for config, run in zip(plan.configs, plan.runs, strict=True):
        if room is not None and run.group not in fits:
            memory = memory_of(config)
            fits[run.group] = memory.held <= room or (
                memory.data <= room and accelerators() is not None
            )
        if room is not None and not fits[run.group] and not is_done(run.run_id):
            memory = memory_of(config)
            raise ValueError(
                f"run {run.run_id} of {plan.name} does not fit this machine: it holds "
                f"{memory.held:.2g} bytes for certain (data {memory.data:.2g}, parameters or "
                f"matrices {memory.state:.2g}), and there are {room:.2g}. Give fewer examples or "
                "a smaller model, or use a larger machine"
            )


def machine_bytes() -> int | None:
    """Memory of this machine, or of the container that this process is in; None if unknown."""
    found = [*_limits()]
    try:
        found.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, OSError, ValueError):
        pass
    return min(found, default=None)


def _limits() -> Iterator[int]:
    """Limits of the control group, of both versions of Linux's."""
    for path in ("memory.max", "memory/memory.limit_in_bytes"):
        try:
            text = Path("/sys/fs/cgroup", path).read_text(encoding="ascii").strip()
        except OSError:
            continue
        if text.isdecimal():
            yield int(text)
