"""Risk of ridge regression on random features of a kernel with any spectrum.

The model has k features `phi_j(x)`, drawn so that `E phi_j(x) phi_j(x')` is the kernel with
eigenvalues l_i, and predicts with `K = Phi Phi' / k`. Its predictions are those of kernel ridge
regression where k grows without end, and those of the best of k random features where n does.

| symbol  | argument         | meaning                                                           |
|---------|------------------|-------------------------------------------------------------------|
| n       | `n_samples`      | training examples                                                 |
| k       | `n_features`     | random features; the interpolation threshold is k = n             |
| l_i     | `eigenvalues`    | eigenvalues of the kernel, in kernel units, one a mode            |
| v_i     | `target_power`   | squared target coefficient on mode i, in squared label units      |
| delta   | `ridge`          | ridge of (K + delta)^-1 y, in kernel units                        |
| s2      | `noise_variance` | variance of the label noise, in squared label units               |
| kappa   |                  | effective ridge of the samples, in kernel units                   |
| G       |                  | effective ridge of samples and features together, in kernel units |
| L_i     |                  | learnability l_i / (l_i + G) of mode i                            |
| z, q    |                  | sum of L_i, sum of L_i^2                                          |

The two spectra have shape (modes,), and the other arguments broadcast against each other. n and k
must be above 0, the others at least 0; anything else raises `ValueError`.

References: Simon et al., "More is better in modern machine learning", arXiv:2311.14646; Atanasov,
Zavatone-Veth & Pehlevan, arXiv:2405.00592.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike
from scipy.optimize import brentq

from analysis.guards import non_negative, positive
from analysis.theory.kernel_regression import effective_ridge, spectra


@dataclass(frozen=True)
class RandomFeatureRisk:
    """Expected risks of ridge regression on random features, each of the arguments' shape.

    Attributes:
        test_risk: Squared error on a fresh noisy label: the excess risk plus s2.
        train_risk: Mean squared error on the training labels.
        kappa: Effective ridge of the samples, in kernel units.
        joint_ridge: G, effective ridge of samples and features together, in kernel units.
        n_learned: z, the sum of the learnabilities: never more than n or k.
    """

    test_risk: Float[np.ndarray, "..."]
    train_risk: Float[np.ndarray, "..."]
    kappa: Float[np.ndarray, "..."]
    joint_ridge: Float[np.ndarray, "..."]
    n_learned: Float[np.ndarray, "..."]


def random_feature_risk(
    eigenvalues: ArrayLike,
    target_power: ArrayLike,
    n_samples: ArrayLike,
    n_features: ArrayLike,
    *,
    ridge: ArrayLike,
    noise_variance: ArrayLike,
) -> RandomFeatureRisk:
    """Expected **test** and train risk of ridge regression on k random features.

        kappa, G:   n = z + delta / kappa,      k = z + k kappa / G
        test  = [ sum_i ( G/(l_i+G) - kappa l_i/(l_i+G)^2 k/(k-q) ) v_i + s2 ]
                / [ 1 - (q (k-2z) + z^2) / (n (k-q)) ]
        train = (delta / (n kappa))^2 test

    A ridge of zero gives the limit delta -> 0, on either side of the threshold k = n, where the
    risk is `inf`. `test_risk` includes the noise of the test label; subtract s2 for the excess.

    Raises:
        ValueError: An argument out of range, or spectra of different lengths.

    Reference: Simon et al., arXiv:2311.14646, the random-feature eigenframework.
    """
    eigs, v = spectra(eigenvalues, target_power)
    n, k, delta, s2 = np.broadcast_arrays(
        positive("n_samples", n_samples),
        positive("n_features", n_features),
        non_negative("ridge", ridge),
        non_negative("noise_variance", noise_variance),
    )
    points = zip(n.flat, k.flat, delta.flat, s2.flat, strict=True)
    columns = np.array([_risks(eigs, v, *map(float, point)) for point in points])
    return RandomFeatureRisk(*columns.T.reshape(5, *n.shape))


def _risks(
    eigs: Float[np.ndarray, " modes"],
    v: Float[np.ndarray, " modes"],
    n: float,
    k: float,
    delta: float,
    s2: float,
) -> tuple[float, float, float, float, float]:
    """Returns the fields of `RandomFeatureRisk`, in order, at one point."""
    live = eigs > 0
    joint, unlearned = _solve(eigs[live], n, k, delta)
    # What z leaves of n and of k. With them every factor of the risk is a sum of positive terms.
    spare_samples, spare_features = unlearned + max(n - k, 0.0), unlearned + max(k - n, 0.0)
    missed = np.where(live, joint / np.where(live, eigs + joint, 1.0), 1.0)
    half_learned = float(np.sum(missed * (1 - missed)))  # z - q
    kappa = joint * spare_features / k
    features_left = spare_features + half_learned  # k - q
    freedom = (spare_samples + spare_features) * half_learned + spare_samples * spare_features
    if joint == 0:
        # Every mode is learnt: least squares on them, whatever the features.
        error, inflation = s2 + float(np.sum(v[~live])), _ratio(n, spare_samples)
    else:
        error = float(np.sum(v * missed * (half_learned + spare_features * missed)))
        error = error / features_left + s2
        inflation = _ratio(n * features_left, freedom)
    test = inflation * error if error > 0 else 0.0
    train = (spare_samples / n) ** 2 * test if spare_samples > 0 else 0.0
    return test, train, kappa, joint, float(np.sum(1 - missed))


def _ratio(above: float, below: float) -> float:
    return above / below if below > 0 else np.inf


def _solve(
    eigs: Float[np.ndarray, " modes"], n: float, k: float, delta: float
) -> tuple[float, float]:
    """Solves for G, and for what the learnt modes leave of the smaller of n and k.

    With kappa eliminated the equations are `(n - z)(k - z) G = delta k`, whose left side grows with
    G from 0 at the ridgeless root. The unknown is the log of the distance from that root: with a
    small ridge the distance is far below the last digit of G itself.
    """
    fewer, gap = min(n, k), abs(n - k)
    root = float(effective_ridge(eigs, fewer, ridge=0.0)) if eigs.size else 0.0
    idle = max(fewer - eigs.size, 0.0)
    if delta == 0:
        return root, idle

    def unlearned(distance: float) -> float:
        # z(root) - z(root + distance), and what even all modes leave.
        per_mode = eigs / ((eigs + root + distance) * (eigs + root))
        return idle + distance * float(np.sum(per_mode))

    def surplus(log_distance: float) -> float:
        distance = np.exp(log_distance)
        left = unlearned(distance)
        return float(
            np.log(left) + np.log(left + gap) + np.log(root + distance) - np.log(delta * k)
        )

    # Where G is above both, z is at most half of n and of k, and the left side above the right.
    high = np.log(max(2 * eigs.sum() / fewer, 4 * delta / n)) + np.log(2)
    low = high - 10
    while surplus(low) > 0:
        low -= 20
    log_distance: Any = brentq(surplus, low, high, xtol=1e-13, maxiter=300)
    distance = float(np.exp(log_distance))
    return root + distance, unlearned(distance)
