"""Runs of given sizes: from parameters N and examples D to the nearest configurations.

runs = at_sizes(base, [(1e5, 2e6), (3e5, 6e6)], size="model.width")
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence

from scaling.accounting import account
from scaling.config import RunConfig
from scaling.fields import flatten, nearest
from scaling.overrides import replace_at
from scaling.pretraining import Pretraining
from scaling.training import Gradient
from sweeps.guards import require_positive
from sweeps.shapes import deviations_beside

TOLERANCE = 0.2
"""Largest deviation of parameters and examples of a run from those asked for, as a share."""

MAX_SIZE = 2**31
"""Upper end of the search for sizes."""


def at_sizes(
    base: RunConfig,
    cells: Iterable[tuple[float, float]],
    *,
    size: str,
    values: Sequence[int] = range(1, MAX_SIZE),
    tolerance: float = TOLERANCE,
) -> list[RunConfig]:
    """The run nearest to each cell: as many parameters, trained on as many examples.

    Parameters are all those of a model (`n_params_total`); examples are those seen, repetitions
    counted: the length of a gradient run, the tokens of pre-training, the training set of a
    closed-form solution. A cell given again becomes a run of the next seed.

    Args:
        base: Configuration that the runs share.
        cells: Pairs (N, D).
        size: Path of the whole-number field by which N is reached, e.g. "model.width".
        values: Sizes to choose from, ascending, such as `range(64, 8192, 64)`; parameters grow
            with them. A size that the configuration refuses counts as too large.
        tolerance: Share by which N and D may be missed.

    Returns:
        One run a cell, in order.

    Raises:
        ValueError: no such field; a cell that no size comes near, with the nearest; a number of
            examples that the batches cannot make.
    """
    _require_whole(base, size)
    runs, seen = [], Counter[tuple[float, float]]()
    for cell in cells:
        n_params, n_examples = cell
        for name, value in (("N", n_params), ("D", n_examples)):
            require_positive(f"{name} of a cell", value)
        config = replace_at(base, size, _nearest_size(base, n_params, size, values, tolerance))
        config = _trained_on(config, n_examples, tolerance)
        runs.append(replace_at(config, "seed", config.seed + seen[cell]))
        seen[cell] += 1
    return runs


def _require_whole(base: RunConfig, size: str) -> None:
    fields = flatten(base)
    if size not in fields:
        raise ValueError(f"size = {size!r} is no field; {nearest(size, fields)}")
    if type(fields[size]) is not int:
        raise ValueError(
            f"size = {size!r} is {fields[size]!r}, not a whole number: give a field such as "
            "'model.width'"
        )


def _nearest_size(
    base: RunConfig, n_params: float, size: str, values: Sequence[int], tolerance: float
) -> int:
    """The size that comes nearest to N parameters, in ratio."""

    def count(value: int) -> float:
        try:
            return account(replace_at(base, size, value)).n_params_total
        except ValueError:
            return math.inf

    deviations = deviations_beside(n_params, values, count)
    best = min(deviations, key=deviations.__getitem__, default=None)
    if best is None or not math.isfinite(deviations[best]):
        raise ValueError(
            f"N = {n_params:.4g}: {base.model.kind} allows none of the {size} given. Give other "
            "`values`"
        )
    if deviations[best] > math.log1p(tolerance):
        raise ValueError(
            f"N = {n_params:.4g} is more than {100 * tolerance:g} % from any size. The nearest, "
            f"{size} = {best}, has {count(best):.4g} parameters. Change another field of the base, "
            "or leave the cell out"
        )
    return best


def _trained_on(config: RunConfig, n_examples: float, tolerance: float) -> RunConfig:
    """The configuration that trains on as many examples."""
    match config.train:
        case Gradient():
            path = "train.examples"
        case Pretraining():
            path = "train.tokens"
        case _:
            path = "data.n_train"
    config = replace_at(config, path, max(round(n_examples), 1))
    counts = account(config)
    found = counts.n_tokens_seen or counts.n_examples_seen
    if abs(math.log(found / n_examples)) > math.log1p(tolerance):
        raise ValueError(
            f"D = {n_examples:.4g} is more than {100 * tolerance:g} % from the nearest number of "
            f"full batches, {found:,} examples. Give a smaller train.batch_size"
        )
    return config
