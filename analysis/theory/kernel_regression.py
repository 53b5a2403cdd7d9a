"""Risk of kernel ridge regression, and of linear regression, with any spectrum.

A kernel is described by its eigenvalues under the input distribution, a target by its squared
coefficients on the eigenfunctions. Linear regression on features of covariance Sigma is the case
`K = XX'`, `l_i` the eigenvalues of Sigma, `v_i = l_i beta_i^2`.

| symbol | argument         | meaning                                                          |
|--------|------------------|------------------------------------------------------------------|
| n      | `n_samples`      | training examples                                                |
| l_i    | `eigenvalues`    | eigenvalues of the kernel (or covariance), in kernel units; one  |
|        |                  | of several eigenfunctions is listed as often                     |
| v_i    | `target_power`   | squared target coefficient on mode i, in squared label units     |
| delta  | `ridge`          | ridge of (K + delta)^-1 y, in kernel units; `n lam` for a linear |
|        |                  | model with ridge lam in `analysis.theory.linear_regression`      |
| s2     | `noise_variance` | variance of the label noise, in squared label units              |
| kappa  | `kappa`          | effective ridge: a mode is learnt when l_i is well above it      |
| L_i    |                  | learnability l_i / (l_i + kappa) of mode i, between 0 and 1      |
| E0     |                  | overfitting coefficient: test risk per unit of pure noise        |

The two spectra have shape (modes,), and the other arguments broadcast against each other. n must be
above 0, the others at least 0; anything else raises `ValueError`.

The formulas are asymptotic and assume that the modes behave as Gaussian features do. That holds
well in high dimension; for kernels on one-dimensional inputs it is off by 10% or more at any n.

Reference: Simon et al., "The Eigenlearning Framework", arXiv:2110.03922.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike
from scipy.optimize import brentq

from analysis.guards import non_negative, positive


@dataclass(frozen=True)
class KernelRidgeRisk:
    """Expected risks of kernel ridge regression, each of the broadcast shape of the arguments.

    Attributes:
        test_risk: Squared error on a fresh noisy label: the excess risk plus s2.
        train_risk: Mean squared error on the training labels.
        kappa: Effective ridge, in kernel units.
        n_learned: Sum of the learnabilities; equals `n - delta / kappa`, so never more than n.
        overfitting: E0, the factor by which fitting finitely many samples inflates every error.
    """

    test_risk: Float[np.ndarray, "..."]
    train_risk: Float[np.ndarray, "..."]
    kappa: Float[np.ndarray, "..."]
    n_learned: Float[np.ndarray, "..."]
    overfitting: Float[np.ndarray, "..."]


def kernel_ridge_risk(
    eigenvalues: ArrayLike,
    target_power: ArrayLike,
    n_samples: ArrayLike,
    *,
    ridge: ArrayLike,
    noise_variance: ArrayLike,
) -> KernelRidgeRisk:
    """Expected **test** and train risk of kernel ridge regression with any spectrum.

        kappa:   sum_i L_i + delta / kappa = n,      L_i = l_i / (l_i + kappa)
        E0     = n / (n - sum_i L_i^2)
        test   = E0 [ sum_i (1 - L_i)^2 v_i + s2 ]
        train  = (delta / (n kappa))^2 test

    A ridge of zero gives the limit delta -> 0: least squares with fewer modes than samples, the
    minimum-norm interpolator with more. With exactly as many the overfitting coefficient is `inf`.

    `test_risk` includes the noise of the test label; subtract s2 for the excess.

    Raises:
        ValueError: An argument out of range, or spectra of different lengths.

    Reference: Simon et al., arXiv:2110.03922, the eigenlearning equations.
    """
    eigs, v = spectra(eigenvalues, target_power)
    n, delta, s2 = np.broadcast_arrays(
        positive("n_samples", n_samples),
        non_negative("ridge", ridge),
        non_negative("noise_variance", noise_variance),
    )
    points = zip(n.flat, delta.flat, s2.flat, strict=True)
    columns = np.array([_risks(eigs, v, *map(float, point)) for point in points])
    return KernelRidgeRisk(*columns.T.reshape(5, *n.shape))


def effective_ridge(
    eigenvalues: ArrayLike, n_samples: ArrayLike, *, ridge: ArrayLike
) -> Float[np.ndarray, "..."]:
    """Solves `sum_i l_i / (l_i + kappa) + delta / kappa = n` for the effective ridge kappa.

    Without a ridge and with no more than n non-zero modes the only solution is the limit kappa = 0:
    every mode is learnt. The relative accuracy is about 1e-13.

    Reference: Simon et al., arXiv:2110.03922, the eigenlearning equations.
    """
    eigs = _spectrum("eigenvalues", eigenvalues)
    live = eigs[eigs > 0]
    n, delta = np.broadcast_arrays(positive("n_samples", n_samples), non_negative("ridge", ridge))
    points = zip(n.flat, delta.flat, strict=True)
    return np.array([_solve_kappa(live, *map(float, point)) for point in points]).reshape(n.shape)


def learnability(eigenvalues: ArrayLike, kappa: ArrayLike) -> Float[np.ndarray, "... modes"]:
    """Learnability `L_i = l_i / (l_i + kappa)`: the share of mode i that the fit recovers.

    Returns:
        L_i, of the shape of kappa with the modes behind it. At kappa = 0 it is 1 for every mode
        with a non-zero eigenvalue.
    """
    eigs = _spectrum("eigenvalues", eigenvalues)
    k = non_negative("kappa", kappa)[..., np.newaxis]
    return np.where(eigs > 0, eigs / np.where(eigs > 0, eigs + k, 1), 0.0)


def power_law_spectrum(n_modes: int, exponent: float) -> Float[np.ndarray, " modes"]:
    """Power-law spectrum `i^-(1 + exponent)` for i = 1 .. n_modes.

    With exponent a for the eigenvalues and b for the target power, these are the spectra that
    `power_law_exponent` describes.

    Args:
        n_modes: Length of the spectrum, at least 1. Cutting a power law changes its tail: the sums
            of the cut modes fall only as `n_modes^-exponent`.
        exponent: Decay beyond 1/i.

    Returns:
        Spectrum, shape (n_modes,), beginning at 1.
    """
    if n_modes < 1:
        raise ValueError(f"n_modes must be at least 1, but is {n_modes}; ask for one mode or more")
    return np.arange(1, n_modes + 1, dtype=np.float64) ** -(1.0 + exponent)


def power_law_exponent(
    *, eigenvalue_exponent: ArrayLike, target_exponent: ArrayLike
) -> Float[np.ndarray, "..."]:
    """Exponent of the ridgeless, noise-free learning curve: `test ~ n^-min(b, 2 (1 + a))`.

    For `l_i ~ i^-(1 + a)` and `v_i ~ i^-(1 + b)`, infinitely many modes and n -> inf. Noise, a cut
    spectrum and a fixed ridge (once it exceeds `n kappa ~ n^-a`) each end the power law. The
    approach is slow near b = 2 (1 + a), where two terms of the risk cross.
    Both a and b must be above 0.

    Reference: Simon et al., arXiv:2110.03922; Bordelon, Canatar & Pehlevan, arXiv:2002.02561.
    """
    a = positive("eigenvalue_exponent", eigenvalue_exponent)
    b = positive("target_exponent", target_exponent)
    return np.minimum(b, 2 * (1 + a))


def spectra(
    eigenvalues: ArrayLike, target_power: ArrayLike
) -> tuple[Float[np.ndarray, " modes"], Float[np.ndarray, " modes"]]:
    """Returns a kernel's eigenvalues and a target's power on them, checked, in float64.

    Raises:
        ValueError: A negative or infinite number, another shape, or different lengths.
    """
    eigs, v = _spectrum("eigenvalues", eigenvalues), _spectrum("target_power", target_power)
    if eigs.shape != v.shape:
        raise ValueError(
            f"target_power has {v.size} modes and eigenvalues {eigs.size}; give as many of both"
        )
    return eigs, v


def _spectrum(name: str, values: ArrayLike) -> Float[np.ndarray, " modes"]:
    spectrum = non_negative(name, values)
    if spectrum.ndim != 1:
        raise ValueError(
            f"{name} must be one-dimensional, but has shape {spectrum.shape}; flatten it"
        )
    return spectrum


def _risks(
    eigs: Float[np.ndarray, " modes"],
    v: Float[np.ndarray, " modes"],
    n: float,
    delta: float,
    s2: float,
) -> tuple[float, float, float, float, float]:
    """Returns the fields of `KernelRidgeRisk`, in order, at one point."""
    live = eigs > 0
    kappa = _solve_kappa(eigs[live], n, delta)
    # 1 - L_i in this form keeps its digits for modes far above kappa.
    missed = np.where(live, kappa / np.where(live, eigs + kappa, 1.0), 1.0)
    # n - sum L_i is what the ridge, or too few modes, leaves unused; with it n - sum L_i^2 becomes
    # a sum of positive terms.
    unused = delta / kappa if delta > 0 else max(n - np.count_nonzero(live), 0.0)
    learned = learnability(eigs, kappa)
    freedom = unused + np.sum(missed * learned)
    error = np.sum(missed**2 * v) + s2
    overfitting = n / freedom if freedom > 0 else np.inf
    # As many modes as samples and no ridge: E0 is infinite, but an error of zero stays zero, and
    # the fit interpolates.
    test = overfitting * error if error > 0 else 0.0
    train = (unused / n) ** 2 * test if unused > 0 else 0.0
    return float(test), float(train), kappa, float(np.sum(learned)), float(overfitting)


def _solve_kappa(eigs: Float[np.ndarray, " modes"], n: float, delta: float) -> float:
    """Solves for kappa by bracketing log(kappa); `eigs` holds non-zero eigenvalues only."""
    if delta == 0 and eigs.size <= n:
        return 0.0

    def surplus(log_kappa: float) -> float:
        # sum L_i + delta / kappa - n, counting learnt modes from 1 downwards: with p modes, small
        # terms are then never lost beside the whole numbers n and p.
        k = np.exp(log_kappa)
        above = eigs > k
        below, over = eigs[~above], eigs[above]
        learned = np.sum(below / (below + k)) - np.sum(k / (over + k))
        return float(delta / k + learned + (over.size - n))

    # sum L_i <= sum l_i / kappa bounds kappa from above; delta / kappa <= n and L_i >= L_min bound
    # it from below. A factor of two either way leaves no doubt about the signs.
    lower = [np.log(delta) - np.log(n)] if delta > 0 else []
    if eigs.size > n:
        lower.append(np.log(eigs.min()) + np.log((eigs.size - n) / n))
    upper = np.log(eigs.sum() + delta) - np.log(n)
    ends = float(max(lower) - np.log(2)), float(upper + np.log(2))
    log_kappa: Any = brentq(surplus, *ends, xtol=1e-14, maxiter=300)
    return float(np.exp(log_kappa))
