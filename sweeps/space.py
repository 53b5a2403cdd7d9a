"""Sweep algebra: functions from lists of RunConfigs to lists of RunConfigs.

Axes are dotted field paths with the values they take. A path that names no field, or a value that
its field cannot hold, is refused before anything is built. Duplicates are harmless: a plan keeps
one run for each run_id.

    runs = grid(base, {"model.width": [8, 16, 32], "seed": range(3)})
    runs = zipped(base, {"model.width": [8, 16], "train.steps": [400, 200]})
    runs = chain(grid(...), zipped(...))
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from scaling.config import RunConfig, run_id
from scaling.fields import flatten
from scaling.overrides import parse_overrides, replace_in_turn
from sweeps.axes import MAX_RUNS

Configs = RunConfig | Sequence[RunConfig]
Axes = Mapping[str, Iterable[Any]]


def grid(base: Configs, axes: Axes) -> list[RunConfig]:
    """Every combination of the axes' values over every base, the last axis running fastest.

    Raises:
        ValueError: no such field, an impossible value, or more than `MAX_RUNS` runs.

    Examples:
        >>> from scaling import GaussianTeacher, Linear, Ridgeless, RunConfig
        >>> data = GaussianTeacher(n_train=40, dimension=80)
        >>> base = RunConfig(model=Linear(n_features=20), data=data, train=Ridgeless())
        >>> runs = grid(base, {"model.n_features": [20, 40, 80], "seed": range(2)})
        >>> [(run.model.n_features, run.seed) for run in runs]
        [(20, 0), (20, 1), (40, 0), (40, 1), (80, 0), (80, 1)]
    """
    values = {k: axis if isinstance(axis, Sequence) else list(axis) for k, axis in axes.items()}
    size = len(_listed(base)) * math.prod(map(len, values.values()))
    if size > MAX_RUNS:
        raise ValueError(f"a grid of {size:,} runs exceeds {MAX_RUNS:,}: give fewer values")
    return _applied(base, list(values), list(itertools.product(*values.values())))


def zipped(base: Configs, axes: Axes) -> list[RunConfig]:
    """The axes' values in step, first with first, second with second, over every base.

    Raises:
        ValueError: axes of different lengths, no such field, or an impossible value.
    """
    values = {path: list(axis) for path, axis in axes.items()}
    lengths = {path: len(axis) for path, axis in values.items()}
    if len(set(lengths.values())) > 1:
        each = ", ".join(f"{path} has {length}" for path, length in lengths.items())
        raise ValueError(f"zipped axes differ in length: {each}. Give each the same number")
    return _applied(base, list(values), list(zip(*values.values(), strict=True)))


def chain(*sweeps: Configs) -> list[RunConfig]:
    """One sweep after another."""
    return list(itertools.chain.from_iterable(map(_listed, sweeps)))


def subsample(configs: Sequence[RunConfig], n: int, seed: int = 0) -> list[RunConfig]:
    """`n` runs of a sweep, drawn without replacement, in their original order.

    Raises:
        ValueError: `n` is negative or more than there are.
    """
    if not 0 <= n <= len(configs):
        raise ValueError(f"n = {n} of {len(configs)} runs: give 0 to {len(configs)}")
    chosen = sorted(random.Random(seed).sample(range(len(configs)), n))
    return [configs[i] for i in chosen]


def overridden(configs: Sequence[RunConfig], overrides: Sequence[str]) -> list[RunConfig]:
    """Typed overrides such as `train.steps=200` applied together to every run of a sweep.

    Raises:
        ValueError: overrides that some run cannot take, with the field and the remedy.
    """
    return [parse_overrides(config, *overrides) for config in configs]


class Folded(NamedTuple):
    """Runs of a sweep that overrides made equal.

    Attributes:
        before: Number of different runs without the overrides.
        after: Number of different runs with them.
        fields: Dotted paths in which runs that are now one differed.
    """

    before: int
    after: int
    fields: tuple[str, ...]


def folded(before: Sequence[RunConfig], after: Sequence[RunConfig]) -> Folded | None:
    """Returns which runs overrides made equal; None if they made none so.

    Args:
        before: The runs as declared.
        after: The same runs, overridden, in the same order.
    """
    unique = {run_id(config): place for place, config in enumerate(before)}
    became: dict[str, list[RunConfig]] = {}
    for place in unique.values():
        became.setdefault(run_id(after[place]), []).append(before[place])
    if len(became) == len(unique):
        return None
    fields: dict[str, None] = {}
    for same in became.values():
        values: dict[str, set[str]] = {}
        for path, value in itertools.chain.from_iterable(flatten(run).items() for run in same):
            values.setdefault(path, set()).add(repr(value))
        fields |= dict.fromkeys(path for path, those in values.items() if len(those) > 1)
    return Folded(len(unique), len(became), tuple(fields))


def _listed(base: Configs) -> list[RunConfig]:
    return [base] if isinstance(base, RunConfig) else list(base)


def _applied(base: Configs, paths: list[str], rows: list[tuple[Any, ...]]) -> list[RunConfig]:
    copies = (replace_in_turn(config, paths, rows) for config in _listed(base))
    return list(itertools.chain.from_iterable(copies))
