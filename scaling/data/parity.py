"""Sparse parity: the product of a few of many random signs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, ClassVar

import numpy as np

from scaling.data.dataset import Dataset
from scaling.data.label_noise import LabelNoise, corrupt
from scaling.fields import Checked, Count, Range
from scaling.keys import rng_for


@dataclass(frozen=True, kw_only=True)
class SparseParity(Checked):
    """Signs -1 and 1, uniform and independent; the parity of a few of them is the class.

    The class is 1 where an odd number of the first `n_relevant` of `n_bits` signs are -1 (Barak et
    al. 2022, arXiv 2207.08799). Which signs count does not matter to a network whose weights are
    drawn alike for all. Held-out examples have their own stream, and do not depend on `n_train`.
    """

    kind: ClassVar[str] = "sparse_parity"
    n_train: Count
    n_bits: Annotated[int, Range(low=1, high=10_000)] = 40
    n_relevant: Count = 3
    n_eval: Count = 2000
    label_noise: LabelNoise = field(default_factory=LabelNoise)

    n_outputs: ClassVar[int] = 2
    n_classes: ClassVar[int | None] = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n_relevant > self.n_bits:
            raise ValueError(
                f"sparse_parity.n_relevant = {self.n_relevant} exceeds n_bits = {self.n_bits}: "
                "give fewer, or more n_bits"
            )

    @property
    def n_inputs(self) -> int:
        """Size of an input."""
        return self.n_bits

    def fingerprint(self) -> str:
        """Name and version of the draws."""
        return "sparse_parity/1"

    def load(self, seed: int) -> Dataset:
        """The examples of one run; at one seed a smaller training set begins a larger one."""
        signs, classes = self._drawn(self.n_train, rng_for(seed, "data"))
        held_out = self._drawn(self.n_eval, rng_for(seed, "data_eval"))
        noisy = corrupt(classes, self.label_noise, 2, rng_for(seed, "label_noise"))
        return Dataset(signs, noisy, classes, *held_out)

    def _drawn(self, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        signs = np.where(rng.random((n, self.n_bits)) < 0.5, -1.0, 1.0)
        return signs, np.sum(signs[:, : self.n_relevant] < 0, axis=1) % 2
