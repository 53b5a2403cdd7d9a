"""Optimizer configurations as optax transformations.

The learning rate is an argument of the compiled step, not a constant in it, so that runs which
differ in it share one compilation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int
from optax.contrib import MuonDimensionNumbers

from scaling.model import Params
from scaling.parametrization import Parameter, Parametrized, learning_rate_multipliers
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
    optimizer: PretrainingOptimizer, model: Parametrized, n_inputs: int, n_outputs: int
) -> dict[str, Any]:
    """How each parameter of a model is treated, in a tree like them.

    Decay is decoupled (Loshchilov & Hutter, arXiv 1711.05101): it takes its share of the learning
    rate, but no part in the parametrization's multipliers, so that it is the same at every width.
    All parameters decay but the gains of norms, as in Megatron-LM and nanoGPT.
    """

    def treatment(parameter: Parameter, multiplier: float) -> Treatment:
        match optimizer:
            case SGD():
                return Treatment(multiplier, 0.0)
            case Adam() | ScheduleFree():
                decay = optimizer.weight_decay
                return Treatment(multiplier, 0.0 if parameter.role == "gain" else decay)
            case Muon():
                if parameter.role in ("hidden", "branch_out"):
                    _, fan_in, fan_out = parameter.shape
                    multiplier *= max(1.0, fan_out / fan_in) ** 0.5
                    return Treatment(multiplier, optimizer.weight_decay, orthogonal=True)
                decay = optimizer.adam.weight_decay
                return Treatment(multiplier, 0.0 if parameter.role == "gain" else decay, rate=1)

    return jax.tree.map(
        treatment,
        dict(model.parameters(n_inputs, n_outputs)),
        learning_rate_multipliers(model, n_inputs, n_outputs),
    )


def descent(
    optimizer: PretrainingOptimizer,
    treated: Mapping[str, Any],
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


def _direction(
    optimizer: PretrainingOptimizer, treated: Mapping[str, Any]
) -> optax.GradientTransformation:
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
    """Muon's direction for matrices stacked by layer: each layer is orthogonalised by itself."""

    def axes(updates: Params) -> Params:
        return jax.tree.map(lambda _: MuonDimensionNumbers(1, 2), updates)

    return optax.contrib.scale_by_muon(beta=optimizer.momentum, weight_dimension_numbers=axes)
