"""Runs on a stream of examples: the host says which numbers, and the device draws and trains.

`stream_step` holds what the device does.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from scaling.config import Resolved, RunConfig, shape_of
from scaling.data.stream import Stream
from scaling.keys import key_for
from scaling.record import Curve, CurvePoint, finite
from scaling.streaming import OnStream, Streaming
from scaling.trainers.divergence import diverged_columns
from scaling.trainers.gradient_step import LOSS_COLUMNS
from scaling.trainers.history import History
from scaling.trainers.stream_step import (
    Drawn,
    Evaluation,
    Lengths,
    State,
    Trainer,
    compiled,
    steps_in_block,
)
from scaling.workspace import Workspace


class Block(NamedTuple):
    """A run at the end of a block of steps, evaluated where an interval ends."""

    step: int
    state: State
    n_steps: int
    evaluation: Evaluation | None


def train_on_stream(
    config: RunConfig,
    stream: Stream,
    workspace: Workspace | None = None,
    plain: Resolved | None = None,
) -> tuple[dict[str, Any], Curve]:
    """Trains a run and measures it as often as it says.

    The training loss of an interval is the mean over its steps, each before its update. A loss that
    is not finite ends the run as `diverged`, with the step and the last finite loss.

    Args:
        config: The run.
        stream: Its examples.
        workspace: Folders in which to save checkpoints from time to time, and from which to resume
            an earlier attempt. The results have the same bits.
        plain: The resolved configuration, where the caller has it.

    Returns:
        Columns of a RunRecord, with `earlier_seconds` and `resumed_at_steps` of what was done
        before; and the learning curve.

    Raises:
        ValueError: the workspace holds checkpoints of another run.
    """
    plan = config.train
    assert isinstance(plan, OnStream)
    began = time.monotonic()
    trainer = compiled(shape_of(config))
    compile_seconds = time.monotonic() - began
    history = History(config, workspace, plain)
    state = history.restore(trainer.init(key_for(config.seed, "init")))
    columns: dict[str, Any] = {}
    for block in _blocks(trainer, state, config, stream):
        if block.evaluation is not None:
            columns = _columns(config, jax.device_get(block.evaluation), block.n_steps)
            if columns["status"] == "diverged":
                break
            history.append(_point(config, columns))
        if block.step < plan.steps and (place := history.place(block.step)):
            history.save(block.step, block.state, place)
    columns, curve = history.result(columns, compile_seconds)
    del columns["timed_steps"], columns["from_trunk_at_step"]
    return columns, curve


def _blocks(trainer: Trainer, state: State, config: RunConfig, stream: Stream) -> Iterator[Block]:
    """Trains from a state to the end, a block at a time."""
    plan = config.train
    assert isinstance(plan, OnStream)
    world = stream.world
    trained, held_out = Drawn(world, stream.key), Drawn(world, stream.eval_key)
    rate = jnp.float32(plan.optimizer.learning_rate)
    lengths = Lengths(rate, jnp.int32(plan.steps), jnp.int32(plan.warmup))
    in_block, resumed = steps_in_block(plan), int(state.step)
    numbers = np.zeros((in_block, plan.batch_size), np.uint32)
    for start, end in itertools.pairwise([0, *plan.evaluated_after]):
        if start >= resumed:
            state = state.summed_anew()
        for first in range(max(start, resumed), end, in_block):
            count = min(in_block, end - first)
            chosen = stream.numbers(first * plan.batch_size, count * plan.batch_size)
            numbers[:count] = chosen.reshape(count, -1)
            state = trainer.advance(state, jnp.array(numbers), jnp.int32(count), trained, lengths)
            reached = first + count
            found = trainer.measure(state, held_out) if reached == end else None
            yield Block(reached, state, end - start, found)


def _columns(config: RunConfig, evaluation: Evaluation, n_steps: int) -> dict[str, Any]:
    """Columns of a RunRecord from the evaluation at the end of an interval."""
    steps, loss = int(evaluation.step), float(evaluation.eval_loss)
    if diverged := diverged_columns(steps, evaluation.watch, [loss]):
        return diverged
    name, sem = _loss_columns(config)
    error = {} if evaluation.eval_error is None else {"eval_error": float(evaluation.eval_error)}
    # The shortest decimals that single precision has: records hold no digits of conversion.
    named = {key: finite(np.float64(str(value))) for key, value in evaluation.named.items()}
    return {
        "status": "done",
        "steps": steps,
        f"train_{name}": float(evaluation.loss_sum) / n_steps,
        f"eval_{name}": loss,
        f"eval_{sem}": float(evaluation.eval_loss_sem),
        **error,
        "weight_norm_l2": float(evaluation.weight_norm),
        "eval_by": named or None,
    }


def _point(config: RunConfig, columns: dict[str, Any]) -> CurvePoint:
    assert isinstance(config.train, OnStream)
    name, sem = _loss_columns(config)
    return CurvePoint(
        step=columns["steps"],
        n_examples_seen=columns["steps"] * config.train.batch_size,
        train_loss=columns[f"train_{name}"],
        eval_loss=columns[f"eval_{name}"],
        eval_loss_sem=columns[f"eval_{sem}"],
        eval_error=columns.get("eval_error"),
        weight_norm_l2=columns["weight_norm_l2"],
        eval_by=columns["eval_by"],
    )


def _loss_columns(config: RunConfig) -> tuple[str, str]:
    """What a RunRecord calls the loss of a run, and its standard error."""
    plan = config.train
    squared = isinstance(plan, Streaming) and plan.objective == "squared_error"
    return LOSS_COLUMNS["squared_error" if squared else "cross_entropy"]
