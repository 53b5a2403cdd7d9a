"""Error bars of losses: the spread over seeds as a law of size, with a level from repeats.

    sd(N) = sd_0 (N / N_0)^p,  N within the sizes that it was measured at

`scaling run seed_noise` measures sd_0 and p on the small models. p cannot be distinguished from 0,
so the spread is taken to be level. Where a table repeats configurations from other seeds, as the
sweep of `chinchilla` does, its repeats give sd_0: for another corpus, tokenizer or recipe they say
more than the law, which then gives the slope alone. The law is kept here as constants, as
`language_models.TUNED` is. It is not read from a report of `seed_noise` in the results folder, so
that a table gives the same findings on every machine and in any order of commands.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from analysis.estimate import Floats

ENOUGH_REPEATS = 5
"""Degrees of freedom from which repeats say more than the law; as in
`analysis.compute_optimal.valleys`."""


class Spread(NamedTuple):
    """The spread of losses over seeds as a law of size.

    Attributes:
        sd: Standard deviation at `size`, nats.
        size: Parameters in products with activations.
        exponent: Exponent p of its growth with size.
        degrees_of_freedom: Degrees of freedom of `sd`.
        between: Smallest and largest size measured; beyond them the spread is level.
    """

    sd: float
    size: float
    exponent: float
    degrees_of_freedom: float
    between: tuple[float, float]


SPREAD = Spread(sd=0.0162, size=3.3e4, exponent=0, degrees_of_freedom=35, between=(1.1e4, 1.2e5))
"""The spread by `scaling run seed_noise --budget cpu` on CPython 3.11's library: 0.0162
[0.0128, 0.0205] nats at 33,000 parameters. Its growth, N^(-0.13 ± 0.28), is not resolved, so the
spread is taken to be level."""


class ErrorBars(NamedTuple):
    """Error bars of a table of runs.

    Attributes:
        sd: Standard deviation of the loss of each run over seeds, nats, shape `(n_runs,)`.
        degrees_of_freedom: Degrees of freedom of its level.
        description: The level and its source, for the reader.
    """

    sd: Floats
    degrees_of_freedom: float
    description: str


def log_weights(loss: ArrayLike, sd: ArrayLike) -> Floats:
    """Weights of the logarithms of losses: one over their variance, 1 in the mean."""
    weights = (np.asarray(loss, np.float64) / np.asarray(sd, np.float64)) ** 2
    return weights / weights.mean()


def error_bars(runs: pd.DataFrame, law: Spread = SPREAD) -> ErrorBars:
    """Estimates the error bars of runs that are done, row by row."""
    sizes = np.clip(runs["n_params_matmul"].to_numpy(np.float64), *law.between)
    shape = (sizes / law.size) ** law.exponent
    configured = runs.filter(regex=r"^(model|data|train)\.").map(str)
    repeats = (runs["eval_loss_nats"] / shape).groupby(configured.agg(" ".join, axis=1))
    df = float(len(runs) - repeats.ngroups)
    growth = f" (N / {law.size:.2g})^{law.exponent:.2g}" if law.exponent else ""
    sd, source = law.sd, "from seed_noise"
    if df >= ENOUGH_REPEATS:
        freedom = np.asarray(repeats.size(), np.float64) - 1
        # A run without a repeat has no variance, NaN.
        squares = float(np.nansum(freedom * np.asarray(repeats.var(), np.float64)))
        sd, source = float(np.sqrt(squares / df)), "from repeats in this table"
    else:
        df = law.degrees_of_freedom
    return ErrorBars(
        sd=sd * shape,
        degrees_of_freedom=df,
        description=f"seed noise {sd:.2g}{growth} nats, {source} ({df:.0f} degrees of freedom)",
    )
