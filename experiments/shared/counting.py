"""The exponent a of N* ~ C^a of one set of runs under several ways to count parameters."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from analysis.compute_optimal.isoflop import isoflop
from analysis.errors import FitError
from analysis.estimate import Floats
from analysis.fitting.alternatives import refit_under
from analysis.fitting.fit import fit
from analysis.fitting.result import FitResult
from analysis.laws import CHINCHILLA
from analysis.tables.read import Source
from experiments.shared.error_bars import ErrorBars, log_weights
from experiments.shared.language_models import points

if TYPE_CHECKING:
    from sweeps.recipes import Count

COUNTS: dict[Count, str] = {
    "n_params_matmul": "read-out in, embedding out\n(Chinchilla, Porian)",
    "n_params_total": "all parameters",
    "n_params_non_embedding": "neither read-out nor embedding\n(Kaplan)",
}

METHODS = {"minima": "minima of parabolas, exact $C$", "fit": "parametric fit, $C = 6ND$"}


class Exponent(NamedTuple):
    """An exponent a with its interval of 95 % and its bootstrap replicates."""

    value: float
    low: float
    high: float
    replicates: Floats

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def recounted(runs: pd.DataFrame, bars: ErrorBars) -> dict[tuple[str, Count], Exponent]:
    """The exponent by each of `METHODS` under each of `COUNTS`.

    Args:
        runs: Records of runs that are done.
        bars: Their error bars.

    Raises:
        FitError: fewer than two budgets with a minimum, or runs that no law of N and D describes.
    """
    found: dict[tuple[str, Count], Exponent] = {
        ("minima", count): by_minima(points(runs, count), bars.sd, bars.degrees_of_freedom)
        for count in COUNTS
    }
    found |= {("fit", count): a for count, a in _by_fit(runs, bars.sd).items()}
    return found


def by_minima(ends: pd.DataFrame, sd: Floats, df: float, *, seed: int = 0) -> Exponent:
    """The exponent by minima of parabolas.

    Args:
        ends: Rows of N, D, C and loss, as of `language_models.points`.
        sd: Standard deviation of each loss over seeds, nats.
        df: Degrees of freedom of its level.
        seed: Of the bootstrap. Runs counted in two ways share one, so that replicates are pairs;
            other runs take another.

    Raises:
        FitError: fewer than two budgets with a minimum.
    """
    found = isoflop(
        ends["N"],
        ends["loss"],
        flops=ends["C"],
        tokens=ends["D"],
        noise=sd,
        noise_df=df,
        seed=seed,
    )
    if found.trends is None:
        raise FitError("one minimum makes no exponent: add budgets")
    a = found.trends.params.exponent
    return Exponent(a.value, a.low, a.high, found.trends.params.replicates[:, 1])


def _by_fit(runs: pd.DataFrame, sd: Floats) -> dict[Count, Exponent]:
    """The law fitted with N as it stands and under every other count that the table has."""
    first, *others = COUNTS
    ends = points(runs, first)
    columns = runs[others].astype(np.float64).reset_index(drop=True)
    source = Source(
        path=Path("runs"),
        format="results folder",
        sha256=None,
        table=pd.concat([ends.drop(columns="run"), columns], axis=1),
        excluded=pd.DataFrame(),
        taken={"N": f"N = '{first}'", "D": "D = 'n_tokens_seen'", "C": "C = 'flops_train'"},
        convention="C = 6 N D",
    )
    weights = log_weights(ends["loss"], sd)
    refitted = dict(refit_under(CHINCHILLA, source, weights=weights))
    fits: dict[Count, FitResult | str] = {
        first: fit(CHINCHILLA, ends[["N", "D"]], ends["loss"], weights=weights)
    }
    fits |= {count: refitted[f"N = {count}"] for count in others}
    found = {}
    for count, result in fits.items():
        if isinstance(result, str):
            raise FitError(f"{count}: {result}")
        a = result.derived()["a"]
        replicates = CHINCHILLA.derived(CHINCHILLA.to_params(result.replicates))["a"]
        found[count] = Exponent(a.value, *a.interval, np.asarray(replicates))
    return found
