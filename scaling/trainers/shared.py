"""Losses and gradients of a model that the devices of a mesh share: each computes its part.

Examples have an axis of parts before that of sequences: parts follow each other through a pipeline,
and elsewhere there is one. Sequences are divided over `SEQUENCES`, their tokens over "context".
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec as P
from jaxtyping import Array, Bool, Float, Int

from scaling.devices.axes import Axes
from scaling.devices.mesh import SEQUENCES, TOKENS, Axis
from scaling.model import Model, Params
from scaling.models.parametrization import Tree
from scaling.models.placement import specs
from scaling.objectives.objective import Examples


class Shared(NamedTuple):
    """A model that devices share.

    Attributes:
        model: It offers `spread`.
        parameters: Every parameter by name.
        axes: The mesh, and the number of parts.
    """

    model: Model
    parameters: Tree
    axes: Axes


def gradient(
    shared: Shared, z_loss: float, params: Params, examples: Examples, segments: dict[str, Array]
) -> tuple[tuple[Array, Array], Params]:
    """An objective with the mean loss within it, and its gradient; means over parts.

    Args:
        shared: The model.
        z_loss: Weight of the squared log of the softmax's normaliser.
        params: Its parameters.
        examples: (parts, sequences, context).
        segments: The document of each token by the name `segments`, or nothing.
    """

    def objective(params: Params, *given: Any) -> tuple[Array, Array]:
        found, penalty = _each(shared, True, params, *given)
        loss = _mean(shared.axes, found.loss, given[0].weights)
        total = loss + penalty
        if z_loss:
            total += z_loss * _mean(shared.axes, jnp.square(found.normaliser), given[0].weights)
        return total, loss

    of_params = specs(shared.parameters, shared.axes.mesh)
    return jax.shard_map(
        jax.value_and_grad(objective, has_aux=True),
        in_specs=(of_params, *_specs(shared.axes, (examples, segments))),
        out_specs=((P(), P()), of_params),
    )(params, examples, segments)


def losses(
    shared: Shared, params: Params, examples: Examples, segments: dict[str, Array]
) -> tuple[Float[Array, "parts sequences context"], Bool[Array, "parts sequences context"]]:
    """Loss of every prediction, and whether it is wrong; arguments as those of `gradient`."""
    given = (examples, segments)

    def of(*own: Any) -> tuple[Array, Array]:
        found, _ = _each(shared, False, *own)
        return found.loss, found.is_wrong

    rows = _specs(shared.axes, examples.inputs)
    return jax.shard_map(
        of,
        in_specs=(specs(shared.parameters, shared.axes.mesh), *_specs(shared.axes, given)),
        out_specs=(rows, rows),
    )(params, *given)


class Predicted(NamedTuple):
    """What predictions come to.

    Attributes:
        loss: Cross-entropy to the label.
        normaliser: Log of the softmax's normaliser.
        is_wrong: Whether another class is predicted: the first of those with the largest logit.
    """

    loss: Array
    normaliser: Array
    is_wrong: Array


def cross_entropy(
    axes: Axes,
    vocabulary: tuple[Axis, ...],
    logits: Float[Array, "tokens classes"],
    labels: Int[Array, " tokens"],
) -> Predicted:
    """What predictions come to, where devices divide the classes.

    Args:
        axes: The mesh.
        vocabulary: Axes that divide the classes.
        logits: Those of this device's classes.
        labels: Numbers among all classes.
    """
    n = logits.shape[-1]
    largest_here = jnp.max(jax.lax.stop_gradient(logits), axis=-1)
    largest = axes.largest(largest_here, *vocabulary)
    total = axes.sum(jnp.sum(jnp.exp(logits - largest[:, None]), axis=-1), *vocabulary)
    normaliser = largest + jnp.log(total)
    own = labels - axes.place(*vocabulary) * n
    found = jnp.take_along_axis(logits, jnp.clip(own, 0, n - 1)[:, None], axis=-1)[:, 0]
    of_label = axes.sum(jnp.where((own >= 0) & (own < n), found, 0), *vocabulary)
    first_here = axes.place(*vocabulary) * n + jnp.argmax(logits, axis=-1)
    first = jnp.where(largest_here == largest, first_here, jnp.iinfo(jnp.int32).max)
    chosen = -axes.largest(-first, *vocabulary)
    return Predicted(normaliser - of_label, normaliser, chosen != labels)


def _each(
    shared: Shared,
    in_training: bool,
    params: Params,
    examples: Examples,
    segments: dict[str, Array],
) -> tuple[Predicted, Array]:
    """Predictions of this device, each (parts, sequences, context), and the penalty of a step."""
    assert shared.model.spread is not None
    spread, (parts, batch, predicted) = shared.model.spread(shared.axes), examples.targets.shape
    shown = dict(segments)
    if examples.visible is not None:
        shown["visible"] = examples.visible
    flat = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), shown)
    tokens = examples.inputs.reshape(parts * batch, -1)
    rows, penalty = spread.hidden(params, tokens, in_training=in_training, **flat)
    read_out = spread.read_out(params)

    def of_part(given: tuple[Array, Array]) -> Predicted:
        rows, targets = given
        return cross_entropy(shared.axes, spread.vocabulary, read_out(rows), targets)

    # Logits of one part at a time, and made again for its gradient.
    of_part = jax.checkpoint(of_part) if parts > 1 else of_part
    given = (rows.reshape(parts, batch * predicted, -1), examples.targets.reshape(parts, -1))
    found = jax.lax.map(of_part, given)
    return jax.tree.map(lambda leaf: leaf.reshape(parts, batch, predicted), found), penalty


def _mean(
    axes: Axes, each: Float[Array, "parts batch context"], weights: Array | None
) -> Float[Array, ""]:
    """Mean over parts of the weighted mean over the tokens of all devices."""
    if weights is None:
        return axes.mean_over_tokens(jnp.mean(each))
    total = axes.sum(jnp.sum(weights * each, axis=(1, 2)), *TOKENS)
    return jnp.mean(total / axes.sum(jnp.sum(weights, axis=(1, 2)), *TOKENS))


def _specs(axes: Axes, given: Any) -> Any:
    """How arrays are divided whose first axes count parts, sequences, and tokens."""
    divided = (None, axes.longer(SEQUENCES) or None, axes.longer(("context",)) or None)
    return jax.tree.map(lambda leaf: P(*divided[: leaf.ndim]), given)
