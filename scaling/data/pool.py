"""Draws the training set of one run from a fixed pool of labelled examples."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from scaling.data.dataset import Dataset
from scaling.data.label_noise import LabelNoise, corrupt
from scaling.keys import rng_for


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
