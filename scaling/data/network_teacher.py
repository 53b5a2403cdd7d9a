"""Regression on the outputs of a random network: a teacher on a smooth manifold."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from jaxtyping import Float

from scaling.data.dataset import Dataset
from scaling.fields import Checked, Count, NonNegative
from scaling.keys import rng_for

N_STANDARD = 4096
"""Inputs over which the outputs of a teacher are made standard."""


@dataclass(frozen=True, kw_only=True)
class NetworkTeacher(Checked):
    """Inputs on a manifold of `dimension`, and what a random network makes of their coordinates.

    The network has `depth` hidden layers of `width` units, all weights normal with variance 1 /
    fan-in and all biases standard normal. Its outputs, shifted and scaled to mean 0 and variance 1
    over inputs, are the targets (the setting of Bahri et al., arXiv 2102.06701, and of Sharma &
    Kaplan, arXiv 2004.10802). A run's seed draws the network as well as the examples. Targets of
    the held-out examples have no noise.

    Attributes:
        dimension: d, the coordinates on the manifold, independent and of variance 1.
        distribution: Of each coordinate.
        activation: Of the teacher; its target is smooth with "tanh", and has kinks with "relu".
        embedding: Numbers of an input, into which the coordinates are mapped by a random isometry;
            without it an input is the coordinates themselves.
    """

    kind: ClassVar[str] = "network_teacher"
    n_train: Count
    dimension: Count
    distribution: Literal["uniform", "normal"] = "uniform"
    activation: Literal["tanh", "relu"] = "tanh"
    width: Count = 32
    depth: Count = 2
    embedding: Count | None = None
    noise_variance: NonNegative = 0.0
    n_eval: Count = 2000

    n_outputs: ClassVar[int] = 1
    n_classes: ClassVar[int | None] = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.embedding is not None and self.embedding < self.dimension:
            raise ValueError(
                f"network_teacher.embedding = {self.embedding} is less than dimension = "
                f"{self.dimension}: give as many numbers, or more"
            )

    @property
    def n_inputs(self) -> int:
        """Numbers of an input."""
        return self.embedding or self.dimension

    def fingerprint(self) -> str:
        """Name and version of the generator: raised whenever the same seed draws other data."""
        return "network_teacher/1"

    def load(self, seed: int) -> Dataset:
        """The data of one run; at one seed a smaller training set is the beginning of a larger."""
        layers = self._layers(rng_for(seed, "teacher"))
        standard = self._outputs(layers, self._coordinates(N_STANDARD, seed, "standard"))
        place = self._isometry(rng_for(seed, "embedding"))

        def draw(n: int, stream: str) -> tuple[np.ndarray, np.ndarray]:
            coordinates = self._coordinates(n, seed, stream)
            outputs = self._outputs(layers, coordinates)
            inputs = coordinates if place is None else coordinates @ place
            return inputs, (outputs - standard.mean()) / standard.std()

        train_inputs, train_clean = draw(self.n_train, "data")
        eval_inputs, eval_targets = draw(self.n_eval, "eval")
        noise = rng_for(seed, "data_noise").standard_normal(self.n_train)
        return Dataset(
            train_inputs=train_inputs,
            train_targets=train_clean + np.sqrt(self.noise_variance) * noise,
            train_targets_clean=train_clean,
            eval_inputs=eval_inputs,
            eval_targets=eval_targets,
        )

    def _coordinates(self, n: int, seed: int, stream: str) -> Float[np.ndarray, "n dimension"]:
        rng, shape = rng_for(seed, stream), (n, self.dimension)
        if self.distribution == "normal":
            return rng.standard_normal(shape)
        return rng.uniform(-np.sqrt(3), np.sqrt(3), shape)

    def _layers(self, rng: np.random.Generator) -> list[tuple[np.ndarray, np.ndarray]]:
        """Weights and biases of the teacher, layer by layer."""
        sizes = [self.dimension, *[self.width] * self.depth, 1]
        return [
            (rng.standard_normal((fan_in, out)) / np.sqrt(fan_in), rng.standard_normal(out))
            for fan_in, out in itertools.pairwise(sizes)
        ]

    def _outputs(
        self, layers: list[tuple[np.ndarray, np.ndarray]], coordinates: Float[np.ndarray, "n d"]
    ) -> Float[np.ndarray, " n"]:
        *hidden, (weights, biases) = layers
        values = coordinates
        for each in hidden:
            before = values @ each[0] + each[1]
            values = np.tanh(before) if self.activation == "tanh" else np.maximum(before, 0)
        return (values @ weights + biases)[:, 0]

    def _isometry(self, rng: np.random.Generator) -> Float[np.ndarray, "d n"] | None:
        """Orthonormal rows, uniform among all; None where inputs are the coordinates."""
        if self.embedding is None:
            return None
        columns, upper = np.linalg.qr(rng.standard_normal((self.embedding, self.dimension)))
        return (columns * np.sign(np.diag(upper))).T
