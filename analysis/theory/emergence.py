"""Abilities that seem to emerge: sharp metrics of smooth errors, and tasks learnt one by one.

| symbol | argument   | range  | meaning                                        |
|--------|------------|--------|------------------------------------------------|
| N      | `n_params` | > 0    | parameters of the model                        |
| c      | `scale`    | > 0    | parameters at which the loss a token is 1 nat  |
| a      | `exponent` | > 0    | exponent of the loss, or of the quanta         |
| T      | `length`   | >= 1   | tokens that an answer has                      |
| K      | `tasks`    | >= 1   | number of tasks                                |
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from analysis.guards import positive


def token_accuracy(
    n_params: ArrayLike, *, scale: ArrayLike, exponent: ArrayLike
) -> Float[np.ndarray, "..."]:
    """Probability of a right token, `p = exp(-(N / c)^-a)`: the loss a token is a power law.

    Reference: Schaeffer, Miranda & Koyejo, arXiv:2304.15004, section 2.
    """
    ratio = positive("n_params", n_params) / positive("scale", scale)
    return np.exp(-(ratio ** -positive("exponent", exponent)))


def exact_match(token_accuracy: ArrayLike, length: ArrayLike) -> Float[np.ndarray, "..."]:
    """Probability that all T tokens of an answer are right, `p^T`: it looks sharp in N.

    Reference: Schaeffer, Miranda & Koyejo, arXiv:2304.15004, section 2.
    """
    return positive("token_accuracy", token_accuracy) ** positive("length", length)


def wrong_tokens(token_accuracy: ArrayLike, length: ArrayLike) -> Float[np.ndarray, "..."]:
    """Expected wrong tokens of an answer of T, `T (1 - p)`: smooth in N where `exact_match` is not.

    Reference: Schaeffer, Miranda & Koyejo, arXiv:2304.15004, section 2.
    """
    return positive("length", length) * (1 - positive("token_accuracy", token_accuracy))


def quanta_loss(learnt: ArrayLike, *, exponent: float, tasks: int) -> Float[np.ndarray, "..."]:
    """Loss left once the first n of K yes-or-no tasks are learnt, `log 2 * sum_(k > n) p_k`.

    Tasks are asked for with frequency p_k ~ k^-(1 + a). One that is learnt costs nothing, any other
    log 2 nats: the sum is exact.

    Args:
        learnt: n, whole numbers from 0 to K.
        exponent: a, above 0.
        tasks: K.

    Raises:
        ValueError: no whole number of tasks learnt, more than there are, or no task at all.
    """
    n = np.asarray(learnt)
    if tasks < 1 or np.any((n < 0) | (n > tasks) | (n % 1 != 0)):
        raise ValueError(
            f"learnt = {learnt} of tasks = {tasks}: give whole numbers from 0 to the number of "
            "tasks, which is at least 1"
        )
    use = np.arange(1.0, tasks + 1) ** -(1 + float(positive("exponent", exponent)))
    left = np.append(np.cumsum(use[::-1])[::-1], 0.0)
    return np.log(2) * left[n.astype(int)] / left[0]


@dataclass(frozen=True)
class QuantaExponents:
    """Exponents of the loss where skills are used with frequencies `k^-(1 + a)`.

    Attributes:
        params: Of `L ~ N^-a`, each skill taking the same number of parameters.
        data: Of `L ~ D^-(a / (1 + a))`, each skill taking the same number of its own examples.
    """

    params: float
    data: float


def quanta_exponents(exponent: float) -> QuantaExponents:
    """Exponents of the quantisation model, from the decay of how often skills are used.

    Args:
        exponent: a, above 0.

    Returns:
        The exponents.

    Raises:
        ValueError: `exponent` is not above 0.

    Reference: Michaud, Liu, Girit & Tegmark, arXiv:2303.13506.
    """
    a = float(positive("exponent", exponent))
    return QuantaExponents(params=a, data=a / (1 + a))
