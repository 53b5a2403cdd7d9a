"""Gaussian inputs with a linear teacher: the problem on which double descent is solved exactly."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, ClassVar

import numpy as np
from jaxtyping import Float

from scaling.data.dataset import Dataset, LinearTeacher
from scaling.fields import Checked, Count, NonNegative, Positive, Range
from scaling.keys import rng_for

Exponent = Annotated[float, Range(low=0, high=10)]


@dataclass(frozen=True, kw_only=True)
class Isotropic(Checked):
    """Inputs N(0, I); coefficients uniform on the sphere of squared radius `signal_power`.

    (Hastie et al., arXiv 1903.08560, section 3; signal_power is their r^2.)
    """

    kind: ClassVar[str] = "isotropic"
    signal_power: Positive = 1.0

    def eigenvalues(self, dimension: int) -> Float[np.ndarray, " dimension"]:
        """Variances of the input's coordinates."""
        return np.ones(dimension)

    def coefficients(
        self, dimension: int, rng: np.random.Generator
    ) -> Float[np.ndarray, " dimension"]:
        """The teacher's weights."""
        direction = rng.standard_normal(dimension)
        return direction * (np.sqrt(self.signal_power) / np.linalg.norm(direction))


@dataclass(frozen=True, kw_only=True)
class PowerLaw(Checked):
    """Power-law spectrum and target, for i = 1, 2, ..., dimension.

    Eigenvalues l_i = i^-eigenvalue_exponent; target power l_i beta_i^2 = i^-target_exponent, the
    signs of beta_i random: the capacity and source conditions of Cui et al., arXiv 2105.15004.
    """

    kind: ClassVar[str] = "power_law"
    eigenvalue_exponent: Exponent
    target_exponent: Exponent

    def eigenvalues(self, dimension: int) -> Float[np.ndarray, " dimension"]:
        """Variances of the input's coordinates."""
        return _powers(dimension, -self.eigenvalue_exponent)

    def coefficients(
        self, dimension: int, rng: np.random.Generator
    ) -> Float[np.ndarray, " dimension"]:
        """The teacher's weights."""
        signs = np.where(rng.random(dimension) < 0.5, -1.0, 1.0)
        return signs * _powers(dimension, (self.eigenvalue_exponent - self.target_exponent) / 2)


@dataclass(frozen=True, kw_only=True)
class TwoScales(Checked):
    """Two groups of coordinates, fast and slow, with the same power of the target on each.

    The first `n_fast` coordinates have variance 1, the others 1 / condition_number^2: the flow
    learns them later by that factor. Target power is signal_power / dimension on every coordinate,
    the signs of the coefficients random (Pezeshki et al., arXiv 2112.03215, section 2, whose
    modulation matrix has this condition number).
    """

    kind: ClassVar[str] = "two_scales"
    n_fast: Count
    condition_number: Annotated[float, Range(low=1)]
    signal_power: Positive = 1.0

    def eigenvalues(self, dimension: int) -> Float[np.ndarray, " dimension"]:
        """Variances of the input's coordinates."""
        fast = np.arange(dimension) < self.n_fast
        return np.where(fast, 1.0, self.condition_number**-2.0)

    def coefficients(
        self, dimension: int, rng: np.random.Generator
    ) -> Float[np.ndarray, " dimension"]:
        """The teacher's weights."""
        signs = np.where(rng.random(dimension) < 0.5, -1.0, 1.0)
        return signs * np.sqrt(self.signal_power / dimension / self.eigenvalues(dimension))


@dataclass(frozen=True, kw_only=True)
class GaussianTeacher(Checked):
    """Linear regression: y = x'beta + N(0, noise_variance), x ~ N(0, diag(eigenvalues)).

    The risk of a linear model follows exactly from the teacher, so there are no held-out examples
    unless `n_eval` asks for some; their targets are noisy like those of the training set. A
    `Linear` model with fewer features than `dimension` is misspecified.
    """

    kind: ClassVar[str] = "gaussian"
    n_train: Count
    dimension: Count
    noise_variance: NonNegative = 0.0
    spectrum: Isotropic | PowerLaw | TwoScales = field(default_factory=Isotropic)
    n_eval: Annotated[int, Range(low=0)] = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.spectrum, TwoScales) and self.spectrum.n_fast >= self.dimension:
            raise ValueError(
                f"two_scales.n_fast = {self.spectrum.n_fast} leaves no slow coordinate of "
                f"dimension = {self.dimension}: give fewer, or more dimensions"
            )

    n_outputs: ClassVar[int] = 1
    n_classes: ClassVar[int | None] = None

    @property
    def n_inputs(self) -> int:
        """Coordinates of an input."""
        return self.dimension

    def fingerprint(self) -> str:
        """Name and version of the generator: raised whenever the same seed draws other data."""
        return "gaussian/1"

    def load(self, seed: int) -> Dataset:
        """The data of one run.

        Teacher, training and held-out examples are streams of their own, and inputs are drawn
        example by example: at one seed a smaller training set is the beginning of a larger one.
        """
        eigenvalues = self.spectrum.eigenvalues(self.dimension)
        coefficients = self.spectrum.coefficients(self.dimension, rng_for(seed, "teacher"))

        def draw(n: int, stream: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
            inputs = rng_for(seed, stream).standard_normal((n, self.dimension))
            inputs *= np.sqrt(eigenvalues)
            clean = inputs @ coefficients
            noise = rng_for(seed, f"{stream}_noise").standard_normal(n)
            return inputs, clean, clean + np.sqrt(self.noise_variance) * noise

        train_inputs, train_clean, train_targets = draw(self.n_train, "data")
        eval_inputs, _, eval_targets = draw(self.n_eval, "eval")
        teacher = LinearTeacher(coefficients, eigenvalues, self.noise_variance)
        return Dataset(train_inputs, train_targets, train_clean, eval_inputs, eval_targets, teacher)


def _powers(dimension: int, exponent: float) -> Float[np.ndarray, " dimension"]:
    return np.arange(1, dimension + 1, dtype=np.float64) ** exponent
