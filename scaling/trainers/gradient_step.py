"""What gradient runs do on the device: functions that start, advance and measure a run."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from scaling.model import Model, Params, parameters_of, with_statistics
from scaling.schedules import share_of_peak
from scaling.trainers import objectives
from scaling.trainers.augmentation import crop_and_flip
from scaling.trainers.divergence import Watch, unharmed
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

    inputs: Float[Array, "n inputs"] | Int[Array, "n inputs"]
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


def make_trainer(model: Model, plan: Gradient, n_train: int, n_classes: int | None) -> Trainer:
    """Pure functions that start, advance and measure a run of one shape.

    Seeds, the learning rate and the number of steps are arguments of `advance`.
    """
    optimizer, schedule = transformation(plan.optimizer), plan.shares
    per_example, trained_on = _objective(plan, n_classes), _trained_on(plan, n_classes)
    batch_size = plan.duration(n_train).batch_size
    per_epoch = n_train // batch_size

    def loss(params: Params, inputs: Array, targets: Array) -> tuple[Array, Params]:
        outputs, statistics = _in_training(model, params, inputs)
        return jnp.mean(trained_on(outputs, targets)), statistics

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
        share = share_of_peak(schedule, state.step, steps, plan.warmup or None)
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
        loss, loss_sem = LOSS_COLUMNS[plan.objective]
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
            wrong = _of_example(objectives.error(on_eval, eval_set.targets))
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
    model: Model, params: Params, inputs: Float[Array, "n inputs"] | Int[Array, "n inputs"]
) -> Float[Array, "n ..."]:
    """Outputs of a set, block by block: activations of a block fit in a processor's cache."""
    n_blocks = len(inputs) // _BLOCK
    if n_blocks < 2:
        return model.apply(params, inputs)
    blocks = inputs[: n_blocks * _BLOCK].reshape(n_blocks, _BLOCK, -1)
    outputs = jax.lax.map(lambda block: model.apply(params, block), blocks)
    outputs = outputs.reshape(n_blocks * _BLOCK, *outputs.shape[2:])
    if len(rest := inputs[n_blocks * _BLOCK :]) == 0:
        return outputs
    return jnp.concatenate([outputs, model.apply(params, rest)])


_AUGMENTATION = 2**32 - 1
"""Number of the stream of augmentations among those folded into the key of the order."""

_BLOCK = 500
"""Examples that are evaluated at once."""

LOSS_COLUMNS = {
    "cross_entropy": ("loss_nats", "loss_sem_nats"),
    "squared_error": ("squared_error", "squared_error_sem"),
}
"""What a RunRecord calls the loss, and its standard error, of each objective."""


Loss = Callable[[Array, Array], Array]
"""Loss of each example from outputs and targets."""


def _trained_on(plan: Gradient, n_classes: int | None) -> Loss:
    """The loss that training lowers."""
    if not plan.label_smoothing:
        return _objective(plan, n_classes)
    return lambda outputs, targets: objectives.smoothed_cross_entropy(
        outputs, targets, plan.label_smoothing
    )


def _objective(plan: Gradient, n_classes: int | None) -> Loss:
    """The loss that is reported; of a translation, the mean over the tokens that are predicted."""
    if plan.objective == "cross_entropy":
        return lambda outputs, labels: _of_example(objectives.cross_entropy(outputs, labels))
    return lambda outputs, targets: objectives.squared_error(
        outputs, objectives.as_targets(targets, n_classes)
    )


def _of_example(values: Array) -> Array:
    """Means over the predictions of each example, of which most data have one."""
    return values if values.ndim == 1 else jnp.mean(values, axis=1)


def _sem(values: Array) -> Array:
    return jnp.std(values, ddof=1) / jnp.sqrt(len(values))  # NaN for a single one
