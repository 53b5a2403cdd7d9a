"""How much does the final loss vary from seed to seed?

Claim: the final loss of a language model varies by about one per cent from seed to seed, and by no
more at larger sizes, so one run per cell resolves an iso-FLOP valley.
Paper: Porian et al. 2024 (arXiv 2406.19146), appendix C, include seed noise in their intervals;
Hoffmann et al. 2022 (arXiv 2203.15556) train one seed.
Command: scaling run seed_noise
Cost: 5 sizes of 1e4 to 1.2e5 parameters x 8 seeds at 20 tokens per parameter, 3e13 FLOPs, about 3
to 8 min on two CPU cores.
Expected: the standard deviation is below 0.05 nats at every size, where losses of one valley differ
by 0.1 and more; at the largest size it is at most twice that of the smallest. Its growth with N is
reported without an expectation: over a decade of sizes, eight seeds cannot distinguish it from
none. On CPython 3.11's library these runs give 0.020, 0.010, 0.010, 0.011 and 0.017 nats from the
smallest size to the largest, half to one per cent of the loss.

A seed sets the initial weights and the order of the data; the data and the held-out documents are
the same. Standard deviations have 95 % intervals by chi-squared. `experiments.shared.error_bars`
keeps their level, for `chinchilla`, `kaplan` and `kaplan_vs_chinchilla`. The other experiments on
language models have their own seeds, or one run per cell without bars.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.special import fdtri, gammaincinv

from analysis.plots import style
from analysis.plots.ticks import log_ticks
from analysis.tables import results
from experiments.experiment import Expected, Findings, Measured, Sweep
from experiments.shared import language_models as lm
from experiments.shared.error_bars import SPREAD
from experiments.shared.panels import mark_excluded, one_panel, with_notes
from scaling.config import RunConfig
from sweeps.recipes import ladder
from sweeps.shapes import Recipe

LEVEL = 0.95


def _sweep(recipe: Callable[[], Recipe], sizes: Sequence[float], n_seeds: int) -> list[RunConfig]:
    runs = ladder(sizes, [20], recipe(), size_tolerance=0.4)
    return lm.reseeded(runs, range(n_seeds))


_small = partial(lm.small_models, n_eval=256, evaluations=1)

SWEEP: Sweep = {
    "smoke": partial(_sweep, _small, (1.1e4, 2e4, 3.3e4), n_seeds=5),
    "cpu": partial(_sweep, lm.small_models, (1.1e4, 2e4, 3.3e4, 6.8e4, 1.2e5), n_seeds=8),
    "gpu": partial(_sweep, lm.large_models, (3e6, 1.4e7, 5.5e7, 1.2e8), n_seeds=8),
}

EXPECTED = (
    Expected(
        name="largest",
        says="largest standard deviation over seeds",
        unit="nats",
        high=0.05,
        source="valleys are 0.1 nats deep or more within a factor 4 of N*",
    ),
    Expected(
        name="ratio",
        says="standard deviation at the largest size over that at the smallest",
        high=2,
        source="Porian et al. 2024, appendix C: larger models are not noisier",
    ),
)

CAPTION = (
    "Standard deviation of the held-out loss over seeds, with 95 % intervals, over parameters.",
    "The largest is {largest}; that of the largest model is {ratio} times that of the smallest.",
)
ALT = (
    "Standard deviations over model size with wide intervals: {largest} at most, and {ratio} "
    "times as large at the largest size as at the smallest.",
)


class Details(NamedTuple):
    """What the figure draws."""

    spread: pd.DataFrame
    excluded: pd.DataFrame


def analyse(table: pd.DataFrame) -> Findings[Details]:
    """Finds the standard deviation of the final loss over seeds, size by size.

    Raises:
        ValueError: Fewer than two sizes with three seeds or more.
    """
    runs, excluded = results.usable(table, ["eval_loss_nats"])
    shown = results.summarise(runs, ["n_params_matmul"], "eval_loss_nats")
    shown["sd"] = shown["sem"] * np.sqrt(shown["n_runs"])
    shown = shown.loc[shown["n_runs"] >= 3].reset_index(drop=True)
    if len(shown) < 2:
        raise ValueError(
            f"Only {len(shown)} of the sizes have three seeds that are done; the spread over seeds "
            "needs two sizes of three seeds or more. Add seeds."
        )
    df = shown["n_runs"].to_numpy(np.float64) - 1
    sizes = shown["n_params_matmul"].to_numpy(np.float64)
    tails = (1 + LEVEL) / 2, (1 - LEVEL) / 2
    sd = shown["sd"].to_numpy(np.float64)
    chi_square = (2 * gammaincinv(df / 2, p) for p in tails)  # its quantiles
    shown["sd_low"], shown["sd_high"] = (sd * np.sqrt(df / each) for each in chi_square)
    # log sd of k + 1 seeds has a standard error near sqrt(1 / 2k).
    line, covariance = np.polyfit(
        np.log(sizes / SPREAD.size), np.log(sd), 1, w=np.sqrt(2 * df), cov="unscaled"
    )
    errors = 1.96 * np.sqrt(np.diagonal(covariance))
    low, at, high = np.exp(line[1] + errors[1] * np.array([-1, 0, 1]))
    ratio, error = sd[-1] / sd[0], fdtri(df[-1], df[0], tails)
    return Findings(
        measured={
            "largest": Measured(value=float(sd.max())),
            "ratio": Measured(
                value=float(ratio), low=float(ratio / error[0]), high=float(ratio / error[1])
            ),
        },
        verdict=(
            f"standard deviation {at:.3g} [{low:.3g}, {high:.3g}] nats at {SPREAD.size:,.0f} "
            f"parameters, growing as N^({line[0]:.2f} ± {errors[0]:.2f}) from {sizes[0]:,.0f} to "
            f"{sizes[-1]:,.0f}. Error bars of other experiments use {SPREAD.sd:.3g} nats and "
            f"exponent {SPREAD.exponent:g}."
        ),
        shown=with_notes(shown, excluded, "n_params_matmul"),
        details=Details(shown, excluded),
    )


def figure(findings: Findings[Details]) -> Figure:
    """Draws the standard deviation over seeds against size."""
    return one_panel(overview, findings, height=2.6)


def overview(ax: Axes, findings: Findings[Details]) -> None:
    """Draws the standard deviation over seeds against size, with intervals."""
    spread, look = findings.details.spread, style.SERIES[0]
    sd = spread["sd"].to_numpy()
    ax.errorbar(
        spread["n_params_matmul"].to_numpy(np.float64),
        sd,
        yerr=np.stack([sd - spread["sd_low"], spread["sd_high"] - sd]),
        **look.marks(),
        label="over seeds, 95 % interval",
    )
    ax.set(xscale="log", yscale="log")
    log_ticks(ax, "x", "y", most=5)
    mark_excluded(ax, findings.details.excluded, "n_params_matmul")
    ax.set(xlabel="parameters, $N$", ylabel="s.d. of held-out loss (nats per token)")
    style.legend_above(ax)
