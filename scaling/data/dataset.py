"""Dataset: what sources of examples load, and how one is drawn from a fixed pool of examples.

Arrays are on the host, in float64.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from scaling.data.label_noise import LabelNoise, corrupt
from scaling.keys import rng_for


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
    classification are clean. Translations have tokens as inputs and a class a predicted token.
    """

    train_inputs: Float[np.ndarray, "n dimension"] | Int[np.ndarray, "n tokens"]
    train_targets: Float[np.ndarray, " n"] | Int[np.ndarray, " n"] | Int[np.ndarray, "n target"]
    train_targets_clean: (
        Float[np.ndarray, " n"] | Int[np.ndarray, " n"] | Int[np.ndarray, "n target"]
    )
    eval_inputs: Float[np.ndarray, "m dimension"] | Int[np.ndarray, "m tokens"]
    eval_targets: Float[np.ndarray, " m"] | Int[np.ndarray, " m"] | Int[np.ndarray, "m target"]
    teacher: LinearTeacher | None = None


def draw(
    inputs: Float[np.ndarray, "examples inputs"],
    labels: Int[np.ndarray, " examples"],
    n_train: int,
    n_eval: int,
    n_classes: int,
    label_noise: LabelNoise,
    seed: int,
) -> Dataset:
    """A training set drawn without replacement, its labels corrupted; the last `n_eval` held out.

    At one seed a smaller training set is the beginning of a larger one. Held-out arrays are views
    of the pool.
    """
    available = len(inputs) - n_eval
    chosen = rng_for(seed, "data").permutation(available)[:n_train]
    clean = labels[chosen]
    return Dataset(
        train_inputs=inputs[chosen],
        train_targets=corrupt(clean, label_noise, n_classes, rng_for(seed, "label_noise")),
        train_targets_clean=clean,
        eval_inputs=inputs[available:],
        eval_targets=labels[available:],
    )


def split(
    inputs: Float[np.ndarray, "n dimension"],
    targets: Float[np.ndarray, " n"] | Int[np.ndarray, " n"],
    n_train: int,
) -> Dataset:
    """The first `n_train` examples to train on and the others held out, without label noise."""
    seen, rest = targets[:n_train], targets[n_train:]
    return Dataset(inputs[:n_train], seen, seen, inputs[n_train:], rest)
