"""Execution of one run: RunConfig -> RunRecord."""

from __future__ import annotations

import datetime
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

import numpy as np

from scaling.accounting import account
from scaling.config import Resolved, RunConfig, resolved, run_id
from scaling.counting import Counting
from scaling.data.dataset import Dataset
from scaling.data.label_noise import mask_sha256
from scaling.data.stream import Stream
from scaling.data.token_dataset import TokenDataset
from scaling.devices import runtime
from scaling.devices.throughput import peak_at_work, peak_flops_per_second, throughput
from scaling.record import Curve, RunRecord, finite
from scaling.sealed import digest
from scaling.solving import GradientFlow, OnePassSGD, RidgelessEnsemble
from scaling.training import Gradient
from scaling.workspace import Workspace


class Trained(NamedTuple):
    """What training leaves of one run: columns of a RunRecord, the curve, and the precision."""

    columns: dict[str, Any]
    curve: Curve
    precision: str


class _Clock(NamedTuple):
    """Seconds on the wall, and of all threads of this process on processors."""

    wall: float
    processor: float

    @classmethod
    def now(cls) -> _Clock:
        return cls(time.perf_counter(), time.process_time())

    def until(self, then: _Clock, n_runs: int) -> _Clock:
        """Seconds between this and a later time, for each of several runs."""
        return _Clock((then.wall - self.wall) / n_runs, (then.processor - self.processor) / n_runs)


def run(config: RunConfig, workspace: Workspace | None = None) -> tuple[RunRecord, Curve]:
    """Loads the data, trains the model, measures it.

    The same configuration on the same device gives the same bits, resumed or not, from the trunk
    of other runs or not.

    Args:
        config: The run.
        workspace: Folders in which a run on tokens that takes minutes or has a trunk saves
            checkpoints, and from which it resumes if an earlier attempt was cut short or another
            run has trained its trunk.

    Returns:
        The record, `done` or `diverged`, and the learning curve (empty for regressions that are
        solved at once).
    """
    start = _Clock.now()
    plain, dataset = resolved(config), config.data.load(config.seed)
    trained = _trained(config, plain, dataset, workspace)
    earlier = trained.columns.pop("earlier_seconds", 0.0)
    spent = start.until(_Clock.now(), 1)
    spent = spent._replace(wall=spent.wall + earlier)
    return _record(config, plain, dataset, trained, spent, {}), trained.curve


def run_pack(configs: Sequence[RunConfig]) -> list[tuple[RunRecord, Curve]]:
    """Does several runs together, as `run` does each alone.

    Results agree with those of `run` to rounding: last bits may depend on the pack, which each
    record names by its size and the digest of its runs. A run that diverges leaves the others as
    they are. Seconds are those of the pack, divided equally.

    Args:
        configs: Runs that `scaling.packs.pack_of` gives one key.

    Returns:
        Record and curve of each run, in their order.
    """
    start = _Clock.now()
    plains = [resolved(config) for config in configs]
    datasets = [config.data.load(config.seed) for config in configs]
    trained = _trained_together(configs, datasets)
    spent = start.until(_Clock.now(), len(configs))
    pack = {"size": len(configs), "sha256": digest(sorted(map(run_id, plains)))}
    return [
        (_record(*each, spent, {"pack": pack}), each[-1].curve)
        for each in zip(configs, plains, datasets, trained, strict=True)
    ]


def _record(
    config: RunConfig,
    plain: Resolved,
    dataset: Dataset | Stream | TokenDataset,
    trained: Trained,
    spent: _Clock,
    place: dict[str, Any],
) -> RunRecord:
    """The record of a run; `place` is what its environment says beyond machine and precision."""
    columns = trained.columns
    columns |= {k: finite(v) for k, v in columns.items() if isinstance(v, float)}
    if isinstance(dataset, Dataset) and config.data.n_classes is not None:
        changed = dataset.train_targets != dataset.train_targets_clean
        columns["label_noise_fraction"] = float(np.mean(changed))
        columns["label_noise_mask_sha256"] = mask_sha256(changed)
    environment: dict[str, Any] = {
        **runtime.environment(),
        "device": runtime.device_name(),
        "precision": trained.precision,
        **place,
    }
    places = ("resumed_at_steps", "from_trunk_at_step", "continued_on_meshes", "batch_in_parts")
    for name in places:
        if value := columns.pop(name, None):
            environment[name] = value
    timed_steps = columns.pop("timed_steps", 0)
    counts: dict[str, Any] = asdict(account(config, columns.pop("steps", None)))
    counts |= {name: columns.pop(name) for name in counts if name in columns}
    if timed_steps:
        share, peak = timed_steps / counts["steps"], peak_at_work(config.n_devices)
        done = share * counts["n_tokens_seen"], share * counts["flops_train"]
        columns |= throughput(*done, columns["train_seconds"], peak)._asdict()
        environment["device_peak_flops_per_second"] = peak_flops_per_second()
    return RunRecord(
        run_id=run_id(plain),
        config=plain,
        **counts,
        n_features=getattr(config.model, "n_features", None),
        n_outputs=config.n_outputs,
        n_train_examples=config.data.n_train,
        n_eval_examples=config.data.n_eval,
        wall_seconds=spent.wall,
        processor_seconds=spent.processor,
        peak_memory_bytes=runtime.peak_memory_bytes(),
        finished_at_utc=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        environment=environment,
        **columns,
    )


def _trained(
    config: RunConfig,
    plain: Resolved,
    dataset: Dataset | Stream | TokenDataset,
    workspace: Workspace | None,
) -> Trained:
    if isinstance(config.train, Counting):
        from scaling.trainers.counting import count_tokens

        assert isinstance(dataset, TokenDataset)
        return Trained({"status": "done", **count_tokens(config, dataset)}, (), "float64")
    if isinstance(dataset, TokenDataset):
        from scaling.trainers.tokens import train_on_tokens

        precision = getattr(config.model, "compute_dtype", "float32")
        return Trained(*train_on_tokens(config, dataset, workspace, plain), precision)
    if isinstance(dataset, Stream):
        from scaling.trainers.stream import train_on_stream

        return Trained(*train_on_stream(config, dataset, workspace, plain), "float32")
    if isinstance(config.train, Gradient):
        from scaling.trainers.gradient import train_on_examples

        return Trained(*train_on_examples(config, dataset), "float32")
    if isinstance(config.train, GradientFlow):
        from scaling.trainers.flow import follow

        columns, curve = follow(config, dataset)
        return Trained({"status": "done", **columns}, curve, "float64")
    if isinstance(config.train, OnePassSGD):
        from scaling.trainers.one_pass import pass_once

        return Trained(*pass_once(config, dataset), "float64")
    if isinstance(config.train, RidgelessEnsemble):
        from scaling.trainers.ensemble import solve_and_average

        return Trained({"status": "done", **solve_and_average(config, dataset)}, (), "float64")
    from scaling.trainers.solve import solve

    return Trained({"status": "done", **solve(config, dataset)}, (), "float64")


def _trained_together(configs: Sequence[RunConfig], datasets: Sequence[Any]) -> list[Trained]:
    if isinstance(configs[0].train, Gradient):
        from scaling.trainers.gradient import train_together

        return [Trained(*each, "float32") for each in train_together(configs, datasets)]
    from scaling.trainers.solve import solve_together

    solved = solve_together(configs, datasets)
    return [Trained({"status": "done", **columns}, (), "float64") for columns in solved]
