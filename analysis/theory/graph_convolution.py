"""Ridgeless regression behind one graph convolution: double descent over the features of nodes.

N nodes carry labels y = -1 or 1. The graph and the features of the nodes know them, faintly:

    A = (lambda / N) y y' + noise of variance 1 / N        the graph, N x N, not symmetric
    X = sqrt(mu / N) y u' + noise of variance 1 / F        the features, N x F, |u| = 1
    h = A X                                                what is read out

The read-out is the minimum-norm least squares of `y` on h at a share tau of the nodes; the others
are the test set. Given X, the rows `y_i h_i` are independent Gaussians: least squares on the
constant 1.

| symbol | argument          | range  | meaning                                           |
|--------|-------------------|--------|---------------------------------------------------|
| lambda | `graph_signal`    | >= 0   | strength of the labels in the graph               |
| mu     | `feature_signal`  | >= 0   | their strength in the features                    |
| tau    | `train_share`     | (0, 1) | share of the nodes whose labels are trained on    |
| kappa  | `size`            | > 0    | F / n, features over labels; the threshold is 1   |
| gamma  |                   |        | N / F = 1 / (kappa tau), nodes over features      |
| delta  |                   |        | squared signal over noise of a read-out of h      |

Reference: the model of Shi, Pan, Hu & Dokmanić, arXiv:2212.13069 (PNAS 2024). The closed forms are
derived here: below the threshold from Hotelling's T^2, above it from the deterministic equivalent
of ridgeless regression (Simon et al., arXiv:2110.03922) on the spectrum of X'X / N.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr

from analysis.estimate import Floats
from analysis.guards import non_negative, positive


class GraphRisk(NamedTuple):
    """Asymptotic risks of the read-out, each of the broadcast shape of the arguments.

    Attributes:
        test_risk: Mean squared error on the nodes that are not trained on; labels are -1 and 1.
        train_risk: Mean squared error on the nodes trained on.
        accuracy: Share of the test nodes whose sign is right.
    """

    test_risk: Floats
    train_risk: Floats
    accuracy: Floats


def graph_convolution_risk(
    size: ArrayLike, *, graph_signal: ArrayLike, feature_signal: ArrayLike, train_share: ArrayLike
) -> GraphRisk:
    """Risks of ridgeless regression on one graph convolution, N large.

    Below the threshold, with `delta = lambda^2 (1 + mu) / (gamma + mu)`,

        train    = (1 - kappa) / (1 + delta)
        test     = 1 / ((1 - kappa) (1 + delta))
        accuracy = Phi(delta sqrt((1 - kappa) / (delta + kappa)))

    Above it the train risk is 0. The effective ridge is `z / N`, `z = (kappa - 1) gamma (1 - tau)`.
    With Q(z) the mean output on a test node of label 1 and s the mean of the squared learnabilities
    of F features,

        test     = (1 - Q + z Q') / (1 - kappa s)
        accuracy = Phi(Q / sqrt(test - (1 - Q)^2))

    At the threshold the test risk is `inf` and the accuracy 1/2, its limit from both sides.

    Args:
        size: kappa.
        graph_signal: lambda.
        feature_signal: mu.
        train_share: tau.

    Returns:
        The risks.

    Raises:
        ValueError: An argument out of range.
    """
    kappa, lam, mu, tau = np.broadcast_arrays(
        positive("size", size),
        non_negative("graph_signal", graph_signal),
        non_negative("feature_signal", feature_signal),
        positive("train_share", train_share),
    )
    if np.any(tau >= 1):
        raise ValueError(
            f"train_share = {tau.max():g} leaves no node to test on: give a share below 1."
        )
    points = zip(*(each.flat for each in (kappa, lam, mu, tau)), strict=True)
    risks = np.array([_risks(*map(float, point)) for point in points])
    return GraphRisk(*risks.T.reshape(3, *kappa.shape))


def _risks(kappa: float, lam: float, mu: float, tau: float) -> tuple[float, float, float]:
    gamma = 1 / (kappa * tau)
    if kappa == 1:
        return np.inf, 0.0, 0.5
    if kappa < 1:
        delta = lam**2 * (1 + mu) / (gamma + mu)
        accuracy = ndtr(delta * np.sqrt((1 - kappa) / (delta + kappa)))
        return 1 / ((1 - kappa) * (1 + delta)), (1 - kappa) / (1 + delta), float(accuracy)
    # 1. The Stieltjes transform m of X'X at -z; at the effective ridge e = z m = 1 - 1 / kappa.
    e = 1 - 1 / kappa
    z = (kappa - 1) * gamma * (1 - tau)
    m = e / z
    dm = -(m**2 + m) / (2 * e + z + gamma - 1)
    # 2. y'(XX' + z)^-1 y / N: that of the noise, a, with the spike of the features in it.
    a = m / gamma + (1 - 1 / gamma) / z
    da = dm / gamma - (1 - 1 / gamma) / z**2
    g = 1 / (1 / a + mu * e)
    dg = -(g**2) * (-da / a**2 + mu * (m + z * dm))
    # 3. The mean output on a test node, and the risk.
    q, dq = lam**2 * (1 - z * g), -(lam**2) * (g + z * dg)
    mean, slope = q / (1 + q), dq / (1 + q) ** 2
    learned2 = 1 - 2 * e - z**2 * dm
    test = (1 - mean + z * slope) / (1 - kappa * learned2)
    return test, 0.0, float(ndtr(mean / np.sqrt(test - (1 - mean) ** 2)))
