"""Recall from a finite memory: what a model that keeps a state must lose.

| symbol | argument     | meaning                                    |
|--------|--------------|--------------------------------------------|
| T      | `length`     | random tokens that are to be said again    |
| V      | `vocabulary` | different tokens, each as likely           |
| B      | `bits`       | bits of all that is kept of them           |

A state of B bits tells at most B bits of T log2 V, so that the mean loss of saying all of them
again is at least log V - B log 2 / T nats, however the state was made and is read (the entropy of
the tokens given the state, by the chain rule; Cover & Thomas, Elements of Information Theory,
theorems 2.2.1 and 2.6.5). A state that holds some tokens and nothing of the others reaches it.
"""

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from analysis.guards import positive


def least_recall_loss(
    bits: ArrayLike, *, length: ArrayLike, vocabulary: ArrayLike
) -> Float[np.ndarray, "..."]:
    """Least mean loss of saying T tokens again from a state of B bits, nats a token."""
    log_v, t = np.log(positive("vocabulary", vocabulary)), positive("length", length)
    return np.maximum(log_v - np.asarray(bits, np.float64) * np.log(2) / t, 0.0)


def recalled_bits(
    loss: ArrayLike, *, length: ArrayLike, vocabulary: ArrayLike
) -> Float[np.ndarray, "..."]:
    """Bits that a state holds at least, where T tokens are said again at a mean loss in nats."""
    log_v, t = np.log(positive("vocabulary", vocabulary)), positive("length", length)
    return np.maximum(log_v - np.asarray(loss, np.float64), 0.0) * t / np.log(2)
