"""What runs on a stream do on the device: functions that start, advance and measure a run."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from scaling.config import Shape
from scaling.data.stream import Examples, World
from scaling.devices.runtime import compile_quickly
from scaling.model import Params
from scaling.models.built import built
from scaling.schedules import share_of_peak
from scaling.streaming import Streaming
from scaling.trainers import objectives
from scaling.trainers.divergence import Watch, unharmed
from scaling.trainers.optimizers import transformation

STEPS_IN_BLOCK = 256
"""Largest number of steps that one call on the device takes."""


class State(NamedTuple):
    """Everything that one step passes to the next; `loss_sum` is since the last evaluation."""

    params: Params
    optimizer: optax.OptState
    step: Int[Array, ""]
    watch: Watch
    loss_sum: Float[Array, ""]

    def summed_anew(self) -> State:
        """The state with its sum at zero, as right after an evaluation."""
        return self._replace(loss_sum=jnp.float32(0))


class Drawn(NamedTuple):
    """What examples are drawn from: what they have in common, and the key of their numbers."""

    world: World
    key: Array


class Lengths(NamedTuple):
    """Peak learning rate and lengths of a run, which are arguments of compiled code."""

    rate: Float[Array, ""]
    steps: Int[Array, ""]
    warmup: Int[Array, ""]


class Evaluation(NamedTuple):
    """Measurements of a run at one point of its training, fetched by the host."""

    step: Int[Array, ""]
    watch: Watch
    loss_sum: Float[Array, ""]
    eval_loss: Float[Array, ""]
    eval_loss_sem: Float[Array, ""]
    eval_error: Float[Array, ""] | None
    weight_norm: Float[Array, ""]
    named: dict[str, Float[Array, ""]]


class Trainer(NamedTuple):
    """Functions of one shape.

    Attributes:
        init: Key -> the state before the first step.
        advance: (state, numbers of examples, how many steps of them, what they are drawn from,
            lengths) -> the state after them; the state that went in is given away.
        measure: (state, what held-out examples are drawn from) -> evaluation.
    """

    init: Callable[[Array], State]
    advance: Callable[[State, Array, Array, Drawn, Lengths], State]
    measure: Callable[[State, Drawn], Evaluation]


def make_trainer(shape: Shape) -> Trainer:
    """Pure functions that start, advance and measure a run of one shape."""
    plan, source = shape.train, shape.source
    assert isinstance(plan, Streaming) and source is not None
    model = built(shape.model, shape.n_inputs, shape.n_outputs)
    optimizer = transformation(plan.optimizer)

    def loss(params: Params, batch: Examples) -> Array:
        return jnp.mean(per_example(plan, model.apply(params, batch.inputs), batch.targets))

    def init(key: Array) -> State:
        params = model.init(key)
        return State(params, optimizer.init(params), jnp.int32(0), unharmed(), jnp.float32(0))

    def step(state: State, numbers: Array, drawn: Drawn, lengths: Lengths) -> State:
        batch = source.drawn(*drawn, numbers)
        value, gradient = jax.value_and_grad(loss)(state.params, batch)
        if plan.clip_norm is not None:
            norm = optax.tree.norm(gradient)
            gradient = optax.tree.scale(jnp.minimum(1.0, plan.clip_norm / norm), gradient)
        direction, memory = optimizer.update(gradient, state.optimizer, state.params)
        share = share_of_peak(plan.schedule, state.step, lengths.steps, lengths.warmup)
        return State(
            optax.apply_updates(state.params, optax.tree.scale(-lengths.rate * share, direction)),
            memory,
            state.step + 1,
            state.watch.after(state.step, value),
            state.loss_sum + value,
        )

    def advance(state: State, block: Array, count: Array, drawn: Drawn, lengths: Lengths) -> State:
        # A counted loop is lax.scan without stacked outputs; its length may be an argument.
        return jax.lax.fori_loop(0, count, lambda i, s: step(s, block[i], drawn, lengths), state)

    def measure(state: State, drawn: Drawn) -> Evaluation:
        held_out = source.held_out(*drawn)
        outputs = model.apply(state.params, held_out.inputs)
        return _evaluation(shape, state, drawn.world, held_out, outputs)

    return Trainer(init, advance, measure)


def _evaluation(
    shape: Shape, state: State, world: World, held_out: Examples, outputs: Array
) -> Evaluation:
    plan, source = shape.train, shape.source
    assert isinstance(plan, Streaming) and source is not None
    losses = per_example(plan, outputs, held_out.targets)
    mean = jnp.sum(held_out.weights * losses)
    wrong = None
    if shape.n_classes is not None:
        wrong = jnp.sum(held_out.weights * objectives.error(outputs, held_out.targets))
    return Evaluation(
        state.step,
        state.watch,
        state.loss_sum,
        mean,
        jnp.sqrt(jnp.sum(jnp.square(held_out.weights * (losses - mean)))),
        wrong,
        jnp.asarray(optax.tree.norm(state.params)),
        source.measures(world, held_out, outputs),
    )


def per_example(plan: Streaming, outputs: Array, targets: Array) -> Float[Array, " n"]:
    """Loss of each example; the contrastive one takes them in batches, in their order."""
    match plan.objective:
        case "cross_entropy":
            return objectives.cross_entropy(outputs, targets)
        case "squared_error":
            return objectives.squared_error(outputs, targets)
        case "contrastive":
            batches = outputs.reshape(-1, plan.batch_size, outputs.shape[-1])
            return jax.vmap(objectives.contrastive)(batches).reshape(-1)


@lru_cache(maxsize=8)
def compiled(shape: Shape) -> Trainer:
    """The compiled functions of a shape, made once in a process."""
    plan, source = shape.train, shape.source
    assert isinstance(plan, Streaming) and source is not None
    trainer = make_trainer(shape)
    key = jax.eval_shape(lambda: jax.random.key(0))
    state = jax.eval_shape(trainer.init, key)
    drawn = Drawn(jax.eval_shape(lambda: jax.tree.map(jnp.asarray, source.world(0))), key)
    count, block = _abstract(), _abstract(steps_in_block(plan), plan.batch_size, kind=jnp.uint32)
    lengths = Lengths(_abstract(kind=jnp.float32), count, count)
    advance = jax.jit(trainer.advance, donate_argnames="state")
    return Trainer(
        init=compile_quickly(trainer.init, key),
        advance=advance.lower(state, block, count, drawn, lengths).compile(),
        measure=jax.jit(trainer.measure).lower(state, drawn).compile(),
    )


def _abstract(*shape: int, kind: Any = jnp.int32) -> Any:
    return jax.ShapeDtypeStruct(shape, kind)


def steps_in_block(plan: Streaming) -> int:
    """Largest number of steps of a plan that one call on the device takes."""
    return max(1, min(STEPS_IN_BLOCK, 2**20 // plan.batch_size))
