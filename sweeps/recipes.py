"""Scaling recipes: from compute budgets and model sizes to runs, each solved exactly.

    recipe = Recipe(base, depth=aspect_ratio(32), multiple_of=64, learning_rate=olmo_learning_rate)
    runs = iso_flop([1e18, 3e18], around(5e7, 1e18), recipe)
    runs = ladder([1e7, 3e7, 1e8], multiples=[10, 20, 40], recipe=recipe)
    runs = crossed([1e7, 3e7, 1e8], tokens=[1e9, 2e9], recipe=recipe)
    runs = branches(3e7, multiples=[10, 20, 40], recipe=recipe)

A size becomes the width with the nearest number of parameters, among multiples that suit the
hardware; the depth follows from the width. A budget becomes the whole number of steps with the
nearest FLOPs, attention and read-out included (`scaling.accounting`). A size or budget that no run
reaches is refused, with the nearest that one does. `achieved` lists what runs reach.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from scaling.accounting import account
from scaling.config import RunConfig, trunk_of
from scaling.models.family import SizedFamily
from scaling.pretraining import Pretraining
from sweeps.guards import require_positive
from sweeps.shapes import Count, Recipe, n_params_of, nearest_shape, run_of_budget, run_of_tokens

Sizes = Iterable[float] | Callable[[float], Iterable[float]]
"""Numbers of parameters, or a function that gives them for a budget of FLOPs, as of `around`."""


class Achieved(NamedTuple):
    """Sizes and compute of a run of a recipe, counted exactly."""

    flops: float  # to train
    n_params: int  # in the way of counting asked for
    tokens: int  # seen, repetitions counted
    tokens_per_param: float
    epochs: float  # passes over the training data
    width: int
    depth: int | None  # None where the model has no field for it
    steps: int
    batch_size: int  # in sequences
    learning_rate: float  # its peak
    warmup_tokens: int


def aspect_ratio(ratio: float, *, at_least: int = 1) -> Callable[[int], float]:
    """A rule for depth: the width over `ratio`, and at least `at_least` blocks."""
    return lambda width: max(width / ratio, at_least)


def around(
    n_params: float, flops: float, *, exponent: float = 0.5, factor: float = 4.0, n_sizes: int = 7
) -> Callable[[float], list[float]]:
    """Sizes evenly spread in log N about an optimum expected to grow as a power of compute.

    The sizes of all budgets belong to one geometric series through `n_params`; a budget has those
    nearest to its optimum. Neighbouring budgets share most of their sizes, so that few shapes are
    compiled, and a size is trained at several budgets in a row.

    Args:
        n_params: The optimum expected at `flops`.
        flops: The compute at which it is expected.
        exponent: The exponent a of N* ~ C^a.
        factor: Square root of the largest size of a budget over its smallest.
        n_sizes: Number of sizes of a budget, 2 or more.

    Returns:
        A function that gives the sizes for a budget.

    Raises:
        ValueError: fewer than 2 sizes, a factor of 1 or less, or a size or compute that is not
            positive; the function returned refuses such budgets.
    """
    for name, value in {"n_params": n_params, "flops": flops, "factor": factor}.items():
        require_positive(name, value)
    if n_sizes < 2 or factor <= 1:
        raise ValueError(
            f"n_sizes = {n_sizes}, factor = {factor:g} do not spread sizes about an optimum: give "
            "at least 2 sizes and a factor above 1"
        )
    ratio = factor ** (2 / (n_sizes - 1))

    def sizes(budget: float) -> list[float]:
        require_positive("budget", budget)
        optimum = exponent * math.log(budget / flops, ratio)
        first = math.floor(optimum - n_sizes / 2 + 1 + 1e-9)  # ties go up, despite rounding
        return [n_params * ratio ** (first + i) for i in range(n_sizes)]

    return sizes


def iso_flop(
    budgets: Iterable[float],
    sizes: Sizes,
    recipe: Recipe,
    *,
    tolerance: float = 0.05,
    size_tolerance: float = 0.25,
) -> list[RunConfig]:
    """A run for every budget and size: every run of a budget costs the same FLOPs.

    Sizes of a budget that share their nearest shape become one run.

    Args:
        budgets: Training FLOPs.
        sizes: Parameters, the same for all budgets or following them.
        recipe: How runs are made.
        tolerance: Share by which a budget may be missed.
        size_tolerance: Share by which a size may be missed.

    Returns:
        The runs, budget by budget.

    Raises:
        ValueError: no run has the size, or the budget at a size; names the nearest.
    """
    runs = []
    for flops in budgets:
        require_positive("budget", flops)
        wanted = sizes(flops) if callable(sizes) else sizes
        models = dict.fromkeys(nearest_shape(recipe, n, size_tolerance) for n in wanted)
        runs += [run_of_budget(recipe, model, flops, tolerance) for model in models]
    return runs


def ladder(
    sizes: Iterable[float],
    multiples: Iterable[float],
    recipe: Recipe,
    *,
    size_tolerance: float = 0.25,
) -> list[RunConfig]:
    """A run for every size and token multiplier: D = multiple x N, with the N of the shape.

    Args:
        sizes: Parameters.
        multiples: Tokens a parameter.
        recipe: How runs are made.
        size_tolerance: Share by which a size may be missed.

    Returns:
        The runs, size by size.

    Raises:
        ValueError: a size that no shape has, or more tokens than the data hold.
    """
    multiples = list(multiples)
    for each in multiples:
        require_positive("multiple", each)
    models = dict.fromkeys(nearest_shape(recipe, n, size_tolerance) for n in sizes)
    sized = [(model, n_params_of(recipe, model)) for model in models]
    return [run_of_tokens(recipe, model, each * n) for model, n in sized for each in multiples]


def branches(
    size: float, multiples: Iterable[float], recipe: Recipe, *, size_tolerance: float = 0.25
) -> list[RunConfig]:
    """A ladder of one size whose runs share one trunk, the prefix before a run's decay begins.

    The trunk is trained once, as far as the longest run needs it; each run adds its own decay
    (Hägele et al. 2024, arXiv 2405.18392, section 4.2). The plan of a sweep reports the saving.

    The base of the recipe has a stable decay as its schedule. No rule of the recipe may depend on
    the length of a run: all runs have the same warm-up, as they do by
    `rules.parameters_as_tokens` from 5 tokens a parameter on. All else is as in `ladder`.

    Raises:
        ValueError: what `ladder` refuses, or runs that do not share one trunk.
    """
    runs = ladder([size], multiples, recipe, size_tolerance=size_tolerance)
    for run in runs:
        assert isinstance(run.train, Pretraining)
        if trunk_of(run) is None:
            raise ValueError(
                f"train.schedule = {run.train.schedule} has no trunk at {run.train.steps} steps. "
                "Give the base schedule.kind = 'stable_decay' with a decay below 1, and enough "
                "tokens"
            )
    if len({trunk.trunk_id for trunk in map(trunk_of, runs) if trunk}) > 1:
        each = ((row.warmup_tokens, row.learning_rate, row.batch_size) for row in achieved(runs))
        raise ValueError(
            "warm-up tokens, learning rate and batch of the runs are "
            f"{', '.join(map(str, dict.fromkeys(each)))}; runs of one trunk have one of each. Give "
            "rules that do not depend on the length of a run"
        )
    return runs


def crossed(
    sizes: Iterable[float], tokens: Iterable[float], recipe: Recipe, *, size_tolerance: float = 0.25
) -> list[RunConfig]:
    """A run for every size and every number of tokens, the same for all sizes.

    All else is as in `ladder`.
    """
    tokens = list(tokens)
    for each in tokens:
        require_positive("tokens", each)
    models = dict.fromkeys(nearest_shape(recipe, n, size_tolerance) for n in sizes)
    return [run_of_tokens(recipe, model, each) for model in models for each in tokens]


def achieved(configs: Sequence[RunConfig], count: Count = "n_params_matmul") -> list[Achieved]:
    """Sizes and compute of the runs of a recipe, such as `iso_flop` or `ladder` return."""
    rows = []
    for config in configs:
        counts, train, model = account(config), config.train, config.model
        assert isinstance(train, Pretraining) and isinstance(model, SizedFamily)
        assert counts.n_tokens_seen is not None and counts.steps is not None
        n_params = getattr(counts, count)
        rows.append(
            Achieved(
                flops=counts.flops_train,
                n_params=n_params,
                tokens=counts.n_tokens_seen,
                tokens_per_param=counts.n_tokens_seen / n_params,
                epochs=counts.epochs,
                width=model.width,
                depth=getattr(model, "depth", None),
                steps=counts.steps,
                batch_size=train.batch_size,
                learning_rate=train.optimizer.learning_rate,
                warmup_tokens=train.warmup_tokens,
            )
        )
    return rows
