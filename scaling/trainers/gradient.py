"""Gradient runs: compiled once a shape, looped on the device between evaluations.

Runs that share a shape and a number of steps may be trained together: the same functions, mapped
over the members of a pack (`jax.vmap`).
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator, Sequence
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
from scaling.model import Model, Params, parameters_of, with_statistics
from scaling.models.built import built
from scaling.record import Curve, CurvePoint
from scaling.schedules import share_of_peak
from scaling.trainers import objectives
from scaling.trainers.augmentation import crop_and_flip
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
    """Functions of one shape: they start, advance and measure a run, or the runs of a pack."""

    init: Callable[[Array], State]
    advance: Callable[..., State]
    measure: Callable[[State, Batch, Batch], Evaluation]


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


def make_trainer(model: Model, plan: Gradient, n_train: int, n_classes: int | None) -> Trainer:
    """Pure functions that start, advance and measure a run of one shape.

    Seeds, the learning rate and the number of steps are arguments of `advance`.
    """
    optimizer, schedule = transformation(plan.optimizer), plan.shares
    per_example = _objective(plan.objective, n_classes)
    batch_size = plan.duration(n_train).batch_size
    per_epoch = n_train // batch_size

    def loss(params: Params, inputs: Array, targets: Array) -> tuple[Array, Params]:
        outputs, statistics = _in_training(model, params, inputs)
        return jnp.mean(per_example(outputs, targets)), statistics

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
        if plan.augmentation == "crop_flip":
            # A stream beside that of the order, whose numbers are epochs.
            stream = jax.random.fold_in(order_key, _AUGMENTATION)
            inputs = crop_and_flip(jax.random.fold_in(stream, state.step), inputs)
        of_loss = jax.value_and_grad(loss, has_aux=True)
        (value, statistics), gradient = of_loss(state.params, inputs, targets)
        direction, memory = optimizer.update(gradient, state.optimizer, state.params)
        share = share_of_peak(schedule, state.step, steps)
        params = optax.apply_updates(state.params, optax.tree.scale(-rate * share, direction))
        watch = state.watch.after(state.step, value)
        params = with_statistics(params, statistics)
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
            _in_blocks(model, state.params, data.inputs) for data in (train_set, eval_set)
        )
        losses = per_example(on_eval, eval_set.targets)
        columns = {
            f"train_{loss}": jnp.mean(per_example(on_train, train_set.targets)),
            f"eval_{loss}": jnp.mean(losses),
            f"eval_{loss_sem}": _sem(losses),
            "weight_norm_l2": jnp.asarray(optax.tree.norm(parameters_of(state.params))),
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


def _in_training(model: Model, params: Params, inputs: Array) -> tuple[Array, Params | None]:
    """Outputs of a batch that is trained on, and the running statistics after it, if any."""
    if model.train is None:
        return model.apply(params, inputs), None
    return model.train(params, inputs)


def _in_blocks(
    model: Model, params: Params, inputs: Float[Array, "n inputs"]
) -> Float[Array, "n outputs"]:
    """Outputs of a set, block by block: activations of a block fit in a processor's cache."""
    n_blocks = len(inputs) // _BLOCK
    if n_blocks < 2:
        return model.apply(params, inputs)
    blocks = inputs[: n_blocks * _BLOCK].reshape(n_blocks, _BLOCK, -1)
    outputs = jax.lax.map(lambda block: model.apply(params, block), blocks)
    outputs = outputs.reshape(n_blocks * _BLOCK, -1)
    if len(rest := inputs[n_blocks * _BLOCK :]) == 0:
        return outputs
    return jnp.concatenate([outputs, model.apply(params, rest)])


_AUGMENTATION = 2**32 - 1
"""Number of the stream of augmentations among those folded into the key of the order."""

_BLOCK = 500
"""Examples that are evaluated at once."""

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
            trainer.advance,
            in_axes=(states, None, axes.train_set, 0, None, 0),
            out_axes=states,
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

    def batch(n: int) -> Batch:
        inputs: Any = jax.ShapeDtypeStruct((n, shape.n_inputs), jnp.float32)
        targets: Any = jax.ShapeDtypeStruct((n,), kind)
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
    return jnp.asarray(array, jnp.int32 if is_class else jnp.float32)


def _rate(config: RunConfig) -> Array:
    assert isinstance(config.train, Gradient)
    return jnp.float32(config.train.optimizer.learning_rate)


def _of_member(evaluation: Evaluation, member: int) -> Evaluation:
    watch, columns = jax.tree.map(lambda leaf: leaf[member], (evaluation.watch, evaluation.columns))
    return Evaluation(evaluation.step, watch, columns)


def _columns(config: RunConfig, evaluation: Evaluation) -> dict[str, Any]:
    """Columns of a RunRecord from one evaluation."""
    assert isinstance(config.train, Gradient)
    steps, loss = int(evaluation.step), _LOSS_COLUMNS[config.train.objective][0]
    columns = {name: float(value) for name, value in evaluation.columns.items()}
    measured = [columns[f"train_{loss}"], columns[f"eval_{loss}"]]
    diverged = diverged_columns(steps, evaluation.watch, measured)
    return diverged or {"status": "done", "steps": steps, **columns}


def _point(config: RunConfig, columns: dict[str, Any]) -> CurvePoint:
    plan = config.train
    assert isinstance(plan, Gradient)
    loss, _ = _LOSS_COLUMNS[plan.objective]
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
