"""Does longer training hurt and then help? The histories of deep_double_descent along their epochs.

Claim: with noisy labels, test error over epochs falls throughout for a small network, falls and
rises for one that can just fit its training set, and falls, rises and falls again for a large one;
stopped at its best epoch, no width has a peak. Without label noise there is none.
Paper: Nakkiran et al. 2019 (arXiv 1912.02292), figures 9 and 10: ResNet18 on CIFAR-10 with 20 %
noise, 4,000 epochs; at k = 64 the error falls to 17.3 %, rises and comes back to 19.6 %, which does
not beat early stopping. Optimal stopping: Nakkiran et al., section 7.
Command: scaling run deep_double_descent_epochs
Cost: the runs of `deep_double_descent`, which are not trained again.
Expected: MNIST-1D's networks overtrain at the threshold, by some points; 500 epochs of SGD at a
constant rate show no second descent in time, as weights stop moving where the training loss is 0.
The smallest network and the one on clean labels end at their best.

Epochs are judged as sizes are: the threshold is the epoch at which the training error, against the
noisy labels, falls to 1 %. "Rise to the end" is the test error after the last epoch less that of
the epoch at which the mean over seeds is least: it is 0 or more by construction.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.double_descent.critical_size import interpolation_threshold
from analysis.double_descent.verdict import DoubleDescent
from analysis.estimate import interval_text
from analysis.plots import descent, descent_maps, style
from analysis.plots.descent_axes import own_axis
from experiments import deep_double_descent
from experiments.experiment import Expected, Findings, Json, Measured
from experiments.shared.deep_descent import (
    INTERPOLATED,
    LABELS,
    NETWORKS,
    Slice,
    judged,
    largest_sets,
    of_network,
    of_slice,
    rise_between,
    slices,
    usable,
)
from experiments.shared.panels import stacked, summaries

RUNS_OF = "deep_double_descent"
CURVES = True
SWEEP = deep_double_descent.SWEEP

DRAWN_FROM = 10.0
"""Epoch from which the figure shows the histories: before it, they only fall."""

PLACES = ("narrowest", "at the threshold", "widest")
"""Which widths are shown and judged."""

_NAKKIRAN = "Nakkiran et al. 2019, figure"

EXPECTED = (
    Expected(
        name="cnn_at_the_threshold",
        says="CNN at the threshold, 15 % noise: rise of test error to the end",
        low=0.02,
        source="rerun of HP2706/ATDL-Group-Work, 400 epochs: from 20.7 to 29.7 % at k = 12",
        budgets=("cpu",),
    ),
    Expected(
        name="mlp_at_the_threshold",
        says="MLP at the threshold, 15 % noise: rise of test error to the end",
        low=0.01,
        source="rerun of HP2706/ATDL-Group-Work, 400 epochs: from 20.7 to 29.7 % at k = 12",
        budgets=("smoke", "cpu"),
    ),
    Expected(
        name="cnn_narrowest",
        says="narrowest CNN, 15 % noise: rise of test error to the end",
        high=0.01,
        source=f"{_NAKKIRAN} 9: k = 3 is monotone",
        budgets=("cpu",),
    ),
    Expected(
        name="cnn_clean_at_the_threshold",
        says="CNN at the threshold, clean labels: rise of test error to the end",
        high=0.01,
        source=f"{_NAKKIRAN} 10: no peak without noise",
        budgets=("cpu",),
    ),
)

CAPTION = (
    "Test error (a, b) over epochs at three widths, (c, d) over width and epoch with the line "
    "of interpolation, and (e, f) of the last and of the best epoch over width, with bands over "
    "seeds.",
    "From its minimum to the end test error rises by {cnn_at_the_threshold} for the CNN at the "
    "threshold and by {mlp_at_the_threshold} for the MLP.",
)
ALT = (
    "Line charts and maps of test error over training.",
    "At the interpolation threshold the test error of the MLP rises by {mlp_at_the_threshold} "
    "after its minimum.",
)


class Details(NamedTuple):
    """What the figure draws: every evaluation, runs left out, and the widths that are shown."""

    history: pd.DataFrame
    excluded: pd.DataFrame
    shown: Mapping[Slice, Sequence[int]]


def histories(runs: pd.DataFrame, curves: pd.DataFrame) -> pd.DataFrame:
    """Evaluations after the first step of each run, with network, width, noise, n and seed."""
    columns = ["run_id", "network", "width", "noise", "n", "seed"]
    history = curves.loc[curves["step"] > 0].assign(eval_loss_nats=curves["eval_loss"])
    history = history.merge(runs.loc[:, columns], on="run_id")
    return history.assign(epochs=history["n_examples_seen"] / history["n"])


def analyse(table: pd.DataFrame, curves: pd.DataFrame) -> Findings[Details]:
    """Judges test error and loss over epochs, at three widths of each network and noise."""
    runs, excluded = (largest_sets(each) for each in usable(table))
    history = histories(runs, curves)
    chosen: dict[Slice, list[int]] = {}
    numbers: dict[str, Measured] = {}
    lines: list[str] = []
    report: dict[str, Json] = {}
    for each, rows in slices(runs):
        chosen[each] = _widths(of_network(runs, each), rows)
        for place, width in zip(PLACES, chosen[each], strict=True):
            evaluations = of_slice(history, each._replace(width=width))
            name = NETWORKS[each.network].key + ("" if each.noise else "_clean")
            rise = numbers[f"{name}_{place.replace(' ', '_')}"] = rise_to_end(evaluations)
            found = judged(evaluations["epochs"], evaluations)
            about = f"{each}, {place} (width {width:g})"
            lines.append(f"{about}: {_sentence(found, rise)}")
            report |= {f"{about}, {metric}": one.reason for metric, one in found.items()}
    columns = ["network", "noise", "width", "seed", "run_ids", "epochs", "eval_error"]
    stopped = best_epochs(history).loc[:, columns].assign(quantity="eval_error at the best epoch")
    keys = ["network", "noise", "width", "epochs"]
    return Findings(
        measured=numbers,
        verdict="\n".join(lines),
        shown=stacked(summaries(history, keys, [*LABELS, "train_error_clean"]), stopped),
        details=Details(history, excluded, chosen),
        report=report,
    )


def rise_to_end(evaluations: pd.DataFrame) -> Measured:
    """Test error after the last epoch less that of the best one, in pairs of one seed."""
    means = evaluations.groupby("epochs").agg(error=("eval_error", "mean"))
    epochs = means.index.to_numpy(dtype=np.float64)
    ends = float(epochs[np.argmin(means["error"])]), float(epochs[-1])
    return rise_between(
        evaluations, "epochs", ends, "eval_error", f"least after {ends[0]:.3g} epochs"
    )


def best_epochs(history: pd.DataFrame) -> pd.DataFrame:
    """The row of each run's least test error over its history."""
    ascending = history.sort_values(["eval_error", "epochs"])
    return ascending.drop_duplicates("run_id").assign(run_ids=ascending["run_id"])


def _sentence(found: Mapping[str, DoubleDescent], rise: Measured) -> str:
    """What one width shows: both verdicts over epochs, and whether the end beats early stopping."""
    verdicts = ", ".join(
        f"{LABELS[metric].partition(' (')[0]} {one.verdict.value}" for metric, one in found.items()
    )
    hurt = rise.low is not None and rise.low > 0
    beaten = "does not beat early stopping" if hurt else "ends at its best, within seed noise"
    return f"{verdicts}; it {beaten} (test error rises by {_number(rise)}, {rise.note})"


def _number(measured: Measured) -> str:
    if measured.value is None or measured.low is None or measured.high is None:
        return "an unknown amount"
    return f"{measured.value:.3f} {interval_text(measured.low, measured.high)}"


def _widths(network: pd.DataFrame, rows: pd.DataFrame) -> list[int]:
    """The narrowest width, the one nearest the threshold of the noisiest runs, and the widest."""
    noisy = network.loc[network["noise"] == max(network["noise"])]
    threshold = interpolation_threshold(
        noisy["width"], noisy["train_error"], noisy["seed"], tolerance=INTERPOLATED
    )
    there = sorted(set(rows["width"].tolist()))
    target = there[len(there) // 2] if threshold.censored else threshold.value
    return [there[0], min(there, key=lambda width: abs(width - target)), there[-1]]


def figure(findings: Findings[Details]) -> Figure:
    """Draws test error over epochs, its map over width and epoch, and the best epoch's error."""
    history = findings.details.history
    details = findings.details._replace(history=history.loc[history["epochs"] >= DRAWN_FROM])
    noisy = [each for each in details.shown if each.noise == max(s.noise for s in details.shown)]
    with style.paper_figure(3, len(noisy), height=7.2) as (drawing, axes):
        for column, each in enumerate(noisy):
            _draw_epochs(axes[0, column], details, each)
            _draw_map(axes[1, column], details, each)
            _draw_stopped(axes[2, column], details, each)
            axes[0, column].set_title(str(each))
        for row in (0, 2):
            for ax in axes[row]:
                ax.legend(loc="best", handlelength=1.6)
    return drawing


def _draw_epochs(ax: Axes, details: Details, each: Slice) -> None:
    for width, place, look in zip(details.shown[each], PLACES, style.SERIES, strict=False):
        rows = of_slice(details.history, each._replace(width=width))
        descent.draw_quantity(
            ax,
            rows["epochs"],
            rows["eval_error"],
            rows["seed"],
            axis=own_axis("epochs"),
            label=f"{width:g}, {place}",
            style=look._replace(marker=""),
        )
    ax.set_ylabel(LABELS["eval_error"])


def _draw_map(ax: Axes, details: Details, each: Slice) -> None:
    rows = of_slice(details.history, each)
    test, train = (
        descent_maps.map_of_runs(rows["width"], rows["epochs"], rows[name])
        for name in ("eval_error", "train_error")
    )
    descent_maps.draw_map(ax, test, label=LABELS["eval_error"])
    descent_maps.draw_interpolation(ax, train, INTERPOLATED)
    ax.set(xlabel=NETWORKS[each.network].width, ylabel="epochs")
    style.legend_above(ax, n_columns=1)


def _draw_stopped(ax: Axes, details: Details, each: Slice) -> None:
    rows = of_slice(details.history, each)
    last = rows.loc[rows["step"] == max(rows["step"])]
    for label, those, look in zip(
        ("last epoch", "best epoch of the run"),
        (last, best_epochs(rows)),
        style.SERIES,
        strict=False,
    ):
        descent.draw_quantity(
            ax,
            those["width"],
            those["eval_error"],
            those["seed"],
            axis=own_axis(NETWORKS[each.network].width),
            label=label,
            style=look,
        )
    ax.set_ylabel(LABELS["eval_error"])
