"""Prompts of examples of a linear task, which is to be found out from the prompt alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np

from scaling.data.stream import MOST_EXAMPLES, Examples, StreamSource, World
from scaling.fields import Argument, Count, Range
from scaling.keys import rng_for

if TYPE_CHECKING:
    from jax import Array

TASKS_AT_ONCE = 64
"""Tasks that the discrete Bayes estimate weighs at once."""

LEAST_NOISE = 0.01
"""Below it the likelihoods of the discrete Bayes estimate leave single precision."""


@dataclass(frozen=True, kw_only=True)
class LinearTasks(StreamSource):
    """Prompts (x_1, y_1), ..., (x_K, y_K) with y = w x + noise, and a task w a prompt.

    Inputs x and tasks w are standard normal vectors. The seed draws `tasks` tasks, and each prompt
    one of them; `MOST_EXAMPLES` tasks are a new one for every prompt (Raventos et al. 2023, arXiv
    2306.15063, section 2). The k-th target y_k is asked for given the examples before it and x_k.
    An input is K tokens, one after the other, the k-th of which is (x_(k-1), y_(k-1), x_k), and
    zeros for what comes before the first example. No token from the first to the k-th holds y_k.

    Held-out prompts are `prompts` of the tasks that are trained on, which alone count in the
    held-out loss, followed by `prompts` of new tasks. Measured on both, by the examples k before
    the answer, are the mean squared error of the model, of the Bayes estimate for all tasks
    ("ridge") and of the one for the tasks trained on ("discrete"), and the mean squared distance of
    the model from either: "own squared error model 3", "new squared distance ridge 0".

    Attributes:
        tasks: Number of tasks to train on, M.
        dimension: Size of x and w.
        length: Examples in a prompt, K.
        noise: Standard deviation of the noise.
        prompts: Held-out prompts on tasks that are trained on, and as many on new ones.
    """

    kind: ClassVar[str] = "linear_tasks"
    n_train: Annotated[Count, Argument(1)] = MOST_EXAMPLES
    tasks: Annotated[int, Range(low=1, high=MOST_EXAMPLES), Argument(1)] = MOST_EXAMPLES
    dimension: Count = 4
    length: Annotated[int, Range(low=2)] = 12
    noise: Annotated[float, Range(low=LEAST_NOISE)] = 0.5
    prompts: Count = 512

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n_train < self.tasks < MOST_EXAMPLES:
            raise ValueError(
                f"linear_tasks.tasks = {self.tasks} exceeds the n_train = {self.n_train} prompts "
                "that they come in: give fewer tasks, or more prompts"
            )

    @property
    def n_inputs(self) -> int:
        """Size of an input: all tokens."""
        return self.length * (2 * self.dimension + 1)

    @property
    def n_outputs(self) -> int:
        """Size of an output: an answer a token."""
        return self.length

    @property
    def n_eval(self) -> int:
        """Held-out prompts."""
        return 2 * self.prompts

    def fingerprint(self) -> str:
        """Name and version of the draws."""
        return "linear_tasks/1"

    def world(self, seed: int) -> World:
        """The number of tasks, and what each is drawn from, with its own number."""
        root = rng_for(seed, "tasks").integers(0, 2**31, dtype=np.int32)
        return {"n_tasks": np.uint32(self.tasks), "root": root}

    def example(self, world: World, key: Array) -> tuple[Array, Array]:
        """A prompt of a task that is trained on, and its targets."""
        import jax
        import jax.numpy as jnp

        which, rest = jax.random.split(key)
        number = jax.random.randint(which, (), 0, world["n_tasks"], jnp.uint32)
        return self._prompt(self.task(world, number), rest)

    def held_out(self, world: World, key: Array) -> Examples:
        """Prompts of tasks that are trained on, then of new ones, which weigh nothing."""
        import jax
        import jax.numpy as jnp

        def new(number: Array) -> tuple[Array, Array]:
            task, rest = jax.random.split(jax.random.fold_in(key, number))
            return self._prompt(jax.random.normal(task, (self.dimension,)), rest)

        own = self.drawn(world, key, jnp.arange(self.prompts))
        inputs, targets = jax.vmap(new)(jnp.arange(self.prompts, self.n_eval))
        return Examples(
            jnp.concatenate([own.inputs, inputs]),
            jnp.concatenate([own.targets, targets]),
            jnp.concatenate([own.weights, jnp.zeros_like(own.weights)]),
        )

    def measures(self, world: World, held_out: Examples, outputs: Array) -> dict[str, Array]:
        """Errors of the model and both estimates after k examples, and how far apart they are."""
        import jax.numpy as jnp

        y = held_out.targets
        x = held_out.inputs.reshape(len(y), self.length, -1)[..., self.dimension + 1 :]
        ridge, discrete = self.ridge(x, y), self.discrete(world, x, y)
        differences = {
            "squared error model": outputs - y,
            "squared error ridge": ridge - y,
            "squared error discrete": discrete - y,
            "squared distance ridge": outputs - ridge,
            "squared distance discrete": outputs - discrete,
        }
        return {
            f"{part} {name} {k}": mean
            for name, difference in differences.items()
            for part, rows in zip(("own", "new"), jnp.split(difference, 2), strict=True)
            for k, mean in enumerate(jnp.mean(jnp.square(rows), axis=0))
        }

    def ridge(self, x: Array, y: Array) -> Array:
        """Answers (n, K) of ridge regression on the examples before each, of ridge noise^2.

        They are the posterior means where every task is new.
        """
        import jax.numpy as jnp

        # The k-th sum is over the examples before the k-th.
        squares = jnp.cumsum(x[..., :, None] * x[..., None, :], axis=1)
        products = jnp.cumsum(x * y[..., None], axis=1)
        before = [jnp.pad(s, ((0, 0), (1, 0), *((0, 0),) * (s.ndim - 2)))[:, :-1]
                  for s in (squares, products)]  # fmt: skip
        inverse_prior = self.noise**2 * jnp.eye(self.dimension)[None, None]
        tasks = jnp.linalg.solve(before[0] + inverse_prior, before[1][..., None])[..., 0]
        return jnp.sum(x * tasks, axis=-1)

    def discrete(self, world: World, x: Array, y: Array) -> Array:
        """Posterior means (n, K) of the answers where the tasks are those that are trained on.

        With a new task for every prompt it is ridge regression.
        """
        import jax
        import jax.numpy as jnp

        n_tasks = world["n_tasks"]

        def more(i: Array, sums: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
            most, chance, answer = sums
            numbers = i.astype(jnp.uint32) * TASKS_AT_ONCE + jnp.arange(
                TASKS_AT_ONCE, dtype=jnp.uint32
            )
            guesses = x @ jax.vmap(lambda number: self.task(world, number))(numbers).T
            fits = -jnp.square(y[..., None] - guesses) / (2 * self.noise**2)
            log_chance = jnp.cumsum(fits, axis=1) - fits  # of the examples before
            log_chance = jnp.where(numbers[None, None] < n_tasks, log_chance, -jnp.inf)
            largest = jnp.maximum(most, jnp.max(log_chance, axis=-1))
            chances = jnp.exp(log_chance - largest[..., None])
            old = jnp.exp(most - largest)
            return (
                largest,
                old * chance + jnp.sum(chances, axis=-1),
                old * answer + jnp.sum(chances * guesses, axis=-1),
            )

        every = n_tasks == jnp.uint32(MOST_EXAMPLES)
        n_parts = jnp.where(every, 0, (n_tasks - 1) // TASKS_AT_ONCE + 1).astype(jnp.int32)
        start = (jnp.full_like(y, -jnp.inf), jnp.zeros_like(y), jnp.zeros_like(y))
        _, chance, answer = jax.lax.fori_loop(0, n_parts, more, start)
        return jnp.where(every, self.ridge(x, y), answer / jnp.where(every, 1.0, chance))

    def task(self, world: World, number: Array) -> Array:
        """The task of a number, w, shape (dimension,)."""
        import jax

        root = jax.random.key(world["root"])
        return jax.random.normal(jax.random.fold_in(root, number), (self.dimension,))

    def _prompt(self, task: Array, key: Array) -> tuple[Array, Array]:
        import jax
        import jax.numpy as jnp

        draws = jax.random.normal(key, (self.length, self.dimension + 1))
        x, noise = draws[:, :-1], draws[:, -1]
        y = x @ task + self.noise * noise
        example = jnp.concatenate([x, y[:, None]], axis=1)
        before = jnp.pad(example, ((1, 0), (0, 0)))[:-1]
        return jnp.concatenate([before, x], axis=1).reshape(-1), y
