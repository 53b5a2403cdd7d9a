"""The steps from Kaplan's way to train and count to Chinchilla's, one change at a time.

| stage | what changes | its runs |
|---|---|---|
| 0 | Kaplan's way: the read-out does not count | one rate, batch, warm-up and horizon for all |
| 1 | the read-out counts | the same runs |
| 2 | the warm-up is scaled with the run | the same but for the warm-up |
| 3 | the cosine ends with the run | the same but for the horizon |
| 4 | learning rate and batch are tuned | those of the recipe |

The steps are those of Porian et al. 2024 (arXiv 2406.19146, section 3). Kaplan et al. 2020 (arXiv
2001.08361, section 2.2) warm up for 3,000 steps and end the cosine at 250,000 for every model, at
batches of 2^19 tokens; here the batch is scaled down to small runs. Two differences remain. The
warm-up of stages 2 and 3 is that of the recipe, a share of the run for small models, where Porian
et al. take as many tokens as parameters. And stage 4 keeps the cosine, which they leave out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.errors import FitError
from experiments.shared.counting import Exponent, by_minima
from experiments.shared.error_bars import ErrorBars
from experiments.shared.language_models import points
from scaling.config import RunConfig
from scaling.pretraining import Pretraining
from scaling.schedules import Cosine
from sweeps.recipes import iso_flop
from sweeps.shapes import Count, Recipe

Mask = NDArray[np.bool_]

KAPLAN_HORIZON = 250_000
WARMUP_OVER_HORIZON = 3_000 / 250_000
LEARNING_RATE = 0.003
"""Learning rate of all sizes before the last stage, as in Porian et al.: right for the largest
models of a sweep, low for the small ones."""

_ONE_BUDGET = 0.1
"""Largest difference of log FLOPs between runs of one budget."""


class OneWay(NamedTuple):
    """Settings that runs of all sizes share before the last stage.

    Attributes:
        batch_size: Sequences of a batch.
        horizon: Steps at which the cosine ends; the long warm-up is `WARMUP_OVER_HORIZON` of them.
    """

    batch_size: int
    horizon: int = KAPLAN_HORIZON


class Step(NamedTuple):
    """A step of the staircase, and the exponent that Porian et al. found at it.

    Attributes:
        says: What it changes.
        published: Their a of N* ~ C^a on RefinedWeb, with its 95 % interval.
        counted: What N counts.
        runs: Number of the stage that trained its runs.
    """

    says: str
    published: tuple[float, float, float]
    counted: Count
    runs: int


TUNED = 4
"""Number of the last stage."""

READ_OUT_COUNTED = 1
"""Index of the step from which on N is counted the same way, so that only training differs."""

STEPS = (
    Step("Kaplan's way", (0.835, 0.824, 0.846), "n_params_non_embedding", 1),
    Step("read-out counted", (0.707, 0.691, 0.717), "n_params_matmul", 1),
    Step("warm-up scaled with the run", (0.602, 0.591, 0.617), "n_params_matmul", 2),
    Step("cosine ends with the run", (0.572, 0.560, 0.589), "n_params_matmul", 3),
    Step("rate and batch tuned", (0.497, 0.491, 0.505), "n_params_matmul", TUNED),
)


def recipes(tuned: Recipe, way: OneWay) -> dict[int, Recipe]:
    """Recipes of stages 1 to 4; the last is the one given.

    Args:
        tuned: Recipe of stage 4: learning rate, batch and warm-up by size and length; a cosine that
            ends with the run.
        way: Settings that the other stages share.
    """
    base = tuned.base
    train = base.train
    assert isinstance(train, Pretraining)
    # 1. From the tuned runs back to one rate and one batch: stage 3.
    optimizer = replace(train.optimizer, learning_rate=LEARNING_RATE)
    one = replace(train, optimizer=optimizer, batch_size=way.batch_size)
    # 2. Let the cosine end where Kaplan's does, long after most runs: stage 2.
    late = replace(one, schedule=Cosine(horizon=way.horizon))
    # 3. Take Kaplan's warm-up, the same number of steps for every run: stage 1.
    tokens_per_step = way.batch_size * base.data.n_inputs
    slow = replace(late, warmup_tokens=round(WARMUP_OVER_HORIZON * way.horizon) * tokens_per_step)
    # 4. The recipe's rules for rate and batch would override the single values: leave them out.
    for_all = replace(tuned, learning_rate=None, batch_size=None)
    return {
        1: replace(for_all, base=replace(base, train=slow), warmup_tokens=None),
        2: replace(for_all, base=replace(base, train=late)),
        3: replace(for_all, base=replace(base, train=one)),
        TUNED: tuned,
    }


def runs(
    tuned: Recipe,
    way: OneWay,
    slow: Mapping[float, Sequence[float]],
    grid: Mapping[float, Sequence[float]],
) -> list[RunConfig]:
    """Declares iso-FLOP runs of every stage.

    Args:
        tuned: The recipe of stage 4.
        way: Settings that the other stages share.
        slow: Parameters by training FLOPs at stage 1, whose long warm-up makes optima smaller.
        grid: The same at the other stages.
    """
    return [
        run
        for stage, recipe in recipes(tuned, way).items()
        for sizes in [slow if stage == 1 else grid]
        for run in iso_flop(sizes, sizes.__getitem__, recipe, size_tolerance=0.4)
    ]


def stage_of(table: pd.DataFrame) -> pd.Series:
    """Stage of each run, from 1 to 4, read from its configuration."""
    horizon = np.asarray(pd.to_numeric(table["train.schedule.horizon"]), np.float64)
    batch_size, context, warmup, learning_rate = (
        table[name].to_numpy(np.float64)
        for name in (
            "train.batch_size",
            "data.context",
            "train.warmup_tokens",
            "train.optimizer.learning_rate",
        )
    )
    late, steps = ~np.isnan(horizon), warmup / (batch_size * context)
    slow = late & (steps == np.round(WARMUP_OVER_HORIZON * horizon))
    one_rate = learning_rate == LEARNING_RATE
    # Each change that a run does not have yet puts it one stage below the tuned ones.
    stage = TUNED - one_rate.astype(int) - late.astype(int) - slow.astype(int)
    return pd.Series(stage, table.index, name="stage")


def climb(table: pd.DataFrame, bars: ErrorBars) -> list[Exponent | str]:
    """Finds the exponent at every step of `STEPS`, by minima at the budgets that stage 1 has.

    Args:
        table: Records of runs of all stages that are done.
        bars: Their error bars.

    Returns:
        The exponents, or the reason where a stage has none because fewer than two of its budgets
        have a minimum.
    """
    taken = at_shared_budgets(table)
    return [_at(step, (taken == step.runs).to_numpy(), table, bars) for step in STEPS]


def _at(step: Step, of_step: Mask, table: pd.DataFrame, bars: ErrorBars) -> Exponent | str:
    if not of_step.any():
        return "no run of this stage is done"
    ends = points(table.loc[of_step], step.counted)
    try:
        return by_minima(ends, bars.sd[of_step], bars.degrees_of_freedom, seed=step.runs)
    except FitError as error:
        return str(error)


def at_shared_budgets(table: pd.DataFrame) -> pd.Series:
    """Stage of each run at a budget of stage 1; 0 at other budgets."""
    stage, log_flops = stage_of(table), np.log(table["flops_train"].to_numpy(np.float64))
    apart = np.abs(log_flops[:, None] - log_flops[stage.to_numpy() == 1])
    return stage.where((apart < _ONE_BUDGET).any(axis=1), 0)
