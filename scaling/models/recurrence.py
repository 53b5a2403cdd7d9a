"""Recurrences over time with gradients of their own; time is the first axis of all arrays.

A loop over time that is differentiated by itself adds to the gradient of its weights at every step.
Here the loop hands out what each step contributes, and one product at the end adds it all up.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

States = tuple[Array, ...]
"""What a cell passes to the next step, each (batch, width); the first is its output."""

Cell = Callable[[States, Array, Array], States]
"""Element-wise: (states, inputs of this step, product of output and weights) -> new states."""


def recurrence(
    cell: Cell,
    n_states: int,
    weights: Float[Array, "width gates"],
    inputs: Float[Array, "time batch gates"],
) -> Float[Array, "time batch width"]:
    """Outputs h_t of states_t = cell(states_(t-1), inputs_t, h_(t-1) @ weights), from zeros.

    Args:
        cell: What happens within a step. It holds no array of a gradient's: those are `inputs`.
        n_states: Number of states, the output among them.
        weights: Matrix that the output before is multiplied by.
        inputs: What each step is given, projected already.
    """
    outputs: Any = _recurrence(cell, n_states, weights, inputs)
    return outputs


@partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _recurrence(cell: Cell, n_states: int, weights: Array, inputs: Array) -> Array:
    return _run(cell, n_states, weights, inputs)[0]


def _zeros(n_states: int, weights: Array, inputs: Array) -> States:
    return (jnp.zeros((inputs.shape[1], len(weights)), inputs.dtype),) * n_states


def _run(cell: Cell, n_states: int, weights: Array, inputs: Array) -> tuple[Array, Any]:
    def step(states: States, given: Array) -> tuple[States, tuple[Array, States, Array]]:
        product = states[0] @ weights
        new = cell(states, given, product)
        return new, (new[0], states, product)

    _, (outputs, before, products) = jax.lax.scan(step, _zeros(n_states, weights, inputs), inputs)
    return outputs, (weights, inputs, before, products)


def _run_back(cell: Cell, n_states: int, saved: Any, cotangents: Array) -> tuple[Array, Array]:
    weights, inputs, before, products = saved
    transposed = weights.T

    def step(later: States, given: Any) -> tuple[States, tuple[Array, Array]]:
        *at_step, cotangent = given
        _, pull_back = jax.vjp(cell, *at_step)
        earlier, of_input, of_product = pull_back((later[0] + cotangent, *later[1:]))
        return (earlier[0] + of_product @ transposed, *earlier[1:]), (of_input, of_product)

    start = _zeros(n_states, weights, inputs)
    each = (before, inputs, products, cotangents)
    _, (of_inputs, of_products) = jax.lax.scan(step, start, each, reverse=True)
    width, gates = weights.shape
    return before[0].reshape(-1, width).T @ of_products.reshape(-1, gates), of_inputs


_recurrence.defvjp(_run, _run_back)


@jax.custom_vjp
def linear_recurrence(
    decays: Float[Array, "time batch *state"], inputs: Float[Array, "time batch *state"]
) -> Float[Array, "time batch *state"]:
    """States h_t = decays_t h_(t-1) + inputs_t, from zeros; the products are element-wise.

    On a CPU it is a loop over time. Elsewhere it is an associative scan, of as many passes over the
    data as the number of steps has bits (Blelloch 1990): a CPU takes three times as long for it.
    """
    return jax.lax.platform_dependent(decays, inputs, cpu=sequential, default=associative)


def sequential(decays: Array, inputs: Array) -> Array:
    """The linear recurrence, a step at a time."""

    def step(state: Array, given: tuple[Array, Array]) -> tuple[Array, Array]:
        state = given[0] * state + given[1]
        return state, state

    return jax.lax.scan(step, jnp.zeros_like(inputs[0]), (decays, inputs))[1]


def associative(decays: Array, inputs: Array) -> Array:
    """The linear recurrence, for all times at once: maps h -> a h + b are composed pair by pair."""

    def composed(one: Any, two: Any) -> tuple[Array, Array]:
        return one[0] * two[0], one[1] * two[0] + two[1]

    return jax.lax.associative_scan(composed, (decays, inputs))[1]


def _linear_forward(decays: Array, inputs: Array) -> tuple[Array, tuple[Array, Array]]:
    states = linear_recurrence(decays, inputs)
    return states, (decays, states)


def _linear_backward(saved: tuple[Array, Array], cotangents: Array) -> tuple[Array, Array]:
    """Cotangents of the inputs follow the same recurrence, back in time."""
    decays, states = saved
    nothing = jnp.zeros_like(decays[:1])
    later = jnp.concatenate([decays[1:], nothing])
    of_inputs = linear_recurrence(later[::-1], cotangents[::-1])[::-1]
    return of_inputs * jnp.concatenate([nothing, states[:-1]]), of_inputs


linear_recurrence.defvjp(_linear_forward, _linear_backward)
