"""What moves the peak? Wrong labels do, and what a share of noise means depends on its convention.

Claim: the more labels of the training set are wrong, the wider a network must be to fit them, and
the peak of the test loss moves there too. A share drawn anew from all classes is less noise than
the same share of wrong classes.
Paper: Nakkiran et al. 2019 (arXiv 1912.02292), figures 4 and 5; Greydanus & Kobak 2024 (MNIST-1D,
arXiv 2011.14439), notebook "deep double descent", which draws from all classes.
Command: scaling run label_noise
Cost: 7 widths x 6 kinds of noise x 3 seeds, about 30 s on two CPU cores.
Expected: the interpolation threshold grows with the share of wrong labels, from none to 40 %, and
the peak of the test loss stays at 0.7 to 1.4 times the threshold. A share drawn from all ten
classes changes nine tenths of it.
"""

from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.double_descent import verdict
from analysis.estimate import Estimate, Floats
from analysis.plots import descent, style, ticks
from analysis.plots.descent_axes import own_axis
from analysis.tables import results
from experiments.experiment import Expected, Findings, Measured, Sweep
from experiments.shared.panels import peak_of, plain, with_notes
from scaling.config import RunConfig
from scaling.data.label_noise import LabelNoise
from scaling.data.mnist1d import MNIST1D
from scaling.models.mlp import MLP
from scaling.training import Adam, Gradient
from sweeps.space import grid

NONE = LabelNoise()
WRONG = tuple(LabelNoise(fraction=f, convention="wrong_class") for f in (0.1, 0.2, 0.4))
ANY = tuple(LabelNoise(fraction=f, convention="any_class") for f in (0.2, 0.4))


def _sweep(
    widths: list[int], noises: tuple[LabelNoise, ...], n_train: int, steps: int, n_seeds: int
) -> list[RunConfig]:
    base = RunConfig(
        model=MLP(width=1, depth=2),
        data=MNIST1D(n_train=n_train),
        train=Gradient(
            optimizer=Adam(learning_rate=2e-3), batch_size=100, steps=steps, evaluations=4
        ),
    )
    axes = {"model.width": widths, "data.label_noise": noises, "seed": range(n_seeds)}
    return grid(base, axes)


THRESHOLD_ALONG = "model.width"

SWEEP: Sweep = {
    "smoke": partial(
        _sweep, [6, 9, 12, 15, 24], (NONE, WRONG[-1], ANY[-1]), n_train=200, steps=1500, n_seeds=3
    ),
    "cpu": partial(
        _sweep, [6, 9, 12, 15, 18, 24, 32], (NONE, *WRONG, *ANY), n_train=500, steps=4000, n_seeds=3
    ),
    "gpu": partial(
        _sweep,
        [8, 12, 16, 20, 24, 28, 32, 36, 40, 48, 64, 96, 128, 256],
        (NONE, *WRONG, *ANY),
        n_train=2000,
        steps=20_000,
        n_seeds=10,
    ),
}

INTERPOLATED = 0.01
"""Train error, against the noisy labels, below which a network interpolates."""

EXPECTED = (
    Expected(
        name="threshold_growth",
        says="threshold with 40 % wrong labels / without any",
        low=1.01,
        source="Nakkiran et al. 2019, fig. 4: noise moves the threshold right",
    ),
    Expected(
        name="in_order",
        says="thresholds grow with the share of wrong labels (1: yes)",
        low=1,
        source="Nakkiran et al. 2019, fig. 4",
    ),
    Expected(
        name="nearest_peak",
        says="peak of test loss / threshold, smallest of those resolved",
        low=0.7,
        high=1.4,
        source="MNIST-1D notebook: 61 / 61 = 1.0",
    ),
    Expected(
        name="farthest_peak",
        says="peak of test loss / threshold, largest of those resolved",
        low=0.7,
        high=1.4,
        source="MNIST-1D notebook: 61 / 61 = 1.0",
    ),
    Expected(
        name="any_class_share",
        says="labels changed / share asked for, drawn from all classes",
        low=0.86,
        high=0.94,
        source="1 - 1/10, the true class being one of ten",
    ),
)

CAPTION = (
    "(a) Train error and (b) test loss over width, a line a kind of label noise, medians with "
    "bands over seeds; (c) interpolation threshold and peak over the share of labels changed, "
    "with 95 % intervals.",
    "From none to the most noise the threshold grows {threshold_growth} times, and peaks lie at "
    "{nearest_peak} to {farthest_peak} of it.",
)
ALT = (
    "Line charts over network width, a line a kind of label noise: train error falls to zero "
    "and test loss peaks.",
    "From none to the most noise the threshold grows {threshold_growth} times.",
)


class Kind(NamedTuple):
    """One kind of noise, and where its curve turns."""

    name: str
    convention: str
    fraction: float
    changed: float  # share of labels that differ from the clean ones
    runs: pd.DataFrame
    found: verdict.DoubleDescent


class Details(NamedTuple):
    """What the figure draws: the kinds of noise, the mildest first."""

    kinds: list[Kind]


def analyse(table: pd.DataFrame) -> Findings[Details]:
    """Finds threshold and peak of the test loss for every kind of noise."""
    runs, excluded = results.usable(table, ["train_error", "eval_error", "eval_loss_nats"])
    by = ["data.label_noise.convention", "data.label_noise.fraction"]
    kinds = sorted((_kind(group) for _, group in runs.groupby(by)), key=lambda kind: kind.changed)
    wrong = [kind for kind in kinds if kind.convention == "wrong_class"]
    thresholds = np.array([kind.found.threshold.value for kind in wrong])
    ratios = [peak_of(kind.found, kind.found.ratio).value for kind in kinds]
    resolved = [ratio for ratio in ratios if ratio is not None]
    note = f"of {len(resolved)} kinds of noise; {len(kinds) - len(resolved)} have no resolved peak"
    drawn = [kind.changed / kind.fraction for kind in kinds if kind.convention == "any_class"]
    first, last = wrong[0].found.threshold, wrong[-1].found.threshold
    shown = pd.concat(
        [
            results.summarise(kind.runs, ["model.width"], name).assign(
                noise=kind.name, quantity=name
            )
            for kind in kinds
            for name in PANELS
        ]
    )
    return Findings(
        measured={
            "threshold_growth": Measured(
                value=last.value / first.value,
                low=last.low / first.high,
                high=last.high / first.low,
                note="interval from the ends of both",
            ),
            "in_order": Measured(
                value=float(np.all(np.diff(thresholds) >= 0)),
                note=", ".join(f"{kind.name}: {kind.found.threshold}" for kind in wrong),
            ),
            "nearest_peak": Measured(value=min(resolved, default=None), note=note),
            "farthest_peak": Measured(value=max(resolved, default=None), note=note),
            "any_class_share": Measured(value=float(np.mean(drawn))),
        },
        verdict="\n".join(
            f"{kind.name} ({kind.changed:.1%} changed): threshold {kind.found.threshold}, "
            f"test loss: {kind.found.verdict.value}"
            for kind in kinds
        ),
        shown=with_notes(shown, excluded, "model.width"),
        details=Details(kinds),
        report={
            "thresholds": {kind.name: plain(kind.found.threshold) for kind in kinds},
            "changed": {kind.name: kind.changed for kind in kinds},
        },
    )


PANELS = {
    "train_error": "train error (fraction)",
    "eval_loss_nats": "test loss (nats)",
    "eval_error": "test error (fraction)",
}


def _kind(runs: pd.DataFrame) -> Kind:
    convention = str(runs["data.label_noise.convention"].iloc[0])
    fraction = float(runs["data.label_noise.fraction"].iloc[0])
    found = verdict.descent(
        runs["model.width"],
        runs["train_error"],
        runs["eval_loss_nats"],
        runs["seed"],
        tolerance=INTERPOLATED,
    )
    words = {"wrong_class": "wrong", "any_class": "of any class"}[convention]
    name = f"{fraction:.0%} {words}" if fraction else "none"
    changed = float(np.mean(runs["label_noise_fraction"].to_numpy(np.float64)))
    return Kind(name, convention, fraction, changed, runs, found)


def figure(findings: Findings[Details]) -> Figure:
    """Draws train error, test loss and threshold of every kind of noise."""
    with style.paper_style():
        drawing, axes, _ = descent.descent_panels(3, height=2.9)
        for ax, quantity in zip(axes, ("train_error", "eval_loss_nats"), strict=False):
            _draw(ax, findings.details, quantity)
        overview(axes[2], findings)
        style.outer_legend(drawing, axes[:2], "outside lower center", 6)
    return drawing


def _draw(ax: Axes, details: Details, quantity: str) -> None:
    axis = own_axis("width")
    ticks.log_scale(ax, "x")
    for kind, look in zip(details.kinds, style.SERIES, strict=False):
        rows = kind.runs
        x, y, seeds = rows["model.width"], rows[quantity], rows["seed"]
        descent.draw_quantity(ax, x, y, seeds, axis=axis, label=kind.name, style=look)
    ax.set(xlabel="width of hidden layers", ylabel=PANELS[quantity])


def overview(ax: Axes, findings: Findings[Details]) -> None:
    """Draws threshold and peak against the share of labels that are changed."""
    kinds = findings.details.kinds
    changed = np.array([kind.changed for kind in kinds])
    thresholds = [kind.found.threshold for kind in kinds]
    _draw_places(ax, changed, thresholds, style.SERIES[0], "threshold, 95 %")
    peaks = [
        (kind.changed, kind.found.peak.location)
        for kind in kinds
        if kind.found.peak is not None and kind.found.verdict.has_peak
    ]
    moved = np.array([at + 0.006 for at, _ in peaks])  # beside the threshold, not on it
    if peaks:
        _draw_places(ax, moved, [where for _, where in peaks], style.SERIES[1], "peak of test loss")
    ax.set_ylim(0, 2.2 * max(each.value for each in thresholds))
    ax.set(xlabel="labels changed (fraction)", ylabel="width")
    style.legend_above(ax, 1)


def _draw_places(
    ax: Axes, at: Floats, places: list[Estimate], look: style.Series, label: str
) -> None:
    middle, low, high = np.array([(each.value, each.low, each.high) for each in places]).T
    ax.errorbar(at, middle, yerr=[middle - low, high - middle], **look.marks(), label=label)
