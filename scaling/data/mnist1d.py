"""MNIST-1D: ten one-dimensional digit shapes, deformed at random; generated, never downloaded.

The data set of Greydanus & Kobak (ICML 2024, arXiv 2011.14439; github.com/greydanus/mnist1d,
Apache-2.0), written anew from its description: the same seed gives the same signals to rounding,
and the same labels. A template is padded with zeros and stretched over a canvas of 72 points (which
moves and shrinks it), scaled, rolled along; smooth noise fills the padding, white noise covers
all, a linear ramp is subtracted, and 40 evenly spaced points are kept.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import Annotated, ClassVar

import numpy as np
from jaxtyping import Float, Int

from scaling.data.dataset import Dataset, draw
from scaling.data.label_noise import LabelNoise
from scaling.fields import Checked, Count, Range

N_CLASSES = 10
LENGTH = 40

_SHAPES = (  # one template a digit, 12 points
    (5, 6, 6.5, 6.75, 7, 7, 7, 7, 6.75, 6.5, 6, 5),
    (5, 3, 3, 3.4, 3.8, 4.2, 4.6, 5, 5.4, 5.8, 5, 5),
    (5, 6, 6.5, 6.5, 6, 5.25, 4.75, 4, 3.5, 3.5, 4, 5),
    (5, 6, 6.5, 6.5, 6, 5, 5, 6, 6.5, 6.5, 6, 5),
    (5, 4.4, 3.8, 3.2, 2.6, 2.6, 5, 5, 5, 5, 5, 5),
    (5, 3, 3, 3, 3, 5, 6, 6.5, 6.5, 6, 4.5, 5),
    (5, 4, 3.5, 3.25, 3, 3, 3, 3, 3.25, 3.5, 4, 5),
    (5, 7, 7, 6.6, 6.2, 5.8, 5.4, 5, 4.6, 4.2, 5, 5),
    (5, 4, 3.5, 3.5, 4, 5, 5, 4, 3.5, 3.5, 4, 5),
    (5, 4, 3.5, 3.5, 4, 5, 5, 5, 5, 4.7, 4.3, 5),
)
_PADDINGS = range(36, 61)  # how many zeros may follow a template
_CANVAS = 72
_MAX_TRANSLATION = 48
_SCALE_RANGE = 0.4
_SHEAR_RANGE = 0.75
_SMOOTH_NOISE = 0.25  # standard deviation before smoothing
_SMOOTHING = 2  # standard deviation of the Gaussian filter, in points
_WHITE_NOISE = 0.02


@dataclass(frozen=True, kw_only=True)
class MNIST1D(Checked):
    """MNIST-1D signals, 40 points, 10 classes; standardised over the whole generated set.

    `n_samples` are generated from `generator_seed`; the last `n_eval` are held out, the same for
    every run, and a run's seed draws its `n_train` from the others without replacement. The
    defaults are the published set: 4,000 to train on, 1,000 held out. Its double descent notebook
    has n_samples = 16000, n_eval = 12000 and label noise 0.15 by "any_class".
    """

    kind: ClassVar[str] = "mnist1d"
    n_train: Count
    label_noise: LabelNoise = field(default_factory=LabelNoise)
    n_samples: Count = 5000
    n_eval: Count = 1000
    generator_seed: Annotated[int, Range(low=0, high=2**32 - 1)] = 42

    n_inputs: ClassVar[int] = LENGTH
    n_outputs: ClassVar[int] = N_CLASSES
    n_classes: ClassVar[int | None] = N_CLASSES

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n_samples % N_CLASSES:
            raise ValueError(f"mnist1d.n_samples = {self.n_samples}: give a multiple of 10")
        available = max(self.n_samples - self.n_eval, 0)
        if self.n_train > available:
            raise ValueError(
                f"mnist1d.n_train = {self.n_train} exceeds the {available} examples that "
                f"n_samples = {self.n_samples} leaves after n_eval = {self.n_eval}: "
                "give fewer, or more n_samples"
            )

    def fingerprint(self) -> str:
        """Name and version of the generator: raised whenever the same seed draws other data."""
        return "mnist1d/1"

    def load(self, seed: int) -> Dataset:
        """The data of one run; held-out arrays are shared between runs, hence read-only."""
        pool = generate(self.n_samples, self.generator_seed)
        return draw(*pool, self.n_train, self.n_eval, N_CLASSES, self.label_noise, seed)


@functools.lru_cache(maxsize=4)
def generate(
    n_samples: int, generator_seed: int
) -> tuple[Float[np.ndarray, "n_samples 40"], Int[np.ndarray, " n_samples"]]:
    """Standardised signals and their classes, shuffled; read-only, generated once a process."""
    from scipy.ndimage import gaussian_filter1d

    # The published set is defined by NumPy's legacy stream; a local one leaves the global alone.
    rng = np.random.RandomState(generator_seed)
    pads, shifts = np.empty((2, n_samples), dtype=np.int64)
    scales, shears = np.empty((2, n_samples))
    noise = np.empty((n_samples, 2, _CANVAS))
    for i in range(n_samples):  # the order of these draws defines the data
        pads[i] = int(rng.rand() * len(_PADDINGS))
        scales[i] = 1 + _SCALE_RANGE * (rng.rand() - 0.5)
        shifts[i] = rng.randint(_MAX_TRANSLATION)
        noise[i] = rng.randn(2, _CANVAS)
        shears[i] = _SHEAR_RANGE * (rng.rand() - 0.5)
    order = rng.permutation(n_samples)

    labels = np.repeat(np.arange(N_CLASSES), n_samples // N_CLASSES)
    signals = _dilated_templates()[labels, pads] * scales[:, None]
    rolled = (np.arange(_CANVAS) - shifts[:, None]) % _CANVAS
    signals = np.take_along_axis(signals, rolled, axis=1)
    background = gaussian_filter1d(_SMOOTH_NOISE * noise[:, 0], _SMOOTHING, axis=1)
    signals = np.where(signals != 0, signals, background) + _WHITE_NOISE * noise[:, 1]
    signals -= shears[:, None] * np.linspace(-0.5, 0.5, _CANVAS)
    signals = np.stack([_resampled(signal, LENGTH) for signal in signals])[order]
    signals = (signals - signals.mean()) / signals.std()
    labels = labels[order]
    signals.flags.writeable = labels.flags.writeable = False
    return signals, labels


def _dilated_templates() -> Float[np.ndarray, "10 pads canvas"]:
    """Every template, followed by every allowed number of zeros, stretched to the canvas."""
    shapes = np.array(_SHAPES)
    shapes -= shapes.mean(axis=1, keepdims=True)
    shapes /= shapes.std(axis=1, keepdims=True)
    shapes = (shapes - shapes[:, :1]) / 6
    shapes += 1e-8  # so that exact zeros mark the padding, which noise will fill
    return np.array([[_resampled(np.pad(s, (0, n)), _CANVAS) for n in _PADDINGS] for s in shapes])


def _resampled(signal: Float[np.ndarray, " m"], length: int) -> Float[np.ndarray, " length"]:
    return np.interp(np.linspace(0, 1, length), np.linspace(0, 1, len(signal)), signal)
