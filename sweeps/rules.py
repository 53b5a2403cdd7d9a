"""Rules by which learning rate, batch and warm-up follow the size and length of a run.

| rule | formula | source |
|---|---|---|
| `kaplan_learning_rate` | 0.003239 - 0.0001395 ln N | Kaplan et al. 2020, 2001.08361, eq. D.1 |
| `deepseek_learning_rate` | 0.3118 C^-0.1250 | DeepSeek-AI 2024, 2401.02954, eq. 1 |
| `deepseek_batch_size` | 0.2920 C^0.3271 tokens | the same |
| `olmo_learning_rate` | 0.0047 (N / 108e6)^(-1/3) | OLMo ladder 2024, 2412.04403 |
| `olmo_batch_size` | 160 (N / 108e6)^(2/3) sequences of 2048 | the same |
| `falling_beyond` | a power of D | Bjorck et al. 2024, 2409.19913 |
| `parameters_as_tokens` | warm-up for N tokens | Porian et al. 2024, 2406.19146, section 3.3 |

Each was fitted to models of 10^6 parameters and more trained on text by AdamW in the standard
parametrization; below that range it is an extrapolation. Under muP one learning rate serves every
width, and a recipe needs no rule for it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from sweeps.guards import require_positive


class Cell(NamedTuple):
    """Facts of a run that a rule may depend on."""

    n_params_matmul: int  # without embeddings, read-out included
    n_params_non_embedding: int  # without embeddings and read-out
    tokens: float  # to train on, before rounding to full batches
    flops: float  # to train, attention and read-out included
    context: int  # tokens of a sequence
    width: int


Rule = Callable[[Cell], float]
"""A function that gives a learning rate, a batch in sequences, or a warm-up in tokens."""


def kaplan_learning_rate(cell: Cell) -> float:
    """Kaplan et al.'s rule for Adam, N without embeddings; they warn of it above 1e10 parameters.

    Raises:
        ValueError: a size at which the rule gives no positive rate.
    """
    rate = 0.003239 - 0.0001395 * math.log(cell.n_params_non_embedding)
    if rate <= 0:
        raise ValueError(
            f"Kaplan's rule gives no positive learning rate at N = "
            f"{cell.n_params_non_embedding:.4g}, only below 1.2e10. Use another rule"
        )
    return rate


def deepseek_learning_rate(cell: Cell) -> float:
    """DeepSeek's rule; their C leaves out the read-out, which counts here."""
    return 0.3118 * cell.flops**-0.1250


def deepseek_batch_size(cell: Cell) -> float:
    """DeepSeek's rule, in sequences; their C leaves out the read-out, which counts here."""
    return 0.2920 * cell.flops**0.3271 / cell.context


def olmo_learning_rate(cell: Cell) -> float:
    """The OLMo ladder's rule, after Porian et al. 2024; N without embeddings, with the read-out."""
    return 0.0047 * (cell.n_params_matmul / 108e6) ** (-1 / 3)


def olmo_batch_size(cell: Cell) -> float:
    """The OLMo ladder's rule, in sequences of this context with as many tokens."""
    sequences = 160 * (cell.n_params_matmul / 108e6) ** (2 / 3)
    return sequences * 2048 / cell.context


def tuned(rates: Mapping[float, float]) -> Rule:
    """A rule from a tuned grid: straight lines in log rate over log N, constant beyond its ends.

    Args:
        rates: The best value found at each size, by `n_params_matmul`.

    Raises:
        ValueError: an empty table, or numbers that are not positive.
    """
    if not rates:
        raise ValueError("rates is empty: give the best rate of at least one size")
    for size, rate in rates.items():
        require_positive("a size in rates", size)
        require_positive(f"the rate at size {size:g}", rate)
    sizes = sorted(rates)
    log_n, log_rate = np.log(sizes), np.log([rates[size] for size in sizes])
    return lambda cell: float(np.exp(np.interp(math.log(cell.n_params_matmul), log_n, log_rate)))


def falling_beyond(tokens: float, exponent: float, rule: Rule) -> Rule:
    """A rule that falls as a power of the tokens of a run, for runs of more than `tokens` tokens.

    The longer a run, the lower its best learning rate (Bjorck et al. 2024, 2409.19913).

    Args:
        tokens: Length up to which `rule` is unchanged.
        exponent: Exponent of the fall, positive.
        rule: The rule for short runs.

    Raises:
        ValueError: numbers that are not positive.
    """
    require_positive("tokens", tokens)
    require_positive("exponent", exponent)
    return lambda cell: rule(cell) * max(1.0, cell.tokens / tokens) ** -exponent


def parameters_as_tokens(cell: Cell) -> float:
    """Warm-up for as many tokens as there are parameters, but at most a fifth of the run.

    The upper bound is ours: at one token a parameter, all of the run would be warm-up.
    """
    return min(cell.n_params_matmul, cell.tokens / 5)


def share_of_run(share: float) -> Rule:
    """Warm-up for a share of the tokens of a run.

    Raises:
        ValueError: a share below 0, or of 1 or more.
    """
    if not 0 <= share < 1:
        raise ValueError(f"share = {share} of a run cannot be warm-up: give 0 or more, below 1")
    return lambda cell: share * cell.tokens
