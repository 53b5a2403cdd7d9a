"""Risk along gradient flow on features of any spectrum, with few samples or many.

Training starts from zero and follows the flow of `|y - X b|^2 / (2 n)`; rows of X are Gaussian with
covariance Sigma, and S = X'X / n. The matrix `exp(-S t)` is the inverse Laplace transform of
`1 / (z + S)`, which is ridge regression at a complex ridge z. So the deterministic equivalents of
ridge regression give the risk of the flow at any time.

| symbol | argument         | meaning                                                              |
|--------|------------------|----------------------------------------------------------------------|
| t      | `time`           | time of the flow; a small step of descent of size eta adds eta       |
| l_i    | `eigenvalues`    | eigenvalues of Sigma, at least 0                                     |
| v_i    | `target_power`   | power of the target along them, `l_i beta_i^2`                       |
| n      | `n_samples`      | training examples                                                    |
| s2     | `noise_variance` | variance of the label noise, in squared label units                  |
| k      |                  | effective ridge at the ridge z                                       |
"""

from typing import NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike, NDArray

from analysis.estimate import Floats
from analysis.guards import non_negative, positive
from analysis.theory.kernel_regression import spectra

Complex: TypeAlias = NDArray[np.complex128]

_N_NODES = 28
"""Nodes of an inversion: its error falls as 3.89^-N, and rounding grows with the nodes."""


class _Problem(NamedTuple):
    """Distinct eigenvalues, how often each occurs, the power on each, and the samples."""

    eigenvalues: Floats
    counts: Floats
    power: Floats
    n: float


def gradient_flow_test_risk(
    time: ArrayLike,
    eigenvalues: ArrayLike,
    target_power: ArrayLike,
    n_samples: float,
    *,
    noise_variance: float,
) -> Float[np.ndarray, "..."]:
    """Asymptotic **test** risk of gradient flow at time t, for any spectrum.

        test  = s2 + bias(t, t) + s2 (2 noise(t) - noise(2 t))
        bias  = inverse Laplace transform, in z and w, of
                sum_i v_i k k' / ((l_i + k) (l_i + k')) / (z w (1 - q)),    k = k(z), k' = k(w)
        q     = (1/n) sum_i l_i^2 / ((l_i + k) (l_i + k'))
        noise = inverse Laplace transform, in z, of (k - z) / z^2
        z     = k (1 - (1/n) sum_i l_i / (l_i + k))

    It begins at the power of the target plus s2 and ends at the risk of ridgeless regression. Two
    scales of eigenvalues give two minima in time. The relative error of the inversion is about
    1e-9, as long as training is not so long that modes without any data drown the noise
    (p > n, times beyond 1e6).

    Args:
        time: t, at least 0, of any shape.
        eigenvalues: l_i, shape (p,).
        target_power: v_i, shape (p,).
        n_samples: n, above 0.
        noise_variance: s2, at least 0.

    Returns:
        The test risk in squared label units, of the shape of `time`.

    Raises:
        ValueError: An argument out of range, or spectra of different lengths.

    Reference: the problem of Pezeshki et al., arXiv:2112.03215, who take ridge regression of ridge
    1/t for the flow at time t. Here it is the flow itself: the equivalents of Simon et al.,
    arXiv:2110.03922, at complex ridges, inverted by Talbot's contour (Trefethen, Weideman &
    Schmelzer 2006, "Talbot quadratures and rational approximations", equation 3.3).
    """
    t = non_negative("time", time)
    eigs, power = spectra(eigenvalues, target_power)
    distinct, member = np.unique(eigs, return_inverse=True)
    problem = _Problem(
        distinct,
        np.bincount(member).astype(np.float64),
        np.bincount(member, weights=power).astype(np.float64),
        float(positive("n_samples", n_samples)),
    )
    s2 = float(non_negative("noise_variance", noise_variance))

    def risk(t: float) -> float:
        if t == 0:
            return s2 + float(power.sum())
        noise = 2 * _noise(problem, t) - _noise(problem, 2 * t) if s2 else 0.0
        return s2 + _bias(problem, t) + s2 * noise

    return np.array([risk(float(each)) for each in t.flat]).reshape(t.shape)


def _bias(problem: _Problem, t: float) -> float:
    """Power of the target that the flow misses at time t, and its echo in the finite sample."""
    z, weight = _contour(t)
    k = _effective_ridge(problem, z)
    eigs, counts, power, n = problem
    left = 1 / (eigs + k[:, None])  # (nodes, modes)
    missed = np.einsum("m,zm,wm->zw", power, left, left) * np.multiply.outer(k, k)
    q = np.einsum("m,zm,wm->zw", counts * eigs**2 / n, left, left)
    return float((weight @ (missed / (np.multiply.outer(z, z) * (1 - q))) @ weight).real)


def _noise(problem: _Problem, t: float) -> float:
    z, weight = _contour(t)
    return float((weight @ ((_effective_ridge(problem, z) - z) / z**2)).real)


def _contour(t: float) -> tuple[Complex, Complex]:
    """Nodes z and weights w of the inverse Laplace transform at t: `sum(w f(z))`."""
    theta = np.pi * np.arange(1 - _N_NODES, _N_NODES, 2) / _N_NODES
    turned = 0.6407 * theta
    cot = 1 / np.tan(turned)
    z = _N_NODES * (0.5017 * theta * cot - 0.6122 + 0.2645j * theta)
    slope = _N_NODES * (0.5017 * (cot - turned / np.sin(turned) ** 2) + 0.2645j)
    return z / t, -1j / _N_NODES * np.exp(z) * slope / t


def _effective_ridge(problem: _Problem, z: Complex) -> Complex:
    """Solves `z = k (1 - (1/n) sum l / (l + k))` off the negative real axis, node by node."""
    eigs, counts, _, n = problem

    def learned(k: Complex) -> Complex:
        return (counts * eigs / (eigs + k[:, None])).sum(axis=1) / n

    k = z + np.sum(counts * eigs) / n
    for _ in range(60):  # a map of each half plane into itself: it leads to the root in it
        k = z + k * learned(k)
    for _ in range(40):
        slope = 1 - (counts * eigs**2 / (eigs + k[:, None]) ** 2).sum(axis=1) / n
        step = (k * (1 - learned(k)) - z) / slope
        k = k - step
        if np.all(np.abs(step) <= 1e-14 * np.abs(k)):
            break
    return k
