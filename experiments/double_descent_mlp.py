"""Does a network with noisy labels show deep double descent as it widens? MNIST-1D.

Claim: trained long on data with 15 % wrong labels, a network's test loss rises towards the width at
which it can just fit the training set, peaks there, and falls again.
Paper: Nakkiran et al. 2019 (arXiv 1912.02292), figures 1 and 4; Greydanus & Kobak 2024 (MNIST-1D,
arXiv 2011.14439), notebook "deep double descent": with n = 4,000, one seed and 15 % of labels drawn
anew from all classes, the loss peaks at width 61, the threshold. Here n = 2,000, and 15 % of labels
are wrong.
Command: scaling run double_descent_mlp
Cost: 14 widths x 5 seeds, about 70 s on two CPU cores.
Expected: the peak of the test loss lies at 0.7 to 1.4 times the interpolation threshold (in the
notebook: 1.0). The test error is shown beside it, without a prediction.
"""

from functools import partial

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.plots import ticks
from analysis.tables import results
from experiments.experiment import Expected, Findings, Sweep
from experiments.shared.deep_descent import judged
from experiments.shared.panels import (
    Descent,
    draw_descent,
    measured,
    panels,
    peak_of,
    summaries,
    with_notes,
)
from scaling.config import RunConfig
from scaling.data.label_noise import LabelNoise
from scaling.data.mnist1d import MNIST1D
from scaling.models.mlp import MLP
from scaling.training import SGD, Gradient
from sweeps.space import grid


def _sweep(widths: list[int], n_train: int, steps: int, n_seeds: int) -> list[RunConfig]:
    base = RunConfig(
        model=MLP(width=1, depth=2),
        data=MNIST1D(
            n_train=n_train,
            n_samples=16_000,
            n_eval=12_000,
            label_noise=LabelNoise(fraction=0.15, convention="wrong_class"),
        ),
        train=Gradient(
            optimizer=SGD(learning_rate=0.02, momentum=0.9), batch_size=100, steps=steps
        ),
    )
    return grid(base, {"model.width": widths, "seed": range(n_seeds)})


THRESHOLD_ALONG = "model.width"

SWEEP: Sweep = {
    "smoke": partial(_sweep, [4, 8, 12, 16, 24, 48], n_train=500, steps=5_000, n_seeds=3),
    "cpu": partial(
        _sweep,
        [4, 8, 12, 16, 20, 24, 28, 32, 36, 40, 48, 64, 96, 128],
        n_train=2_000,
        steps=20_000,
        n_seeds=5,
    ),
    "gpu": partial(
        _sweep,
        [8, 16, 24, 32, 40, 44, 48, 52, 56, 60, 64, 72, 80, 96, 128, 192, 256, 384, 512],
        n_train=4_000,
        steps=40_000,
        n_seeds=10,
    ),
}


RATIO = (0.7, 1.4)

EXPECTED = (
    Expected(
        name="peak_over_threshold",
        says="peak of test loss over interpolation threshold",
        low=RATIO[0],
        high=RATIO[1],
        source="MNIST-1D notebook: 61 / 61 = 1.0 at n = 4,000",
    ),
)

CAPTION = (
    "(a) Train error, (b) test loss and (c) test error of a network trained on noisy labels "
    "over its width: medians with 68 % of seeds; bars above are the intervals of threshold and "
    "peak.",
    "Test loss peaks at {peak_over_threshold} of the interpolation threshold.",
)
ALT = (
    "Three line charts over network width.",
    "Train error falls to zero, and test loss peaks there, at {peak_over_threshold} of the "
    "threshold, and falls again.",
)

PANELS = {
    "train_error": "train error (fraction)",
    "eval_loss_nats": "test loss (nats)",
    "eval_error": "test error (fraction)",
}


def analyse(table: pd.DataFrame) -> Findings[Descent]:
    """Finds threshold and peak of the test loss and of the test error against width."""
    table = table.assign(width=table["model.width"])
    runs, excluded = results.usable(table, list(PANELS))
    found = judged(runs["width"], runs)
    by_loss, by_error = found["eval_loss_nats"], found["eval_error"]
    shown = summaries(runs, ["width"], PANELS)
    peak = by_loss.peak and by_loss.peak.location
    return Findings(
        measured={
            "peak_over_threshold": peak_of(by_loss, by_loss.ratio),
            "peak": peak_of(by_loss),
            "threshold": measured(by_loss.threshold),
        },
        verdict=(
            f"test loss: {by_loss.verdict.value}. {by_loss.reason}\n"
            f"test error: {by_error.verdict.value}. {by_error.reason}"
        ),
        shown=with_notes(shown, excluded, "width", threshold=by_loss.threshold, peak=peak),
        details=Descent(runs, excluded, by_loss),
    )


def figure(findings: Findings[Descent]) -> Figure:
    """Draws three panels over width, with threshold and peak of the loss and their intervals."""
    return panels(PANELS, lambda ax, quantity: _draw(ax, findings, quantity))


def overview(ax: Axes, findings: Findings[Descent]) -> None:
    """Draws the test loss against width."""
    _draw(ax, findings, "eval_loss_nats")
    ax.set_ylabel(PANELS["eval_loss_nats"])
    ax.legend(loc="best", handlelength=1.4)


def _draw(ax: Axes, findings: Findings[Descent], quantity: str) -> None:
    threshold = findings.details.found.threshold
    expected = (RATIO[0] * threshold.value, RATIO[1] * threshold.value)
    ticks.log_scale(ax, "x")
    draw_descent(ax, findings.details, "width", quantity, None if threshold.censored else expected)
    ax.set_xlabel("width of hidden layers")
