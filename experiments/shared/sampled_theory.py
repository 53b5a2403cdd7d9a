"""Learning curves of a data set predicted from the kernel of a sample of it."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from analysis import theory
from analysis.estimate import Floats

Gram = Callable[[Floats, Floats], Floats]
"""A kernel between two sets of inputs."""

SAMPLES = (800, 1600)
"""Examples of the two samples that are extrapolated."""


class Sampled(NamedTuple):
    """Modes of a kernel and a target as two samples show them, and the sizes of the samples."""

    small: theory.MeasuredModes
    large: theory.MeasuredModes
    sizes: tuple[int, int]


def sampled(
    gram: Gram,
    inputs: Float[np.ndarray, "examples inputs"],
    labels: Float[np.ndarray, "examples outputs"],
    sizes: tuple[int, int] = SAMPLES,
) -> Sampled:
    """Returns the modes of two samples, the first of the examples.

    Args:
        gram: The kernel.
        inputs: Examples in random order, at least as many as the larger sample.
        labels: One-hot classes, or one column of numbers.
        sizes: Sizes of the two samples, ascending.
    """
    small, large = (theory.measured_modes(gram(inputs[:m], inputs[:m]), labels[:m]) for m in sizes)
    return Sampled(small, large, sizes)


def predicted(modes: Sampled, risk: Callable[[theory.MeasuredModes], Floats]) -> Floats:
    """Returns a risk under the distribution that the samples come from.

    The modes of a sample describe training sets drawn from the sample and tested on it: some test
    examples were trained on, and modes finer than the sample are missing. Both effects fall as
    1 / sample size, so that the risks of two samples are extrapolated to an infinite one. A risk
    that is infinite stays so.

    Args:
        modes: Modes of the two samples.
        risk: Maps modes to risks, such as one for each size, shape (n_sizes,).
    """
    small, large = np.asarray(risk(modes.small)), np.asarray(risk(modes.large))
    share = modes.sizes[1] / (modes.sizes[1] - modes.sizes[0])
    with np.errstate(invalid="ignore"):
        extrapolated = share * large + (1 - share) * small
    return np.where(np.isinf(large), np.inf, extrapolated)
