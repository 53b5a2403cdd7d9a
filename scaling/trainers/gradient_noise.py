"""The noise of a gradient: its mean and covariance from the norms at two batch sizes.

| symbol | meaning |
|---|---|
| G | mean of the gradient over the data, at given parameters |
| Sigma | covariance of the gradient of a batch, times the tokens of that batch |
| B, b | tokens of a batch and of one of its microbatches |
| B_simple | tr(Sigma) / |G|^2, the gradient noise scale, in tokens |

E |g_B|^2 = |G|^2 + tr(Sigma) / B and the same for b; a batch in m = B / b microbatches shows both,
and the two equations give unbiased estimates of |G|^2 and tr(Sigma):

    |G|^2      = (B |g_B|^2 - b |g_b|^2) / (B - b)
    tr(Sigma)  = (|g_b|^2 - |g_B|^2) / (1 / b - 1 / B)

They are linear in the norms: the norms are averaged over steps and the ratio is taken last, for the
mean of a ratio is no estimate of the ratio. Where sequences are what is drawn, Sigma is that of a
sequence's gradient times its tokens: tokens of one sequence need not be independent.

McCandlish et al. 2018, arXiv 1812.06162, equation 2.9 and appendix A.1.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from scaling.record import finite

COLUMNS = ("gradient_squared_norm", "gradient_covariance_trace", "gradient_noise_scale_tokens")
"""Names of what `columns` gives: |G|^2, tr(Sigma) and B_simple."""


class SquaredNorms(NamedTuple):
    """Squared norms of gradients, summed over steps.

    Attributes:
        parts: Squared norms of microbatch gradients, averaged over the microbatches of a step.
        whole: Squared norms of batch gradients.
    """

    parts: Float[Array, ""]
    whole: Float[Array, ""]


def no_norms() -> SquaredNorms:
    """The sums before the first step."""
    return SquaredNorms(jnp.float32(0), jnp.float32(0))


def unknown_norms() -> SquaredNorms:
    """Norms of a step whose microbatches have no gradient of their own: sums with them have none.

    A run that goes on where they have one reports no noise until its next evaluation.
    """
    return SquaredNorms(jnp.float32(jnp.nan), jnp.float32(jnp.nan))


def columns(
    norms: SquaredNorms | None, n_steps: int, n_tokens: int, microbatches: int
) -> dict[str, Any]:
    """Columns of a RunRecord on the noise of the gradient over some steps.

    The estimate of |G|^2 is negative where noise dominates it: the noise scale is then None. All
    are None where a norm is unknown.

    Args:
        norms: Sums over the steps; None where batches have one part: all columns are then None.
        n_steps: Number of steps.
        n_tokens: Number of tokens of a batch.
        microbatches: Number of microbatches of a batch.
    """
    if norms is None:
        return dict.fromkeys(COLUMNS)
    part, whole = float(norms.parts) / n_steps, float(norms.whole) / n_steps
    signal = (microbatches * whole - part) / (microbatches - 1)
    noise = n_tokens * (part - whole) / (microbatches - 1)
    scale = noise / signal if signal > 0 else math.nan
    return dict(zip(COLUMNS, map(finite, (signal, noise, scale)), strict=True))
