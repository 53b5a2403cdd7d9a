"""Two views of one thing with a known mutual information: what a contrastive model can reach.

| symbol | argument       | meaning                                                       |
|--------|----------------|---------------------------------------------------------------|
| c_i    | `correlations` | correlation of u_i and v_i, standard normal, independent in i |
| B      | `batch`        | pairs in a batch, among which partners are sought             |
| I      |                | mutual information of u and v, nats                           |

The contrastive loss of a batch asks for the partner of each u among all v. It is at least
log B - I, and its optimum is that of the critic log p(u, v) / (p(u) p(v)). Knowing nothing costs
log B.

Reference: van den Oord, Li & Vinyals, arXiv:1807.03748, section 2.3 and appendix A.1.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from analysis.estimate import Floats


def _correlations(correlations: ArrayLike) -> Floats:
    c = np.asarray(correlations, np.float64)
    if np.any(np.abs(c) >= 1):
        raise ValueError(
            f"correlations = {correlations}: give values between -1 and 1; at 1 the mutual "
            "information is infinite"
        )
    return c


def mutual_information(correlations: ArrayLike) -> float:
    """Mutual information of both views, `-1/2 sum log(1 - c_i^2)`, in nats."""
    return float(-0.5 * np.sum(np.log1p(-(_correlations(correlations) ** 2))))


def log_density_ratio(u: Floats, v: Floats, correlations: ArrayLike) -> Float[np.ndarray, "..."]:
    """The best critic, log p(u, v) / (p(u) p(v)); u and v have shape (..., dimensions)."""
    c = _correlations(correlations)
    pull = (c**2 * (u**2 + v**2) - 2 * c * u * v) / (2 * (1 - c**2))
    return np.sum(-0.5 * np.log1p(-(c**2)) - pull, axis=-1)


class Retrieval(NamedTuple):
    """What the exact critic reaches in batches, with standard errors over batches."""

    loss: float
    loss_sem: float
    top_1: float


def best_retrieval(
    correlations: ArrayLike, batch: int, *, n_batches: int = 200, seed: int = 0
) -> Retrieval:
    """Least contrastive loss, and share of partners found first, by Monte Carlo over batches."""
    c, rng = _correlations(correlations), np.random.default_rng(seed)
    losses, found = [], []
    for _ in range(n_batches):
        u, noise = rng.standard_normal((2, batch, c.size))
        scores = log_density_ratio(u[:, None], c * u + np.sqrt(1 - c**2) * noise, c)
        own = np.diagonal(scores)
        both = np.logaddexp.reduce(scores, axis=1) + np.logaddexp.reduce(scores, axis=0)
        losses.append(np.mean(both / 2 - own))
        found.append(np.mean(scores.argmax(axis=1) == np.arange(batch)))
    sem = float(np.std(losses, ddof=1) / np.sqrt(n_batches))
    return Retrieval(float(np.mean(losses)), sem, float(np.mean(found)))


def sign_agreement(correlations: ArrayLike) -> float:
    """Chance that the signs of u and v agree in all coordinates, `prod (1/2 + arcsin(c_i) / pi)`.

    Where no c_i is below 0, the best guess of v's signs from u is u's own: this is the ceiling of
    naming them.
    """
    return float(np.prod(0.5 + np.arcsin(_correlations(correlations)) / np.pi))
