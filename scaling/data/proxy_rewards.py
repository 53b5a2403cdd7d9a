"""Responses of a Gaussian policy, and two rewards of them: a proxy, and the gold that it means."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np

from scaling.data.stream import MOST_EXAMPLES, Examples, StreamSource, World
from scaling.fields import Argument, Count, NonNegative, Positive, Range

if TYPE_CHECKING:
    from jax import Array


class RewardSource(StreamSource):
    """A base of streams for policies: inputs are prompts, targets the noise of responses.

    A policy with mean m(prompt) responds m + noise.
    """

    @abstractmethod
    def proxy(self, world: World, responses: Array) -> Array:
        """Rewards that a policy is trained on, of responses (..., n_outputs)."""


@dataclass(frozen=True, kw_only=True)
class ProxyRewards(RewardSource):
    """One prompt, and responses in R^dimension with a linear proxy of a concave gold reward.

    The proxy is b'x with |b| = 1, and gold is a'x - drawback |x|^2, where |a| = gain and the angle
    between a and b is `angle`. From N(0, I) a policy N(m, I) is |m|^2 / 2 nats away, and its gold
    is exact (`analysis.theory.gaussian_policy_gold`). Measured beside the loss are gold and proxy
    above the start, the standard error of gold, and the divergence.

    Attributes:
        dimension: Size of a response.
        angle: Angle between proxy and gold, in radians.
        gain: |a|.
        drawback: Loss of gold a squared length.
        n_eval: Responses that are measured.
    """

    kind: ClassVar[str] = "proxy_rewards"
    n_train: Annotated[int, Range(low=1, high=MOST_EXAMPLES), Argument(1)] = MOST_EXAMPLES
    n_eval: Count = 1024
    dimension: Annotated[int, Range(low=2, high=2**16)] = 8
    angle: Annotated[float, Range(low=0, high=math.pi), Argument(0.0)] = math.pi / 4
    gain: Annotated[Positive, Argument(1.0)] = 1.0
    drawback: Annotated[NonNegative, Argument(0.0)] = 0.125

    @property
    def n_inputs(self) -> int:
        """Size of a prompt: the number 1."""
        return 1

    @property
    def n_outputs(self) -> int:
        """Size of a response."""
        return self.dimension

    def fingerprint(self) -> str:
        """Name and version of the draws."""
        return "proxy_rewards/1"

    def world(self, seed: int) -> World:
        """Directions of both rewards, which lie in the first two coordinates."""
        toward, aside = np.eye(self.dimension, dtype=np.float32)[:2]
        gold = self.gain * (np.cos(self.angle) * toward + np.sin(self.angle) * aside)
        return {
            "proxy": toward,
            "gold": gold.astype(np.float32),
            "drawback": np.float32(self.drawback),
        }

    def proxy(self, world: World, responses: Array) -> Array:
        """Proxy rewards of responses (..., dimension)."""
        return responses @ world["proxy"]

    def gold(self, world: World, responses: Array) -> Array:
        """Gold rewards of responses (..., dimension)."""
        import jax.numpy as jnp

        return responses @ world["gold"] - world["drawback"] * jnp.sum(responses**2, axis=-1)

    def example(self, world: World, key: Array) -> tuple[Array, Array]:
        """The prompt, and the noise of a response."""
        import jax
        import jax.numpy as jnp

        return jnp.ones(1), jax.random.normal(key, (self.dimension,))

    def measures(self, world: World, held_out: Examples, outputs: Array) -> dict[str, Array]:
        """Rewards above those of the start with the same noise, and the divergence."""
        import jax.numpy as jnp

        start, responses = held_out.targets, outputs + held_out.targets
        gold = self.gold(world, responses) - self.gold(world, start)
        proxy = self.proxy(world, responses) - self.proxy(world, start)
        return {
            "gold": jnp.mean(gold),
            "gold s.e.": jnp.std(gold) / len(gold) ** 0.5,
            "proxy": jnp.mean(proxy),
            "kl": jnp.mean(jnp.sum(jnp.square(outputs), axis=-1)) / 2,
        }
