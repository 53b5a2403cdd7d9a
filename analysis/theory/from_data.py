"""Test error predicted from training data alone: from one fit, or a whole learning curve.

Both take the matrix K of a kernel between examples (`X X'` for a linear model) and the labels, one
column of them. They assume what the theory does: modes that behave as Gaussian features do. On
inputs of few dimensions expect 10 to 15 % of error, at any n.

References: Simon et al., arXiv:2110.03922; Jacot et al., "Kernel alignment risk estimator",
arXiv:2006.09796; Golub, Heath & Wahba, Technometrics 21 (1979), generalised cross-validation.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from analysis.estimate import Floats
from analysis.guards import finite, non_negative


@dataclass(frozen=True)
class MeasuredModes:
    """A kernel and a target as a sample shows them, for `kernel_ridge_risk`.

    Attributes:
        eigenvalues: Eigenvalues of K / n, in kernel units, shape (n,), largest first.
        target_power: `(u_i' y)^2 / n`, power of the labels on each mode, in squared label units,
            summed over outputs.
            Label noise is in it, spread evenly: s2 / n a mode.
    """

    eigenvalues: Float[np.ndarray, " n"]
    target_power: Float[np.ndarray, " n"]


def measured_modes(kernel: ArrayLike, labels: ArrayLike) -> MeasuredModes:
    """Spectrum of a kernel and power of a target on its modes, from one sample.

    Given to `kernel_ridge_risk` they predict the learning curve for training sets that are small
    beside the sample: those drawn from it, and tested on it.

    Args:
        kernel: K, shape (n, n), symmetric, with no negative eigenvalue but for rounding.
        labels: y, shape (n,), or (n, outputs) for several outputs that share the kernel.

    Returns:
        The modes.

    Raises:
        ValueError: Shapes that do not fit, a value that is not finite, a matrix that is not
            symmetric or has negative eigenvalues.
    """
    columns = np.asarray(labels, np.float64)
    first = columns[:, 0] if columns.ndim == 2 and columns.shape[1] else columns
    k, _ = _checked(kernel, first)
    y = finite("labels", columns.reshape(len(first), -1))
    values, vectors = np.linalg.eigh(k)
    if values[0] < -1e-8 * max(values[-1], 0.0):
        raise ValueError(
            f"kernel has an eigenvalue of {values[0]:.3g}, but those of a kernel are at least 0: "
            "give its values between all pairs of one set of examples."
        )
    falling = slice(None, None, -1)
    power = np.sum((vectors.T @ y) ** 2, axis=1) / len(y)
    return MeasuredModes(np.maximum(values, 0.0)[falling] / len(y), power[falling])


def predicted_test_risk(kernel: ArrayLike, labels: ArrayLike, *, ridge: float) -> float:
    """**Test** risk of kernel ridge regression, estimated from its training set alone.

        kappa = 1 / tr (K + delta)^-1,     test = train (n kappa / delta)^2

    which is generalised cross-validation, and holds in the limit of no ridge, where the training
    error is zero, as `n |(K + delta)^-1 y|^2 / (tr (K + delta)^-1)^2`.

    Args:
        kernel: K between the training examples, shape (n, n).
        labels: y, shape (n,).
        ridge: delta, at least 0, in kernel units.

    Returns:
        The estimate, in squared label units, noise of the test label included.

    Raises:
        ValueError: Shapes that do not fit, a value that is not finite, or no ridge on a kernel of
            less than full rank, where the formula does not apply.
    """
    k, y = _checked(kernel, labels)
    delta = float(non_negative("ridge", ridge))
    values, vectors = np.linalg.eigh(k)
    ridged = values + delta
    if ridged[0] <= len(y) * np.finfo(np.float64).eps * ridged[-1]:
        raise ValueError(
            f"kernel + ridge has an eigenvalue of {ridged[0]:.3g} beside {ridged[-1]:.3g}: the fit "
            "does not reach its labels, or only by rounding. Give a larger ridge."
        )
    projected = vectors.T @ y
    return float(len(y) * np.sum((projected / ridged) ** 2) / np.sum(1 / ridged) ** 2)


def _checked(kernel: ArrayLike, labels: ArrayLike) -> tuple[Floats, Floats]:
    k, y = finite("kernel", kernel), finite("labels", labels)
    if y.ndim != 1 or k.shape != (len(y), len(y)):
        raise ValueError(f"kernel has shape {k.shape} and labels {y.shape}: give (n, n) and (n,).")
    if not np.allclose(k, k.T, rtol=1e-6, atol=1e-9 * np.abs(k).max()):
        raise ValueError("kernel is not symmetric: give it between the same examples, both ways.")
    return k, y
