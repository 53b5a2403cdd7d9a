"""Many sparse parities at once, some asked for often and most seldom."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from jaxtyping import Float

from scaling.data.stream import MOST_EXAMPLES, Examples, StreamSource, World
from scaling.fields import Argument, Count, Positive, Range
from scaling.keys import rng_for

if TYPE_CHECKING:
    from jax import Array


@dataclass(frozen=True, kw_only=True)
class ParityTasks(StreamSource):
    """Signs, and which parity of them is asked for (Michaud et al. 2023, arXiv 2303.13506).

    An input is the number of a task, as a one-hot vector, followed by `bits` random signs. The
    class is 1 where an odd number of the task's own `sparse` signs are -1. Task k, from 1, is asked
    for with probability p_k ~ k^-(1 + exponent). Which signs count for a task, the seed decides.

    Held-out examples are `per_task` of every task; in means they weigh as the task's probability.

    Attributes:
        tasks: Number of tasks.
        bits: Number of signs.
        sparse: Signs that count for a task.
        exponent: Decay of the tasks' probabilities beyond 1.
        per_task: Held-out examples of a task.
    """

    kind: ClassVar[str] = "parity_tasks"
    n_train: Annotated[Count, Argument(1)] = MOST_EXAMPLES
    tasks: Count = 64
    bits: Annotated[int, Range(low=1, high=32)] = 32
    sparse: Count = 3
    exponent: Positive = 0.4
    per_task: Count = 64

    n_classes: ClassVar[int | None] = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.sparse > self.bits:
            raise ValueError(
                f"parity_tasks.sparse = {self.sparse} exceeds bits = {self.bits}: give fewer, or "
                "more bits"
            )

    @property
    def n_inputs(self) -> int:
        """Size of an input."""
        return self.tasks + self.bits

    @property
    def n_outputs(self) -> int:
        """Size of an output: a logit a class."""
        return 2

    @property
    def n_eval(self) -> int:
        """Held-out examples."""
        return self.tasks * self.per_task

    @property
    def probabilities(self) -> Float[np.ndarray, " tasks"]:
        """Probability of each task."""
        weights = np.arange(1.0, self.tasks + 1) ** -(1 + self.exponent)
        return weights / weights.sum()

    def fingerprint(self) -> str:
        """Name and version of the draws."""
        return "parity_tasks/1"

    def world(self, seed: int) -> World:
        """Which signs count for each task, and the cumulative probabilities of the tasks."""
        rng = rng_for(seed, "tasks")
        counts = np.zeros((self.tasks, self.bits), np.float32)
        for row in counts:
            row[rng.choice(self.bits, self.sparse, replace=False)] = 1
        return {"counts": counts, "cumulative": np.cumsum(self.probabilities).astype(np.float32)}

    def example(self, world: World, key: Array) -> tuple[Array, Array]:
        """One example of a task drawn by its probability."""
        import jax
        import jax.numpy as jnp

        which, signs = jax.random.split(key)
        task = jnp.searchsorted(world["cumulative"], jax.random.uniform(which), side="right")
        return self._of_task(world, signs, jnp.minimum(task, self.tasks - 1))

    def held_out(self, world: World, key: Array) -> Examples:
        """`per_task` examples of each task, one task after another."""
        import jax
        import jax.numpy as jnp

        def one(number: Array) -> tuple[Array, Array]:
            return self._of_task(world, jax.random.fold_in(key, number), number // self.per_task)

        inputs, targets = jax.vmap(one)(jnp.arange(self.n_eval))
        shares = np.repeat(self.probabilities / self.per_task, self.per_task)
        return Examples(inputs, targets, jnp.asarray(shares, jnp.float32))

    def measures(self, world: World, held_out: Examples, outputs: Array) -> dict[str, Array]:
        """Mean loss of each task, in nats, and the mean probability of the right answer."""
        import jax
        import jax.numpy as jnp

        log_chance = jax.nn.log_softmax(outputs)
        right = jnp.take_along_axis(log_chance, held_out.targets[:, None], axis=1)[:, 0]
        of_task = -jnp.mean(right.reshape(self.tasks, self.per_task), axis=1)
        named = {f"task {k + 1}": loss for k, loss in enumerate(of_task)}
        return named | {"likelihood": jnp.sum(held_out.weights * jnp.exp(right))}

    def _of_task(self, world: World, key: Array, task: Array) -> tuple[Array, Array]:
        import jax
        import jax.numpy as jnp

        word = jax.random.bits(key, dtype=jnp.uint32)
        odd = (word >> jnp.arange(self.bits, dtype=jnp.uint32)) & 1
        target = jnp.sum(odd * world["counts"][task]).astype(jnp.int32) % 2
        signs = 1 - 2 * odd.astype(jnp.float32)
        return jnp.concatenate([jax.nn.one_hot(task, self.tasks), signs]), target
