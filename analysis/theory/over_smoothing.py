"""Accuracy of labels read off a graph after k convolutions: mixing against denoising.

| symbol | argument         | meaning                                                    |
|--------|------------------|------------------------------------------------------------|
| N      | `nodes`          | nodes                                                      |
| d      | `degree`         | mean degree                                                |
| mu     | `feature_signal` | mean of a node's feature is mu times its label, variance 1 |
| lambda | `graph_signal`   | (p - q) / (p + q): edges within over those between labels  |
| k      | `depth`          | convolutions                                               |

A convolution is the mean over neighbours, so k of them are the mean over the walks of k steps. On a
large graph that is locally a tree, a walk that ends j edges away goes back (k - j) / 2 times, in
one of B(k, j) orders (ballot numbers), each time with probability 1 / d:

    w_j ~ B(k, j) d^-((k - j) / 2),  B(k, j) = C(k, (k - j) / 2) - C(k, (k - j) / 2 - 1)

- The signal is mu sum_j w_j lambda^j: labels agree lambda^j further j edges away. Walks that go
  back keep what direct ones lose, above all those that return to the node itself.
- The noise of a node's own neighbourhood has variance sum_j B(k, j)^2 d^-k = C_k d^-k, with the
  Catalan number C_k. It falls with depth.
- What nodes share never falls: the mean of the noise over the graph (variance 1 / N) and over each
  label (lambda^2k / N). So depth helps first and then hurts.
"""

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike
from scipy import special

from analysis.estimate import Floats
from analysis.guards import positive


def smoothed_accuracy(
    depth: ArrayLike,
    *,
    nodes: ArrayLike,
    degree: ArrayLike,
    feature_signal: float,
    graph_signal: float,
) -> Float[np.ndarray, "..."]:
    """Share of labels that the sign of the smoothed feature gives right, in the mean over graphs.

        Phi(mu sum_j w_j lambda^j / (1 / N + lambda^2k / N + C_k d^-k)^1/2)

    Args:
        depth: k, whole numbers from 0.
        nodes: N; the formula takes d^k to be well below it, or the first term to lead.
        degree: d, above 1; the formula takes it to be large.
        feature_signal: mu.
        graph_signal: lambda, from 0 to 1.

    Raises:
        ValueError: a signal of the graph outside 0 to 1, or a depth that is no whole number from 0.

    Reference: Wu, Chen, Wang & Jadbabaie, arXiv:2212.10701, who weigh mixing against denoising; the
    closed form is derived here and checked by simulation.
    """
    if not 0 <= graph_signal <= 1:
        raise ValueError(f"graph_signal = {graph_signal}: give a share from 0 to 1")
    if np.any((np.asarray(depth) < 0) | (np.asarray(depth) % 1 != 0)):
        raise ValueError(f"depth = {depth}: give whole numbers from 0")
    k, n, d = np.broadcast_arrays(depth, positive("nodes", nodes), positive("degree", degree))
    seen = [
        _signal(int(steps), float(edges), graph_signal)
        for steps, edges in zip(k.ravel(), d.ravel(), strict=True)
    ]
    walks = special.comb(2 * k, k) / (k + 1)
    variance = 1 / n + graph_signal ** (2 * k) / n + walks / d**k
    return special.ndtr(feature_signal * np.reshape(seen, k.shape) / np.sqrt(variance))


def _signal(depth: int, degree: float, graph_signal: float) -> float:
    """Mean agreement of labels at the ends of walks, sum_j w_j lambda^j."""
    back = np.arange(depth // 2 + 1)  # steps that are taken back
    weights: Floats = _ballot(depth, back) / degree**back
    return float(weights @ graph_signal ** (depth - 2.0 * back) / weights.sum())


def _ballot(depth: int, back: np.ndarray) -> Floats:
    fewer = np.where(back > 0, special.comb(depth, np.maximum(back - 1, 0)), 0.0)
    return special.comb(depth, back) - fewer
