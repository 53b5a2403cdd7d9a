"""Bias and variance of a procedure, by disjoint training sets and by seeds of initial weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from scaling.config import RunConfig
from scaling.measures.trained import disjoint_splits, held_out_targets, predictions


@dataclass(frozen=True, kw_only=True)
class BiasVariance:
    """Parts of the mean squared error, each averaged over held-out examples, summed over outputs.

    They are unbiased estimates, so a small part may come out below 0, and they add up to `error`.

    Attributes:
        bias2: Squared distance of the mean prediction from the target; noise of held-out targets
            is in it.
        from_examples: Variance over training sets (their inputs and label noise).
        from_initial: Variance over initial weights, orders and features; None for one seed.
        from_both: What varies with both together; None for one seed.
        error: Mean squared error over all models.
    """

    bias2: float
    from_examples: float
    from_initial: float | None
    from_both: float | None
    error: float

    @property
    def variance(self) -> float:
        """Variance from all sources."""
        return self.from_examples + (self.from_initial or 0.0) + (self.from_both or 0.0)


def bias_variance(config: RunConfig, *, n_splits: int, seeds: Sequence[int]) -> BiasVariance:
    """Trains a run on disjoint training sets, from every seed on each, and splits its error.

    Args:
        config: The run; its seed chooses the data.
        n_splits: Training sets of `data.n_train` examples, 2 or more.
        seeds: Seeds of initial weights, one or more, the same on every training set.

    Raises:
        ValueError: As `split_error`, or a run whose outputs are not kept.

    Reference: Yang et al., arXiv 2002.11328, section 3: disjoint splits leave no bias from shared
    examples.
    """
    splits = disjoint_splits(config.data, n_splits, config.seed)
    outputs = np.array(
        [[predictions(replace(config, seed=seed), each) for seed in seeds] for each in splits]
    )
    return split_error(outputs, held_out_targets(config, splits[0]))


def split_error(
    outputs: Float[np.ndarray, "splits seeds examples outputs"],
    targets: Float[np.ndarray, "examples outputs"],
) -> BiasVariance:
    """Splits the squared error of predictions by the two-way analysis of variance.

    With S training sets and I seeds, and mean squares MS of each factor and of the rest,

        from_both = MS_rest,  from_examples = (MS_splits - MS_rest) / I,  from_initial likewise / S
        bias2     = |mean - target|^2 - from_examples / S - from_initial / I - from_both / (S I)

    Raises:
        ValueError: Fewer than 2 training sets, or outputs and targets of unlike shape.
    """
    if outputs.ndim != 4 or outputs.shape[2:] != targets.shape or len(outputs) < 2:
        raise ValueError(
            f"outputs has shape {outputs.shape} and targets {targets.shape}: give outputs of shape "
            "(splits, seeds, examples, outputs), of 2 splits or more"
        )
    n_splits, n_seeds = outputs.shape[:2]
    mean = outputs.mean(axis=(0, 1))
    of_split, of_seed = outputs.mean(axis=1) - mean, outputs.mean(axis=0) - mean

    def squares(values: np.ndarray) -> float:
        return float(np.sum(values**2, axis=-1).mean(axis=-1).sum())

    between = n_seeds * squares(of_split) / (n_splits - 1)
    off = squares(mean - targets)
    error = squares(outputs - targets) / (n_splits * n_seeds)
    if n_seeds == 1:
        return BiasVariance(
            bias2=off - between / n_splits,
            from_examples=between,
            from_initial=None,
            from_both=None,
            error=error,
        )
    rest_of = outputs - mean - of_split[:, None] - of_seed[None]
    rest = squares(rest_of) / ((n_splits - 1) * (n_seeds - 1))
    examples = (between - rest) / n_seeds
    initial = (n_splits * squares(of_seed) / (n_seeds - 1) - rest) / n_splits
    return BiasVariance(
        bias2=off - examples / n_splits - initial / n_seeds - rest / (n_splits * n_seeds),
        from_examples=examples,
        from_initial=initial,
        from_both=rest,
        error=error,
    )
