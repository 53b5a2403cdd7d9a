"""Losses and error rates over a batch of outputs. Losses in nats, errors as fractions."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int


def cross_entropy(
    outputs: Float[Array, "*batch classes"], labels: Int[Array, "*batch"]
) -> Float[Array, "*batch"]:
    """Negative log-likelihood of each label under the softmax of its outputs, in nats."""
    return optax.losses.softmax_cross_entropy_with_integer_labels(outputs, labels)


def cross_entropy_to(
    outputs: Float[Array, "*batch classes"], teacher: Float[Array, "*batch classes"]
) -> Float[Array, "*batch"]:
    """Cross-entropy of the softmax of outputs to that of a teacher's, in nats."""
    return optax.losses.softmax_cross_entropy(outputs, jax.nn.softmax(teacher))


def smoothed_cross_entropy(
    outputs: Float[Array, "*batch classes"], labels: Int[Array, "*batch"], smoothing: float
) -> Float[Array, "*batch"]:
    """Cross-entropy to 1 - smoothing of the label and smoothing of all classes evenly, in nats."""
    logs = jax.nn.log_softmax(outputs)
    of_label = jnp.take_along_axis(logs, labels[..., None], axis=-1)[..., 0]
    return -(1 - smoothing) * of_label - smoothing * jnp.mean(logs, axis=-1)


def squared_error(
    outputs: Float[Array, "batch outputs"], targets: Float[Array, "batch outputs"]
) -> Float[Array, " batch"]:
    """Squared distance of each output vector from its target, summed over outputs."""
    return jnp.sum(jnp.square(outputs - targets), axis=-1)


def contrastive(outputs: Float[Array, "batch outputs"]) -> Float[Array, " batch"]:
    """Cross-entropy of finding the partner of each of two vectors in a batch, in nats.

    An output is a pair of vectors, each half of it. Which second vector belongs to a first one is
    asked by the softmax of their inner products over the batch, and the reverse; the loss is the
    mean of both (Radford et al. 2021, arXiv 2103.00020, figure 3). One who knows nothing has
    log(batch).
    """
    left, right = jnp.split(outputs, 2, axis=-1)
    logits, own = left @ right.T, jnp.arange(len(outputs))
    return (cross_entropy(logits, own) + cross_entropy(logits.T, own)) / 2


def error(
    outputs: Float[Array, "*batch classes"], labels: Int[Array, "*batch"]
) -> Float[Array, "*batch"]:
    """1 where the largest output is not the label's, else 0."""
    return jnp.asarray(jnp.argmax(outputs, axis=-1) != labels, outputs.dtype)


def as_targets(
    targets: Float[Array, " batch"] | Int[Array, " batch"], n_classes: int | None
) -> Float[Array, "batch outputs"]:
    """Targets of a squared error: one-hot vectors of classes, or the numbers themselves."""
    if n_classes is None:
        return targets[:, None]
    return jax.nn.one_hot(targets, n_classes)
