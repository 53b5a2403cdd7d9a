"""Inputs on a sphere: the problem for which random features are solved in closed form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float

from scaling.data.dataset import Dataset
from scaling.fields import Checked, Count, NonNegative
from scaling.keys import rng_for


@dataclass(frozen=True, kw_only=True)
class SphereTeacher(Checked):
    """Regression on inputs uniform on the sphere of radius sqrt(dimension).

    The target is linear, x'beta with |beta|^2 = linear_power, plus a random quadratic form of power
    nonlinear_power that no linear function sees, plus noise: the setting of Mei & Montanari (arXiv
    1908.05355, section 2), whose F_1^2, F_*^2 and tau^2 these are. Targets of the held-out examples
    are noisy as well.
    """

    kind: ClassVar[str] = "sphere"
    n_train: Count
    dimension: Count
    linear_power: NonNegative = 1.0
    nonlinear_power: NonNegative = 0.0
    noise_variance: NonNegative = 0.0
    n_eval: Count = 1000

    n_outputs: ClassVar[int] = 1
    n_classes: ClassVar[int | None] = None

    @property
    def n_inputs(self) -> int:
        """Coordinates of an input."""
        return self.dimension

    def fingerprint(self) -> str:
        """Name and version of the generator: raised whenever the same seed draws other data."""
        return "sphere/1"

    def load(self, seed: int) -> Dataset:
        """The data of one run; at one seed a smaller training set begins a larger one."""
        rng = rng_for(seed, "teacher")
        direction = rng.standard_normal(self.dimension)
        coefficients = direction * np.sqrt(self.linear_power) / np.linalg.norm(direction)
        form = self._form(rng) if self.nonlinear_power else None

        def draw(n: int, stream: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
            normal = rng_for(seed, stream).standard_normal((n, self.dimension))
            norms = np.linalg.norm(normal, axis=1, keepdims=True)
            inputs = normal * (np.sqrt(self.dimension) / norms)
            clean = inputs @ coefficients
            if form is not None:
                clean += np.sum((inputs @ form) * inputs, axis=1)
            noise = rng_for(seed, f"{stream}_noise").standard_normal(n)
            return inputs, clean, clean + np.sqrt(self.noise_variance) * noise

        train_inputs, train_clean, train_targets = draw(self.n_train, "data")
        eval_inputs, _, eval_targets = draw(self.n_eval, "eval")
        return Dataset(train_inputs, train_targets, train_clean, eval_inputs, eval_targets)

    def _form(self, rng: np.random.Generator) -> Float[np.ndarray, "dimension dimension"]:
        """A random symmetric form of trace 0, scaled to its power on the sphere.

        There E (x'Ax)^2 = 2 d |A|_F^2 / (d + 2) for a form A without trace.
        """
        d = self.dimension
        drawn = rng.standard_normal((d, d))
        form = (drawn + drawn.T) / 2
        form -= np.trace(form) / d * np.eye(d)
        power = 2 * d * np.sum(form**2) / (d + 2)
        return form * np.sqrt(self.nonlinear_power / power) if power > 0 else form
