"""What causes double descent in regression? Three factors; removing any one removes the peak.

Claim: the test error of least squares over the number of examples n peaks at n = p because training
inputs have small singular values, test inputs vary along those modes, and the best model of the
class leaves residual errors. Cutting small singular values off, projecting test inputs onto leading
modes, or labels without residuals each removes the peak.
Paper: Schaeffer et al. 2023 (arXiv 2303.14151), figures 3 to 6: ordinary regression on Diabetes and
student-teacher data, among others.
Command: scaling run demystified
Cost: 10 sizes x 20 seeds x 4 settings x 2 data sets, about 20 s on two CPU cores.
Expected: with all three factors the median squared error peaks at n = p = 10, at least 3 times as
high as at either end of the grid; without one of them the error at n = p is at most 1.5 times the
larger of those at the ends.
"""

from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analysis import theory
from analysis.estimate import Floats
from analysis.plots import descent, style, ticks
from analysis.plots.descent_axes import own_axis
from analysis.tables import results
from experiments.experiment import Expected, Findings, Measured, Sweep
from experiments.shared.cut_offs import cut_off_doubts
from experiments.shared.panels import mark_excluded, with_notes
from scaling.config import RunConfig
from scaling.data.small_table import DIMENSION, N_EVAL, SmallTable, Source, examples
from scaling.models.linear import Linear
from scaling.solving import Ridgeless
from sweeps.space import grid

SIZES = [3, 5, 7, 9, 10, 11, 13, 16, 25, 40]
RCOND = 0.3
MODES = 3

ALL, CUT, WITHIN, LINEAR = "all factors", "cut-off 0.3", "3 leading modes", "no residuals"
SETTINGS = {ALL: "all", CUT: "cut_off", WITHIN: "modes", LINEAR: "residuals"}
SOURCES: dict[Source, str] = {"diabetes": "Diabetes", "student_teacher": "student-teacher"}


def _sweep(sizes: list[int], n_seeds: int) -> list[RunConfig]:
    base = RunConfig(
        model=Linear(n_features=DIMENSION), data=SmallTable(n_train=1), train=Ridgeless()
    )
    axes = {"data.source": list(SOURCES), "data.n_train": sizes, "seed": range(n_seeds)}
    return [
        *grid(base, {"train": [Ridgeless(), Ridgeless(rcond=RCOND)], **axes}),
        *grid(base, {"data.leading_modes": [MODES], **axes}),
        *grid(base, {"data.labels": ["linear"], **axes}),
    ]


SWEEP: Sweep = {
    "smoke": partial(_sweep, [3, 6, 10, 16, 40], n_seeds=10),
    "cpu": partial(_sweep, SIZES, n_seeds=20),
    "gpu": partial(_sweep, list(range(2, 41)), n_seeds=50),
}

_PAPER = "Schaeffer et al. 2023, figs. 3 to 6"

EXPECTED = (
    *(
        Expected(
            name=f"{source}_peak",
            says=f"{name}: largest median error, n/p",
            low=0.85,
            high=1.15,
            source=_PAPER,
        )
        for source, name in SOURCES.items()
    ),
    *(
        Expected(
            name=f"{source}_{short}",
            says=f"{name}, {setting}: error at n = p over the larger at the ends",
            low=3 if setting == ALL else None,
            high=None if setting == ALL else 1.5,
            source=_PAPER,
        )
        for source, name in SOURCES.items()
        for setting, short in SETTINGS.items()
    ),
)

CAPTION = (
    "Test squared error over training examples with every factor and without each of three, for "
    "two data sets: medians with bands over seeds; theory is dashed.",
    "With all factors the error at n = p is {diabetes_all} times that at the ends on Diabetes "
    "and {student_teacher_all} times on student-teacher data; a cut-off leaves "
    "{diabetes_cut_off} and {student_teacher_cut_off}.",
)
ALT = (
    "Line charts of test error over training examples.",
    "It peaks at n/p = {diabetes_peak} only where all three factors are there; without any of "
    "them the curve is flat.",
)


class Details(NamedTuple):
    """What the figure draws."""

    runs: pd.DataFrame
    excluded: pd.DataFrame


def analyse(table: pd.DataFrame) -> Findings[Details]:
    """Compares the error at n = p with that at the ends, with each factor removed."""
    runs, excluded = results.usable(table, ["eval_squared_error"])
    runs = runs.assign(setting=_settings(runs), n=runs["data.n_train"].astype(float))
    shown = results.summarise(runs, ["data.source", "setting", "n"], "eval_squared_error")
    measured = {}
    for source in SOURCES:
        rows = shown.loc[shown["data.source"] == source]
        medians = rows.pivot(index="n", columns="setting", values="median")
        peak = medians.index[int(np.argmax(medians[ALL]))] / DIMENSION
        measured[f"{source}_peak"] = Measured(value=float(peak))
        ends = np.maximum(medians.iloc[0], medians.iloc[-1])
        for setting, short in SETTINGS.items():
            height = medians[setting][DIMENSION] / ends[setting]
            measured[f"{source}_{short}"] = Measured(value=float(height))
    heights = "; ".join(
        f"{name}: "
        + ", ".join(
            f"{measured[f'{source}_{short}'].value:.3g} ({s})" for s, short in SETTINGS.items()
        )
        for source, name in SOURCES.items()
    )
    return Findings(
        measured=measured,
        verdict=f"Median error at n = p over the larger of those at the ends. {heights}.",
        shown=with_notes(shown, excluded.assign(n=excluded["data.n_train"]), "n"),
        details=Details(runs, excluded.assign(n=excluded["data.n_train"])),
        doubts=[
            f"{name}: {line}"
            for source, name in SOURCES.items()
            for line in cut_off_doubts(_with_all_factors(runs, source), "n", "n")
        ],
    )


def _with_all_factors(runs: pd.DataFrame, source: Source) -> pd.DataFrame:
    return runs.loc[(runs["data.source"] == source) & (runs["setting"] == ALL)]


def _settings(runs: pd.DataFrame) -> np.ndarray:
    """Which factor each run lacks."""
    return np.select(
        [runs["data.labels"] == "linear", runs["data.leading_modes"].notna(),
         runs["rcond"] == RCOND],
        [LINEAR, WITHIN, CUT],
        ALL,
    )  # fmt: skip


def _theory(source: Source, n: Floats) -> Floats:
    """Test squared error with all factors, as if inputs were Gaussian."""
    inputs, targets = examples(source)
    known = inputs[:-N_EVAL], targets[:-N_EVAL]
    best = np.linalg.lstsq(*known)[0]
    values, vectors = np.linalg.eigh(np.cov(known[0].T))
    noise = float(np.var(known[1] - known[0] @ best))
    power = values * (vectors.T @ best) ** 2
    return theory.kernel_ridge_risk(values, power, n, ridge=0.0, noise_variance=noise).test_risk


def figure(findings: Findings[Details]) -> Figure:
    """Draws the error over examples, with every factor and without each, for both data sets."""
    runs, excluded = findings.details
    axis = own_axis("training examples, $n$")
    with style.paper_style():
        drawing, axes, _ = descent.descent_panels(len(SOURCES))
        for ax, (source, name) in zip(axes, SOURCES.items(), strict=True):
            rows = runs.loc[runs["data.source"] == source]
            ticks.log_scale(ax, "y", ticks=(1,))
            for setting, look in zip(SETTINGS, style.SERIES, strict=False):
                mine = rows.loc[rows["setting"] == setting]
                if setting == LINEAR:  # no error at all from n = p on: below any scale
                    mine = mine.loc[mine["n"] < DIMENSION]
                descent.draw_quantity(
                    ax, mine["n"], mine["eval_squared_error"], mine["seed"], axis=axis,
                    label=setting, style=look,
                )  # fmt: skip
            sizes = np.geomspace(rows["n"].min(), rows["n"].max(), 300)
            near = np.abs(sizes - DIMENSION) < 0.2
            predicted = np.where(near, np.nan, _theory(source, sizes))
            label = "theory, all factors"
            descent.draw_theory(ax, sizes, predicted, axis=axis, label=label)
            mark_excluded(ax, excluded.loc[excluded["data.source"] == source], "n")
            ax.set(title=name, ylabel="test squared error / variance")
        style.outer_legend(drawing, axes, "outside lower center", 3)
    return drawing
