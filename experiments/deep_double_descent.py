"""Do an MLP and a CNN show deep double descent as they widen? MNIST-1D with noisy labels.

Claim: trained long on data with noisy labels, test loss and test error of a network rise towards
the width at which it can just fit the training set, and fall again beyond it. The loss peaks at
that width, the error somewhat before it.
Paper: Nakkiran et al. 2019 (arXiv 1912.02292), figures 1 and 4; Greydanus & Kobak 2024 (MNIST-1D,
arXiv 2011.14439), notebook "deep double descent", whose protocol this is: 4,000 samples, 15 % of
the labels drawn anew from all classes (so that 13.5 % are wrong), SGD with learning rate 0.01 and
momentum 0.9, batches of 100, 500 epochs, PyTorch's initial weights; one seed there.
Command: scaling run deep_double_descent
Cost: 261 runs, 20 CPU-minutes: about 10 min on two quiet cores. `gpu` is CIFAR-10 with Nakkiran's
CNN and ResNet18 and their schedules, 228 runs at the reduced size (400 epochs, 50,000 steps) that
took others 6 GPU-hours a seed at three noises; it is planned and has not been run.
Expected: the CNN's test error peaks near 33.8 %, at 0.75 times the interpolation threshold, and
does not come back below its first minimum; the MLP's test loss peaks at the threshold, and its
error ends below its first minimum.

All runs are one sweep over network, width, samples, noise and seed, with a history of 48
evaluations at geometric steps each. This card cuts it along the width at n = 4,000;
`deep_double_descent_epochs` and `deep_double_descent_samples` cut the same runs along their epochs
and their samples. Every run has the same number of steps, as in Nakkiran's sample-wise figures, and
at one seed fewer samples are the beginning of more.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

from analysis.double_descent.verdict import DoubleDescent
from analysis.plots import descent, style
from analysis.plots.descent_axes import along_top, own_axis
from experiments.experiment import Expected, Findings, Measured, Sweep
from experiments.shared.deep_descent import (
    LABELS,
    NETWORKS,
    Slice,
    judged_along,
    largest_sets,
    of_slice,
    reported,
    rise_between,
    sentences,
    slices,
    usable,
)
from experiments.shared.panels import left_out, measured, peak_of, stacked, summaries
from experiments.shared.seeds import mean_of
from scaling.config import RunConfig
from scaling.data.images import Images
from scaling.data.label_noise import LabelNoise
from scaling.data.mnist1d import MNIST1D
from scaling.models.cnn_1d import CNN1D
from scaling.models.image_cnn import ImageCNN
from scaling.models.mlp import MLP
from scaling.models.preact_resnet18 import PreActResNet18
from scaling.training import SGD, Adam, Gradient
from sweeps.space import chain, grid

NOISE = 0.15
_CNN, _MLP = CNN1D(width=1), MLP(width=1, depth=2, initial="torch")


def _runs(
    model: CNN1D | MLP,
    widths: Sequence[int],
    *,
    n_train: Sequence[int],
    steps: int,
    rate: float = 0.01,
    noise: float = NOISE,
) -> list[RunConfig]:
    base = RunConfig(
        model=model,
        data=MNIST1D(
            n_train=n_train[0],
            n_samples=16_000,
            n_eval=12_000,
            label_noise=LabelNoise(fraction=noise, convention="any_class"),
        ),
        train=Gradient(
            optimizer=SGD(learning_rate=rate, momentum=0.9),
            batch_size=100,
            steps=steps,
            evaluations=48,
            spacing="geometric",
        ),
    )
    return grid(base, {"data.n_train": n_train, "model.width": widths, "seed": range(3)})


def _cpu() -> list[RunConfig]:
    """Both networks over width at n = 4,000; fewer widths on clean labels and on fewer samples."""
    cnn, mlp = (partial(_runs, model, steps=20_000) for model in (_CNN, _MLP))
    fewer = [500, 1000, 2000, 3000]
    return chain(
        cnn([4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 28, 36, 50, 95], n_train=[4000]),
        mlp([4, 8, 12, 16, 21, 27, 36, 47, 54, 61, 80, 104, 150, 212, 300], n_train=[4000]),
        cnn([6, 10, 14, 18, 24, 36], n_train=fewer),
        mlp([12, 21, 36, 47, 61], n_train=fewer),
        cnn([6, 10, 14, 18, 24, 36], n_train=[4000], noise=0.0),
        mlp([12, 21, 36, 47, 61, 104, 212], n_train=[4000], noise=0.0),
    )


def _smoke() -> list[RunConfig]:
    cnn, mlp = (partial(_runs, model, steps=3_000, rate=0.03) for model in (_CNN, _MLP))
    return chain(
        cnn([4, 8, 16], n_train=[500]),
        mlp([4, 8, 14, 24, 48], n_train=[500]),
        mlp([14], n_train=[150, 250]),
    )


def _gpu() -> list[RunConfig]:
    """CIFAR-10 with wrong labels: Nakkiran's networks at their reduced size, by their schedules."""
    data = Images(
        dataset="cifar10", n_train=50_000, label_noise=LabelNoise(convention="wrong_class")
    )
    evaluated = partial(Gradient, batch_size=128, evaluations=60, spacing="geometric")
    resnet = RunConfig(
        model=PreActResNet18(width=1),
        data=data,
        train=evaluated(optimizer=Adam(learning_rate=1e-4), epochs=400, augmentation="crop_flip"),
    )
    cnn = RunConfig(
        model=ImageCNN(width=1),
        data=data,
        train=evaluated(optimizer=SGD(learning_rate=0.1), schedule="inverse_sqrt", steps=50_000),
    )
    noise, width, seeds = "data.label_noise.fraction", "model.width", {"seed": range(3)}
    cnn_widths = [2, 4, 6, 8, 10, 12, 16, 20, 24, 32, 40, 48, 64, 80, 96, 128]
    return chain(
        grid(resnet, {noise: [0.0, 0.2], width: [2, 3, 4, 6, 8, 12, 16, 24, 32, 64]} | seeds),
        grid(cnn, {noise: [0.0, 0.2], width: cnn_widths} | seeds),
        grid(
            cnn,
            {
                noise: [0.2],
                width: [8, 16, 32, 48, 64, 128],
                "data.n_train": [6_250, 12_500, 25_000, 37_500],
            }
            | seeds,
        ),
    )


THRESHOLD_ALONG = "model.width"

SWEEP: Sweep = {"smoke": _smoke, "cpu": _cpu, "gpu": _gpu}

_NOTEBOOK = "MNIST-1D notebook, one seed"

EXPECTED = (
    Expected(
        name="cnn_error_at_peak",
        says="CNN, 15 % noise: test error at its peak",
        low=0.298,
        high=0.378,
        source=f"{_NOTEBOOK}: 33.8 % at 18 channels",
        budgets=("cpu",),
    ),
    Expected(
        name="cnn_error_ratio",
        says="CNN, 15 % noise: peak of test error over interpolation threshold",
        low=0.6,
        high=0.9,
        source=f"{_NOTEBOOK}: 18 / 24 = 0.75",
        budgets=("cpu",),
    ),
    Expected(
        name="mlp_loss_ratio",
        says="MLP, 15 % noise: peak of test loss over interpolation threshold",
        low=0.8,
        high=1.2,
        source=f"{_NOTEBOOK}: 61 / 61 = 1.0",
        budgets=("cpu",),
    ),
    Expected(
        name="mlp_end",
        says="MLP, 15 % noise: test error of the widest less that of the first minimum",
        high=0.0,
        source=f"{_NOTEBOOK}: 45.5 - 47.2 %",
        budgets=("cpu",),
    ),
    Expected(
        name="cnn_end",
        says="CNN, 15 % noise: test error of the widest less that of the first minimum",
        low=0.0,
        source=f"{_NOTEBOOK}: 27.4 - 19.6 %",
        budgets=("cpu",),
    ),
    Expected(
        name="mlp_loss_falls",
        says="MLP, 15 % noise: test loss at its peak over that of the widest",
        low=1.2,
        source=f"{_NOTEBOOK}: 5.79 / 2.64 = 2.2",
        budgets=("smoke", "cpu"),
    ),
    Expected(
        name="resnet18_widest_error",
        says="ResNet18, 20 % noise: test error of the widest",
        low=0.19,
        high=0.24,
        source="logs of Nakkiran et al., as tabulated by HP2706/ATDL-Group-Work: 21.9 % at k = 64 "
        "after 400 epochs",
        budgets=("gpu",),
    ),
    Expected(
        name="image_cnn_end",
        says="CNN on CIFAR-10, 20 % noise: test error of the widest less that of the first minimum",
        low=0.0,
        source="rerun of HP2706/ATDL-Group-Work: 25.9 - 21.7 %",
        budgets=("gpu",),
    ),
)

CAPTION = (
    "Train error, test error, test loss and weight norm over width, a column a network and a "
    "line a kind of labels: medians with bands over seeds; bars above are the intervals of "
    "threshold and peak.",
    "The CNN begins to interpolate noisy labels at {cnn_threshold} channels, and its test error "
    "peaks at {cnn_error_ratio} of the threshold.",
    "The test loss of the MLP peaks at {mlp_loss_ratio} of its threshold.",
)
ALT = (
    "Line charts over network width: with noisy labels the train error reaches zero, and near "
    "there test loss peaks and falls again.",
    "The test loss of the MLP at its peak is {mlp_loss_falls} times that of the widest.",
)


class Details(NamedTuple):
    """What the figure draws: runs, those left out, and what was found of each slice and metric."""

    runs: pd.DataFrame
    excluded: pd.DataFrame
    found: Mapping[Slice, Mapping[str, DoubleDescent]]


def analyse(table: pd.DataFrame) -> Findings[Details]:
    """Finds threshold, peak and minima of test error and loss over width, on most samples."""
    runs, excluded = (largest_sets(each) for each in usable(table))
    found, doubts = judged_along(dict(slices(runs)), lambda rows: rows["width"])
    numbers: dict[str, Measured] = {}
    for each in found:
        if each.noise == max(other.noise for other in found):
            key = NETWORKS[each.network].key
            numbers |= _measured(key, of_slice(runs, each), found[each])
    quantities = [*LABELS, "train_error_clean", "noisy_eval_error"]
    shown = stacked(
        summaries(runs, ["network", "noise", "n", "width"], quantities),
        left_out(excluded, "network", "width"),
    )
    return Findings(
        measured=numbers,
        verdict="\n".join(sentences(found)),
        shown=shown,
        details=Details(runs, excluded, found),
        doubts=doubts,
        report=reported(found),
    )


def _measured(
    name: str, rows: pd.DataFrame, found: Mapping[str, DoubleDescent]
) -> dict[str, Measured]:
    """Numbers of one network with noisy labels; each exists only where there is a peak."""
    error, loss = found["eval_error"], found["eval_loss_nats"]
    widest = float(max(rows["width"]))
    end = Measured(value=None, note="no first minimum")
    if error.first_minimum is not None:
        ends = error.first_minimum.size, widest
        note = f"from width {ends[0]:g} to {ends[1]:g}"
        end = rise_between(rows, "width", ends, "eval_error", note)
    of_widest = rows.loc[rows["width"] == widest]
    last_loss = float(np.median(of_widest["eval_loss_nats"]))
    highest_loss = peak_of(loss, loss.peak and loss.peak.height)
    falls = None if highest_loss.value is None else highest_loss.value / last_loss
    return {
        f"{name}_threshold": measured(error.threshold),
        f"{name}_error_at_peak": peak_of(error, error.peak and error.peak.height),
        f"{name}_error_ratio": peak_of(error, error.ratio),
        f"{name}_loss_ratio": peak_of(loss, loss.ratio),
        f"{name}_loss_falls": Measured(value=falls, note=highest_loss.note),
        f"{name}_end": end,
        f"{name}_widest_error": mean_of(of_widest["eval_error"]),
    }


def figure(findings: Findings[Details]) -> Figure:
    """Draws each network's train error, test error, test loss and weight norm over width."""
    networks = sorted({each.network for each in findings.details.found})
    with style.paper_figure(len(LABELS), len(networks), height=8.0) as (drawing, axes):
        for column, network in enumerate(networks):
            for row, quantity in enumerate(LABELS):
                _draw(axes[row, column], findings.details, network, quantity)
            axes[0, column].set_title(NETWORKS[network].title)
            _show_parameters(axes[0, column], findings.details.runs, network)
        style.outer_legend(drawing, axes.flat, "outside lower center", 4)
    return drawing


def _show_parameters(ax: Axes, runs: pd.DataFrame, network: str) -> None:
    """Writes the parameters of each width along the top."""
    mine = runs.loc[runs["network"] == network]
    counts = mine.groupby("width")["n_params_total"].first()
    short = EngFormatter(sep="")
    texts = [short(float(f"{count:.2g}")) for count in counts]
    along_top(ax, counts.index.to_numpy(np.float64), texts, "parameters", most=5)


def _draw(ax: Axes, details: Details, network: str, quantity: str) -> None:
    """Draws one quantity of a network, a line for each noise, with the marks of the noisy runs."""
    mine = [each for each in details.found if each.network == network]  # the noisiest first
    axis = own_axis(NETWORKS[mine[0].network].width)
    ax.margins(y=0.12)  # room for the bars along the top
    drawn = [(each, quantity, f"{100 * each.noise:.0f} % noise") for each in mine]
    if quantity == "train_error":
        drawn.append((mine[0], "train_error_clean", "noisy runs, clean labels"))
    for (each, name, label), look in zip(drawn, style.SERIES, strict=False):
        rows = of_slice(details.runs, each)
        descent.draw_quantity(
            ax, rows["width"], rows[name], rows["seed"], axis=axis, label=label, style=look
        )
    by_metric = details.found[mine[0]]
    of_metric = by_metric.get(quantity, by_metric["eval_error"])
    has_peak = quantity in by_metric and of_metric.verdict.has_peak
    peak = of_metric.peak.location if of_metric.peak and has_peak else None
    descent.mark_descent(ax, axis, threshold=of_metric.threshold, peak=peak)
    ax.set_ylabel(LABELS[quantity])
