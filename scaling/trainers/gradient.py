"""Gradient runs: compiled once a shape, looped on the device between evaluations."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int

from scaling.config import RunConfig, Shape, shape_of
from scaling.data.dataset import Dataset
from scaling.devices.runtime import compile_quickly
from scaling.keys import key_for
from scaling.model import Model, Params
from scaling.models.built import built
from scaling.record import Curve, CurvePoint
from scaling.schedules import share_of_peak
from scaling.trainers import objectives
from scaling.trainers.divergence import Watch, diverged_columns, unharmed
from scaling.trainers.optimizers import transformation
from scaling.training import Gradient


class State(NamedTuple):
    """Everything that one step passes to the next."""

    params: Params
    optimizer: optax.OptState
    order: Int[Array, " n"]
    step: Int[Array, ""]
    watch: Watch


class Batch(NamedTuple):
    """Examples on the device, with the labels before noise beside those that are trained on."""

    inputs: Float[Array, "n inputs"]
    targets: Array
    clean: Array


class Evaluation(NamedTuple):
    """Measurements of a run at one point of its training, fetched by the host."""

    step: Int[Array, ""]
    watch: Watch
    columns: dict[str, Float[Array, ""]]


class Trainer(NamedTuple):
    """Functions of one shape: they start, advance and measure a run."""

    init: Callable[[Array], State]
    advance: Callable[..., State]
    measure: Callable[[State, Batch, Batch], Evaluation]


def train_on_examples(config: RunConfig, dataset: Dataset) -> tuple[dict[str, Any], Curve]:
    """Trains a run and measures it at even intervals.

    A loss that is not finite ends the run as `diverged`, with the step and the last finite loss.

    Returns:
        Columns of a RunRecord, and the learning curve.
    """
    plan = config.train
    assert isinstance(plan, Gradient)
    began = time.perf_counter()
    trainer = _compiled(shape_of(config))
    compile_seconds = time.perf_counter() - began
    columns: dict[str, Any] = {}
    curve: list[CurvePoint] = []
    for evaluation in _evaluations(trainer, config, plan, dataset):
        columns = _columns(plan, evaluation)
        if columns["status"] == "diverged":
            break
        curve.append(_point(config, plan, int(evaluation.step), columns))
    return {**columns, "compile_seconds": compile_seconds}, tuple(curve)


def _evaluations(
    trainer: Trainer, config: RunConfig, plan: Gradient, dataset: Dataset
) -> Iterator[Evaluation]:
    """Trains, and yields evaluations: each is fetched while the device is at the next interval."""
    steps, _, evaluations = plan.duration(config.data.n_train)
    train_set, eval_set = _on_device(config, dataset)
    rate, order = jnp.float32(plan.optimizer.learning_rate), key_for(config.seed, "order")
    ends = np.rint(np.linspace(0, steps, evaluations + 1)).astype(int)

    state = trainer.init(key_for(config.seed, "init"))
    waiting = None
    for count in np.diff(ends, prepend=0):
        state = trainer.advance(state, jnp.int32(count), train_set, rate, jnp.int32(steps), order)
        on_device = trainer.measure(state, train_set, eval_set)
        if waiting is not None:
            yield jax.device_get(waiting)
        waiting = on_device
    yield jax.device_get(waiting)


def make_trainer(model: Model, plan: Gradient, n_train: int, n_classes: int | None) -> Trainer:
    """Pure functions that start, advance and measure a run of one shape.

    Seeds, the learning rate and the number of steps are arguments of `advance`.
    """
    optimizer, schedule = transformation(plan.optimizer), plan.shares
    per_example = _objective(plan.objective, n_classes)
    batch_size = plan.duration(n_train).batch_size
    per_epoch = n_train // batch_size

    def loss(params: Params, inputs: Array, targets: Array) -> Array:
        return jnp.mean(per_example(model.apply(params, inputs), targets))

    def init(key: Array) -> State:
        params = model.init(key)
        return State(params, optimizer.init(params), jnp.arange(n_train), jnp.int32(0), unharmed())

    def step(state: State, data: Batch, rate: Array, steps: Array, order_key: Array) -> State:
        inputs, targets, order = data.inputs, data.targets, state.order
        if batch_size < n_train:
            epoch, position = state.step // per_epoch, state.step % per_epoch
            order = jax.lax.cond(
                position == 0,
                lambda: jax.random.permutation(jax.random.fold_in(order_key, epoch), n_train),
                lambda: order,
            )
            chosen = jax.lax.dynamic_slice_in_dim(order, position * batch_size, batch_size)
            inputs, targets = inputs[chosen], targets[chosen]
        value, gradient = jax.value_and_grad(loss)(state.params, inputs, targets)
        direction, memory = optimizer.update(gradient, state.optimizer, state.params)
        share = share_of_peak(schedule, state.step, steps)
        params = optax.apply_updates(state.params, optax.tree.scale(-rate * share, direction))
        watch = state.watch.after(state.step, value)
        return State(params, memory, order, state.step + 1, watch)

    def advance(
        state: State, count: Array, data: Batch, rate: Array, steps: Array, order_key: Array
    ) -> State:
        # A counted loop is lax.scan without stacked outputs; its length may be an argument.
        return jax.lax.fori_loop(
            0, count, lambda _, s: step(s, data, rate, steps, order_key), state
        )

    def measure(state: State, train_set: Batch, eval_set: Batch) -> Evaluation:
        loss, loss_sem = _LOSS_COLUMNS[plan.objective]
        on_train, on_eval = (
            model.apply(state.params, data.inputs) for data in (train_set, eval_set)
        )
        losses = per_example(on_eval, eval_set.targets)
        columns = {
            f"train_{loss}": jnp.mean(per_example(on_train, train_set.targets)),
            f"eval_{loss}": jnp.mean(losses),
            f"eval_{loss_sem}": _sem(losses),
            "weight_norm_l2": jnp.asarray(optax.tree.norm(state.params)),
        }
        if n_classes is not None:
            wrong = objectives.error(on_eval, eval_set.targets)
            columns |= {
                "train_error": jnp.mean(objectives.error(on_train, train_set.targets)),
                "train_error_clean": jnp.mean(objectives.error(on_train, train_set.clean)),
                "eval_error": jnp.mean(wrong),
                "eval_error_sem": _sem(wrong),
            }
        return Evaluation(state.step, state.watch, columns)

    return Trainer(init, advance, measure)


_LOSS_COLUMNS = {
    "cross_entropy": ("loss_nats", "loss_sem_nats"),
    "squared_error": ("squared_error", "squared_error_sem"),
}
"""What a RunRecord calls the loss, and its standard error, of each objective."""


def _objective(name: str, n_classes: int | None) -> Callable[[Array, Array], Array]:
    if name == "cross_entropy":
        return objectives.cross_entropy
    return lambda outputs, targets: objectives.squared_error(
        outputs, objectives.as_targets(targets, n_classes)
    )


def _sem(values: Array) -> Array:
    return jnp.std(values, ddof=1) / jnp.sqrt(len(values))  # NaN for a single one


@functools.lru_cache(maxsize=8)
def _compiled(shape: Shape) -> Trainer:
    """The compiled functions of a shape, made once in a process."""
    plan, n_classes = shape.train, shape.n_classes
    assert isinstance(plan, Gradient) and shape.n_train is not None
    model = built(shape.model, shape.n_inputs, shape.n_outputs)
    trainer = make_trainer(model, plan, shape.n_train, n_classes)
    key = jax.eval_shape(lambda: jax.random.key(0))
    number, count = jax.ShapeDtypeStruct((), jnp.float32), jax.ShapeDtypeStruct((), jnp.int32)
    state = jax.eval_shape(trainer.init, key)

    def batch(n: int) -> Batch:
        kind = jnp.float32 if n_classes is None else jnp.int32
        inputs: Any = jax.ShapeDtypeStruct((n, shape.n_inputs), jnp.float32)
        targets: Any = jax.ShapeDtypeStruct((n,), kind)
        return Batch(inputs, targets, targets)

    train_set, eval_set = batch(shape.n_train), batch(shape.n_eval)
    advance = jax.jit(trainer.advance)
    return Trainer(
        init=compile_quickly(trainer.init, key),
        advance=advance.lower(state, count, train_set, number, count, key).compile(),
        measure=compile_quickly(trainer.measure, state, train_set, eval_set),
    )


def _on_device(config: RunConfig, dataset: Dataset) -> tuple[Batch, Batch]:
    kind = jnp.float32 if config.data.n_classes is None else jnp.int32

    def batch(inputs: np.ndarray, *targets: np.ndarray) -> Batch:
        noisy, clean = (jnp.asarray(each, kind) for each in targets)
        return Batch(jnp.asarray(inputs, jnp.float32), noisy, clean)

    return (
        batch(dataset.train_inputs, dataset.train_targets, dataset.train_targets_clean),
        batch(dataset.eval_inputs, dataset.eval_targets, dataset.eval_targets),
    )


def _columns(plan: Gradient, evaluation: Evaluation) -> dict[str, Any]:
    """Columns of a RunRecord from one evaluation."""
    steps, loss = int(evaluation.step), _LOSS_COLUMNS[plan.objective][0]
    columns = {name: float(value) for name, value in evaluation.columns.items()}
    measured = [columns[f"train_{loss}"], columns[f"eval_{loss}"]]
    diverged = diverged_columns(steps, evaluation.watch, measured)
    return diverged or {"status": "done", "steps": steps, **columns}


def _point(config: RunConfig, plan: Gradient, step: int, columns: dict[str, Any]) -> CurvePoint:
    loss, _ = _LOSS_COLUMNS[plan.objective]
    return CurvePoint(
        step=step,
        n_examples_seen=step * plan.duration(config.data.n_train).batch_size,
        train_loss=columns[f"train_{loss}"],
        train_error=columns.get("train_error"),
        eval_loss=columns[f"eval_{loss}"],
        eval_error=columns.get("eval_error"),
    )
