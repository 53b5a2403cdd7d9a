"""Evaluations of pre-training on the device: held-out losses, errors, scales of activations."""

from __future__ import annotations

import math
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from scaling.devices.axes import Axes
from scaling.devices.mesh import Mesh
from scaling.devices.sharding import shard_sequences
from scaling.model import Params
from scaling.models.placement import rearranged
from scaling.objectives.objective import Examples, Objective
from scaling.record import positions
from scaling.trainers import objectives, shared
from scaling.trainers.divergence import Watch
from scaling.trainers.gradient_noise import SquaredNorms
from scaling.trainers.optimizer_state import on_device
from scaling.trainers.optimizers import evaluated
from scaling.trainers.token_setup import Setup, weighted_mean
from scaling.trainers.token_step import State


class Evaluation(NamedTuple):
    """Measurements of a run at one point of its training, fetched by the host.

    Attributes:
        eval_losses: Mean loss of each held-out sequence.
        eval_by: Mean loss of each over a part of it, or by another objective, by name.
        eval_wrong: Share of the labels of each that are predicted wrongly; None without labels.
    """

    step: Int[Array, ""]
    watch: Watch
    n_spikes: Int[Array, ""]
    loss_sum: Float[Array, ""]
    norms: SquaredNorms | None
    eval_losses: Float[Array, " n_eval"]
    weight_norm: Float[Array, ""]
    activation_scales: dict[str, Float[Array, ""]]
    eval_by: dict[str, Float[Array, " n_eval"]]
    eval_wrong: Float[Array, " n_eval"] | None


class _Predicted(NamedTuple):
    """Held-out sequences by one objective.

    Attributes:
        mean: Mean loss of each, (sequences,).
        each: Loss of every prediction, (sequences, predictions).
        wrong: Share of the labels of each that are predicted wrongly; None without labels.
    """

    mean: Array
    each: Array
    wrong: Array | None


def measure(setup: Setup, state: State, eval_tokens: Array) -> Evaluation:
    """Measures a state on held-out sequences, (sequences, context + 1)."""
    params = evaluated(setup.plan.optimizer, on_device(state.optimizer), state.params)
    mesh = setup.plan.mesh
    rounds = _in_rounds(eval_tokens, setup.n_eval_at_once, mesh.replicas, mesh.pipe)
    numbers = jnp.resize(jnp.arange(len(eval_tokens)), rounds.shape[:2])
    of_round = partial(_measured_round, setup, params)
    found = jax.lax.map(lambda given: of_round(*given), (shard_sequences(rounds, axis=1), numbers))
    each, powers, named, wrong = jax.tree.map(
        lambda leaf: leaf.reshape(-1)[: len(eval_tokens)], found
    )
    return Evaluation(
        state.step,
        state.watch,
        state.spikes.number,
        state.loss_sum,
        state.norms,
        each,
        jnp.asarray(optax.tree.norm(params)),
        jax.tree.map(lambda power: jnp.sqrt(jnp.mean(power)), powers),
        named,
        wrong,
    )


def _measured_round(
    setup: Setup, params: Params, sequences: Array, numbers: Array
) -> tuple[Array, dict[str, Array], dict[str, Array], Array | None]:
    """Of each sequence its loss, powers of activations, named losses, and what is wrong."""
    by = _predicted if setup.parameters is None else _predicted_together
    predicted = partial(by, setup, params, sequences, numbers)
    own = predicted(setup.plan.objective)
    named = {other.kind: predicted(other).mean for other in setup.plan.evaluate_on}
    if setup.plan.loss_by_position:
        for part in positions(own.each.shape[1]):
            named[part.name] = jnp.mean(own.each[:, part.first : part.end], axis=1)
    powers: dict[str, Array] = {}
    if setup.activations is not None:
        observe, plain = setup.activations, params
        if setup.parameters is not None:
            plain = rearranged(setup.parameters, params, setup.plan.mesh, Mesh())

        def of_tokens(tokens: Array) -> dict[str, Array]:
            alone = tokens[None]
            return jax.tree.map(_power, observe(plain, alone, **setup.segments(alone)))

        powers = jax.vmap(of_tokens)(sequences[:, :-1])
    return own.mean, powers, named, own.wrong


def _predicted(
    setup: Setup, params: Params, sequences: Array, numbers: Array, objective: Objective
) -> _Predicted:
    """Predictions of sequences by the program of one device."""

    def of(sequence: Array, number: Array) -> _Predicted:
        examples = _examples(setup, objective, sequence[None], number)
        logits = setup.logits(params, examples)
        each, wrong = objectives.cross_entropy(logits, examples.targets), None
        if objective.predicts_labels:
            wrong = weighted_mean(jnp.argmax(logits, axis=-1) != examples.targets, examples.weights)
        return _Predicted(weighted_mean(each, examples.weights), each[0], wrong)

    return jax.vmap(of)(sequences, numbers)


def _predicted_together(
    setup: Setup, params: Params, sequences: Array, numbers: Array, objective: Objective
) -> _Predicted:
    """Predictions of sequences where the devices of a mesh share the model."""
    assert setup.parameters is not None
    mesh = setup.plan.mesh
    own = shared.Shared(setup.model, setup.parameters, Axes(mesh, mesh.pipe))

    def of(sequence: Array, number: Array) -> Examples:
        made = _examples(setup, objective, sequence[None], number)
        return jax.tree.map(lambda leaf: leaf[0], made)

    def in_parts(leaf: Array) -> Array:
        return leaf.reshape(mesh.pipe, -1, *leaf.shape[1:])

    examples = jax.vmap(of)(sequences, numbers)
    given: Any = jax.tree.map(in_parts, (examples, setup.segments(examples.inputs)))
    found = shared.losses(own, params, *given)
    each, wrong = (leaf.reshape(examples.targets.shape) for leaf in found)
    means = [
        jnp.mean(leaf, axis=1)
        if examples.weights is None
        else jax.vmap(weighted_mean)(leaf, examples.weights)
        for leaf in (each, wrong)
    ]
    return _Predicted(means[0], each, means[1] if objective.predicts_labels else None)


def _examples(setup: Setup, objective: Objective, sequence: Array, number: Array) -> Examples:
    """Examples of a held-out sequence, (1, tokens), by its number.

    They are the same at every evaluation of every run: differences of losses are paired.
    """
    key = jax.random.fold_in(jax.random.key(0), number)
    return setup.examples(objective, sequence, key)


def _in_rounds(sequences: Array, at_once: int, n_devices: int, n_parts: int = 1) -> Array:
    """Held-out sequences in rounds, each with an equal number of them for every device.

    Where there are too few, the first ones are repeated at the end.

    Args:
        sequences: (sequences, tokens).
        at_once: Sequences of a round on each device.
        n_devices: Devices with sequences of their own.
        n_parts: Parts of those of a device.

    Returns:
        (rounds, sequences, tokens).
    """
    rounds = math.ceil(len(sequences) / (at_once * n_devices))
    least = n_devices * n_parts
    together = least * math.ceil(len(sequences) / (rounds * least))
    return jnp.resize(sequences, (rounds, together, sequences.shape[-1]))


def _power(x: Array) -> Array:
    return jnp.mean(jnp.square(x.astype(jnp.float32)))
