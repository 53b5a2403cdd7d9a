"""Streams of examples: each is drawn on the device from its number, and none is stored.

Example number k of a run is a function of the run's seed and k alone, so that a stream is read in
any order and resumes anywhere. A training set is the beginning of the stream.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from scaling.data.permutation import in_order
from scaling.fields import Checked, Count
from scaling.keys import key_for

if TYPE_CHECKING:
    from jax import Array

World = Mapping[str, Any]
"""Arrays that all examples of a run have in common, by name; drawn once from its seed."""

MOST_EXAMPLES = 2**32 - 1
"""Examples of a stream: their numbers are 32 bits on the device."""


class Examples(NamedTuple):
    """Examples on the device.

    Attributes:
        inputs: Inputs, shape (n, n_inputs).
        targets: Classes, shape (n,), or numbers, shape (n, n_outputs).
        weights: Share of each in a mean, shape (n,); they sum to 1.
    """

    inputs: Float[Array, "n inputs"]
    targets: Array
    weights: Float[Array, " n"]


@dataclass(frozen=True, kw_only=True)
class StreamSource(Checked, ABC):
    """A base of sources of endless examples.

    Attributes:
        n_train: Examples of the training set, the first of the stream, which a run goes through
            again and again. `MOST_EXAMPLES` is all of the stream: no example comes twice.
        n_classes: Number of classes; None where targets are numbers.
    """

    kind: ClassVar[str]
    n_classes: ClassVar[int | None] = None
    n_train: Count

    @property
    @abstractmethod
    def n_inputs(self) -> int:
        """Size of an input."""

    @property
    @abstractmethod
    def n_outputs(self) -> int:
        """Size of an output."""

    @property
    @abstractmethod
    def n_eval(self) -> int:
        """Held-out examples, from a stream of their own."""

    @abstractmethod
    def fingerprint(self) -> str:
        """Name and version of the draws."""

    def world(self, seed: int) -> World:
        """What all examples of a run have in common; here, nothing."""
        return {}

    @abstractmethod
    def example(self, world: World, key: Array) -> tuple[Array, Array]:
        """The input, shape (n_inputs,), and the target that a key draws, traced by JAX."""

    def held_out(self, world: World, key: Array) -> Examples:
        """The held-out examples, traced by JAX; here drawn as those that are trained on."""
        import jax.numpy as jnp

        return self.drawn(world, key, jnp.arange(self.n_eval))

    def measures(self, world: World, held_out: Examples, outputs: Array) -> dict[str, Array]:
        """Further numbers to measure on the held-out examples, by name; here, none."""
        return {}

    def drawn(self, world: World, key: Array, numbers: Int[Array, " n"]) -> Examples:
        """The examples of these numbers, traced by JAX."""
        import jax
        import jax.numpy as jnp

        def one(number: Array) -> tuple[Array, Array]:
            return self.example(world, jax.random.fold_in(key, number))

        inputs, targets = jax.vmap(one)(numbers)
        return Examples(inputs, targets, jnp.full(len(numbers), 1 / len(numbers)))

    def load(self, seed: int) -> Stream:
        """The stream of one run."""
        return Stream(self, seed)


@dataclass(frozen=True)
class Stream:
    """The examples of one run."""

    source: StreamSource
    seed: int

    @property
    def world(self) -> World:
        """What all examples have in common, on the device."""
        import jax
        import jax.numpy as jnp

        return jax.tree.map(jnp.asarray, self.source.world(self.seed))

    @property
    def key(self) -> Array:
        """Key of the examples that are trained on."""
        return key_for(self.seed, "data")

    @property
    def eval_key(self) -> Array:
        """Key of the held-out examples."""
        return key_for(self.seed, "data_eval")

    def numbers(self, first: int, count: int) -> Int[np.ndarray, " count"]:
        """Numbers of the examples that a run takes at places `first` to `first + count`."""
        places = np.arange(first, first + count)
        n_train = self.source.n_train
        return places if n_train == MOST_EXAMPLES else in_order(self.seed, places, n_train)

    def examples(self, first: int, count: int) -> Examples:
        """The examples at those places."""
        import jax

        numbers = self.numbers(first, count).astype(np.uint32)
        return jax.jit(self.source.drawn)(self.world, self.key, numbers)
