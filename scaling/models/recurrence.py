"""Recurrences over time with gradients of their own; time is the first axis of all arrays.

A loop over time that is differentiated by itself adds to the gradient of its weights at every step.
Here the loop hands out what each step contributes, and one product at the end adds it all up.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

States = tuple[Array, ...]
"""What a cell passes to the next step, each (batch, width); the first is its output."""


class Pulled(NamedTuple):
    """Cotangents of what a cell was given.

    Attributes:
        states: Of the states before, but not through the product.
        given: Of the inputs of the step.
        product: Of the product; None where it is that of the inputs, because the cell adds the two.
    """

    states: States
    given: Array
    product: Array | None = None


class Cell(NamedTuple):
    """What happens within a step, element by element, and back.

    Attributes:
        n_states: Number of states, the output among them.
        forward: (states, inputs of this step, product of output and weights) -> new states, and
            what is kept for the way back.
        back: (what was kept, cotangents of the new states) -> those of what it was given.
    """

    n_states: int
    forward: Callable[[States, Array, Array], tuple[States, Any]]
    back: Callable[[Any, States], Pulled]


def recurrence(
    cell: Cell, weights: Float[Array, "width gates"], inputs: Float[Array, "time batch gates"]
) -> Float[Array, "time batch width"]:
    """Outputs h_t of states_t = cell(states_(t-1), inputs_t, h_(t-1) @ weights), from zeros.

    Args:
        cell: What happens within a step. It holds no array of a gradient's: those are `inputs`.
        weights: Matrix that the output before is multiplied by.
        inputs: What each step is given, projected already.
    """
    outputs: Any = _recurrence(cell, weights, inputs)
    return outputs


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _recurrence(cell: Cell, weights: Array, inputs: Array) -> Array:
    return _run(cell, weights, inputs)[0]


def _zeros(cell: Cell, weights: Array, cotangents: Array) -> States:
    return (jnp.zeros((cotangents.shape[1], len(weights)), cotangents.dtype),) * cell.n_states


def _run(cell: Cell, weights: Array, inputs: Array) -> tuple[Array, Any]:
    def step(states: States, given: Array) -> tuple[States, tuple[Array, Any]]:
        new, kept = cell.forward(states, given, states[0] @ weights)
        return new, (new[0], kept)

    _, (outputs, kept) = jax.lax.scan(step, _zeros(cell, weights, inputs), inputs)
    return outputs, (weights, outputs, kept)


def _run_back(cell: Cell, saved: Any, cotangents: Array) -> tuple[Array, Array]:
    weights, outputs, kept = saved
    transposed = weights.T

    def step(later: States, at_step: Any) -> tuple[States, tuple[Array, Array | None]]:
        kept, cotangent = at_step
        states, given, product = cell.back(kept, (later[0] + cotangent, *later[1:]))
        through = (given if product is None else product) @ transposed
        return (states[0] + through, *states[1:]), (given, product)

    start = _zeros(cell, weights, cotangents)
    _, (of_inputs, of_products) = jax.lax.scan(step, start, (kept, cotangents), reverse=True)
    before = jnp.concatenate([jnp.zeros_like(outputs[:1]), outputs[:-1]])
    added = of_inputs if of_products is None else of_products
    width, gates = weights.shape
    return before.reshape(-1, width).T @ added.reshape(-1, gates), of_inputs


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
