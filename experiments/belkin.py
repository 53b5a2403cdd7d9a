"""What decides the peak of random Fourier features: noise, the solver's cut-off, a ridge? MNIST-1D.

Claim: minimum-norm least squares on N random features of n examples peaks at N = n, without label
noise and more so with it, in test squared error and in weight norm; far beyond, the error ends well
below its first minimum. The height at N = n is that of the solver: a coarse cut-off of singular
values lowers it by orders of magnitude and changes nothing elsewhere; a ridge removes the peak.
Paper: Belkin, Hsu, Ma, Mandal 2019 (PNAS; arXiv 1812.11118), figures 1 and 2. Data: Greydanus &
Kobak 2024 (MNIST-1D, arXiv 2011.14439), n = 400.
Command: scaling run belkin
Cost: 22 sizes x 5 seeds x 4 settings, about 8 s on two CPU cores.
Expected: peaks of test squared error and weight norm at N = n. Of an independent sweep by a
pseudo-inverse, of other draws: test squared error 1.57 at N = n/2, 1.06 at 4 n and 0.88 at 10 n,
test error 82.5 % at its best below the threshold and 65.8 % at 10 n. The mean squared error at
N = n is infinite, so medians and quantiles are drawn. There the cut-off changes the median more
than twofold; where |N/n - 1| is at least 5 % it changes nothing. Theory of random features, with
the spectrum of the kernel and the power of the labels measured on a sample, gives the squared error
within 8 % there.
"""

import functools
from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis import theory
from analysis.double_descent import verdict
from analysis.estimate import Floats
from analysis.plots import descent, style, ticks
from analysis.plots.descent_axes import own_axis
from analysis.tables import results
from experiments.double_descent_random_features import INTERPOLATED
from experiments.experiment import Expected, Findings, Measured, Sweep
from experiments.shared.cut_offs import cut_off_doubts
from experiments.shared.panels import mark_excluded, peak_of, summaries, with_notes
from experiments.shared.sampled_theory import Sampled, predicted, sampled
from scaling.config import RunConfig
from scaling.data.label_noise import LabelNoise
from scaling.data.mnist1d import MNIST1D, generate
from scaling.models.kernel import Kernel
from scaling.models.random_features import RandomFeatures
from scaling.solving import Ridge, Ridgeless
from sweeps.space import chain, grid

FINE = (
    0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 1.0,
    1.02, 1.05, 1.1, 1.2, 1.4, 2.0, 3.0, 4.0, 6.0, 8.0, 10.0,
)  # fmt: skip
"""N/n: even in log N, denser around the threshold."""

COARSE = (0.1, 0.2, 0.3, 0.5, 0.8, 1.0, 1.2, 2.0, 4.0, 10.0)

WEIGHT_SCALE = 0.35
COARSE_RCOND = 1e-3
RIDGE = 1e-3
NOISE = 0.15

CLEAN, NOISY, CUT, RIDGED = "minimum norm", "15 % wrong labels", "cut-off 0.001", "ridge 0.001"
LOOKS = dict(zip((CLEAN, NOISY, CUT, RIDGED), style.SERIES, strict=False))


ESTIMATORS = [Ridgeless(), Ridgeless(rcond=COARSE_RCOND), Ridge(ridge=RIDGE)]


def _sweep(ratios: tuple[float, ...], n_train: int, n_seeds: int) -> list[RunConfig]:
    base = RunConfig(
        model=RandomFeatures(n_features=1, weight_scale=WEIGHT_SCALE, nested=True),
        data=MNIST1D(n_train=n_train),
        train=Ridgeless(),
    )
    sizes = [round(ratio * n_train) for ratio in ratios]
    axes = {"model.n_features": sizes, "seed": range(n_seeds)}
    noise = LabelNoise(fraction=NOISE, convention="wrong_class")
    return chain(
        grid(base, axes | {"train": ESTIMATORS}), grid(base, axes | {"data.label_noise": [noise]})
    )


THRESHOLD_ALONG = "model.n_features"

SWEEP: Sweep = {
    "smoke": partial(_sweep, COARSE, n_train=400, n_seeds=5),
    "cpu": partial(_sweep, FINE, n_train=400, n_seeds=5),
    "gpu": partial(_sweep, FINE, n_train=4000, n_seeds=10),
}


NEAR = 0.05
"""Distance |N/n - 1| within which the cut-off may matter."""

_FIGURE = "Belkin et al. 2019, fig. 2"
_EARLIER = "independent sweep by pseudo-inverse, n = 400, 5 seeds"


def _value(name: str, says: str, target: float, within: float) -> Expected:
    """A number of the independent sweep, within a share of it."""
    low, high = target * (1 - within), target * (1 + within)
    return Expected(name=name, says=says, low=low, high=high, source=f"{_EARLIER}: {target:g}")


EXPECTED = (
    *(
        Expected(name=name, says=f"peak of {says}, N/n", low=0.95, high=1.05, source=_FIGURE)
        for name, says in (
            ("peak", "test squared error"),
            ("noisy_peak", "test squared error with 15 % wrong labels"),
            ("norm_peak", "weight norm"),
        )
    ),
    _value("half", "test squared error at N = n/2", 1.57, 0.1),
    _value("four", "test squared error at N = 4 n", 1.06, 0.1),
    _value("ten", "test squared error at N = 10 n", 0.88, 0.1),
    _value("first_minimum", "least test error below the threshold", 0.825, 0.03),
    _value("error_at_ten", "test error at N = 10 n", 0.658, 0.03),
    Expected(
        name="cut_off",
        says="median at N = n over that with cut-off 0.001",
        low=2,
        source="779 / 68 in an independent sweep",
    ),
    Expected(
        name="elsewhere",
        says="largest change by the cut-off where |N/n - 1| >= 5 %",
        high=0.01,
        source="an independent sweep",
    ),
    Expected(
        name="theory",
        says="share of sizes, |N/n - 1| >= 5 %, within 8 % of theory",
        low=0.9,
        source="Simon et al. 2023 (arXiv 2311.14646)",
    ),
)

CAPTION = (
    "(a) Test squared error, (b) test error and (c) weight norm of random Fourier features over "
    "features per example: medians with 68 % of seeds; bars above are the intervals of "
    "threshold and peak.",
    "Minimum norm peaks at N/n = {peak}, with wrong labels at {noisy_peak}.",
)
ALT = (
    "Three line charts over features per example.",
    "Without a ridge all three peak at N/n = {peak} and test error descends again, to "
    "{error_at_ten} at ten times the threshold.",
)

PANELS = {
    "eval_squared_error": "test squared error (one-hot units²)",
    "eval_error": "test error (fraction)",
    "weight_norm_l2": "weight norm (ℓ2)",
}


class Details(NamedTuple):
    """What the figure draws."""

    runs: pd.DataFrame
    excluded: pd.DataFrame
    found: verdict.DoubleDescent


def analyse(table: pd.DataFrame) -> Findings[Details]:
    """Finds threshold and peaks, and compares settings with one another and with theory."""
    table = table.assign(ratio=table["model.n_features"] / table["data.n_train"])
    runs, excluded = results.usable(table, [*PANELS, "train_squared_error"])
    runs = runs.assign(setting=settings(runs))
    by_loss = _descent(runs, CLEAN, "eval_squared_error")
    noisy = _descent(runs, NOISY, "eval_squared_error")
    by_error = _descent(runs, CLEAN, "eval_error")
    by_norm = _descent(runs, CLEAN, "weight_norm_l2")
    shown = summaries(runs, ["setting", "ratio"], PANELS)
    losses = _medians(shown, "eval_squared_error")
    errors = _medians(shown, "eval_error")[CLEAN]
    losses["theory"] = _theory(losses.index.to_numpy(), int(runs["data.n_train"].iloc[0]), 0.0)
    away = losses[np.abs(losses.index - 1) >= NEAR]
    off = np.abs(away[CLEAN] / away["theory"] - 1)
    numbers = {
        "half": losses[CLEAN][0.5],
        "four": losses[CLEAN][4.0],
        "ten": losses[CLEAN][10.0],
        "first_minimum": errors[errors.index < 1].min(),
        "error_at_ten": errors[10.0],
        "cut_off": losses[CLEAN][1.0] / losses[CUT][1.0],
        "elsewhere": np.max(np.abs(away[CUT] / away[CLEAN] - 1)),
        "theory": np.mean(off <= 0.08),
    }
    peaks = {"peak": by_loss, "noisy_peak": noisy, "norm_peak": by_norm}
    peak = by_loss.peak and by_loss.peak.location
    clean = runs.loc[runs["setting"] == CLEAN]
    at_threshold = clean.loc[clean["ratio"] == 1, "eval_squared_error"]
    low, middle, high = np.quantile(at_threshold, [0.16, 0.5, 0.84])
    return Findings(
        measured={name: peak_of(found) for name, found in peaks.items()}
        | {name: Measured(value=float(value)) for name, value in numbers.items()},
        verdict=(
            f"squared error: {by_loss.verdict.value}. {by_loss.reason}\n"
            f"test error: {by_error.verdict.value}. {by_error.reason}\n"
            f"At N = n the squared error has median {middle:.4g} and 68 % of seeds between "
            f"{low:.4g} and {high:.4g}; its mean is infinite."
        ),
        shown=with_notes(shown, excluded, "ratio", threshold=by_loss.threshold, peak=peak),
        details=Details(runs, excluded, by_loss),
        doubts=cut_off_doubts(clean, "model.n_features", "N"),
        report={"largest_deviation_from_theory": float(off.max())},
    )


def settings(runs: pd.DataFrame) -> np.ndarray:
    """The setting of each run."""
    return np.select(
        [runs["train.kind"] == "ridge", runs["data.label_noise.fraction"] > 0,
         runs["rcond"] == COARSE_RCOND],
        [RIDGED, NOISY, CUT],
        CLEAN,
    )  # fmt: skip


def _medians(shown: pd.DataFrame, quantity: str) -> pd.DataFrame:
    """Medians over seeds, a row a ratio and a column a setting."""
    rows = shown[shown["quantity"] == quantity]
    return rows.pivot(index="ratio", columns="setting", values="median")


def _descent(runs: pd.DataFrame, setting: str, metric: str) -> verdict.DoubleDescent:
    rows = runs[runs["setting"] == setting]
    train = rows["train_squared_error"]
    return verdict.descent(rows["ratio"], train, rows[metric], rows["seed"], tolerance=INTERPOLATED)


def _theory(ratio: Floats, n: int, ridge: float) -> Floats:
    """Returns the test squared error of random features on MNIST-1D without label noise."""

    def risk(modes: theory.MeasuredModes) -> Floats:
        return theory.random_feature_risk(
            modes.eigenvalues, modes.target_power, n, np.rint(ratio * n),
            ridge=n * ridge, noise_variance=0.0,
        ).test_risk  # fmt: skip

    return predicted(_modes(), risk)


@functools.cache
def _modes() -> Sampled:
    """Modes of the kernel of the features, and of the labels."""
    inputs, labels = generate(5000, 42)
    gram = Kernel(kernel="rbf", length=1 / WEIGHT_SCALE).gram
    return sampled(gram, inputs, np.eye(10)[labels])


def figure(findings: Findings[Details]) -> Figure:
    """Draws three quantities over N/n in every setting, with threshold, peak and theory."""
    with style.paper_style():
        drawing, axes, _ = descent.descent_panels(len(PANELS))
        for ax, (quantity, label) in zip(axes, PANELS.items(), strict=True):
            _draw(ax, findings, quantity)
            ax.set_ylabel(label)
        style.outer_legend(drawing, axes, "outside lower center", 4)
    return drawing


def overview(ax: Axes, findings: Findings[Details]) -> None:
    """Draws the test squared error against N/n."""
    _draw(ax, findings, "eval_squared_error")
    ax.set_ylabel(PANELS["eval_squared_error"])
    ax.legend(loc="upper left")


def _draw(ax: Axes, findings: Findings[Details], quantity: str) -> None:
    runs, excluded, found = findings.details
    axis = own_axis("features / examples, $N/n$")
    if quantity != "eval_error":
        ticks.log_scale(ax, "y", ticks=(1,))
    for name, look in LOOKS.items():
        rows = runs[runs["setting"] == name]
        descent.draw_quantity(
            ax, rows["ratio"], rows[quantity], rows["seed"], axis=axis, label=name, style=look
        )
    if quantity == "eval_squared_error":
        n = int(runs["data.n_train"].iloc[0])
        sizes = np.unique(np.rint(np.geomspace(runs["ratio"].min(), 10, 120) * n)) / n
        for ridge, label in ((0.0, "theory"), (RIDGE, "")):
            descent.draw_theory(ax, sizes, _theory(sizes, n, ridge), axis=axis, label=label)
    peak = found.peak and found.peak.location
    descent.mark_descent(ax, axis, threshold=found.threshold, peak=peak)
    mark_excluded(ax, excluded, "ratio")
