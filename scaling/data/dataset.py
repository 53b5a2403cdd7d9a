"""Dataset: what sources of examples load. Arrays on the host, in float64."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int


@dataclass(frozen=True)
class LinearTeacher:
    """The truth behind a Gaussian regression problem, from which risks follow without a test set.

    Inputs are x ~ N(0, diag(eigenvalues)), targets x'coefficients + N(0, noise_variance).
    """

    coefficients: Float[np.ndarray, " dimension"]
    eigenvalues: Float[np.ndarray, " dimension"]
    noise_variance: float


@dataclass(frozen=True)
class Dataset:
    """Training and held-out examples of one run.

    Targets are floats for regression and integer classes for classification. `train_targets` are
    those trained on, `train_targets_clean` the same before label noise; held-out targets of a
    classification are clean.
    """

    train_inputs: Float[np.ndarray, "n dimension"]
    train_targets: Float[np.ndarray, " n"] | Int[np.ndarray, " n"]
    train_targets_clean: Float[np.ndarray, " n"] | Int[np.ndarray, " n"]
    eval_inputs: Float[np.ndarray, "m dimension"]
    eval_targets: Float[np.ndarray, " m"] | Int[np.ndarray, " m"]
    teacher: LinearTeacher | None = None
