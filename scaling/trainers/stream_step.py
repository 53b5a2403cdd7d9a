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
from scaling.data.proxy_rewards import RewardSource
from scaling.data.stream import Examples, World
from scaling.devices.runtime import compile_quickly
from scaling.model import Model, Params
from scaling.models.built import built
from scaling.policy_gradient import PolicyGradient
from scaling.schedules import share_of_peak
from scaling.streaming import OnStream, Streaming
from scaling.trainers import objectives, policy
from scaling.trainers.divergence import Watch, unharmed
from scaling.trainers.optimizers import transformation

Loss = Callable[[Params, Params, Examples, World], tuple[Array, Array]]
"""(parameters, those before the step, batch, what examples have in common) -> what is minimised,
and what is recorded as the loss."""

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
    assert isinstance(plan, OnStream) and source is not None
    passes = plan.method.passes if isinstance(plan, PolicyGradient) else 1
    model = built(shape.model, shape.n_inputs, shape.n_outputs)
    optimizer = transformation(plan.optimizer)

    loss = _loss_of(shape, model)

    def init(key: Array) -> State:
        params = model.init(key)
        return State(params, optimizer.init(params), jnp.int32(0), unharmed(), jnp.float32(0))

    def step(state: State, numbers: Array, drawn: Drawn, lengths: Lengths) -> State:
        batch = source.drawn(*drawn, numbers)
        share = share_of_peak(plan.schedule, state.step, lengths.steps, lengths.warmup)
        params, memory = state.params, state.optimizer
        values = []
        for _ in range(passes):
            (_, value), gradient = jax.value_and_grad(loss, has_aux=True)(
                params, state.params, batch, drawn.world
            )
            if plan.clip_norm is not None:
                norm = optax.tree.norm(gradient)
                gradient = optax.tree.scale(jnp.minimum(1.0, plan.clip_norm / norm), gradient)
            direction, memory = optimizer.update(gradient, memory, params)
            update = optax.tree.scale(-lengths.rate * share, direction)
            params = optax.apply_updates(params, update)
            values.append(value)
        return State(
            params,
            memory,
            state.step + 1,
            state.watch.after(state.step, values[0]),
            state.loss_sum + values[0],
        )

    def advance(state: State, block: Array, count: Array, drawn: Drawn, lengths: Lengths) -> State:
        # A counted loop is lax.scan without stacked outputs; its length may be an argument.
        return jax.lax.fori_loop(0, count, lambda i, s: step(s, block[i], drawn, lengths), state)

    def measure(state: State, drawn: Drawn) -> Evaluation:
        held_out = source.held_out(*drawn)
        outputs = model.apply(state.params, held_out.inputs)
        return _evaluation(shape, state, drawn.world, held_out, outputs)

    return Trainer(init, advance, measure)


def _loss_of(shape: Shape, model: Model) -> Loss:
    """What a step on a batch minimises, and the loss of the batch before the step."""
    plan, source = shape.train, shape.source

    def of_policy(
        params: Params, before: Params, batch: Examples, world: World
    ) -> tuple[Array, Array]:
        assert isinstance(plan, PolicyGradient) and isinstance(source, RewardSource)
        old = model.apply(before, batch.inputs)
        cost = policy.costs(plan, source, world, old, batch.targets)
        means = model.apply(params, batch.inputs)
        of = policy.advantages(plan, jax.lax.stop_gradient(cost))
        return policy.surrogate(plan, means, old, batch.targets, of), jnp.mean(cost)

    def of_targets(
        params: Params, before: Params, batch: Examples, world: World
    ) -> tuple[Array, Array]:
        assert isinstance(plan, Streaming)
        loss = jnp.mean(per_example(plan, model.apply(params, batch.inputs), batch.targets))
        return loss, loss

    return of_policy if isinstance(plan, PolicyGradient) else of_targets


def _evaluation(
    shape: Shape, state: State, world: World, held_out: Examples, outputs: Array
) -> Evaluation:
    plan, source = shape.train, shape.source
    assert source is not None
    if isinstance(plan, PolicyGradient):
        assert isinstance(source, RewardSource)
        losses = policy.costs(plan, source, world, outputs, held_out.targets)
    else:
        assert isinstance(plan, Streaming)
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
    assert isinstance(plan, OnStream) and source is not None
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


def steps_in_block(plan: OnStream) -> int:
    """Largest number of steps of a plan that one call on the device takes."""
    return max(1, min(STEPS_IN_BLOCK, 2**20 // plan.batch_size))
