"""The computation of a mixture of experts: tokens are sent to places of experts, and come back.

Weights of experts are stacked, and so are their places: a layer is two batched products, whatever
the number of experts. Devices that each keep some experts send each other the rows at their places.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from scaling.devices.axes import ONE, Axes
from scaling.devices.mesh import TOKENS
from scaling.model import Model, Params
from scaling.models import transformer_apply
from scaling.models.architecture import Architecture
from scaling.models.layers import Rows
from scaling.models.parametrization import Parameter, Rule, Tree
from scaling.models.transformer_apply import Fed, FeedForward, Routed, Tokens


class Experts(NamedTuple):
    """The experts of a block, and how they are chosen.

    Attributes:
        n: Their number.
        n_active: Those that a token is sent to.
        by_hash: Whether the number of a token decides.
        router_multiplier: Multiplier of the logits of a learned router.
        capacity_factor: Places of an expert in training, over tokens * n_active / n.
        balance: Weight of the balance loss of a learned router.
    """

    n: int
    n_active: int
    by_hash: bool
    router_multiplier: float
    capacity_factor: float
    balance: float


class Choice(NamedTuple):
    """What the tokens of a share of a batch choose.

    Attributes:
        experts: Those that each token is sent to.
        gates: What their outputs are multiplied by.
        imbalance: n * sum_i f_i p_i: 1 where all experts are chosen evenly; 0 of a hash.
    """

    experts: Int[Array, "tokens active"]
    gates: Float[Array, "tokens active"]
    imbalance: Float[Array, ""]


def build(
    architecture: Architecture,
    experts: Experts,
    parameters: Tree,
    rule: Callable[[Parameter], Rule],
) -> Model:
    """The model of an architecture with experts in the place of its feed-forward layers."""
    routed = _routed(architecture, experts)
    return transformer_apply.build(architecture, parameters, rule, routed)


def activations(
    architecture: Architecture,
    experts: Experts,
    params: Params,
    tokens: Tokens,
    segments: Int[Array, "batch context"] | None,
) -> dict[str, Float[Array, "batch context features"]]:
    """Output of every part of the model, by name."""
    routed = _routed(architecture, experts)
    return transformer_apply.activations(architecture, params, tokens, segments, routed)


def _routed(architecture: Architecture, experts: Experts) -> Routed:
    def of(tokens: Tokens, in_training: bool, axes: Axes = ONE) -> FeedForward:
        number = tokens.reshape(-1)
        n_places = capacity = number.size
        if in_training:
            n_all = n_places * axes.mesh.replicas * axes.mesh.context
            capacity = math.ceil(experts.capacity_factor * n_all * experts.n_active / experts.n)
            n_places = min(n_places, capacity)

        def layer_of(x: Rows, layer: Params) -> Fed:
            chosen = choice(experts, layer.get("router"), x, number, axes)
            taken = None
            if in_training and axes.longer(TOKENS):
                taken = _taken_elsewhere(experts.n, chosen.experts, len(tokens), axes)
            place = places(experts.n, n_places, chosen.experts, taken, capacity)
            sent = _sent(experts.n * n_places, axes.varying(x, "tensor"), place)
            made = _at_experts(architecture, sent.reshape(experts.n, n_places, -1), layer, axes)
            # An axis of one before the others keeps the order in which XLA adds up choices.
            given = made.reshape(1, experts.n * n_places, -1), place[None], chosen.gates[None]
            back = jax.vmap(_back)(*given).reshape(x.shape)
            return Fed(axes.sum(back, "tensor"), experts.balance * chosen.imbalance)

        return layer_of

    return of


def choice(
    experts: Experts,
    router: Float[Array, "features experts"] | None,
    rows: Float[Array, "tokens features"],
    number: Int[Array, " tokens"],
    axes: Axes = ONE,
) -> Choice:
    """Experts of each token, best first, by a hash of its number or by a learned router."""
    if router is None:
        gates = jnp.ones((len(number), 1), rows.dtype)
        return Choice(number[:, None] % experts.n, gates, jnp.float32(0))
    logits = experts.router_multiplier * (rows.astype(jnp.float32) @ router)
    chances = jax.nn.softmax(logits, axis=-1)
    best, chosen = jax.lax.top_k(chances, experts.n_active)
    # Even choices multiply by 1, so that no layer begins smaller than the dense one.
    if experts.n_active == 1:
        gates = experts.n * best
    else:
        gates = best / jnp.sum(best, axis=-1, keepdims=True)
    share = axes.mean_over_tokens(jnp.mean(jax.nn.one_hot(chosen, experts.n), axis=(0, 1)))
    chance = axes.mean_over_tokens(jnp.mean(chances, axis=0))
    imbalance = experts.n * jnp.sum(share * chance)
    return Choice(chosen, gates.astype(rows.dtype), imbalance)


def places(
    n: int,
    n_places: int,
    chosen: Int[Array, "tokens active"],
    taken: Int[Array, "tokens active"] | None = None,
    capacity: int | None = None,
) -> Int[Array, "tokens active"]:
    """The place that each choice gets, of n * n_places; n * n_places for those that get none.

    Places are given to tokens in their order, so that none depends on what a later token chooses;
    giving them to all first choices before any second one would.

    Args:
        n: Number of experts.
        n_places: Places of an expert on this device.
        chosen: Experts of each token.
        taken: For each choice, the places of its expert that go to earlier tokens elsewhere.
        capacity: Places of an expert on all devices; `n_places` unless given.
    """
    flat = chosen.reshape(-1)
    earlier = jnp.cumsum(jax.nn.one_hot(flat, n, dtype=jnp.int32), axis=0)
    within = jnp.take_along_axis(earlier, flat[:, None], axis=1)[:, 0] - 1
    everywhere = within if taken is None else within + taken.reshape(-1)
    has_one = everywhere < (n_places if capacity is None else capacity)
    place = jnp.where(has_one, flat * n_places + within, n * n_places)
    return place.reshape(chosen.shape)


def _taken_elsewhere(
    n: int, chosen: Int[Array, "tokens active"], n_sequences: int, axes: Axes
) -> Int[Array, "tokens active"]:
    """For each choice, how often earlier tokens of other devices choose the same expert."""
    of_sequence = chosen.reshape(n_sequences, -1)
    counts = jnp.sum(jax.nn.one_hot(of_sequence, n, dtype=jnp.int32), axis=1)
    elsewhere = axes.before_this(counts) - (jnp.cumsum(counts, axis=0) - counts)
    return jnp.take_along_axis(elsewhere, of_sequence, axis=1).reshape(chosen.shape)


def _at_experts(
    architecture: Architecture,
    sent: Float[Array, "experts places features"],
    layer: Params,
    axes: Axes,
) -> Float[Array, "experts places features"]:
    """What experts make of rows at their places; each is computed where its weights are."""
    n_devices, (n, n_places, width) = axes.mesh.expert, sent.shape
    if n_devices == 1:
        return transformer_apply.feed_forward(architecture, sent, layer)
    # From (device of the expert, expert there, place) to (expert here, device of the token, place).
    sent = axes.exchanged(sent, 0).reshape(n_devices, n // n_devices, n_places, width)
    sent = sent.swapaxes(0, 1).reshape(n // n_devices, n_devices * n_places, width)
    made = transformer_apply.feed_forward(architecture, sent, layer)
    made = made.reshape(n // n_devices, n_devices, n_places, width).swapaxes(0, 1)
    return axes.exchanged(made.reshape(n, n_places, width), 0)


def _sent(
    n_places: int, rows: Rows, place: Int[Array, "tokens active"]
) -> Float[Array, "{n_places} features"]:
    """Rows at their places; zeros where a place stays empty."""
    number = jnp.arange(len(rows))[:, None]
    holder = jnp.full(n_places, len(rows)).at[place].set(number, mode="drop")
    return jnp.take(rows, holder, axis=0, mode="fill", fill_value=0)


def _back(
    made: Float[Array, "places features"],
    place: Int[Array, "tokens active"],
    gates: Float[Array, "tokens active"],
) -> Rows:
    """Sum over the choices of each token of what its places made, times its gates."""
    got = jnp.take(made, place, axis=0, mode="fill", fill_value=0)
    return jnp.sum(got * gates[..., None], axis=1)
