"""Risk of linear regression on isotropic features: ridgeless, misspecified, ridge.

The data are `y = x'beta + noise` with independent zero-mean, unit-variance features. A risk here
is the **excess** risk `E (x'(beta_hat - beta))^2`, averaged over training sets, in squared label
units; add `noise_variance` for the test risk.

| symbol | argument         | range  | meaning                                                   |
|--------|------------------|--------|-----------------------------------------------------------|
| n      | `n_samples`      | > 0    | training examples                                         |
| p      | `n_features`     | > 0    | features that the model sees                              |
| gamma  | `aspect_ratio`   | > 0    | p / n; the interpolation threshold is gamma = 1           |
| s2     | `noise_variance` | >= 0   | variance of the label noise, in squared label units       |
| r2     | `signal_power`   | >= 0   | squared norm of beta, seen or not, in squared label units |
| q      | `observed_share` | 0 to 1 | share of r2 carried by the features that the model sees   |
| lam    | `ridge`          | >= 0   | ridge of the estimator (X'X/n + lam)^-1 X'y/n             |
| m      |                  |        | Stieltjes transform of the Marchenko-Pastur law, at -lam  |

Every function takes arrays that broadcast against each other, returns an array of the broadcast
shape, and raises `ValueError` for an argument out of its range.

"Ridgeless" means least squares for p < n and the minimum-norm interpolator for p > n. At the
threshold noise makes the ridgeless risk `inf`. Ridges in other normalisations convert by
`ridge = Lam / n` (for `|Xb - y|^2 + Lam |b|^2`) and `ridge = delta / n` (for `(XX' + delta)^-1`).
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from analysis.guards import non_negative, positive, share


def ridgeless_excess_risk(
    aspect_ratio: ArrayLike, *, noise_variance: ArrayLike, signal_power: ArrayLike
) -> Float[np.ndarray, "..."]:
    """Asymptotic excess risk of minimum-norm least squares, n and p growing at fixed gamma.

        excess = s2 gamma / (1 - gamma)                          gamma < 1
        excess = r2 (1 - 1/gamma) + s2 / (gamma - 1)             gamma > 1

    The risk is `inf` at gamma = 1 unless s2 = 0.

    Reference: Hastie et al., arXiv:1903.08560, isotropic features.
    """
    gamma = positive("aspect_ratio", aspect_ratio)
    gap = np.abs(1 - gamma)
    inflation = np.divide(np.minimum(gamma, 1), gap, out=np.full_like(gamma, np.inf), where=gap > 0)
    return _bias_plus_variance(1 / gamma, inflation, noise_variance, signal_power)


def ridgeless_excess_risk_exact(
    n_samples: ArrayLike,
    n_features: ArrayLike,
    *,
    noise_variance: ArrayLike,
    signal_power: ArrayLike,
) -> Float[np.ndarray, "..."]:
    """Exact expected excess risk of minimum-norm least squares on Gaussian features.

        excess = s2 p / (n - p - 1)                              p < n - 1
        excess = r2 (1 - n/p) + s2 n / (p - n - 1)               p > n + 1

    In between, `|n - p| <= 1`, the mean of an inverse Wishart does not exist: noise makes the
    expectation infinite (`inf` unless s2 = 0), and a finite average of runs there says nothing.
    Compare medians instead.

    Reference: Belkin, Hsu & Xu, arXiv:1903.07571, theorem 1.
    """
    n = positive("n_samples", n_samples)
    p = positive("n_features", n_features)
    gap = np.abs(n - p) - 1
    inflation = np.divide(np.minimum(n, p), gap, out=np.full_like(gap, np.inf), where=gap > 0)
    return _bias_plus_variance(n / p, inflation, noise_variance, signal_power)


def misspecified_excess_risk(
    aspect_ratio: ArrayLike,
    *,
    noise_variance: ArrayLike,
    signal_power: ArrayLike,
    observed_share: ArrayLike,
) -> Float[np.ndarray, "..."]:
    """Asymptotic ridgeless excess risk of a model that sees only a share q of the signal.

    The unseen signal (1 - q) r2 is lost, and acts on the fit as more label noise:
    `excess = (1 - q) r2 + ridgeless(gamma; s2 + (1 - q) r2, q r2)`, relative to the full signal.

    Reference: Hastie et al., arXiv:1903.08560, misspecified model.
    """
    seen, unseen, noise = _split_signal(noise_variance, signal_power, observed_share)
    risk = ridgeless_excess_risk(aspect_ratio, noise_variance=noise + unseen, signal_power=seen)
    return unseen + risk


def misspecified_excess_risk_exact(
    n_samples: ArrayLike,
    n_features: ArrayLike,
    *,
    noise_variance: ArrayLike,
    signal_power: ArrayLike,
    observed_share: ArrayLike,
) -> Float[np.ndarray, "..."]:
    """Exact expected ridgeless excess risk on Gaussian features when only a share q is seen.

    As `misspecified_excess_risk`, with the exact ridgeless form. Seeing a random p of D features is
    the case q = p/D.

    Reference: Belkin, Hsu & Xu, arXiv:1903.07571, theorem 1.
    """
    seen, unseen, noise = _split_signal(noise_variance, signal_power, observed_share)
    return unseen + ridgeless_excess_risk_exact(
        n_samples, n_features, noise_variance=noise + unseen, signal_power=seen
    )


def marchenko_pastur_stieltjes(
    aspect_ratio: ArrayLike, ridge: ArrayLike
) -> Float[np.ndarray, "..."]:
    """Stieltjes transform `m(-lam) = E 1/(x + lam)` of the Marchenko-Pastur law of X'X/n.

    The positive root of `gamma lam m^2 + (1 - gamma + lam) m - 1 = 0`. The expectation includes the
    atom of mass 1 - 1/gamma at zero when gamma > 1. It needs lam > 0.

    Reference: Hastie et al., arXiv:1903.08560, ridge regularization.
    """
    gamma = positive("aspect_ratio", aspect_ratio)
    lam = positive("ridge", ridge)
    return _ridge_shares(gamma, lam)[0] / lam


def ridge_excess_risk(
    aspect_ratio: ArrayLike, ridge: ArrayLike, *, noise_variance: ArrayLike, signal_power: ArrayLike
) -> Float[np.ndarray, "..."]:
    """Asymptotic excess risk of ridge regression, n and p growing at fixed gamma.

    `excess = r2 lam^2 m' + s2 gamma (m - lam m')` with m and its derivative m' taken at -lam.
    A ridge of zero gives the ridgeless risk.

    Reference: Hastie et al., arXiv:1903.08560, ridge regularization.
    """
    gamma = positive("aspect_ratio", aspect_ratio)
    lam = non_negative("ridge", ridge)
    s2 = non_negative("noise_variance", noise_variance)
    r2 = non_negative("signal_power", signal_power)
    # Where the ridge is zero the result is replaced, so 1 may stand in.
    shrunk, kept, root = _ridge_shares(gamma, np.where(lam > 0, lam, 1.0))
    # The published form without its cancellations: m' = m (1 + gamma m) / root, and so on.
    excess = (r2 * shrunk**2 / kept + s2 * gamma * kept) / root
    ridgeless = ridgeless_excess_risk(gamma, noise_variance=s2, signal_power=r2)
    return np.where(lam > 0, excess, ridgeless)


def optimal_ridge(
    aspect_ratio: ArrayLike, *, noise_variance: ArrayLike, signal_power: ArrayLike
) -> Float[np.ndarray, "..."]:
    """Ridge that minimises the asymptotic excess risk: `lam = s2 gamma / r2`.

    As `Lam = n lam = p s2 / r2` it does not depend on the number of examples. It needs r2 > 0:
    without signal the best ridge is infinite.

    Reference: Nakkiran et al., arXiv:2003.01897; Hastie et al., arXiv:1903.08560.
    """
    gamma = positive("aspect_ratio", aspect_ratio)
    s2 = non_negative("noise_variance", noise_variance)
    return np.asarray(s2 * gamma / positive("signal_power", signal_power))


def optimal_ridge_excess_risk(
    aspect_ratio: ArrayLike, *, noise_variance: ArrayLike, signal_power: ArrayLike
) -> Float[np.ndarray, "..."]:
    """Asymptotic excess risk at the optimal ridge: `s2 gamma m(-lam)`, increasing in gamma.

    There is no peak at gamma = 1. It needs r2 > 0.

    Reference: Nakkiran et al., arXiv:2003.01897.
    """
    s2, r2 = noise_variance, signal_power
    lam = optimal_ridge(aspect_ratio, noise_variance=s2, signal_power=r2)
    return ridge_excess_risk(aspect_ratio, lam, noise_variance=s2, signal_power=r2)


def second_descent_minimum(signal_to_noise: ArrayLike) -> Float[np.ndarray, "..."]:
    """Aspect ratio beyond the threshold at which the ridgeless excess risk is least.

    `gamma = sqrt(SNR) / (sqrt(SNR) - 1)` with `SNR = r2 / s2`; `inf` for SNR of at most 1, where
    the risk falls towards r2 from above without end.

    Reference: Hastie et al., arXiv:1903.08560, isotropic features.
    """
    root = np.sqrt(positive("signal_to_noise", signal_to_noise))
    return np.divide(root, root - 1, out=np.full_like(root, np.inf), where=root > 1)


@dataclass(frozen=True)
class LinearProblem:
    """A linear regression as `analysis.theory.kernel_ridge_risk` takes it.

    Attributes:
        eigenvalues: l_i, eigenvalues of the covariance of the features, shape (p,).
        target_power: v_i = l_i beta_i^2 along its eigenvectors, in squared label units, shape (p,).
        noise_variance: s2, in squared label units: the noise and what no linear function sees.
    """

    eigenvalues: Float[np.ndarray, " p"]
    target_power: Float[np.ndarray, " p"]
    noise_variance: float


def latent_space_problem(
    loadings: Float[np.ndarray, "p latents"],
    coefficients: Float[np.ndarray, " latents"],
    *,
    noise_variance: float,
) -> LinearProblem:
    """The regression on features `x = W z + u` of labels `y = theta' z + noise`.

    Latents z and the features' own noise u are standard normal. Given x, the labels are
    `beta' x` plus independent noise, with `beta = W (I + W'W)^-1 theta` and the noise raised by
    `theta' (I + W'W)^-1 theta`. More features then see the latents better, and the test risk falls
    beyond the threshold as in the misspecified model.

    Args:
        loadings: W, shape (p, latents).
        coefficients: theta, shape (latents,).
        noise_variance: Variance of the noise on the labels, at least 0.

    Returns:
        The problem; its covariance is `I + W W'`.

    Raises:
        ValueError: A negative noise, or shapes that do not fit.

    Reference: Hastie et al., arXiv:1903.08560, latent space model.
    """
    w, theta = np.asarray(loadings, np.float64), np.asarray(coefficients, np.float64)
    if w.ndim != 2 or theta.shape != w.shape[1:]:
        raise ValueError(
            f"loadings has shape {w.shape} and coefficients {theta.shape}: give (p, latents) and "
            "(latents,)."
        )
    known = np.linalg.solve(np.eye(len(theta)) + w.T @ w, theta)
    eigenvalues, vectors = np.linalg.eigh(np.eye(len(w)) + w @ w.T)
    s2 = float(non_negative("noise_variance", noise_variance))
    return LinearProblem(
        eigenvalues, eigenvalues * (vectors.T @ (w @ known)) ** 2, s2 + float(theta @ known)
    )


def _bias_plus_variance(
    samples_per_feature: Float[np.ndarray, "..."],
    inflation: Float[np.ndarray, "..."],
    noise_variance: ArrayLike,
    signal_power: ArrayLike,
) -> Float[np.ndarray, "..."]:
    s2 = non_negative("noise_variance", noise_variance)
    r2 = non_negative("signal_power", signal_power)
    # An infinite inflation of no noise is no variance: 0 * inf must give 0 here.
    inflation, s2 = np.broadcast_arrays(inflation, s2)
    variance = np.multiply(s2, inflation, out=np.zeros(s2.shape), where=s2 > 0)
    return np.asarray(r2 * np.maximum(1 - samples_per_feature, 0) + variance)


def _split_signal(
    noise_variance: ArrayLike, signal_power: ArrayLike, observed_share: ArrayLike
) -> tuple[Float[np.ndarray, "..."], Float[np.ndarray, "..."], Float[np.ndarray, "..."]]:
    r2 = non_negative("signal_power", signal_power)
    q = share("observed_share", observed_share)
    noise = non_negative("noise_variance", noise_variance)
    return np.asarray(q * r2), np.asarray((1 - q) * r2), noise


def _ridge_shares(
    gamma: Float[np.ndarray, "..."], lam: Float[np.ndarray, "..."]
) -> tuple[Float[np.ndarray, "..."], Float[np.ndarray, "..."], Float[np.ndarray, "..."]]:
    """Returns lam m (share shrunk), 1 - lam m (share kept) and the root of the discriminant."""
    linear = 1 - gamma + lam
    root = np.hypot(linear, 2 * np.sqrt(gamma * lam))
    # Of the two equal forms of the root of the quadratic, the one that adds: no cancellation.
    scaled = np.where(linear >= 0, 2 * lam / (np.abs(linear) + root), (root - linear) / (2 * gamma))
    return scaled, scaled / (lam + gamma * scaled), root
