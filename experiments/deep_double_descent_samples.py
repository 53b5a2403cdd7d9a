"""Can more data hurt? The runs of deep_double_descent along their number of samples.

Claim: a network that can just fit its training set is at its peak. More samples move the threshold
to larger networks, so that at one width test loss rises with samples up to the number that the
network can just fit, and falls beyond it; near there more data do not help the error, or hurt.
Paper: Nakkiran et al. 2019 (arXiv 1912.02292), figures 11 and 12, and its effective model
complexity (EMC): the most samples on which training still reaches a training error near 0.
Command: scaling run deep_double_descent_samples
Cost: the runs of `deep_double_descent`, which are not trained again.
Expected: the number of samples of highest test loss is the EMC, within a step of the grid; more
samples raise the loss somewhere by 0.2 nats or more.

Every run takes the same number of steps, so that fewer samples are seen more often; at one seed
they are the beginning of more. Samples are judged as sizes are. EMC is the most samples at which
the training error, against the noisy labels, is at most 1 %: the threshold along 1 / n.
"""

import itertools
from collections.abc import Mapping
from typing import NamedTuple

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.double_descent.complexity import effective_complexity
from analysis.double_descent.verdict import DoubleDescent
from analysis.estimate import Estimate
from analysis.plots import descent, descent_maps, style
from analysis.plots.descent_axes import own_axis
from experiments import deep_double_descent
from experiments.experiment import Expected, Findings, Measured
from experiments.shared.deep_descent import (
    INTERPOLATED,
    LABELS,
    NETWORKS,
    STATISTICS,
    Slice,
    judged_along,
    of_network,
    reported,
    rise_between,
    shown_by_seeds,
    slices,
    usable,
)
from experiments.shared.panels import left_out, peak_of, stacked, summaries, tick_widths
from scaling.record import finite

RUNS_OF = "deep_double_descent"
SWEEP = deep_double_descent.SWEEP

THOUSAND = 1000
SAMPLES = "training samples $n$, thousands"

_NAKKIRAN = "Nakkiran et al. 2019, section 5"

EXPECTED = (
    Expected(
        name="cnn_peak_over_emc",
        says="CNN: samples of highest test loss over EMC, where clearest",
        low=0.5,
        high=2.0,
        source=f"{_NAKKIRAN}: the peak lies where EMC = n",
        budgets=("cpu",),
    ),
    Expected(
        name="mlp_peak_over_emc",
        says="MLP: samples of highest test loss over EMC, where clearest",
        low=0.5,
        high=2.0,
        source=f"{_NAKKIRAN}: the peak lies where EMC = n",
        budgets=("cpu",),
    ),
    Expected(
        name="mlp_harm",
        says="MLP: rise of test loss by more samples, beyond seed noise",
        unit="nats",
        low=0.2,
        source=f"{_NAKKIRAN} and figure 11: more data hurt",
        budgets=("smoke", "cpu"),
    ),
)

CAPTION = (
    "Test error and test loss over training samples, a line a width, with bands over seeds; "
    "maps over width and samples where the grid has several of both.",
    "More samples raise the test loss by up to {mlp_harm} for the MLP.",
)
ALT = (
    "Line charts over the number of samples: test error falls, and test loss rises up to the "
    "number that the network can just fit.",
    "The rise is up to {mlp_harm}.",
)


class Details(NamedTuple):
    """What the figure draws: noisy runs at several numbers of samples, and their slices."""

    runs: pd.DataFrame
    found: Mapping[Slice, Mapping[str, DoubleDescent]]


def analyse(table: pd.DataFrame) -> Findings[Details]:
    """Finds EMC and the peak over samples at every width that ran on several numbers of them."""
    runs, excluded = usable(table)
    runs = on_several_sets(runs.loc[runs["noise"] > 0])
    groups = dict(slices(runs, by_width=True))
    found, doubts = judged_along(groups, lambda rows: rows["n"])
    emcs = {each: complexity(groups[each]) for each in found}
    numbers: dict[str, Measured] = {}
    for network in sorted(set(runs["network"])):
        mine = {each: one for each, one in found.items() if each.network == network}
        name = NETWORKS[network].key
        numbers[f"{name}_peak_over_emc"] = _peak_over_emc(mine, emcs)
        harms = [_harm(groups[each], each) for each in mine]
        numbers[f"{name}_harm"] = shown_by_seeds(harms)
    keys = ["network", "width", "n"]
    return Findings(
        measured=numbers,
        verdict="\n".join(_sentence(each, one, emcs[each]) for each, one in found.items()),
        shown=stacked(summaries(runs, keys, LABELS), left_out(excluded, *keys)),
        details=Details(runs, found),
        doubts=doubts,
        report=reported(found, emcs),
    )


def complexity(rows: pd.DataFrame) -> Estimate:
    """The effective model complexity (EMC) of a width: the most samples that it interpolates."""
    return effective_complexity(
        rows["n"], rows["train_error"], rows["seed"], tolerance=INTERPOLATED
    )


def on_several_sets(runs: pd.DataFrame) -> pd.DataFrame:
    """The runs of networks that were trained on several numbers of samples, at their width."""
    numbers = runs.groupby(["network", "width"]).agg(n_sets=("n", "nunique")).reset_index()
    several = numbers.loc[numbers["n_sets"] > 1, ["network", "width"]]
    return runs.merge(several, on=["network", "width"])


def _peak_over_emc(
    found: Mapping[Slice, Mapping[str, DoubleDescent]], emcs: Mapping[Slice, Estimate]
) -> Measured:
    """Samples at the clearest peak of test loss over the EMC of its width."""
    peaks = [
        (one.peak.clearness, each, one.peak.location)
        for each, one in ((each, by_metric["eval_loss_nats"]) for each, by_metric in found.items())
        if one.peak and peak_of(one).value is not None and not emcs[each].censored
    ]
    if not peaks:
        return Measured(value=None, note="no peak over samples at any width")
    _, each, peak = max(peaks, key=lambda found: found[0])
    emc = emcs[each]
    return Measured(
        value=peak.value / emc.value,
        low=finite(peak.low / emc.high),
        high=finite(peak.high / emc.low) if emc.low > 0 else None,
        note=f"width {each.width}",
    )


def _harm(rows: pd.DataFrame, each: Slice) -> Measured:
    """Largest rise of test loss from fewer to more samples at one width, in pairs of one seed."""
    medians = rows.groupby("n").agg(loss=("eval_loss_nats", "median"))["loss"]
    centres = dict(zip(medians.index.tolist(), medians.tolist(), strict=True))
    pairs = list(itertools.combinations(sorted(centres), 2))
    few, many = max(pairs, key=lambda pair: centres[pair[1]] - centres[pair[0]])
    note = f"width {each.width}, from {few:,} to {many:,} samples"
    return rise_between(rows, "n", (few, many), "eval_loss_nats", note)


def _sentence(each: Slice, found: Mapping[str, DoubleDescent], emc: Estimate) -> str:
    verdicts = []
    for metric, one in found.items():
        what = one.verdict.value
        if one.peak is not None and peak_of(one).value is not None:
            what = f"peak at n = {one.peak.location} (p = {one.peak.p_value:.2g})"
        verdicts.append(f"{LABELS[metric].partition(' (')[0]} {what}")
    return f"{each}: EMC {emc} samples; {'; '.join(verdicts)}"


def figure(findings: Findings[Details]) -> Figure:
    """Draws test error and loss over samples at each width, and the map over width and samples."""
    runs = findings.details.runs
    networks = list({each.network: each for each in findings.details.found}.values())
    has_map = all(len(set(of_network(runs, each)["width"])) > 1 for each in networks)
    n_rows = len(STATISTICS) + has_map
    with style.paper_figure(n_rows, len(networks), height=2.4 * n_rows) as (drawing, axes):
        for column, each in enumerate(networks):
            mine = of_network(runs, each)
            for row, metric in enumerate(STATISTICS):
                _draw_over_samples(axes[row, column], mine, metric)
            if has_map:
                _draw_map(axes[-1, column], mine, NETWORKS[each.network].width)
            axes[0, column].set_title(NETWORKS[each.network].title)
            beside = {"loc": "upper left", "bbox_to_anchor": (1, 1)}
            axes[0, column].legend(**beside, handlelength=1.6, title="width")
    return drawing


def _draw_over_samples(ax: Axes, runs: pd.DataFrame, metric: str) -> None:
    for width, look in zip(sorted(set(runs["width"])), style.SERIES, strict=False):
        rows = runs.loc[runs["width"] == width]
        descent.draw_quantity(
            ax,
            rows["n"] / THOUSAND,
            rows[metric],
            rows["seed"],
            axis=own_axis(SAMPLES),
            label=f"{width:g}",
            style=look,
        )
    ax.set_ylabel(LABELS[metric])
    tick_widths(ax, runs["n"] / THOUSAND)


def _draw_map(ax: Axes, runs: pd.DataFrame, width: str) -> None:
    test, train = (
        descent_maps.map_of_runs(runs["width"], runs["n"] / THOUSAND, runs[name])
        for name in ("eval_loss_nats", "train_error")
    )
    descent_maps.draw_map(ax, test, label=LABELS["eval_loss_nats"])
    descent_maps.draw_interpolation(ax, train, INTERPOLATED)
    ax.set(xlabel=width, ylabel=SAMPLES)
    style.legend_above(ax, n_columns=1)
