"""Pre-training runs: sequences stream from the host, and the device takes many steps a call.

While the device is at one block of steps the host gathers the next and fetches the evaluation
before it, so that neither waits for the other. `token_trainer` holds what the device does.
"""

from __future__ import annotations

import dataclasses
import itertools
import logging
import math
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scaling import checkpoint, gradient_noise, hosts, runtime, sharding
from scaling.config import RunConfig, run_id, trunk_of
from scaling.data.token_dataset import TokenDataset
from scaling.divergence import diverged_columns
from scaling.keys import key_for
from scaling.pretraining import Pretraining, TokenSource, learning_rates
from scaling.record import Curve, CurvePoint, finite
from scaling.sealed import digest
from scaling.token_trainer import (
    Arguments,
    Evaluation,
    State,
    Trainer,
    compiled,
    steps_in_block,
)
from scaling.workspace import Workspace

log = logging.getLogger(__name__)

SAVE_SECONDS = 60.0
SAVE_SHARE = 0.02
"""A run saves its state no sooner than this after it began or last saved, and spends no larger
share of its time on it."""

_DECIDE_BITS = ("git_commit", "git_diff_sha256", "jax", "jaxlib", "optax", "numpy", "device")
"""What of an environment may change the last bits of a run's numbers."""


class Interval(NamedTuple):
    """What happens between two evaluations: `n_steps` steps, measured at their end."""

    n_steps: int
    evaluation: Evaluation


class Block(NamedTuple):
    """A run at the end of a block of steps; the state is given away when the next one begins."""

    step: int
    state: State
    interval: Interval | None


def train(
    config: RunConfig, dataset: TokenDataset, workspace: Workspace | None = None
) -> tuple[dict[str, Any], Curve]:
    """Trains a run and measures it at even intervals, on its trunk after powers of 2 of steps.

    The training loss of an interval is the mean over its steps, each before its update, and so is
    what `gradient_noise` tells, where batches have several parts, of gradients before they are
    clipped. A loss that is not finite ends the run as `diverged`, with the step and the last finite
    loss.

    Args:
        config: The run.
        dataset: Its data.
        workspace: Where to save the state from time to time and where the trunk ends, and from
            where to go on if an earlier attempt or a run with this trunk has saved it there: the
            bits that come out are the same.

    Returns:
        Columns of a RunRecord, with `timed_steps`, those that this attempt took, and
        `earlier_seconds`, `resumed_at_steps` and `from_trunk_at_step` of what was done before; and
        the learning curve.

    Raises:
        ValueError: the workspace holds checkpoints of another run or trunk.
    """
    plan, model, data = config.train, config.model, config.data
    assert isinstance(plan, Pretraining) and isinstance(data, TokenSource)
    began = time.monotonic()
    separator = dataset.end_of_document if dataset.separated else None
    shape = data.context, data.n_outputs, len(dataset.eval_tokens)
    trainer = compiled(model, plan, *shape, separator)
    compile_seconds = time.monotonic() - began
    history = _History(config, workspace)
    state = history.restore(trainer.init(key_for(config.seed, "init")))
    total = plan.length(model, data).steps

    columns: dict[str, Any] = {}
    pending: deque[Interval] = deque()
    for block in _blocks(trainer, state, config, dataset):
        pending += [block.interval] if block.interval else []
        saving = history.place(block.step) if block.step < total else None
        # The last evaluation stays on the device while that is at the next block.
        while len(pending) > (0 if saving or block.step == total else 1):
            interval = pending.popleft()
            columns = _columns(interval, config, dataset.bytes_per_token)
            if columns["status"] == "diverged":
                return history.told(columns, compile_seconds)
            history.add(columns, plan.batch_size, interval.evaluation)
        if saving:
            history.save(block, saving)
    return history.told(columns, compile_seconds)


class _Place(NamedTuple):
    """A folder of checkpoints, and whose they are."""

    folder: Path
    identity: str


class _History:
    """What a run has behind it: its curve, the time it took, and where it is saved."""

    def __init__(self, config: RunConfig, workspace: Workspace | None) -> None:
        self._config = config
        self._own = _Place(workspace.own, run_id(config)) if workspace else None
        self._trunk, self._leaves_at = None, 0
        if workspace and workspace.trunk and (trunk := trunk_of(config)):
            # States that another program or machine has saved may differ in their last bits.
            folder = workspace.trunk / digest(_environment())[:16]
            self._trunk, self._leaves_at = _Place(folder, trunk.trunk_id), trunk.steps
        self._curve: list[CurvePoint] = []
        self._began = self._saved_at = time.monotonic()
        self._first_step = 0
        self._cost = self._spent_otherwise = 0.0
        self._earlier_seconds = 0.0
        self._resumed_at: list[int] = []
        self._from_trunk_at: int | None = None

    def restore(self, initial: State) -> State:
        """The state that was saved furthest on, by this run or on its trunk; or the initial one."""
        if self._own is None:
            return initial
        own = checkpoint.latest(*self._own, initial)
        saved = self._on_trunk(initial, own.step if own else 0) or own
        if saved is None:
            return initial
        notes = saved.notes
        ends = evaluated_after(self._config)
        points = [CurvePoint(**point) for point in notes["curve"]]
        self._curve = [point for point in points if point.step in ends]
        self._earlier_seconds = notes["seconds"]
        self._first_step = saved.step
        if saved is own:
            self._resumed_at = [*notes["resumed_at_steps"], saved.step]
            self._from_trunk_at = notes["from_trunk_at_step"]
        else:
            self._from_trunk_at = saved.step
        changed = {k for k, v in _environment().items() if notes["environment"].get(k) != v}
        if changed:
            log.warning(
                "run %s goes on from step %d under another %s: its last bits may differ",
                *(self._own.identity, saved.step, ", ".join(sorted(changed))),
            )
        self._spent_otherwise = time.monotonic() - self._began
        return saved.state

    def _on_trunk(self, initial: State, beyond: int) -> checkpoint.Checkpoint | None:
        """The furthest state on the trunk that is beyond a step, where the machine can read it."""
        if self._trunk is None:
            return None
        steps = range(beyond + 1, self._leaves_at + 1)
        try:
            return checkpoint.latest(*self._trunk, initial, steps)
        except OSError as error:
            log.warning("trunk %s cannot be read: %s", self._trunk.identity, error)
            return None

    def add(self, columns: dict[str, Any], batch_size: int, evaluation: Evaluation) -> None:
        """Adds an evaluation to the curve."""
        scales = jax.device_get(evaluation.activation_scales)
        point = CurvePoint(
            step=columns["steps"],
            n_examples_seen=columns["steps"] * batch_size,
            train_loss=columns["train_loss_nats"],
            eval_loss=columns["eval_loss_nats"],
            **{name: columns[name] for name in gradient_noise.COLUMNS},
            activation_scales={name: finite(each) for name, each in scales.items()} or None,
        )
        self._curve.append(point)

    def place(self, step: int) -> _Place | None:
        """Where to save the state after a step: where the trunk ends, there; else if it is time.

        It is by the clock of the first process.
        """
        if self._trunk and step == self._leaves_at:
            return self._trunk
        wait = max(SAVE_SECONDS, self._cost / SAVE_SHARE)
        if self._own and hosts.agreed(lambda: time.monotonic() - self._saved_at >= wait):
            return self._own
        return None

    def save(self, block: Block, place: _Place) -> None:
        """Saves a state and all that was measured before it.

        A checkpoint spares work and changes no result: a disk that refuses one ends no run.
        """
        assert self._own is not None
        jax.block_until_ready(block.state)
        start = time.monotonic()
        notes = {
            "curve": [dataclasses.asdict(point) for point in self._curve],
            "seconds": self._earlier_seconds + start - self._began,
            "resumed_at_steps": self._resumed_at,
            "from_trunk_at_step": self._from_trunk_at,
            "environment": _environment(),
        }
        scratch = self._own.folder
        try:
            checkpoint.save(*place, block.step, block.state, notes, scratch)
        except (OSError, ValueError) as error:
            run_id = self._own.identity
            log.warning("no checkpoint of run %s at step %d: %s", run_id, block.step, error)
        self._saved_at = time.monotonic()
        self._cost = self._saved_at - start
        self._spent_otherwise += self._cost

    def told(self, columns: dict[str, Any], compile_seconds: float) -> tuple[dict[str, Any], Curve]:
        """What `train` returns."""
        more = {
            "compile_seconds": compile_seconds,
            "train_seconds": time.monotonic() - self._began - self._spent_otherwise,
            "timed_steps": columns["steps"] - self._first_step,
            "earlier_seconds": self._earlier_seconds,
            "resumed_at_steps": self._resumed_at,
            "from_trunk_at_step": self._from_trunk_at,
        }
        return columns | more, tuple(self._curve)


def _environment() -> dict[str, Any]:
    here = {**runtime.environment(), "device": runtime.device_name()}
    return {name: here[name] for name in _DECIDE_BITS}


def evaluated_after(config: RunConfig) -> list[int]:
    """The numbers of steps after which a run is evaluated, ascending."""
    plan = config.train
    assert isinstance(plan, Pretraining) and isinstance(config.data, TokenSource)
    length = plan.length(config.model, config.data)
    doubling = itertools.takewhile(length.trunk.__gt__, (2**k for k in itertools.count()))
    n_even = min(plan.evaluations, length.steps - length.trunk)
    even = np.rint(np.linspace(length.trunk, length.steps, n_even + 1)).astype(int)
    return sorted({*doubling, *even.tolist()} - {0})


def _blocks(
    trainer: Trainer, state: State, config: RunConfig, dataset: TokenDataset
) -> Iterator[Block]:
    """Trains from a state to the end, a block at a time.

    A block waits until the one before the last has ended: the host is never far ahead.
    """
    plan, data, seed = config.train, config.data, config.seed
    assert isinstance(plan, Pretraining) and isinstance(data, TokenSource)
    length = plan.length(config.model, data)
    devices = sharding.mesh_of_devices(plan.mesh)
    rates = jnp.array(learning_rates(plan.optimizer), jnp.float32)
    dropout = key_for(seed, "dropout") if getattr(config.model, "dropout", 0) else None
    lengths = (length.horizon, length.warmup, length.trunk)
    arguments = Arguments(rates, *map(jnp.int32, lengths), dropout=dropout)
    held_out = np.asarray(dataset.eval_tokens, np.int32)
    eval_tokens = sharding.put(held_out, sharding.everywhere(devices))
    in_block = steps_in_block(plan, data.context)
    resumed = int(state.step)

    before: Array | None = None
    running: Array | None = None
    for start, end in itertools.pairwise([0, *evaluated_after(config)]):
        if start >= resumed:
            state = state.summed_anew()
        for first in range(max(start, resumed), end, in_block):
            count = min(in_block, end - first)
            block = _batches(dataset, seed, range(first, first + count), in_block, plan, devices)
            if before is not None:
                before.block_until_ready()
            before = running
            state, running = trainer.advance(state, block, jnp.int32(count), arguments)
            reached, interval = first + count, None
            if reached == end:
                interval = Interval(end - start, trainer.measure(state, eval_tokens))
            yield Block(reached, state, interval)


def _batches(
    dataset: TokenDataset,
    seed: int,
    steps: range,
    in_block: int,
    plan: Pretraining,
    devices: jax.sharding.Mesh,
) -> Array:
    """Batches of some steps, padded to a whole block; this process reads what its devices take."""

    def read(index: Any) -> np.ndarray:
        places = np.arange(plan.batch_size)[index[1]]
        numbers = np.asarray(steps)[:, None] * plan.batch_size + places
        block = np.zeros((in_block, len(places), dataset.context + 1), np.int32)
        sequences = dataset.numbered(seed, numbers.reshape(-1))
        block[: len(steps)] = sequences.reshape(*numbers.shape, -1)
        return block

    shape = (in_block, plan.batch_size, dataset.context + 1)
    return jax.make_array_from_callback(shape, sharding.by_sequence(devices, axis=1), read)


def _columns(interval: Interval, config: RunConfig, bytes_per_token: float) -> dict[str, Any]:
    """Columns of a RunRecord from the evaluation at the end of an interval."""
    plan = config.train
    assert isinstance(plan, Pretraining)
    evaluation: Evaluation = jax.device_get(interval.evaluation)
    losses = np.asarray(evaluation.eval_losses, np.float64)
    steps, loss = int(evaluation.step), float(losses.mean())
    n_spikes = {"n_loss_spikes": int(evaluation.n_spikes)}
    bad = int(evaluation.watch.diverged_at)
    if bad < 0 and not math.isfinite(loss):
        bad = steps
    if bad >= 0:
        return diverged_columns(steps, bad, evaluation.watch) | n_spikes
    sem = float(losses.std(ddof=1)) / math.sqrt(len(losses)) if len(losses) > 1 else math.nan
    return {
        "status": "done",
        "steps": steps,
        "train_loss_nats": float(evaluation.loss_sum) / interval.n_steps,
        "eval_loss_nats": loss,
        "eval_loss_sem_nats": sem,
        "eval_bits_per_byte": loss / math.log(2) / bytes_per_token,
        "weight_norm_l2": float(evaluation.weight_norm),
        **n_spikes,
        **gradient_noise.told(
            evaluation.norms,
            interval.n_steps,
            plan.batch_size * config.data.n_inputs,
            plan.microbatches,
        ),
    }
