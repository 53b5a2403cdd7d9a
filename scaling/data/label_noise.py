"""Label noise: classes of the training set, corrupted once a run, under a named convention."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int

from scaling.fields import Checked, Decay


@dataclass(frozen=True, kw_only=True)
class LabelNoise(Checked):
    """Each training label is chosen for corruption independently, with probability `fraction`.

    The literature draws the replacement of a chosen label in two ways:

    - "wrong_class": uniform over the other classes, so that a fraction `fraction` ends up wrong
      (Nakkiran et al., arXiv 1912.02292, "Experimental Setup").
    - "any_class": uniform over all classes, the true one included, so that only
      `fraction * (1 - 1 / n_classes)` ends up wrong (the MNIST-1D double descent notebook).
    """

    fraction: Decay = 0.0
    convention: Literal["wrong_class", "any_class"] = "wrong_class"


def corrupt(
    labels: Int[np.ndarray, " n"], noise: LabelNoise, n_classes: int, rng: np.random.Generator
) -> Int[np.ndarray, " n"]:
    """Noisy copy of the labels.

    Two uniform numbers an example decide, whatever the noise. So at one seed the corrupted
    examples of a smaller fraction, or of a shorter training set, are among those of a larger one,
    and runs that differ in either are compared in pairs.

    Args:
        labels: classes from 0 to n_classes - 1.
        noise: how many to corrupt, and into what.
        n_classes: number of classes.
        rng: its stream is used up by 2n draws.

    Raises:
        ValueError: fewer than two classes, or labels outside their range.
    """
    if n_classes < 2:
        raise ValueError(
            f"n_classes = {n_classes}: label noise needs at least 2 classes; leave it out"
        )
    if labels.size and (labels.min() < 0 or labels.max() >= n_classes):
        raise ValueError(
            f"labels reach from {labels.min()} to {labels.max()}, outside 0 to {n_classes - 1}: "
            f"give n_classes = {labels.max() + 1} or relabel from 0"
        )
    chance, choice = rng.random((len(labels), 2)).T
    return np.where(chance < noise.fraction, replaced(labels, choice, noise, n_classes), labels)


def replaced(
    labels: Int[np.ndarray, "*n"],
    choice: Float[np.ndarray, "*n"],
    noise: LabelNoise,
    n_classes: int,
) -> Int[np.ndarray, "*n"]:
    """What every label is corrupted into, by a uniform number in [0, 1) each."""
    if noise.convention == "wrong_class":
        shift = 1 + np.floor(choice * (n_classes - 1)).astype(labels.dtype)
        return (labels + shift) % n_classes
    return np.floor(choice * n_classes).astype(labels.dtype)


def mask_sha256(mask: Bool[np.ndarray, "*n"]) -> str:
    """SHA-256, in hex, of a mask of changed labels (`noisy != clean`), a byte 0 or 1 a label."""
    return hashlib.sha256(np.asarray(mask, dtype=np.bool_).tobytes()).hexdigest()
