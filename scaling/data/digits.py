"""Digits: 1,797 handwritten digits of 8x8 pixels, which scikit-learn carries along."""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from jaxtyping import Float, Int

from scaling.data.dataset import Dataset, draw
from scaling.data.label_noise import LabelNoise
from scaling.extras import needed
from scaling.fields import Checked, Count
from scaling.keys import rng_for

N_CLASSES = 10
N_PIXELS = 64
N_IMAGES = 1797
N_EVAL = 360
SHA256 = "dafbc70f1957a1732cceb6f9c28819127487b766c83bc059755a79d75362df11"


@dataclass(frozen=True, kw_only=True)
class Digits(Checked):
    """Handwritten digits, pixels in [0, 1], 10 classes (UCI optdigits, Alpaydin & Kaynak 1998).

    360 images, shuffled once for all, are held out from every run; a run's seed draws its
    `n_train` from the other 1,437 without replacement. Pixels (0 to 16) are divided by 16, not
    standardised: some are constant.
    """

    kind: ClassVar[str] = "digits"
    n_train: Count
    label_noise: LabelNoise = field(default_factory=LabelNoise)

    n_inputs: ClassVar[int] = N_PIXELS
    n_outputs: ClassVar[int] = N_CLASSES
    n_classes: ClassVar[int | None] = N_CLASSES
    n_eval: ClassVar[int] = N_EVAL

    def __post_init__(self) -> None:
        super().__post_init__()
        available = N_IMAGES - N_EVAL
        if self.n_train > available:
            raise ValueError(
                f"digits.n_train = {self.n_train} exceeds the {available} images to train on, "
                f"{N_EVAL} being held out: give fewer"
            )

    def fingerprint(self) -> str:
        """Version of a run's draws, and SHA-256 of pixels and labels in their fixed order."""
        return f"digits/1/{SHA256}"

    def load(self, seed: int) -> Dataset:
        """The data of one run; held-out arrays are shared between runs, hence read-only.

        Raises:
            ValueError: scikit-learn is missing, or carries other images.
        """
        return draw(*_images(), self.n_train, N_EVAL, N_CLASSES, self.label_noise, seed)


@functools.cache
def _images() -> tuple[Float[np.ndarray, "1797 64"], Int[np.ndarray, " 1797"]]:
    """All images in the order of the fixed shuffle, the held-out ones last; read-only."""
    user, otherwise = "data.kind = 'digits'", "use data.kind = 'mnist1d'"
    datasets = needed("sklearn.datasets", user, extra="digits", otherwise=otherwise)
    pixels, classes = datasets.load_digits(return_X_y=True)
    order = rng_for(0, "digits_split").permutation(N_IMAGES)
    inputs, labels = np.asarray(pixels)[order] / 16, np.asarray(classes, dtype=np.int64)[order]
    shades = np.round(inputs * 16).astype(np.uint8)
    found = hashlib.sha256(shades.tobytes() + labels.astype(np.uint8).tobytes()).hexdigest()
    if found != SHA256:
        raise ValueError(
            f"data.kind = 'digits': SHA-256 of the loaded images is {found}, not {SHA256}: "
            "scikit-learn or NumPy has changed them; install the versions that wrote the results"
        )
    inputs.flags.writeable = labels.flags.writeable = False
    return inputs, labels
