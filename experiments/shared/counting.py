"""The exponent a of N* ~ C^a of one set of runs, under several ways to count parameters."""

from dataclasses import dataclass, field

import pandas as pd

from analysis.compute_optimal.isoflop import isoflop
from analysis.compute_optimal.isoflop_result import ONE_MINIMUM
from analysis.compute_optimal.points import SeedNoise
from analysis.errors import FitError
from analysis.estimate import Bootstrap, Estimate, Floats
from analysis.fitting.fit import fit
from analysis.laws import CHINCHILLA
from experiments.shared.error_bars import ErrorBars, log_weights
from experiments.shared.language_models import points
from sweeps.shapes import Count

COUNTS: dict[Count, str] = {
    "n_params_matmul": "with read-out, without embedding\n(Chinchilla, Porian)",
    "n_params_total": "all parameters",
    "n_params_non_embedding": "without read-out and embedding\n(Kaplan)",
}
"""Ways to count parameters, with their labels in figures."""

METHODS = {"minima": "minima of parabolas, exact $C$", "fit": "parametric fit, $C = 6ND$"}
"""Ways to find the exponent, with their labels in figures."""


@dataclass(frozen=True, eq=False)
class Exponent(Estimate):
    """An exponent a with its bootstrap replicates, which are NaN where they define none."""

    replicates: Floats = field(kw_only=True, repr=False)

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def recounted(runs: pd.DataFrame, bars: ErrorBars) -> dict[tuple[str, Count], Exponent]:
    """Finds the exponent by each of `METHODS` under each of `COUNTS`.

    Raises:
        FitError: Fewer than two budgets with a minimum, or runs that no law of N and D describes.
    """
    found: dict[tuple[str, Count], Exponent] = {
        ("minima", count): by_minima(points(runs, count), bars.sd, bars.degrees_of_freedom)
        for count in COUNTS
    }
    found |= {("fit", count): a for count, a in _by_fit(runs, bars.sd).items()}
    return found


def by_minima(ends: pd.DataFrame, sd: Floats, df: float, *, seed: int = 0) -> Exponent:
    """Finds the exponent by minima of parabolas.

    Args:
        ends: Rows of N, D, C and loss, from `language_models.points`.
        sd: Standard deviation of each loss over seeds, nats.
        df: Degrees of freedom of its level.
        seed: Seed of the bootstrap. Give the same runs, counted in two ways, one seed, so that
            their replicates are pairs; give other runs another.

    Raises:
        FitError: Fewer than two budgets with a minimum.
    """
    found = isoflop(
        ends["N"],
        ends["loss"],
        flops=ends["C"],
        tokens=ends["D"],
        noise=SeedNoise(sd, df),
        bootstrap=Bootstrap(seed=seed),
    )
    if found.trends is None:
        raise FitError(ONE_MINIMUM)
    # As in Porian et al., by noise alone: counts of the same runs share the scatter of budgets, and
    # three budgets leave it one degree of freedom.
    trend = found.trends.params.by_noise
    return Exponent(**vars(trend.exponent), replicates=trend.replicates[:, 1])


def _by_fit(runs: pd.DataFrame, sd: Floats) -> dict[Count, Exponent]:
    """Finds the exponent of the law fitted to N and D under each of `COUNTS`."""
    found = {}
    for count in COUNTS:
        ends = points(runs, count)
        try:
            weights = log_weights(ends["loss"], sd)
            result = fit(CHINCHILLA, ends[["N", "D"]], ends["loss"], weights=weights)
        except (ValueError, FitError) as error:
            raise FitError(f"{count}: {error}") from error
        a = result.derived()["a"]
        replicates = CHINCHILLA.derived(CHINCHILLA.to_params(result.replicates))["a"]
        found[count] = Exponent(a.value, *a.interval, result.level, replicates=replicates)
    return found
