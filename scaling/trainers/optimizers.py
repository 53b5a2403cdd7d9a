"""Optimizer configurations as optax transformations.

The learning rate is an argument of the compiled step, not a constant in it, so that runs which
differ in it share one compilation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int
from optax.contrib import MuonDimensionNumbers

from scaling.model import Params
from scaling.models.family import Family
from scaling.models.parametrization import Parameter, Parametrized, learning_rate_multipliers
from scaling.pretraining import Muon, PretrainingOptimizer, ScheduleFree
from scaling.training import SGD, Adam, Gradient


def transformation(optimizer: SGD | Adam) -> optax.GradientTransformation:
    """Gradients -> the direction to descend along, before the learning rate."""
    if isinstance(optimizer, SGD):
        return optax.trace(decay=optimizer.momentum) if optimizer.momentum else optax.identity()
    adam = optax.scale_by_adam(b1=optimizer.b1, b2=optimizer.b2)
    if optimizer.weight_decay:
        return optax.chain(adam, optax.add_decayed_weights(optimizer.weight_decay))
    return adam


def learning_rate_at(
    train: Gradient, peak: Float[Array, ""], step: Int[Array, ""], steps: Int[Array, ""]
) -> Float[Array, ""]:
    """Learning rate of a step: constant, or half a cosine from the peak down to 0 at the end."""
    if train.schedule == "constant":
        return peak
    return peak * 0.5 * (1 + jnp.cos(jnp.pi * step / steps))


@dataclass(frozen=True)
class Treatment:
    """How an optimizer treats one parameter.

    Attributes:
        multiplier: Of the direction that the optimizer gives: by the model's parametrization, and
            for Muon by the shape of the matrix.
        weight_decay: Times the parameter is added to that.
        rate: Which of the optimizer's learning rates is the parameter's.
        orthogonal: Whether the momentum is orthogonalised, by Muon.
    """

    multiplier: float
    weight_decay: float
    rate: int = 0
    orthogonal: bool = False


def treatments(
    optimizer: PretrainingOptimizer, model: Family, n_inputs: int, n_outputs: int
) -> Any:
    """How each parameter of a model is treated, in a tree like them.

    Decay is decoupled (Loshchilov & Hutter, arXiv 1711.05101): it takes its share of the learning
    rate, but no part in the parametrization's multipliers, so that it is the same at every width.
    All parameters decay but the gains of norms, as in Megatron-LM and nanoGPT; where a model gives
    its parameters no roles, all that have two axes or more.
    """
    if not isinstance(model, Parametrized):
        params = jax.eval_shape(model.build(n_inputs, n_outputs).init, jax.random.key(0))
        return jax.tree.map(lambda leaf: _treatment(optimizer, decays=leaf.ndim > 1), params)

    def treatment(parameter: Parameter, multiplier: float) -> Treatment:
        matrix = parameter.shape[-2:] if parameter.role in ("hidden", "branch_out") else None
        return _treatment(
            optimizer, decays=parameter.role != "gain", multiplier=multiplier, matrix=matrix
        )

    return jax.tree.map(
        treatment,
        dict(model.parameters(n_inputs, n_outputs)),
        learning_rate_multipliers(model, n_inputs, n_outputs),
    )


def _treatment(
    optimizer: PretrainingOptimizer,
    *,
    decays: bool,
    multiplier: float = 1.0,
    matrix: tuple[int, ...] | None = None,
) -> Treatment:
    """How a parameter is treated; `matrix` is the shape of one that Muon orthogonalises."""
    match optimizer:
        case SGD():
            return Treatment(multiplier, 0.0)
        case Adam() | ScheduleFree():
            return Treatment(multiplier, optimizer.weight_decay if decays else 0.0)
        case Muon() if matrix is not None:
            fan_in, fan_out = matrix
            multiplier *= max(1.0, fan_out / fan_in) ** 0.5
            return Treatment(multiplier, optimizer.weight_decay, orthogonal=True)
        case Muon():
            return Treatment(multiplier, optimizer.adam.weight_decay if decays else 0.0, rate=1)


def descent(
    optimizer: PretrainingOptimizer,
    treated: Any,
    rates: Float[Array, " rates"],
) -> optax.GradientTransformation:
    """Gradients -> what to add to the parameters, at the learning rates of one step.

    update = -rate * (multiplier * direction + weight_decay * parameter). What the transformation
    keeps from step to step does not depend on the rates: they may be traced, and differ each time.

    Args:
        optimizer: What gives the direction.
        treated: The tree of treatments.
        rates: Learning rates of this step, as many as `PretrainingOptimizer.learning_rates`.
    """

    def update(how: Treatment, direction: Array, parameter: Array) -> Array:
        total = how.multiplier * direction
        if how.weight_decay:
            total += how.weight_decay * parameter
        return -rates[how.rate] * total

    def updates(directions: Params, params: Params | None) -> Params:
        return jax.tree.map(update, treated, directions, params)

    step = optax.chain(_direction(optimizer, treated), optax.stateless(updates))
    if isinstance(optimizer, ScheduleFree):
        return optax.contrib.schedule_free(step, rates[0], b1=optimizer.b1)
    return step


def evaluated(optimizer: PretrainingOptimizer, state: optax.OptState, params: Params) -> Params:
    """The parameters that an optimizer stands for: where it averages, not those it trains at."""
    if isinstance(optimizer, ScheduleFree):
        return optax.contrib.schedule_free_eval_params(state, params)
    return params


def _direction(optimizer: PretrainingOptimizer, treated: Any) -> optax.GradientTransformation:
    match optimizer:
        case SGD():
            return transformation(optimizer)
        case Adam():
            return optax.scale_by_adam(b1=optimizer.b1, b2=optimizer.b2)
        case ScheduleFree():  # Adam without the momentum, which averaging takes the place of
            return optax.scale_by_rms(optimizer.b2, eps_in_sqrt=False, bias_correction=True)
        case Muon():
            return optax.partition(
                {True: _orthogonal(optimizer), False: _direction(optimizer.adam, treated)},
                jax.tree.map(lambda how: how.orthogonal, treated),
            )


def _orthogonal(optimizer: Muon) -> optax.GradientTransformation:
    """Muon's direction for matrices, which stacked by layer are orthogonalised one by one."""

    def axes(updates: Params) -> Params:
        return jax.tree.map(
            lambda leaf: MuonDimensionNumbers(leaf.ndim - 2, leaf.ndim - 1), updates
        )

    return optax.contrib.scale_by_muon(beta=optimizer.momentum, weight_dimension_numbers=axes)
