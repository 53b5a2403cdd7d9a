"""Panels of runs that compare objectives of pre-training."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator, PercentFormatter

from analysis.plots import style
from analysis.plots.ticks import log_ticks
from experiments.experiment import Measured
from experiments.shared.objective_runs import NAMES, UNTRAINED
from experiments.shared.seeds import mean_of

TITLES = {"causal": "next\nbyte", "prefix": "after a\nprefix", "masked": "hidden\nbytes"}
"""Common evaluations, as a figure names them."""
_LOOKS = dict(zip((*NAMES, UNTRAINED), style.SERIES, strict=False))
_ADAPTED = style.SERIES[len(NAMES)]


def draw_matrix(ax: Axes, losses: pd.DataFrame) -> None:
    """Draws a table of losses, each cell shaded by how far it is from the best of its column."""
    values = losses.loc[list(NAMES), list(TITLES)].to_numpy(np.float64)
    worse = values - values.min(axis=0)
    ax.imshow(worse, cmap="Greys", vmin=0, vmax=2 * worse.max(), aspect="auto")
    for (i, j), value in np.ndenumerate(values):
        weight = "bold" if worse[i, j] == 0 else "normal"
        ax.text(j, i, f"{value:.2f}", ha="center", va="center", fontweight=weight)
    ax.set_xticks(range(len(TITLES)), list(TITLES.values()))
    ax.set_yticks(range(len(NAMES)), list(NAMES))
    ax.tick_params(length=0)
    ax.set(xlabel="loss on (nats)", ylabel="trained on")


def draw_losses(ax: Axes, runs: pd.DataFrame, name: str) -> None:
    """Draws a loss against compute, a line for each objective."""
    for kind in NAMES:
        own = runs.loc[runs["objective"] == kind]
        mean = own.groupby("flops_train")[name].mean()
        ax.plot(mean.index, mean, **_LOOKS[kind].line(), label=kind)
        ax.plot(own["flops_train"], own[name], **_LOOKS[kind].marks())
    ax.set(xscale="log", yscale="log", xlabel="training compute (FLOPs)")
    log_ticks(ax, "x", "y", most=4)


def draw_adapted(ax: Axes, gaps: pd.DataFrame) -> None:
    """Draws the loss of adapted models against the compute of both of their trainings."""
    total = gaps["flops_train"] * (1 + 1 / gaps["share"])
    look: dict[str, Any] = _ADAPTED.marks(filled=False) | {"markersize": 4}
    ax.plot(total, gaps["eval_by.causal"], **look, label="masked, then causal")


def draw_probes(ax: Axes, accuracy: Mapping[str, Measured]) -> None:
    """Draws the accuracy of a probe of the states of each objective, with its interval."""
    kinds = [*NAMES, UNTRAINED]
    for place, kind in enumerate(kinds):
        found = accuracy[kind]
        if found.value is not None:
            ax.plot(found.value, place, **_LOOKS[kind].marks())
        if found.low is not None and found.high is not None:
            ax.hlines(place, found.low, found.high, color=_LOOKS[kind].color, linewidth=1.0)
    ax.set_yticks(range(len(kinds)), kinds)
    ax.set(ylim=(len(kinds) - 0.5, -0.5), xlabel="accuracy of the probe", ylabel="states of")
    ax.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    ax.locator_params(axis="x", nbins=4)


def draw_shares(ax: Axes, gaps: pd.DataFrame, near: float) -> None:
    """Draws what the longest models are behind causal ones, against the compute of adaptation.

    A dotted line is at `near`, where they count as causal.
    """
    longest = gaps.loc[gaps["length"] == gaps["length"].max()]
    _draw_behind(ax, longest, "share")
    ax.axhline(near, color=style.GREY, linewidth=0.7, linestyle=":")
    ax.set_xlabel("compute of adaptation,\nshare of the masked training")
    shares = np.unique(longest["share"].to_numpy(np.float64)).tolist()
    ax.set_xticks(shares, [f"{share:.0%}" for share in shares])
    ax.xaxis.set_minor_locator(NullLocator())


def draw_lengths(ax: Axes, gaps: pd.DataFrame) -> None:
    """Draws what adapted models are behind causal ones, against the compute of training before."""
    _draw_behind(ax, gaps.assign(before=gaps["flops_train"] / gaps["share"]), "before")
    ax.set_xlabel("compute of masked training\n(FLOPs)")
    log_ticks(ax, "x", most=4)


def _draw_behind(ax: Axes, gaps: pd.DataFrame, along: str) -> None:
    """Draws nats behind causal training along a column, with intervals over seeds."""
    places = np.unique(gaps[along].to_numpy(np.float64))
    found = [mean_of(gaps.loc[gaps[along] == place, "behind"]) for place in places]
    for place, each in zip(places, found, strict=True):
        if each.low is not None and each.high is not None:
            ax.vlines(place, each.low, each.high, color=_ADAPTED.color, linewidth=1.0)
    ax.plot(places, [each.value or 0.0 for each in found], **_ADAPTED.line())
    ax.plot(gaps[along], gaps["behind"], **_ADAPTED.marks(filled=False))
    ax.set(xscale="log", ylabel="behind causal training (nats)")
    ax.axhline(0, color=style.GREY, linewidth=0.7)
    ax.margins(y=0.1)
