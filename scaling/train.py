"""Gradient runs: compiled once a shape, looped on the device between evaluations."""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int

from scaling import objectives
from scaling.config import ModelConfig, RunConfig
from scaling.data.dataset import Dataset
from scaling.keys import key_for
from scaling.model import Model, Params
from scaling.optimizers import learning_rate_at, transformation
from scaling.record import Curve, CurvePoint
from scaling.runtime import compile_quickly
from scaling.training import Gradient


class State(NamedTuple):
    """Everything that one step hands to the next."""

    params: Params
    optimizer: optax.OptState
    order: Int[Array, " n"]
    step: Int[Array, ""]
    diverged_at: Int[Array, ""]
    last_finite_loss: Float[Array, ""]


class Batch(NamedTuple):
    """Examples on the device, with the labels before noise beside those that are trained on."""

    inputs: Float[Array, "n inputs"]
    targets: Array
    clean: Array


class Trainer(NamedTuple):
    """The compiled functions of one shape."""

    init: Callable[[Array], State]
    advance: Callable[..., State]
    measure: Callable[[Params, Batch], dict[str, Array]]


def train(config: RunConfig, dataset: Dataset) -> tuple[dict[str, Any], Curve]:
    """Trains a run and measures it at even intervals.

    The host fetches one evaluation while the device works on the next interval. A loss that is
    not finite ends the run as `diverged`, with the step and the last finite loss.

    Returns:
        Columns of a RunRecord, and the learning curve.
    """
    plan = config.train
    assert isinstance(plan, Gradient)
    steps, batch_size, evaluations = plan.duration(config.data.n_train)
    trainer, compile_seconds = _compiled(config, plan, dataset)
    train_set, eval_set = _on_device(config, dataset)
    order_key = key_for(config.seed, "order")
    rate = jnp.float32(plan.optimizer.learning_rate)

    state = trainer.init(key_for(config.seed, "init"))
    ends = np.rint(np.linspace(0, steps, evaluations + 1)).astype(int)
    waiting = None
    curve: list[CurvePoint] = []
    measured: dict[str, Any] = {}
    for start, end in zip([0, *ends[:-1]], ends, strict=True):
        state = trainer.advance(
            state, jnp.int32(end - start), train_set, rate, jnp.int32(steps), order_key
        )
        on_device = (
            state,
            trainer.measure(state.params, train_set),
            trainer.measure(state.params, eval_set),
        )
        if waiting is not None:
            measured = _columns(plan, *jax.device_get(waiting))
            if measured["status"] == "diverged":
                break
            curve.append(_point(plan, batch_size, measured))
        waiting = on_device
    else:
        measured = _columns(plan, *jax.device_get(waiting))
        if measured["status"] != "diverged":
            curve.append(_point(plan, batch_size, measured))
    measured["compile_seconds"] = compile_seconds
    del measured["step"]
    return measured, tuple(curve)


def make_trainer(model: Model, plan: Gradient, n_train: int, n_classes: int | None) -> Trainer:
    """Pure functions that start, advance and measure a run of one shape.

    Seeds, the learning rate and the number of steps are arguments of `advance`.
    """
    descend = transformation(plan.optimizer)
    per_example = _objective(plan.objective, n_classes)
    batch_size = plan.duration(n_train).batch_size
    per_epoch = n_train // batch_size

    def loss(params: Params, inputs: Array, targets: Array) -> Array:
        return jnp.mean(per_example(model.apply(params, inputs), targets))

    def init(key: Array) -> State:
        params = model.init(key)
        return State(
            params,
            descend.init(params),
            jnp.arange(n_train),
            jnp.int32(0),
            jnp.int32(-1),
            jnp.float32(jnp.nan),
        )

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
        direction, optimizer = descend.update(gradient, state.optimizer, state.params)
        scale = -learning_rate_at(plan, rate, state.step, steps)
        params = optax.apply_updates(state.params, optax.tree.scale(scale, direction))
        good = jnp.isfinite(value)
        first_bad = jnp.where(good | (state.diverged_at >= 0), state.diverged_at, state.step)
        last_good = jnp.where(good & (first_bad < 0), value, state.last_finite_loss)
        return State(params, optimizer, order, state.step + 1, first_bad, last_good)

    def advance(
        state: State, count: Array, data: Batch, rate: Array, steps: Array, order_key: Array
    ) -> State:
        # A counted loop is lax.scan without stacked outputs; its length may be an argument.
        return jax.lax.fori_loop(
            0, count, lambda _, s: step(s, data, rate, steps, order_key), state
        )

    def measure(params: Params, data: Batch) -> dict[str, Array]:
        outputs = model.apply(params, data.inputs)
        losses = per_example(outputs, data.targets)
        columns = {"loss": jnp.mean(losses), "loss_sem": _sem(losses)}
        if n_classes is not None:
            wrong = objectives.error(outputs, data.targets)
            columns |= {"error": jnp.mean(wrong), "error_sem": _sem(wrong)}
            columns["error_clean"] = jnp.mean(objectives.error(outputs, data.clean))
        norm = optax.tree.norm(params)
        return columns | {"weight_norm_l2": jnp.asarray(norm)}

    return Trainer(init, advance, measure)


def _objective(name: str, n_classes: int | None) -> Callable[[Array, Array], Array]:
    if name == "cross_entropy":
        return objectives.cross_entropy
    return lambda outputs, targets: objectives.squared_error(
        outputs, objectives.as_targets(targets, n_classes)
    )


def _sem(values: Array) -> Array:
    return jnp.std(values, ddof=1) / jnp.sqrt(len(values))  # NaN for a single one


def _compiled(config: RunConfig, plan: Gradient, dataset: Dataset) -> tuple[Trainer, float]:
    """The compiled trainer of a run's shape, and the seconds that this call spent compiling."""
    before = time.perf_counter()
    trainer = _compile(
        config.model,
        # What reaches compiled code as an argument must not tell shapes apart.
        _without_arguments(plan),
        dataset.train_inputs.shape,
        dataset.eval_inputs.shape,
        config.data.n_outputs,
        config.data.n_classes,
    )
    return trainer, time.perf_counter() - before


def _without_arguments(plan: Gradient) -> Gradient:
    return dataclasses.replace(
        plan,
        steps=1,
        evaluations=1,
        optimizer=dataclasses.replace(plan.optimizer, learning_rate=1.0),
    )


@functools.lru_cache(maxsize=8)
def _compile(
    model_config: ModelConfig,
    plan: Gradient,
    train_shape: tuple[int, int],
    eval_shape: tuple[int, int],
    n_outputs: int,
    n_classes: int | None,
) -> Trainer:
    n_train, n_inputs = train_shape
    trainer = make_trainer(model_config.build(n_inputs, n_outputs), plan, n_train, n_classes)
    key = jax.eval_shape(lambda: jax.random.key(0))
    number, count = jax.ShapeDtypeStruct((), jnp.float32), jax.ShapeDtypeStruct((), jnp.int32)
    state = jax.eval_shape(trainer.init, key)

    def batch(shape: tuple[int, int]) -> Batch:
        kind = jnp.float32 if n_classes is None else jnp.int32
        inputs: Any = jax.ShapeDtypeStruct(shape, jnp.float32)
        targets: Any = jax.ShapeDtypeStruct(shape[:1], kind)
        return Batch(inputs, targets, targets)

    measure = {
        shape: jax.jit(trainer.measure).lower(state.params, batch(shape)).compile()
        for shape in {train_shape, eval_shape}
    }
    return Trainer(
        init=compile_quickly(trainer.init, key),
        advance=jax.jit(trainer.advance)
        .lower(state, count, batch(train_shape), number, count, key)
        .compile(),
        measure=lambda params, data: measure[data.inputs.shape](params, data),
    )


def _on_device(config: RunConfig, dataset: Dataset) -> tuple[Batch, Batch]:
    kind = jnp.float32 if config.data.n_classes is None else jnp.int32

    def batch(inputs: np.ndarray, targets: np.ndarray, clean: np.ndarray) -> Batch:
        return Batch(
            jnp.asarray(inputs, jnp.float32), jnp.asarray(targets, kind), jnp.asarray(clean, kind)
        )

    return (
        batch(dataset.train_inputs, dataset.train_targets, dataset.train_targets_clean),
        batch(dataset.eval_inputs, dataset.eval_targets, dataset.eval_targets),
    )


def _columns(
    plan: Gradient, state: State, on_train: dict[str, Any], on_eval: dict[str, Any]
) -> dict[str, Any]:
    """Columns of a RunRecord from one evaluation."""
    loss = "loss_nats" if plan.objective == "cross_entropy" else "squared_error"
    names = {"loss": loss, "loss_sem": f"{loss}_sem" if loss != "loss_nats" else "loss_sem_nats"}
    columns: dict[str, Any] = {"status": "done", "step": int(state.step)}
    bad = int(state.diverged_at)
    if bad < 0 and not (np.isfinite(on_train["loss"]) and np.isfinite(on_eval["loss"])):
        bad = int(state.step)
    if bad >= 0:
        last = float(state.last_finite_loss)
        columns |= {"status": "diverged", "reason": "non_finite_loss", "diverged_at_step": bad}
        columns["last_finite_train_loss"] = last if np.isfinite(last) else None
        return columns
    for prefix, measured in (("train", on_train), ("eval", on_eval)):
        for name, value in measured.items():
            if name == "weight_norm_l2":
                columns[name] = float(value)
            elif not (prefix == "train" and name.endswith("_sem")) and not (
                prefix == "eval" and name == "error_clean"
            ):
                columns[f"{prefix}_{names.get(name, name)}"] = float(value)
    return columns


def _point(plan: Gradient, batch_size: int, columns: dict[str, Any]) -> CurvePoint:
    loss = "loss_nats" if plan.objective == "cross_entropy" else "squared_error"
    return CurvePoint(
        step=columns["step"],
        n_examples_seen=columns["step"] * batch_size,
        train_loss=columns[f"train_{loss}"],
        train_error=columns.get("train_error"),
        eval_loss=columns[f"eval_{loss}"],
        eval_error=columns.get("eval_error"),
    )
