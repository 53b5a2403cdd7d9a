"""Optimizer configurations as optax transformations.

The learning rate is an argument of the compiled step, not a constant in it, so that runs which
differ in it share one compilation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import optax
from jaxtyping import Array, Float
from optax.contrib import MuonDimensionNumbers

from scaling.model import Params
from scaling.models.family import Family
from scaling.models.parametrization import Parameter, Parametrized, learning_rate_multipliers
from scaling.pretraining import Muon, PretrainingOptimizer, ScheduleFree, Trained
from scaling.trainers.optimizer_state import Dtype, narrowed
from scaling.training import SGD, Adam


def transformation(optimizer: SGD | Adam) -> optax.GradientTransformation:
    """The transformation of gradients into a direction of descent, before the learning rate."""
    if isinstance(optimizer, SGD):
        return optax.trace(decay=optimizer.momentum) if optimizer.momentum else optax.identity()
    adam = optax.scale_by_adam(b1=optimizer.b1, b2=optimizer.b2)
    if optimizer.weight_decay:
        return optax.chain(adam, optax.add_decayed_weights(optimizer.weight_decay))
    return adam


@dataclass(frozen=True)
class ParamGroup:
    """Options of an optimizer for one parameter.

    Attributes:
        multiplier: Factor of the direction that the optimizer gives: by the model's
            parametrization, and for Muon by the shape of the matrix.
        weight_decay: Factor of the parameter that is added to the direction.
        rate: Index of the parameter's learning rate among those of the optimizer.
        orthogonal: Whether Muon orthogonalises the momentum.
        trained: Whether the parameter changes at all.
    """

    multiplier: float
    weight_decay: float
    rate: int = 0
    orthogonal: bool = False
    trained: bool = True


_FROZEN = ParamGroup(0.0, 0.0, trained=False)


def param_groups(
    optimizer: PretrainingOptimizer,
    model: Family,
    n_inputs: int,
    n_outputs: int,
    trained: Trained = "all",
) -> Any:
    """The `ParamGroup` of each parameter of a model, in a tree like them.

    Decay is decoupled (Loshchilov & Hutter, arXiv 1711.05101): it is multiplied by the learning
    rate, but not by the parametrization's multipliers, so that it is the same at every width.
    All parameters decay but gains of norms and biases, as in Megatron-LM and nanoGPT; where a model
    gives its parameters no roles, all that have two axes or more.
    """
    if not isinstance(model, Parametrized):
        params = jax.eval_shape(model.build(n_inputs, n_outputs).init, jax.random.key(0))
        return jax.tree.map(lambda leaf: _param_group(optimizer, decays=leaf.ndim > 1), params)

    def group(parameter: Parameter, multiplier: float) -> ParamGroup:
        if trained == "readout" and parameter.group != "readout":
            return _FROZEN
        matrix = parameter.shape[-2:] if parameter.role in ("hidden", "branch_out") else None
        return _param_group(
            optimizer,
            decays=parameter.role not in ("gain", "bias"),
            multiplier=multiplier,
            matrix=matrix,
        )

    return jax.tree.map(
        group,
        dict(model.parameters(n_inputs, n_outputs)),
        learning_rate_multipliers(model, n_inputs, n_outputs),
    )


def _param_group(
    optimizer: PretrainingOptimizer,
    *,
    decays: bool,
    multiplier: float = 1.0,
    matrix: tuple[int, ...] | None = None,
) -> ParamGroup:
    """The group of one parameter; `matrix` is the shape of one that Muon orthogonalises."""
    match optimizer:
        case SGD():
            return ParamGroup(multiplier, 0.0)
        case Adam() | ScheduleFree():
            return ParamGroup(multiplier, optimizer.weight_decay if decays else 0.0)
        case Muon() if matrix is not None:
            fan_in, fan_out = matrix
            multiplier *= max(1.0, fan_out / fan_in) ** 0.5
            return ParamGroup(multiplier, optimizer.weight_decay, orthogonal=True)
        case Muon():
            return ParamGroup(multiplier, optimizer.adam.weight_decay if decays else 0.0, rate=1)


def build_optimizer(
    optimizer: PretrainingOptimizer,
    groups: Any,
    rates: Float[Array, " rates"],
    dtype: Dtype = "float32",
    key: Array | None = None,
) -> optax.GradientTransformation:
    """The optimizer at the learning rates of one step: gradients -> updates of the parameters.

    update = -rate * (multiplier * direction + weight_decay * parameter). The state of the
    transformation does not depend on the rates: they may be traced, and differ each time.

    Args:
        optimizer: Configuration that gives the direction.
        groups: The tree of parameter groups.
        rates: Learning rates of this step, as many as `scaling.pretraining.learning_rates` gives.
        dtype: Type of the averages of gradients that it keeps; iterates are float32 always.
        key: What they are rounded by, where that is narrower.
    """

    def update(group: ParamGroup, direction: Array, parameter: Array) -> Array:
        total = group.multiplier * direction
        if group.weight_decay:
            total += group.weight_decay * parameter
        return -rates[group.rate] * total

    def updates(directions: Params, params: Params | None) -> Params:
        return jax.tree.map(update, groups, directions, params)

    direction = narrowed(_direction(optimizer, groups), dtype, key)
    step = optax.chain(direction, optax.stateless(updates))
    if isinstance(optimizer, ScheduleFree):
        return optax.contrib.schedule_free(step, rates[0], b1=optimizer.b1)
    return step


def evaluated(optimizer: PretrainingOptimizer, state: optax.OptState, params: Params) -> Params:
    """The parameters to evaluate: the average of an optimizer that averages, else its own."""
    if isinstance(optimizer, ScheduleFree):
        return optax.contrib.schedule_free_eval_params(state, params)
    return params


def _direction(optimizer: PretrainingOptimizer, groups: Any) -> optax.GradientTransformation:
    match optimizer:
        case SGD():
            return transformation(optimizer)
        case Adam():
            return optax.scale_by_adam(b1=optimizer.b1, b2=optimizer.b2)
        case ScheduleFree():  # Adam without the momentum, which averaging takes the place of
            return optax.scale_by_rms(optimizer.b2, eps_in_sqrt=False, bias_correction=True)
        case Muon():
            return optax.partition(
                {True: _orthogonal(optimizer), False: _direction(optimizer.adam, groups)},
                jax.tree.map(lambda group: group.orthogonal, groups),
            )


def _orthogonal(optimizer: Muon) -> optax.GradientTransformation:
    """Muon's direction for matrices; those stacked by layer are orthogonalised one by one."""

    def axes(updates: Params) -> Params:
        return jax.tree.map(
            lambda leaf: MuonDimensionNumbers(leaf.ndim - 2, leaf.ndim - 1), updates
        )

    return optax.contrib.scale_by_muon(beta=optimizer.momentum, weight_dimension_numbers=axes)
