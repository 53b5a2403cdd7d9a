"""Risk of ridge regression on random features of inputs on a sphere.

Inputs x and feature vectors theta_j are uniform on the sphere of radius sqrt(d), features are
`s(<x, theta_j> / sqrt(d))` less their mean, and n, N and d grow together. The target is a linear
function of x plus a part that no linear function sees, plus noise.

| symbol | argument              | meaning                                                        |
|--------|-----------------------|----------------------------------------------------------------|
| psi1   | `features_per_input`  | N / d, random features over input dimension                    |
| psi2   | `samples_per_input`   | n / d, training examples over input dimension                  |
| lam    | `ridge`               | ridge of (1/n) sum (y - Z a)^2 + (N lam / d) sum a^2           |
| F1^2   | `linear_power`        | power of the linear part of the target, in squared label units |
| F*^2   | `nonlinear_power`     | power of the rest of the target, in squared label units        |
| tau^2  | `noise_variance`      | variance of the label noise, in squared label units            |
| mu1    | `Activation.linear`   | E G s(G), for a standard normal G                              |
| mu*^2  | `Activation.residual` | E s(G)^2 - (E s(G))^2 - mu1^2                                  |

Reference: Mei & Montanari, arXiv:1908.05355, theorem 2.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike
from scipy.optimize import brentq

from analysis.guards import non_negative, positive


@dataclass(frozen=True)
class Activation:
    """An activation, as the theory sees it.

    Attributes:
        linear: mu1, its coefficient on the linear function; not 0.
        residual: mu*^2, the power of what neither its mean nor its linear part holds; above 0.
    """

    linear: float
    residual: float

    def __post_init__(self) -> None:
        positive("residual", self.residual, "give an activation that is not linear")
        positive("linear", abs(self.linear), "give an activation with a linear part")


RELU = Activation(linear=0.5, residual=0.25 - 0.5 / np.pi)
"""`max(u, 0)`: mu1 = 1/2, mu*^2 = 1/4 - 1/(2 pi)."""


def sphere_features_excess_risk(
    features_per_input: ArrayLike,
    samples_per_input: ArrayLike,
    *,
    ridge: ArrayLike,
    linear_power: ArrayLike,
    nonlinear_power: ArrayLike,
    noise_variance: ArrayLike,
    activation: Activation = RELU,
) -> Float[np.ndarray, "..."]:
    """Asymptotic excess risk of random features on the sphere.

        excess = F1^2 E1 / E0 + (tau^2 + F*^2) E2 / E0 + F*^2

    with E0, E1 and E2 polynomials in `C = nu1 nu2`. The paper finds nu1 and nu2, two complex
    numbers, as a fixed point. Their product is real and negative: `C = -c`, and with
    z = mu1 / mu* and t = 1 + z^2 c, c is the only positive root of

        psi1 psi2 (lam / mu*^2) c = w u,   w = psi1 - h,  u = psi2 - h,  h = c + z^2 c / t

    below the root of `h = min(psi1, psi2)`, which is the solution without a ridge. In these
    symbols the polynomials have no differences left that could cancel:

        E0 = -t [ (u + w) c (t^2 + z^2) + u w t^2 ]
        E1 = -t psi2 (psi1 + z^2 c^2)
        E2 = -c^2 [ (t + z^2) (t^2 + z^2) + w z^4 t ]

    At psi1 = psi2 the risk without a ridge is `inf`.

    Args:
        features_per_input: psi1, above 0; the arguments broadcast against each other.
        samples_per_input: psi2, above 0.
        ridge: lam, at least 0; 0 gives the limit of a vanishing ridge.
        linear_power: F1^2, at least 0.
        nonlinear_power: F*^2, at least 0.
        noise_variance: tau^2, at least 0.
        activation: The activation.

    Returns:
        The excess risk, of the broadcast shape; add tau^2 for the test risk.

    Raises:
        ValueError: An argument out of range.

    Reference: Mei & Montanari, arXiv:1908.05355, theorem 2, definitions 1 and 2.
    """
    psi1, psi2, lam, f1, f_star, tau2 = np.broadcast_arrays(
        positive("features_per_input", features_per_input),
        positive("samples_per_input", samples_per_input),
        non_negative("ridge", ridge),
        non_negative("linear_power", linear_power),
        non_negative("nonlinear_power", nonlinear_power),
        non_negative("noise_variance", noise_variance),
    )
    z2 = activation.linear**2 / activation.residual
    scaled = lam / activation.residual
    points = zip(psi1.flat, psi2.flat, scaled.flat, strict=True)
    c = np.array([_root(*map(float, point), z2=z2) for point in points]).reshape(psi1.shape)
    # The smaller of w and u solves w (w + gap) = ridge term: it is lost in the difference psi - h.
    term, gap = psi1 * psi2 * scaled * c, np.abs(psi1 - psi2)
    whole = gap + np.hypot(gap, 2 * np.sqrt(term))
    smaller = np.divide(2 * term, whole, out=np.zeros_like(whole), where=whole > 0)
    w, u = smaller + np.maximum(psi1 - psi2, 0), smaller + np.maximum(psi2 - psi1, 0)
    t = 1 + z2 * c
    below = t * ((u + w) * c * (t**2 + z2) + u * w * t**2)
    lost = f1 * t * psi2 * (psi1 + z2 * c**2)
    fitted = (tau2 + f_star) * c**2 * ((t + z2) * (t**2 + z2) + w * z2**2 * t)
    above = np.asarray(lost + fitted)
    at_threshold = np.where(above > 0, np.inf, 0.0)
    return f_star + np.divide(above, below, out=at_threshold, where=below > 0)


def _root(psi1: float, psi2: float, ridge: float, *, z2: float) -> float:
    """Solves for c = -nu1 nu2; `ridge` is lam / mu*^2."""
    # 1. Without a ridge: h(c) = psi is the quadratic z2 c^2 + (1 + z2 - z2 psi) c - psi = 0.
    psi = min(psi1, psi2)
    linear = 1 + z2 - z2 * psi
    root = np.hypot(linear, 2 * np.sqrt(z2 * psi))
    ridgeless = 2 * psi / (linear + root) if linear > 0 else (root - linear) / (2 * z2)
    if ridge == 0:
        return float(ridgeless)

    # 2. With one: less than that, and less than c = 1 / ridge, where h = 0 would balance it.
    def surplus(log_c: float) -> float:
        c = np.exp(log_c)
        h = c + z2 * c / (1 + z2 * c)
        return float(psi1 * psi2 * ridge * c - (psi1 - h) * (psi2 - h))

    high = min(np.log(ridgeless), -np.log(ridge))
    low = high - 1
    while surplus(low) > 0:
        low -= 5
    # At the upper end the surplus is 0 or above but for rounding.
    if surplus(high) <= 0:
        return float(np.exp(high))
    log_c: Any = brentq(surplus, low, high, xtol=1e-15, maxiter=300)
    return float(np.exp(log_c))
