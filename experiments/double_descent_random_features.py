"""Do random Fourier features peak where they begin to interpolate? MNIST-1D.

Claim: least squares on N random features of n examples has a peak of test error and of weight norm
exactly where it begins to interpolate, at N = n, without any label noise. Far beyond, the error
ends well below its first minimum.
Paper: Belkin, Hsu, Ma, Mandal 2019 (PNAS; arXiv 1812.11118), figures 1 and 2. Data: Greydanus &
Kobak 2024 (MNIST-1D, arXiv 2011.14439), n = 400, with sizes chosen for it.
Command: scaling run double_descent_random_features
Cost: 24 sizes x 10 seeds, about 15 s on two CPU cores.
Expected: the peak of the test squared error lies at 0.95 to 1.05 times the interpolation threshold.
Both lie at N = n, as does the peak of the weight norm. The second descent of the test error ends
below the first minimum.
"""

from functools import partial

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.double_descent import verdict
from analysis.plots import ticks
from analysis.tables import results
from experiments.experiment import Expected, Findings, Measured, Sweep
from experiments.shared.cut_offs import cut_off_doubts
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
from scaling.data.mnist1d import MNIST1D
from scaling.models.random_features import RandomFeatures
from scaling.solving import Ridgeless
from sweeps.space import grid

# N/n: even in log N, denser around the threshold.
COARSE = (0.05, 0.12, 0.3, 0.5, 0.7, 0.9, 1.0, 1.1, 1.4, 2.0, 4.0, 10.0)
FINE = (
    0.05, 0.08, 0.12, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0,
    1.05, 1.1, 1.2, 1.4, 1.7, 2.0, 3.0, 4.0, 6.0, 8.0, 10.0,
)  # fmt: skip


def _sweep(ratios: tuple[float, ...], n_train: int, n_seeds: int) -> list[RunConfig]:
    base = RunConfig(
        model=RandomFeatures(n_features=1, activation="fourier", weight_scale=0.35),
        data=MNIST1D(n_train=n_train),
        train=Ridgeless(),
    )
    sizes = [round(ratio * n_train) for ratio in ratios]
    return grid(base, {"model.n_features": sizes, "seed": range(n_seeds)})


THRESHOLD_ALONG = "model.n_features"

SWEEP: Sweep = {
    "smoke": partial(_sweep, COARSE, n_train=100, n_seeds=10),
    "cpu": partial(_sweep, FINE, n_train=400, n_seeds=10),
    "gpu": partial(_sweep, FINE, n_train=4000, n_seeds=10),
}


INTERPOLATED = 1e-12
"""Train squared error below which a model interpolates; one-hot targets are of order one."""

AT_THRESHOLD = (0.95, 1.05)
"""Ratios N/n that count as the threshold."""

_FIGURE = "Belkin et al. 2019, fig. 2"

EXPECTED = (
    *(
        Expected(name=name, says=says, low=AT_THRESHOLD[0], high=AT_THRESHOLD[1], source=source)
        for name, says, source in (
            (
                "peak_over_threshold",
                "peak of test squared error over interpolation threshold",
                f"{_FIGURE}: both at N = n",
            ),
            ("peak", "peak of test squared error, N/n", _FIGURE),
            ("threshold", "interpolation threshold, N/n", "n equations, N unknowns"),
            ("norm_peak", "peak of the weight norm, N/n", _FIGURE),
        )
    ),
    Expected(
        name="second_descent",
        says="confidence that test error ends below its first minimum",
        low=0.95,
        source=_FIGURE,
    ),
)

CAPTION = (
    "(a) Test squared error, (b) test error and (c) weight norm over features per example: "
    "medians with 68 % of seeds; bars above are the intervals of threshold and peak.",
    "The error peaks at N/n = {peak}, {peak_over_threshold} of the threshold.",
)
ALT = (
    "Three line charts over features per example.",
    "Error and weight norm peak at N/n = {peak}, where the features begin to interpolate, and "
    "the error descends below its first minimum.",
)

PANELS = {
    "eval_squared_error": "test squared error (one-hot units²)",
    "eval_error": "test error (fraction)",
    "weight_norm_l2": "weight norm (ℓ2)",
}


def analyse(table: pd.DataFrame) -> Findings[Descent]:
    """Finds threshold and peaks of test squared error, test error and weight norm against N/n."""
    table = table.assign(ratio=table["model.n_features"] / table["data.n_train"])
    runs, excluded = results.usable(table, [*PANELS, "train_squared_error"])
    by_loss, by_error, by_norm = (
        verdict.descent(
            runs["ratio"],
            runs["train_squared_error"],
            runs[metric],
            runs["seed"],
            tolerance=INTERPOLATED,
        )
        for metric in PANELS
    )
    shown = summaries(runs, ["ratio"], PANELS)
    peak = by_loss.peak and by_loss.peak.location
    gain = None
    if by_error.first_minimum is not None and by_error.final_minimum is not None:
        gain = by_error.final_minimum.value.value / by_error.first_minimum.value.value
    return Findings(
        measured={
            "peak_over_threshold": peak_of(by_loss, by_loss.ratio),
            "peak": peak_of(by_loss),
            "threshold": measured(by_loss.threshold),
            "norm_peak": peak_of(by_norm),
            "second_descent": Measured(
                value=by_error.confidence_below,
                note="" if gain is None else f"final over first minimum: {gain:.3g}",
            ),
        },
        verdict=(
            f"squared error: {by_loss.verdict.value}. {by_loss.reason}\n"
            f"test error: {by_error.verdict.value}. {by_error.reason}"
        ),
        shown=with_notes(shown, excluded, "ratio", threshold=by_loss.threshold, peak=peak),
        details=Descent(runs, excluded, by_loss),
        doubts=cut_off_doubts(runs, "ratio", "N/n"),
    )


def figure(findings: Findings[Descent]) -> Figure:
    """Draws three panels, one per quantity, with the threshold and the peak marked."""
    return panels(PANELS, lambda ax, quantity: _draw(ax, findings, quantity))


def overview(ax: Axes, findings: Findings[Descent]) -> None:
    """Draws the test squared error against N/n."""
    _draw(ax, findings, "eval_squared_error")
    ax.set_ylabel(PANELS["eval_squared_error"])
    ax.legend(loc="upper left")


def _draw(ax: Axes, findings: Findings[Descent], quantity: str) -> None:
    ticks.log_scale(ax, "x", ticks=(1,))
    if quantity != "eval_error":
        ticks.log_scale(ax, "y", ticks=(1,))
    draw_descent(ax, findings.details, "ratio", quantity, AT_THRESHOLD)
    ax.set_xlabel("features / examples, $N/n$")
