"""Random features of power-law data, as a Gaussian regression problem in their own axes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from jaxtyping import Float

from scaling.data.dataset import Dataset, LinearTeacher
from scaling.fields import Checked, Count, Range
from scaling.keys import rng_for

Exponent = Annotated[float, Range(low=0, high=10)]


@dataclass(frozen=True, kw_only=True)
class PowerLawFeatures(Checked):
    """Features W'x of inputs x_j = j^-a z_j with target sum_j j^-b x_j, z standard normal.

    W has independent entries N(0, 1 / dimension) and is the same in runs of one `draw`, whatever
    their seed, which draws the examples. The features are given
    in the axes of their covariance, where they are independent: rotations change nothing of least
    squares or of descent from zero. What they cannot express of the target is noise, Gaussian and
    independent of them. The risk of a linear model follows exactly from the teacher, so there are
    no held-out examples (Paquette et al., arXiv 2405.15074, section 1).
    """

    kind: ClassVar[str] = "power_law_features"
    n_train: Count
    dimension: Count
    n_modes: Count
    data_exponent: Exponent
    target_exponent: Exponent
    draw: Annotated[int, Range(low=0)] = 0

    n_eval: ClassVar[int] = 0
    n_outputs: ClassVar[int] = 1
    n_classes: ClassVar[int | None] = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.dimension > self.n_modes:
            raise ValueError(
                f"power_law_features.dimension = {self.dimension} exceeds n_modes = "
                f"{self.n_modes}: give as many modes, or more"
            )

    @property
    def n_inputs(self) -> int:
        """Features."""
        return self.dimension

    def fingerprint(self) -> str:
        """Name and version of the generator: raised whenever the same seed draws other data."""
        return "power_law_features/1"

    def features(self) -> Float[np.ndarray, "modes d"]:
        """The matrix W."""
        shape = (self.n_modes, self.dimension)
        return rng_for(self.draw, "features").standard_normal(shape) / np.sqrt(self.dimension)

    def load(self, seed: int) -> Dataset:
        """The data of one run; a smaller training set is the beginning of a larger one."""
        j = np.arange(1, self.n_modes + 1, dtype=np.float64)
        scales, power = (
            j**-self.data_exponent,
            j ** (-2 * (self.data_exponent + self.target_exponent)),
        )
        seen = scales[:, None] * self.features()
        left, singular, _ = np.linalg.svd(seen, full_matrices=False)
        along = left.T @ np.sqrt(power)
        floor = max(float(power.sum() - along @ along), 0.0)
        coefficients = along / singular
        inputs = rng_for(seed, "data").standard_normal((self.n_train, self.dimension)) * singular
        noise = rng_for(seed, "data_noise").standard_normal(self.n_train)
        targets = inputs @ coefficients + np.sqrt(floor) * noise
        return Dataset(
            train_inputs=inputs,
            train_targets=targets,
            train_targets_clean=targets,
            eval_inputs=np.empty((0, self.dimension)),
            eval_targets=np.empty(0),
            teacher=LinearTeacher(coefficients, singular**2, floor),
        )
