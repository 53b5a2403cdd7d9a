"""Policy gradients of Gaussian policies: what a batch of responses costs, and what is minimised.

A policy N(m, I) responds x = m + noise; the start is N(0, I).
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from scaling.data.proxy_rewards import RewardSource
from scaling.data.stream import World
from scaling.policy_gradient import PPO, PolicyGradient


def costs(
    plan: PolicyGradient,
    source: RewardSource,
    world: World,
    means: Float[Array, "n outputs"],
    noise: Float[Array, "n outputs"],
) -> Float[Array, " n"]:
    """Log ratio of a response's policy to the start less its reward over the penalty, in nats."""
    responses = means + noise
    log_ratio = jnp.sum(means * responses, axis=-1) - jnp.sum(jnp.square(means), axis=-1) / 2
    return log_ratio - source.proxy(world, responses) / plan.penalty


def advantages(plan: PolicyGradient, of: Float[Array, " n"]) -> Float[Array, " n"]:
    """Returns of responses less the mean return of the others of the batch, by their costs."""
    n = len(of)
    return plan.penalty * (jnp.mean(of) - of) * (n / (n - 1))


def surrogate(
    plan: PolicyGradient,
    means: Float[Array, "n outputs"],
    before: Float[Array, "n outputs"],
    noise: Float[Array, "n outputs"],
    advantage: Float[Array, " n"],
) -> Float[Array, ""]:
    """What a step minimises: its gradient in the means is that of the method.

    Args:
        plan: The method.
        means: Means of the policy that is stepped.
        before: Means of the policy that responded.
        noise: Noise of its responses.
        advantage: Advantages of its responses.
    """
    responses = jax.lax.stop_gradient(before) + noise
    log_chance = -jnp.sum(jnp.square(responses - means), axis=-1) / 2
    if not isinstance(plan.method, PPO):
        return -jnp.mean(advantage * log_chance)
    ratio = jnp.exp(log_chance + jnp.sum(jnp.square(noise), axis=-1) / 2)
    within = jnp.clip(ratio, 1 - plan.method.clip, 1 + plan.method.clip)
    return -jnp.mean(jnp.minimum(ratio * advantage, within * advantage))
