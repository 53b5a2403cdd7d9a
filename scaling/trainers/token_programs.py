"""The compiled functions of pre-training: they start, advance and measure a run of one shape."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array

from scaling.config import Shape
from scaling.devices.runtime import compile_quickly
from scaling.devices.sharding import by_sequence, mesh_of_devices, replicated, sharded
from scaling.model import Params
from scaling.models.built import built
from scaling.models.family import ObservedFamily, SharedFamily, TranslatingFamily, offers
from scaling.models.parametrization import Tree
from scaling.models.placement import placed
from scaling.objectives.objective import SpecialTokens
from scaling.pretraining import Pretraining, learning_rates
from scaling.trainers.optimizer_state import of_host
from scaling.trainers.optimizers import param_groups
from scaling.trainers.token_evaluation import Evaluation, measure
from scaling.trainers.token_setup import Setup
from scaling.trainers.token_step import Arguments, Keys, State, advance, start

_TOKENS_IN_BLOCK = 2**18  # what a call on the device takes: 1 MB of them
_EVALUATED_AT_ONCE = 2**13  # tokens, where a device trains on fewer: bounds memory of logits


class Trainer(NamedTuple):
    """Functions of one shape.

    Attributes:
        init: Key -> the state before the first step.
        start: Weights -> the state before the first step from them.
        advance: (state, block of batches, how many of them, arguments) -> the state after them,
            and a flag that is known when they are done; the state that went in is given away.
        measure: (state, held-out sequences) -> evaluation.
    """

    init: Callable[[Array], State]
    start: Callable[[Params], State]
    advance: Callable[[State, Array, Array, Arguments], tuple[State, Array]]
    measure: Callable[[State, Array], Evaluation]


def make_trainer(setup: Setup) -> Trainer:
    """Pure functions that start, advance and measure a run of one shape."""
    return Trainer(
        init=lambda key: start(setup, setup.model.init(key)),
        start=partial(start, setup),
        advance=partial(advance, setup),
        measure=partial(measure, setup),
    )


def steps_in_block(plan: Pretraining, context: int) -> int:
    """Largest number of steps that one call on the device takes."""
    return max(1, min(256, _TOKENS_IN_BLOCK // (plan.batch_size * context)))


def setup_of(shape: Shape, parts: int = 1) -> Setup:
    """The model of a shape, and how it is trained and measured, with batches in so many parts."""
    config, plan, context, n_outputs = shape.model, shape.train, shape.n_inputs, shape.n_outputs
    assert isinstance(plan, Pretraining)
    activations = None
    if plan.activation_scales:
        assert isinstance(config, ObservedFamily)
        activations = config.activations
    trained_at_once = plan.batch_size // (plan.microbatches * parts * plan.mesh.replicas)
    parameters: Tree | None = None
    if plan.is_shared(config):
        assert isinstance(config, SharedFamily)
        parameters = config.parameters(context, n_outputs)
    return Setup(
        built(config, context, n_outputs),
        plan,
        param_groups(plan.optimizer, config, context, n_outputs, plan.trained),
        max(1, _EVALUATED_AT_ONCE // context, trained_at_once),
        SpecialTokens(n_outputs - plan.n_special(context)),
        shape.separator,
        activations,
        None if shape.teacher is None else built(shape.teacher, context, n_outputs),
        config.source_length if offers(config, TranslatingFamily) else None,
        parameters,
        parts,
    )


@lru_cache(maxsize=8)
def compiled(shape: Shape, parts: int) -> Trainer:
    """The compiled functions of a shape, made once in a process; `parts` as in `Setup`."""
    setup, context = setup_of(shape, parts), shape.n_inputs
    plan, trainer = setup.plan, make_trainer(setup)
    key = jax.eval_shape(lambda: jax.random.key(0))
    state = jax.eval_shape(trainer.init, key)
    rates: Any = jax.ShapeDtypeStruct((len(learning_rates(plan.optimizer)),), jnp.float32)

    def integers(*sizes: int) -> Any:
        return jax.ShapeDtypeStruct(sizes, jnp.int32)

    count, held_out = integers(), integers(shape.n_eval, context + 1)
    block = integers(steps_in_block(plan, context), plan.batch_size, context + 1)
    keys = Keys(
        dropout=key if shape.model.takes_dropout else None,
        objective=key if plan.objective.draws else None,
        rounding=key if plan.optimizer_dtype != "float32" else None,
    )
    teacher = None if setup.teacher is None else jax.eval_shape(setup.teacher.init, key)
    arguments = Arguments(rates, count, count, count, keys, teacher)
    devices = mesh_of_devices(plan.mesh)
    states, alike = sharded(devices, state), replicated(devices)
    if setup.parameters is not None:
        states = placed(setup.parameters, plan.mesh, devices, state)
    if plan.optimizer_memory == "host":
        on_hosts = of_host(devices, states.optimizer, state.optimizer)
        states = states._replace(optimizer=on_hosts)
        state = state._replace(optimizer=jax.tree.map(_typed, state.optimizer, on_hosts))
    advancing = jax.jit(
        trainer.advance,
        donate_argnames="state",
        in_shardings=(states, by_sequence(devices, axis=1), alike, alike),
        out_shardings=(states, alike),
    )
    measuring = jax.jit(trainer.measure, in_shardings=(states, alike), out_shardings=alike)
    with jax.set_mesh(devices):
        return Trainer(
            init=compile_quickly(trainer.init, key, in_shardings=alike, out_shardings=states),
            start=jax.jit(trainer.start, out_shardings=states),  # compiled where it is called
            advance=advancing.lower(state, block, count, arguments).compile(),
            measure=measuring.lower(state, held_out).compile(),
        )


def _typed(leaf: jax.ShapeDtypeStruct, sharding: jax.sharding.Sharding) -> jax.ShapeDtypeStruct:
    """The type of an array where it lies: code is traced for one memory or the other."""
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding)
