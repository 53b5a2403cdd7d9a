"""Are many narrow experts better than a few wide ones, at equal parameters and equal compute?

Claim: experts that are narrower by a factor, as many times more of them, and as many times more of
them met by a token, give a lower loss at no more active compute but that of the router.
Paper: Krajewski et al. 2024 (arXiv 2402.07871), equation 9: the loss falls with the granularity G
as g / G^gamma.
Command: scaling run granularity
Cost: 3 granularities x 3 seeds x 2 learning rates, 7e12 FLOPs, of which those of the coarsest
experts are runs of `mixture_of_experts`; about 2 min on two CPU cores.
Expected: the finest experts are no more than 0.03 nats worse than whole ones. The gain is reported
with its interval: over three seeds and size `cpu` 0.061 nats [-0.019, 0.141], which holds 0.

Experts of every granularity have the same parameters in all, and are routed by what is learned. A
finer mixture has a larger router, whose FLOPs are reported. A token's gates sum to 1 where it meets
several experts; a single one is weighted by its chance over an even one. Each granularity takes the
better of the same learning rates. Runs are paired by seed.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from analysis.plots import style
from analysis.tables import results
from experiments.experiment import Expected, Findings, Measured, Sweep
from experiments.shared.expert_runs import FEW, LARGE, MIDDLE, SMALL, Size, base, model
from experiments.shared.panels import left_out, mark_excluded, one_panel, stacked
from experiments.shared.seeds import mean_of
from experiments.shared.tuned import RATE, at_best_rates
from scaling.config import RunConfig
from sweeps.space import grid

RUNS_OF = "mixture_of_experts"
GRAIN = "model.granularity"
FEWER = MIDDLE._replace(n_seeds=3, routers={**MIDDLE.routers, "learned": (1e-2, 2e-2)})
"""The middle size with fewer seeds and rates than the comparison of routers has."""


def _sweep(size: Size, grains: Sequence[int]) -> list[RunConfig]:
    """Learned routers of every granularity, for the longest training of the other experiment."""
    whole = model(size, FEW, "learned")
    return grid(
        base(size),
        {
            "model": [replace(whole, granularity=each) for each in grains],
            "train.steps": size.lengths[-1:],
            RATE: size.routers["learned"],
            "seed": range(size.n_seeds),
        },
    )


SWEEP: Sweep = {
    "smoke": partial(_sweep, SMALL, (1, 2)),
    "cpu": partial(_sweep, FEWER, (1, 2, 4)),
    "gpu": partial(_sweep, LARGE, (1, 2, 4, 8, 16)),
}

EXPECTED = (
    Expected(
        name="gain",
        says="nats by which the finest experts beat whole ones",
        low=-0.03,
        source="Krajewski et al. 2024, equation 9: the loss falls with granularity",
        unit="nats",
        budgets=("cpu", "gpu"),
    ),
    Expected(
        name="more_flops",
        says="training FLOPs with the finest experts over those with whole ones, minus 1",
        low=0.0,
        high=0.15,
        source="equal active compute but for the router",
    ),
)

CAPTION = (
    "Gain on whole experts over granularity, at equal parameters and compute.",
    "The finest experts gain {gain}.",
)
ALT = (
    "Line chart of the gain over the number of parts that an expert is cut into: {gain} at the "
    "finest.",
)


class Details(NamedTuple):
    """What the figure draws.

    Attributes:
        gains: Nats gained on whole experts, by granularity and seed.
        excluded: Runs that are left out, and why.
    """

    gains: pd.DataFrame
    excluded: pd.DataFrame


def analyse(table: pd.DataFrame) -> Findings[Details]:
    """Pairs every granularity with whole experts of its seed, each at its best learning rate.

    Raises:
        ValueError: No finer mixture is done at a seed at which whole experts are.
    """
    usable, excluded = results.usable(table, ["eval_loss_nats"])
    runs = at_best_rates(usable, [GRAIN])
    whole = runs.loc[runs[GRAIN] == 1].set_index("seed")
    finer = runs.loc[(runs[GRAIN] > 1) & runs["seed"].isin(whole.index)]
    if finer.empty:
        raise ValueError(
            "No finer mixture has a run of whole experts of its seed beside it. Run the same "
            "command again; `scaling show` gives the reasons."
        )
    beside = whole["eval_loss_nats"].loc[finer["seed"]].to_numpy(np.float64)
    gains = finer.assign(gain=beside - finer["eval_loss_nats"].to_numpy(np.float64))
    gains = gains.loc[:, [GRAIN, "seed", RATE, "flops_train", "gain", "run_id"]]
    finest = gains.loc[gains[GRAIN] == gains[GRAIN].max()]
    flops = float(finest["flops_train"].iloc[0] / whole["flops_train"].iloc[0])
    gain = mean_of(finest["gain"])
    shown = results.summarise(gains, [GRAIN], "gain")
    each = ", ".join(
        f"{value:+.3f} at {grain:.0f}" for grain, value in shown[[GRAIN, "mean"]].to_numpy()
    )
    return Findings(
        measured={"gain": gain, "more_flops": Measured(value=flops - 1)},
        verdict=f"nats gained on whole experts by granularity: {each}",
        shown=stacked(
            gains.assign(run_ids=gains["run_id"]).drop(columns="run_id"),
            left_out(excluded, GRAIN, "seed"),
        ),
        details=Details(gains, excluded),
        report={
            "rates": {
                f"{grain:.0f}": float(own[RATE].iloc[0]) for grain, own in runs.groupby(GRAIN)
            }
        },
    )


def figure(findings: Findings[Details]) -> Figure:
    """Draws the gain on whole experts against granularity."""
    return one_panel(overview, findings, height=2.6)


def overview(ax: Axes, findings: Findings[Details]) -> None:
    """Draws the gain of every seed, and the mean."""
    gains, excluded = findings.details
    mean = results.summarise(gains, [GRAIN], "gain")
    grains = [1.0, *mean[GRAIN].to_numpy(np.float64)]
    ax.axhline(0, color=style.GREY, linewidth=0.8)
    ax.plot(gains[GRAIN], gains["gain"], **style.SERIES[0].marks(filled=False))
    ax.plot(grains, [0.0, *mean["mean"]], **style.SERIES[0].line())
    ax.set(xscale="log", xlabel="granularity", ylabel="gain on whole experts (nats)")
    ax.set_xticks(grains, [f"{each:.0f}" for each in grains])
    ax.xaxis.set_minor_locator(NullLocator())
    mark_excluded(ax, excluded, GRAIN)
