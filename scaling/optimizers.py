"""Optimizer configurations as optax transformations of unit learning rate.

The learning rate is an argument of the compiled step, not a constant in it, so that runs which
differ in it share one compilation.
"""

from __future__ import annotations

import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

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
