"""Power-law random features trained by one pass of SGD: phases, exponents, exact risk.

Inputs are `x_j = j^-a z_j` with z standard normal, the target is `sum_j j^-b x_j`, and the model
sees d features `W'x`, W of independent normal entries of variance 1/d. One pass of SGD over r
batches of B costs `f = B d r` (in units of FLOPs a feature). The exponents say how the best size
and the risk at that size move with f: `d* ~ f^xi`, `P* ~ f^-eta`.

| symbol | argument          | range       | meaning                                         |
|--------|-------------------|-------------|-------------------------------------------------|
| a      | `data_exponent`   | > 0         | decay of the inputs; the covariance is j^-2a    |
| b      | `target_exponent` | > 1/2 - a   | decay of the target; its power is finite        |
| d      | `n_features`      | > 0         | random features                                 |
| v      | `n_modes`         | > d         | dimension of the inputs                         |

The phases follow from four terms of the risk: the time it takes to learn the target (F_pp), the
floor that d features leave (F_0), the distortion of the spectrum by few features (F_ac), and the
noise of SGD (K_pp).

Reference: Paquette, Paquette, Xiao & Pennington, arXiv:2405.15074.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from analysis.guards import non_negative, positive
from analysis.theory.kernel_regression import effective_ridge

Phase = Literal["Ia", "Ib", "Ic", "II", "III", "IVa", "IVb"]

_IV_SPLIT = 1 - 1 / np.sqrt(2)
"""Between IVa and IVb, the a at which the floor and the descent of the target cost the same."""


@dataclass(frozen=True)
class ComputeOptimal:
    """Where a model of power-law random features is compute-optimal.

    Attributes:
        phase: Which terms of the risk balance there.
        size_exponent: xi of `d* ~ f^xi`. Measured only roughly: the risk is flat around d*.
        loss_exponent: eta of `P* ~ f^-eta`.
    """

    phase: Phase
    size_exponent: float
    loss_exponent: float


def compute_optimal_exponents(data_exponent: float, target_exponent: float) -> ComputeOptimal:
    """Phase and exponents of compute-optimal training, from the decays of data and target.

    The loss exponent is continuous over every boundary of the phases; the size exponent too, but
    between IVa and IVb, where two sizes are equally good.

    Args:
        data_exponent: a, above 0.
        target_exponent: b, above 1/2 - a.

    Returns:
        The phase, xi and eta.

    Raises:
        ValueError: `2 a + 2 b <= 1`: the target would have infinite power.

    Reference: Paquette et al., arXiv:2405.15074, table of the compute-optimal curves.
    """
    a, b = float(positive("data_exponent", data_exponent)), float(target_exponent)
    power = 2 * a + 2 * b - 1
    if not power > 0:
        raise ValueError(
            f"data_exponent = {a:g} and target_exponent = {b:g} have 2 a + 2 b <= 1: the target "
            f"has infinite power. Give a target_exponent above {0.5 - a:g}."
        )
    if b <= 0.5:
        if a >= 0.5:
            return ComputeOptimal("Ia", 1 / (2 * a + 1), power / (2 * a + 1))
        return ComputeOptimal("Ib", 0.5, power / 2)
    if a > 0.5:
        if b <= a:
            return ComputeOptimal("II", b / (a + b), power / (2 * (a + b)))
        return ComputeOptimal("III", 0.5, (4 * a - 1) / (4 * a))
    if a > _IV_SPLIT:
        return ComputeOptimal("IVa", 0.5, a)
    if a > 0.25:
        below = 2 * b - a - 2 * a * b
        return ComputeOptimal("IVb", (b - a) / below, (1 - 2 * a) * power / (2 * below))
    below = 2 * (2 * b + 3 * a - 2 * a * b - 1)
    return ComputeOptimal("Ic", power / below, 2 * a * power / below)


def feature_floor(
    n_features: ArrayLike, *, data_exponent: float, target_exponent: float, n_modes: int
) -> Float[np.ndarray, "..."]:
    """Risk of the best of d power-law random features: what training without end leaves.

        floor = sum_j j^-2(a+b) K / (j^-2a + K),   with K such that sum_j j^-2a / (j^-2a + K) = d

    Args:
        n_features: d, above 0, of any shape; d of at least `n_modes` leave nothing.
        data_exponent: a, above 0.
        target_exponent: b.
        n_modes: v, dimension of the inputs.

    Returns:
        The floor, in squared label units, of the shape of `n_features`.

    Raises:
        ValueError: An argument out of range.

    Reference: Paquette et al., arXiv:2405.15074, F_0.
    """
    eigenvalues, power = power_law_problem(n_modes, data_exponent, target_exponent)
    kappa = effective_ridge(eigenvalues, n_features, ridge=0.0)[..., np.newaxis]
    return np.sum(power * kappa / (eigenvalues + kappa), axis=-1)


def power_law_problem(
    n_modes: int, data_exponent: float, target_exponent: float
) -> tuple[Float[np.ndarray, " modes"], Float[np.ndarray, " modes"]]:
    """Eigenvalues `j^-2a` of the covariance and power `j^-2(a+b)` of the target on each mode.

    Returns:
        Two arrays of shape (n_modes,), such as `random_feature_risk` takes.

    Raises:
        ValueError: `n_modes` below 1, or `data_exponent` not above 0.
    """
    if n_modes < 1:
        raise ValueError(f"n_modes must be at least 1, but is {n_modes}; ask for one mode or more.")
    j = np.arange(1, n_modes + 1, dtype=np.float64)
    a = float(positive("data_exponent", data_exponent))
    return j ** (-2 * a), j ** (-2 * (a + float(target_exponent)))


def one_pass_sgd_risk(
    features: Float[np.ndarray, "modes d"],
    steps: ArrayLike,
    *,
    data_exponent: float,
    target_exponent: float,
    step_size: float,
) -> Float[np.ndarray, "..."]:
    """Exact mean risk of one-pass SGD of batch size 1 on Gaussian data, given the features.

    With D = diag(j^-2a), l_i the eigenvalues of W'DW and rho_i the distance to the best
    coefficients along eigenvector i, one step gives

        E rho_i^2 <- (1 - 2 s l_i + 2 s^2 l_i^2) E rho_i^2 + s^2 l_i P
        P          = sum_i l_i E rho_i^2 + floor

    The matrix of this map, a diagonal plus s^2 l l', is symmetric: its eigenvalues give the risk
    after any number of steps at once.

    Args:
        features: W, shape (v, d).
        steps: Steps, one example each, at least 0, of any shape; they need not be whole.
        data_exponent: a, above 0.
        target_exponent: b.
        step_size: s. Training is stable where `s sum_i l_i` stays below 1, or about so.

    Returns:
        The risk after so many steps, in squared label units, of the shape of `steps`.

    Raises:
        ValueError: An argument out of range, or training diverges.

    Reference: Paquette et al., arXiv:2405.15074, the Volterra equation, here in its Markov form.
    """
    eigenvalues, power = power_law_problem(len(features), data_exponent, target_exponent)
    s, t = float(positive("step_size", step_size)), non_negative("steps", steps)
    # 1. The floor, and the start: zero coefficients, at distance rho from the best ones.
    seen = np.sqrt(eigenvalues)[:, None] * features
    left, singular, _ = np.linalg.svd(seen, full_matrices=False)
    along = left.T @ np.sqrt(power)
    values, distance2 = singular**2, (along / singular) ** 2
    floor = max(float(power.sum() - along @ along), 0.0)
    # 2. The map of one step in its own axes: each part of the risk decays to where it settles.
    kept = 1 - 2 * s * values + 2 * (s * values) ** 2
    factors, axes = np.linalg.eigh(np.diag(kept) + s**2 * np.outer(values, values))
    if factors[-1] >= 1:
        raise ValueError(
            f"step_size = {s:g} makes training diverge: s times the sum of the eigenvalues is "
            f"{s * values.sum():.3g}. Give a step_size of {0.5 / values.sum():.3g} or less."
        )
    share = axes.T @ values
    settled = s**2 * floor * share / (1 - factors)
    decaying = share * (axes.T @ distance2 - settled)
    decay = np.exp(np.multiply.outer(t, np.log(np.maximum(factors, np.finfo(float).tiny))))
    return floor + float(share @ settled) + decay @ decaying
