"""Modular arithmetic: all pairs of residues and the result of an operation; part is trained on.

The task of grokking (Power et al. 2022, arXiv 2201.02177): a network first learns its training
pairs by heart, and the rule much later.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np

from scaling.data.dataset import Dataset, split
from scaling.fields import Checked, Range
from scaling.keys import rng_for

Operation = Literal["add", "subtract", "multiply", "divide"]

_RESULTS: dict[Operation, Callable[[np.ndarray, np.ndarray, int], np.ndarray]] = {
    "add": lambda a, b, p: (a + b) % p,
    "subtract": lambda a, b, p: (a - b) % p,
    "multiply": lambda a, b, p: a * b % p,
    "divide": lambda a, b, p: a * _inverses(p)[b] % p,
}

MOST = 512
"""Largest modulus: the one-hot pairs of one larger would not fit into memory."""


@dataclass(frozen=True, kw_only=True)
class ModularArithmetic(Checked):
    """Pairs (a, b) of residues with the class a o b mod `modulus`, every pair once.

    A pair is two one-hot vectors, one after the other. A run's seed draws the share `fraction` of
    all pairs to train on; all others are held out. Division, by b = 1, 2, ..., needs a prime.
    """

    kind: ClassVar[str] = "modular_arithmetic"
    modulus: Annotated[int, Range(low=2, high=MOST)]
    operation: Operation = "add"
    fraction: Annotated[float, Range(low=0, high=1, low_excluded=True, high_excluded=True)] = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.operation == "divide" and not _is_prime(self.modulus):
            raise ValueError(
                f"modular_arithmetic.modulus = {self.modulus} is no prime, and division needs one: "
                "give a prime, or another operation"
            )
        if not 0 < self.n_train < self._n_pairs:
            raise ValueError(
                f"modular_arithmetic.fraction = {self.fraction:g} of {self._n_pairs} pairs leaves "
                f"{self.n_train} to train on and {self.n_eval} held out: give a fraction that "
                "leaves at least one of each"
            )

    @property
    def _n_pairs(self) -> int:
        return self.modulus * (self.modulus - (self.operation == "divide"))

    @property
    def n_train(self) -> int:
        """Pairs trained on."""
        return round(self.fraction * self._n_pairs)

    @property
    def n_eval(self) -> int:
        """Pairs held out: all others."""
        return self._n_pairs - self.n_train

    @property
    def n_inputs(self) -> int:
        """Size of an input: two one-hot vectors."""
        return 2 * self.modulus

    @property
    def n_outputs(self) -> int:
        """Size of an output: one number a residue."""
        return self.modulus

    @property
    def n_classes(self) -> int | None:
        """Number of classes: the residues."""
        return self.modulus

    def fingerprint(self) -> str:
        """Name and version of the draws."""
        return "modular_arithmetic/1"

    def load(self, seed: int) -> Dataset:
        """The pairs of one run."""
        p = self.modulus
        order = rng_for(seed, "data").permutation(self._n_pairs)
        a, b = order % p, order // p + (self.operation == "divide")
        inputs = np.concatenate([np.eye(p)[a], np.eye(p)[b]], axis=1)
        results = _RESULTS[self.operation](a, b, p)
        return split(inputs, results, self.n_train)


def _is_prime(p: int) -> bool:
    return p > 1 and all(p % d for d in range(2, int(p**0.5) + 1))


def _inverses(p: int) -> np.ndarray:
    """The inverse of each residue modulo a prime; 0 for 0, which has none."""
    return np.array([0, *(pow(b, -1, p) for b in range(1, p))])
