"""Gradient runs: compiled once a shape, looped on the device between evaluations.

Runs that share a shape and a number of steps may be trained together: the same functions, mapped
over the members of a pack (`jax.vmap`).
"""

from __future__ import annotations

import functools
import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from scaling.config import RunConfig, Shape, shape_of
from scaling.data.dataset import Dataset
from scaling.devices.runtime import compile_quickly
from scaling.keys import key_for
from scaling.model import Params
from scaling.models.built import built
from scaling.models.family import TranslatingFamily, offers
from scaling.record import Curve, CurvePoint
from scaling.trainers.divergence import diverged_columns
from scaling.trainers.gradient_step import (
    LOSS_COLUMNS,
    Batch,
    Evaluation,
    State,
    Trainer,
    make_trainer,
)
from scaling.training import Gradient


class Inputs(NamedTuple):
    """What is given to the compiled functions; in a pack, arrays have an axis of members.

    Arrays of data that all members share have none.
    """

    train_set: Batch
    eval_set: Batch
    rate: Float[Array, "*members"]
    init_key: Array
    order_key: Array


def train_on_examples(config: RunConfig, dataset: Dataset) -> tuple[dict[str, Any], Curve]:
    """Trains a run and measures it at its start and as often as it says.

    A loss that is not finite ends the run as `diverged`, with the step and the last finite loss.

    Returns:
        Columns of a RunRecord, and the learning curve.
    """
    began = time.perf_counter()
    trainer = _compiled(shape_of(config))
    compile_seconds = time.perf_counter() - began
    columns: dict[str, Any] = {}
    curve: list[CurvePoint] = []
    for evaluation in _evaluations(trainer, config, _inputs(config, dataset)):
        columns = _columns(config, evaluation)
        if columns["status"] == "diverged":
            break
        curve.append(_point(config, columns))
    return {**columns, "compile_seconds": compile_seconds}, tuple(curve)


def train_together(
    configs: Sequence[RunConfig], datasets: Sequence[Dataset]
) -> list[tuple[dict[str, Any], Curve]]:
    """Trains runs of one shape and length as one program, as `train_on_examples` does each.

    A run that diverges ends at the evaluation that finds it out, as it would alone; the others go
    on, with the same bits as beside a run that does not.

    Args:
        configs: Runs that differ in what is an argument of compiled code alone, and have the same
            steps and evaluations.
        datasets: Data of each run.

    Returns:
        Columns of a RunRecord, and the learning curve, of each run.
    """
    began = time.perf_counter()
    inputs, axes = _inputs_together(configs, datasets)
    trainer = _compiled_pack(shape_of(configs[0]), len(configs), axes)
    compile_seconds = (time.perf_counter() - began) / len(configs)
    columns: list[dict[str, Any]] = [{} for _ in configs]
    curves: list[list[CurvePoint]] = [[] for _ in configs]
    for evaluation in _evaluations(trainer, configs[0], inputs):
        for member, config in enumerate(configs):
            if columns[member].get("status") == "diverged":
                continue
            columns[member] = _columns(config, _of_member(evaluation, member))
            if columns[member]["status"] == "done":
                curves[member].append(_point(config, columns[member]))
        if all(each["status"] == "diverged" for each in columns):
            break
    return [
        ({**each, "compile_seconds": compile_seconds}, tuple(curve))
        for each, curve in zip(columns, curves, strict=True)
    ]


def _evaluations(trainer: Trainer, config: RunConfig, inputs: Inputs) -> Iterator[Evaluation]:
    """Trains, and yields evaluations: each is fetched while the device is at the next interval.

    The configuration says how long; in a pack, any member's does.
    """
    plan = config.train
    assert isinstance(plan, Gradient)
    steps = plan.duration(config.data.n_train).steps
    train_set, eval_set, rate, init_key, order = inputs

    state = trainer.init(init_key)
    waiting = None
    for count in np.diff(evaluated_after(plan, config.data.n_train), prepend=0):
        state = trainer.advance(state, jnp.int32(count), train_set, rate, jnp.int32(steps), order)
        on_device = trainer.measure(state, train_set, eval_set)
        if waiting is not None:
            yield jax.device_get(waiting)
        waiting = on_device
    yield jax.device_get(waiting)


def evaluated_after(plan: Gradient, n_train: int) -> Int[np.ndarray, " evaluations"]:
    """Numbers of steps after which a run is evaluated, ascending from 0; geometric ones differ."""
    steps, _, evaluations = plan.duration(n_train)
    if plan.spacing == "even":
        return np.rint(np.linspace(0, steps, evaluations + 1)).astype(int)
    return np.unique(np.rint([0, *np.geomspace(1, steps, evaluations)[:-1], steps]).astype(int))


def final_params(config: RunConfig, dataset: Dataset) -> Params:
    """Trains a run without measuring it, and returns the weights at its end."""
    plan = config.train
    assert isinstance(plan, Gradient)
    trainer = _compiled(shape_of(config))
    steps = jnp.int32(plan.duration(config.data.n_train).steps)
    train_set, _, rate, init_key, order = _inputs(config, dataset)
    state = trainer.init(init_key)
    return trainer.advance(state, steps, train_set, rate, steps, order).params


@functools.lru_cache(maxsize=8)
def _compiled(shape: Shape) -> Trainer:
    """The compiled functions of a shape, made once in a process."""
    return _compile(_trainer(shape), _abstract_inputs(shape))


@functools.lru_cache(maxsize=8)
def _compiled_pack(shape: Shape, size: int, axes: Inputs) -> Trainer:
    """The compiled functions of a pack of runs of a shape; `axes` says which data they share."""

    def of_members(leaf: Any, axis: int | None) -> Any:
        shape = leaf.shape if axis is None else (size, *leaf.shape)
        return jax.ShapeDtypeStruct(shape, leaf.dtype)

    inputs = jax.tree.map(of_members, _abstract_inputs(shape), axes)
    return _compile(_mapped(_trainer(shape), axes), inputs)


def _trainer(shape: Shape) -> Trainer:
    plan = shape.train
    assert isinstance(plan, Gradient) and shape.n_train is not None
    model = built(shape.model, shape.n_inputs, shape.n_outputs)
    return make_trainer(model, plan, shape.n_train, shape.n_classes)


def _mapped(trainer: Trainer, axes: Inputs) -> Trainer:
    """A trainer mapped over the members of a pack.

    All members are at one step. Were it theirs, each step of a pack would shuffle the examples:
    a condition that differs between members computes both of its branches.
    """
    each: Any = 0
    common: Any = None
    states = State(each, each, each, common, each)
    sets = axes.train_set, axes.eval_set
    found = Evaluation(common, each, each)
    return Trainer(
        init=jax.vmap(trainer.init, out_axes=states),
        advance=jax.vmap(
            trainer.advance, in_axes=(states, None, axes.train_set, 0, None, 0), out_axes=states
        ),
        measure=jax.vmap(trainer.measure, in_axes=(states, *sets), out_axes=found),
    )


def _compile(trainer: Trainer, inputs: Inputs) -> Trainer:
    count = jax.ShapeDtypeStruct((), jnp.int32)
    state = jax.eval_shape(trainer.init, inputs.init_key)
    advance = jax.jit(trainer.advance).lower(
        state, count, inputs.train_set, inputs.rate, count, inputs.order_key
    )
    return Trainer(
        init=compile_quickly(trainer.init, inputs.init_key),
        advance=advance.compile(),
        measure=compile_quickly(trainer.measure, state, inputs.train_set, inputs.eval_set),
    )


def _abstract_inputs(shape: Shape) -> Inputs:
    """Shapes and types of what the compiled functions of a shape are given."""
    assert shape.n_train is not None
    kind = jnp.float32 if shape.n_classes is None else jnp.int32
    of_inputs, predicted = jnp.float32, ()
    if offers(shape.model, TranslatingFamily):
        of_inputs, predicted = jnp.int32, (shape.n_inputs - shape.model.source_length,)

    def batch(n: int) -> Batch:
        inputs: Any = jax.ShapeDtypeStruct((n, shape.n_inputs), of_inputs)
        targets: Any = jax.ShapeDtypeStruct((n, *predicted), kind)
        return Batch(inputs, targets, targets)

    key = jax.eval_shape(lambda: jax.random.key(0))
    rate: Any = jax.ShapeDtypeStruct((), jnp.float32)
    return Inputs(batch(shape.n_train), batch(shape.n_eval), rate, key, key)


def _inputs(config: RunConfig, dataset: Dataset) -> Inputs:
    """What the compiled functions are given for a run."""
    train_set, eval_set = (jax.tree.map(_on_device, each) for each in _sets(dataset))
    return Inputs(
        train_set,
        eval_set,
        _rate(config),
        key_for(config.seed, "init"),
        key_for(config.seed, "order"),
    )


def _inputs_together(
    configs: Sequence[RunConfig], datasets: Sequence[Dataset]
) -> tuple[Inputs, Inputs]:
    """What the compiled functions are given for a pack, and the axis of members of each array.

    The axis is None for data that are the same array for all members.
    """
    sets = [_sets(dataset) for dataset in datasets]

    def axis(*arrays: np.ndarray) -> int | None:
        first, *others = (array.__array_interface__ for array in arrays)
        return None if all(other == first for other in others) else 0

    def stacked(*arrays: np.ndarray) -> Array:
        return _on_device(arrays[0] if axis(*arrays) is None else np.stack(arrays))

    (train_set, eval_set), (train_axes, eval_axes) = (
        jax.tree.map(of_array, *sets) for of_array in (stacked, axis)
    )
    inputs = Inputs(
        train_set,
        eval_set,
        jnp.stack([_rate(config) for config in configs]),
        jnp.stack([key_for(config.seed, "init") for config in configs]),
        jnp.stack([key_for(config.seed, "order") for config in configs]),
    )
    each: Any = 0
    return inputs, Inputs(train_axes, eval_axes, each, each, each)


def _sets(dataset: Dataset) -> tuple[Any, Any]:
    """The training and held-out examples as batches, on the host."""
    train: Any = dataset.train_inputs, dataset.train_targets, dataset.train_targets_clean
    held_out: Any = dataset.eval_inputs, dataset.eval_targets, dataset.eval_targets
    return Batch(*train), Batch(*held_out)


def _on_device(array: np.ndarray) -> Array:
    """Classes as integers, all other numbers as floats, of 32 bits."""
    is_class = np.issubdtype(array.dtype, np.integer)
    return jax.device_put(array.astype(np.int32 if is_class else np.float32))


def _rate(config: RunConfig) -> Array:
    assert isinstance(config.train, Gradient)
    return jnp.float32(config.train.optimizer.learning_rate)


def _of_member(evaluation: Evaluation, member: int) -> Evaluation:
    watch, columns = jax.tree.map(lambda leaf: leaf[member], (evaluation.watch, evaluation.columns))
    return Evaluation(evaluation.step, watch, columns)


def _columns(config: RunConfig, evaluation: Evaluation) -> dict[str, Any]:
    """Columns of a RunRecord from one evaluation."""
    assert isinstance(config.train, Gradient)
    steps, loss = int(evaluation.step), LOSS_COLUMNS[config.train.objective][0]
    columns = {name: float(value) for name, value in evaluation.columns.items()}
    measured = [columns[f"train_{loss}"], columns[f"eval_{loss}"]]
    diverged = diverged_columns(steps, evaluation.watch, measured)
    return diverged or {"status": "done", "steps": steps, **columns}


def _point(config: RunConfig, columns: dict[str, Any]) -> CurvePoint:
    plan = config.train
    assert isinstance(plan, Gradient)
    loss, _ = LOSS_COLUMNS[plan.objective]
    return CurvePoint(
        step=columns["steps"],
        n_examples_seen=columns["steps"] * plan.duration(config.data.n_train).batch_size,
        train_loss=columns[f"train_{loss}"],
        train_error=columns.get("train_error"),
        eval_loss=columns[f"eval_{loss}"],
        eval_error=columns.get("eval_error"),
        train_error_clean=columns.get("train_error_clean"),
        weight_norm_l2=columns["weight_norm_l2"],
    )
