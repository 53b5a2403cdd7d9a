"""The compiled functions of pre-training: they start, advance and measure a run of one shape."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from scaling.config import Shape
from scaling.devices.axes import Axes
from scaling.devices.mesh import Mesh
from scaling.devices.runtime import compile_quickly
from scaling.devices.sharding import (
    by_sequence,
    mesh_of_devices,
    replicated,
    shard_sequences,
    sharded,
)
from scaling.model import Model, Params
from scaling.models.built import built
from scaling.models.family import ObservedFamily, SharedFamily, TranslatingFamily, offers
from scaling.models.parametrization import Tree
from scaling.models.placement import placed, rearranged
from scaling.objectives.objective import Examples, Objective, SpecialTokens
from scaling.pretraining import Pretraining, learning_rates
from scaling.record import positions
from scaling.schedules import share_of_peak
from scaling.trainers import objectives, shared
from scaling.trainers.divergence import Spikes, Watch, no_spikes, unharmed
from scaling.trainers.gradient_noise import SquaredNorms, no_norms, unknown_norms
from scaling.trainers.optimizer_state import of_host, on_device, on_host
from scaling.trainers.optimizers import build_optimizer, evaluated, param_groups

_TOKENS_IN_BLOCK = 2**18  # what a call on the device takes: 1 MB of them
_EVALUATED_AT_ONCE = 2**13  # tokens, where a device trains on fewer: bounds memory of logits


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


@dataclass(frozen=True)
class Setup:
    """A model, and how it is trained and measured.

    Attributes:
        groups: A `ParamGroup` for each parameter.
        n_eval_at_once: Held-out sequences that a device evaluates together.
        special: Tokens that text does not have.
        separator: Token that no prediction looks beyond, if any.
        activations: Gives what an evaluation measures the scales of, if anything:
            `scaling.models.family.ObservedFamily.activations`.
        teacher: Model whose predictions are learned, if any.
        source: Tokens that the model reads before it predicts, if it is an encoder-decoder.
        parameters: Every parameter by name, where the devices of the mesh share the model; else
            XLA divides the program of one device.
    """

    model: Model
    plan: Pretraining
    groups: Any
    n_eval_at_once: int
    special: SpecialTokens
    separator: int | None = None
    activations: Callable[..., dict[str, Array]] | None = None
    teacher: Model | None = None
    source: int | None = None
    parameters: Tree | None = None

    def optimizer(self, rates: Array, rounding: Array | None) -> optax.GradientTransformation:
        """The optimizer at the learning rates of one step."""
        dtype = self.plan.optimizer_dtype
        return build_optimizer(self.plan.optimizer, self.groups, rates, dtype, rounding)

    def segments(self, tokens: Array) -> dict[str, Array]:
        """Arguments, by name, that keep a model within documents."""
        return {} if self.separator is None else {"segments": segments_of(tokens, self.separator)}

    def examples(self, objective: Objective, windows: Array, key: Array | None) -> Examples:
        """Examples of an objective, as the model takes them."""
        made = objective.examples(windows, key, self.special)
        return made if self.source is None else made.after(self.source)

    def shown(self, examples: Examples) -> dict[str, Array]:
        """Arguments, by name, that say what each position sees."""
        visible = {} if examples.visible is None else {"visible": examples.visible}
        return self.segments(examples.inputs) | visible

    def logits(self, params: Params, examples: Examples) -> Array:
        """Logits of every prediction."""
        return self.model.apply(params, examples.inputs, **self.shown(examples))

    def trained_on(self, logits: Array, examples: Examples, teacher: Params | None) -> Array:
        """Loss of every prediction in training: against a teacher's, where there is one."""
        if self.teacher is None:
            return objectives.cross_entropy(logits, examples.targets)
        predicted = self.teacher.apply(teacher, examples.inputs, **self.shown(examples))
        return objectives.cross_entropy_to(logits, predicted)


def make_trainer(setup: Setup) -> Trainer:
    """Pure functions that start, advance and measure a run of one shape."""
    return Trainer(
        init=lambda key: _start(setup, setup.model.init(key)),
        start=partial(_start, setup),
        advance=partial(_advance, setup),
        measure=partial(_measure, setup),
    )


def _start(setup: Setup, params: Params) -> State:
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


def _advance(
    setup: Setup, state: State, block: Array, count: Array, arguments: Arguments
) -> tuple[State, Array]:
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
    n_parts = setup.plan.microbatches
    if setup.parameters is None:
        both = jax.value_and_grad(partial(_objective, setup, teacher=teacher), has_aux=True)
    else:
        both = partial(_shared_gradient, setup, setup.parameters)
    if not setup.plan.adds_gradients:
        (_, loss), gradient = both(params, batch, keys)
        return loss, gradient, None if n_parts == 1 else unknown_norms()

    def add(total: Any, given: Any) -> tuple[Any, None]:
        (_, loss), gradient = both(params, *given)
        square = optax.tree.norm(gradient, squared=True)
        return optax.tree.add(total, (loss, gradient, square)), None

    parts = batch.reshape(n_parts, -1, batch.shape[-1])
    keys = jax.tree.map(lambda key: jax.random.split(key, n_parts), keys)
    nothing = (jnp.float32(0), optax.tree.zeros_like(params), jnp.float32(0))
    total, _ = jax.lax.scan(add, nothing, (shard_sequences(parts, axis=1), keys))
    loss, gradient, square = jax.tree.map(lambda leaf: leaf / n_parts, total)
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
    loss = _mean(setup.trained_on(logits, examples, teacher), examples.weights)
    objective = loss if penalty is None else loss + penalty
    if setup.plan.z_loss:
        normaliser = jax.nn.logsumexp(logits, axis=-1)
        objective += setup.plan.z_loss * _mean(jnp.square(normaliser), examples.weights)
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


def _mean(each: Array, weights: Array | None) -> Array:
    return jnp.mean(each) if weights is None else jnp.sum(weights * each) / jnp.sum(weights)


class _Predicted(NamedTuple):
    """A held-out sequence by one objective.

    Attributes:
        mean: Mean loss.
        each: Loss of every prediction.
        wrong: Share of the labels that are predicted wrongly; None without labels.
    """

    mean: Array
    each: Array
    wrong: Array | None


def _measure(setup: Setup, state: State, eval_tokens: Array) -> Evaluation:
    params = evaluated(setup.plan.optimizer, on_device(state.optimizer), state.params)

    def predicted(objective: Objective, sequence: Array, number: Array) -> _Predicted:
        # The same examples at every evaluation of every run: differences of losses are paired.
        key = jax.random.fold_in(jax.random.key(0), number)
        examples = setup.examples(objective, sequence, key)
        logits = setup.logits(params, examples)
        each, wrong = objectives.cross_entropy(logits, examples.targets), None
        if objective.predicts_labels:
            wrong = _mean(jnp.argmax(logits, axis=-1) != examples.targets, examples.weights)
        return _Predicted(_mean(each, examples.weights), each, wrong)

    def of_sequence(
        sequence: Array, number: Array
    ) -> tuple[Array, dict[str, Array], dict[str, Array], Array | None]:
        sequence, parts, named = sequence[None], {}, {}
        if setup.activations is not None:
            tokens = sequence[:, :-1]
            parts = setup.activations(params, tokens, **setup.segments(tokens))
        own = predicted(setup.plan.objective, sequence, number)
        if setup.plan.loss_by_position:
            where = positions(own.each.shape[1])
            named = {part.name: jnp.mean(own.each[:, part.first : part.end]) for part in where}
        for other in setup.plan.evaluate_on:
            named[other.kind] = predicted(other, sequence, number).mean
        return own.mean, jax.tree.map(_power, parts), named, own.wrong

    mesh = setup.plan.mesh
    rounds = _in_rounds(eval_tokens, setup.n_eval_at_once, mesh.replicas, mesh.pipe)
    numbers = jnp.resize(jnp.arange(len(eval_tokens)), rounds.shape[:2])
    of_round = jax.vmap(of_sequence)
    if setup.parameters is not None:
        of_round = partial(_measure_round, setup, setup.parameters, params)
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


def _measure_round(
    setup: Setup, parameters: Tree, params: Params, sequences: Array, numbers: Array
) -> tuple[Array, dict[str, Array], dict[str, Array], Array | None]:
    """What `_measure` has of each sequence, where the devices of a mesh share the model."""
    mesh = setup.plan.mesh
    own = shared.Shared(setup.model, parameters, Axes(mesh, mesh.pipe))

    def in_parts(leaf: Array) -> Array:
        return leaf.reshape(mesh.pipe, -1, *leaf.shape[1:])

    def predicted(objective: Objective) -> _Predicted:
        def of(sequence: Array, number: Array) -> Examples:
            key = jax.random.fold_in(jax.random.key(0), number)
            made = setup.examples(objective, sequence[None], key)
            return jax.tree.map(lambda leaf: leaf[0], made)

        examples = jax.vmap(of)(sequences, numbers)
        given: Any = jax.tree.map(in_parts, (examples, setup.segments(examples.inputs)))
        found = shared.losses(own, params, *given)
        each, wrong = (leaf.reshape(examples.targets.shape) for leaf in found)
        means = [
            jnp.mean(leaf, axis=1)
            if examples.weights is None
            else jax.vmap(_mean)(leaf, examples.weights)
            for leaf in (each, wrong)
        ]
        return _Predicted(means[0], each, means[1] if objective.predicts_labels else None)

    of_all = predicted(setup.plan.objective)
    named = {other.kind: predicted(other).mean for other in setup.plan.evaluate_on}
    if setup.plan.loss_by_position:
        for part in positions(of_all.each.shape[1]):
            named[part.name] = jnp.mean(of_all.each[:, part.first : part.end], axis=1)
    powers: dict[str, Array] = {}
    if setup.activations is not None:
        observe, tokens = setup.activations, sequences[:, :-1]
        plain = rearranged(parameters, params, mesh, Mesh())

        def of_tokens(tokens: Array) -> dict[str, Array]:
            own = tokens[None]
            return jax.tree.map(_power, observe(plain, own, **setup.segments(own)))

        powers = jax.vmap(of_tokens)(tokens)
    return of_all.mean, powers, named, of_all.wrong


def segments_of(tokens: Int[Array, "batch context"], separator: int) -> Int[Array, "batch context"]:
    """The document of each input of a sequence, counted from 0.

    From a separator the first token of the next document is predicted, so it belongs to that one;
    it is itself predicted from the document that it ends.
    """
    return jnp.cumsum(tokens == separator, axis=1, dtype=jnp.int32)


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


def steps_in_block(plan: Pretraining, context: int) -> int:
    """Largest number of steps that one call on the device takes."""
    return max(1, min(256, _TOKENS_IN_BLOCK // (plan.batch_size * context)))


def setup_of(shape: Shape) -> Setup:
    """The model of a shape, and how it is trained and measured."""
    config, plan, context, n_outputs = shape.model, shape.train, shape.n_inputs, shape.n_outputs
    assert isinstance(plan, Pretraining)
    activations = None
    if plan.activation_scales:
        assert isinstance(config, ObservedFamily)
        activations = config.activations
    trained_at_once = plan.batch_size // (plan.microbatches * plan.mesh.replicas)
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
    )


@lru_cache(maxsize=8)
def compiled(shape: Shape) -> Trainer:
    """The compiled functions of a shape, made once in a process."""
    setup, context = setup_of(shape), shape.n_inputs
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
    advance = jax.jit(
        trainer.advance,
        donate_argnames="state",
        in_shardings=(states, by_sequence(devices, axis=1), alike, alike),
        out_shardings=(states, alike),
    )
    measure = jax.jit(trainer.measure, in_shardings=(states, alike), out_shardings=alike)
    with jax.set_mesh(devices):
        return Trainer(
            init=compile_quickly(trainer.init, key, in_shardings=alike, out_shardings=states),
            start=jax.jit(trainer.start, out_shardings=states),  # compiled where it is called
            advance=advance.lower(state, block, count, arguments).compile(),
            measure=measure.lower(state, held_out).compile(),
        )


def _typed(leaf: jax.ShapeDtypeStruct, sharding: jax.sharding.Sharding) -> jax.ShapeDtypeStruct:
    """The type of an array where it lies: code is traced for one memory or the other."""
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding)
