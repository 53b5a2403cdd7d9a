"""Steps of pre-training on the device: batches in, the next state out."""

from __future__ import annotations

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
from scaling.models.parametrization import Tree
from scaling.models.placement import rearranged
from scaling.objectives.objective import Examples
from scaling.pretraining import learning_rates
from scaling.schedules import share_of_peak
from scaling.trainers import shared
from scaling.trainers.divergence import Spikes, Watch, no_spikes, unharmed
from scaling.trainers.gradient_noise import SquaredNorms, no_norms, unknown_norms
from scaling.trainers.optimizer_state import on_device, on_host
from scaling.trainers.token_setup import Setup, weighted_mean


class State(NamedTuple):
    """Everything that one step passes to the next.

    Attributes:
        params: Parameters at which gradients are taken.
        step: Number of steps taken.
        loss_sum: Sum of the losses since the last evaluation, each before its update.
        norms: Squared norms of the gradients since the last evaluation, each before it is clipped;
            NaN where parts have none of their own, None where batches have one part.
    """

    params: Params
    optimizer: optax.OptState
    step: Int[Array, ""]
    watch: Watch
    spikes: Spikes
    loss_sum: Float[Array, ""]
    norms: SquaredNorms | None

    def summed_anew(self) -> State:
        """The state with its sums at zero, as right after an evaluation."""
        norms = None if self.norms is None else no_norms()
        return self._replace(loss_sum=jnp.float32(0), norms=norms)


class Keys(NamedTuple):
    """Keys of what is drawn at a step: None for what is not.

    Attributes:
        dropout: What is dropped.
        objective: Examples of an objective.
        rounding: Which way the averages of the optimizer are rounded.
    """

    dropout: Array | None = None
    objective: Array | None = None
    rounding: Array | None = None


class Arguments(NamedTuple):
    """What reaches compiled code as arguments, not as constants.

    Peak learning rates, lengths as in `scaling.pretraining.Length`, the keys of the run, and the
    weights of its teacher, if it has one.
    """

    rates: Float[Array, " rates"]
    horizon: Int[Array, ""]
    warmup: Int[Array, ""]
    trunk: Int[Array, ""]
    keys: Keys = Keys()
    teacher: Params | None = None


def start(setup: Setup, params: Params) -> State:
    """The state before the first step from some parameters, in the order of one device."""
    if setup.parameters is not None:
        params = rearranged(setup.parameters, params, Mesh(), setup.plan.mesh)
    peaks = jnp.array(learning_rates(setup.plan.optimizer))
    return State(
        params,
        setup.optimizer(peaks, None).init(params),
        jnp.int32(0),
        unharmed(),
        no_spikes(),
        jnp.float32(0),
        None if setup.plan.microbatches == 1 else no_norms(),
    )


def advance(
    setup: Setup, state: State, block: Array, count: Array, arguments: Arguments
) -> tuple[State, Array]:
    """The state after the first `count` batches of a block, and whether its losses are finite."""
    # A counted loop is lax.scan without stacked outputs; its length may be an argument.
    state = jax.lax.fori_loop(
        0, count, lambda i, current: _step(setup, current, block[i], arguments), state
    )
    return state, jnp.isfinite(state.loss_sum)


def _step(setup: Setup, state: State, batch: Array, arguments: Arguments) -> State:
    plan = setup.plan
    keys = jax.tree.map(lambda key: jax.random.fold_in(key, state.step), arguments.keys)
    keys, rounding = keys._replace(rounding=None), keys.rounding
    loss, gradient, norms = _gradient(setup, state.params, batch, keys, arguments.teacher)
    # Parameters that are held have no part in the norm that is clipped.
    gradient = jax.tree.map(
        lambda group, leaf: leaf if group.trained else jnp.zeros_like(leaf), setup.groups, gradient
    )
    if plan.clip_norm is not None:
        norm = optax.tree.norm(gradient)
        gradient = optax.tree.scale(jnp.minimum(1.0, plan.clip_norm / norm), gradient)
    lengths = arguments.horizon, arguments.warmup, arguments.trunk
    share = share_of_peak(plan.schedule, state.step, *lengths)
    optimizer = setup.optimizer(share * arguments.rates, rounding)
    updates, kept = optimizer.update(gradient, on_device(state.optimizer), state.params)
    return State(
        optax.apply_updates(state.params, updates),
        on_host(kept) if plan.optimizer_memory == "host" else kept,
        state.step + 1,
        state.watch.after(state.step, loss),
        state.spikes.after(state.step, loss),
        state.loss_sum + loss,
        optax.tree.add(state.norms, norms),
    )


def _gradient(
    setup: Setup, params: Params, batch: Array, keys: Keys, teacher: Params | None
) -> tuple[Array, Params, SquaredNorms | None]:
    """Mean loss and gradient of a batch, in as many parts as the plan says, and their norms."""
    n_parts, has_norms = setup.plan.microbatches * setup.parts, setup.plan.microbatches > 1
    if setup.parameters is None:
        both = jax.value_and_grad(partial(_objective, setup, teacher=teacher), has_aux=True)
    else:
        both = partial(_shared_gradient, setup, setup.parameters)
    # In a pipeline parts follow each other closely, and there is one gradient of all.
    if n_parts == 1 or setup.plan.mesh.pipe > 1:
        (_, loss), gradient = both(params, batch, keys)
        return loss, gradient, unknown_norms() if has_norms else None

    def add(total: Any, given: Any) -> tuple[Any, None]:
        (_, loss), gradient = both(params, *given)
        square = optax.tree.norm(gradient, squared=True)
        return optax.tree.add(total, (loss, gradient, square)), None

    parts = batch.reshape(n_parts, -1, batch.shape[-1])
    keys = jax.tree.map(lambda key: jax.random.split(key, n_parts), keys)
    nothing = (jnp.float32(0), optax.tree.zeros_like(params), jnp.float32(0))
    total, _ = jax.lax.scan(add, nothing, (shard_sequences(parts, axis=1), keys))
    loss, gradient, square = jax.tree.map(lambda leaf: leaf / n_parts, total)
    if not has_norms:
        return loss, gradient, None
    return loss, gradient, SquaredNorms(square, optax.tree.norm(gradient, squared=True))


def _objective(
    setup: Setup, params: Params, sequences: Array, keys: Keys, teacher: Params | None = None
) -> tuple[Array, Array]:
    """The objective whose gradient is taken, and the mean loss within it."""
    examples = setup.examples(setup.plan.objective, sequences, keys.objective)
    more = setup.shown(examples)
    more |= {} if keys.dropout is None else {"dropout_key": keys.dropout}
    if setup.model.penalised is None:
        logits, penalty = setup.model.apply(params, examples.inputs, **more), None
    else:
        logits, penalty = setup.model.penalised(params, examples.inputs, **more)
    loss = weighted_mean(setup.trained_on(logits, examples, teacher), examples.weights)
    objective = loss if penalty is None else loss + penalty
    if setup.plan.z_loss:
        normaliser = jax.nn.logsumexp(logits, axis=-1)
        objective += setup.plan.z_loss * weighted_mean(jnp.square(normaliser), examples.weights)
    return objective, loss


def _shared_gradient(
    setup: Setup, parameters: Tree, params: Params, sequences: Array, keys: Keys
) -> tuple[tuple[Array, Array], Params]:
    """What the gradient of `_objective` is, where the devices of a mesh share the model."""
    plan, objective = setup.plan, setup.plan.objective
    n_parts = plan.microbatches if plan.mesh.pipe > 1 else 1

    def made(windows: Array, key: Array | None) -> tuple[Examples, dict[str, Array]]:
        examples = setup.examples(objective, windows, key)
        return examples, setup.segments(examples.inputs)

    # All parts at once; each draws its examples as if it were alone.
    parts = shard_sequences(sequences.reshape(n_parts, -1, sequences.shape[-1]), axis=1)
    given: Any
    if n_parts == 1:
        given = jax.tree.map(lambda leaf: leaf[None], made(sequences, keys.objective))
    elif keys.objective is None:
        given = jax.vmap(lambda windows: made(windows, None))(parts)
    else:
        given = jax.vmap(made)(parts, jax.random.split(keys.objective, n_parts))
    own = shared.Shared(setup.model, parameters, Axes(plan.mesh, n_parts))
    return shared.gradient(own, plan.z_loss, params, *given)
