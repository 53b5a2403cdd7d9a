"""Does linear regression peak at p = n, and does tuned ridge prevent it?

Claim: the excess risk of minimum-norm least squares diverges at p = n and falls again beyond.
Optimally tuned ridge regression has no peak at all. Both follow closed forms.
Paper: Hastie, Montanari, Rosset, Tibshirani 2019 (arXiv 1903.08560), theorem 1 and section 5;
Nakkiran, Venkat, Kakade, Ma 2020 (arXiv 2003.01897), figure 1.
Command: scaling run double_descent_linear
Cost: 24 ratios x 40 seeds x 2 estimators, about 10 s on two CPU cores.
Expected: at least 95 % of the points lie within 3 standard errors of theory, p = n left out; the
theory is exact at finite n for the ridgeless estimator and asymptotic for tuned ridge. The
ridgeless estimator has a peak. The tuned risk falls monotonically with n/p. Every point has its own
seeds.
"""

from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from analysis import theory
from analysis.double_descent import verdict
from analysis.plots import curves, style, ticks
from analysis.tables import results
from experiments.experiment import Expected, Findings, Measured, Sweep
from experiments.shared.panels import mark_excluded, peak_of, with_notes
from scaling.config import RunConfig
from scaling.data.gaussian import GaussianTeacher, Isotropic
from scaling.models.linear import Linear
from scaling.solving import OptimalRidge, Ridgeless
from sweeps.space import grid

# p/n: even in log p/n, denser near the threshold, with no point within 9 % of it but the one at it:
# any nearer, a few dozen seeds of a heavy-tailed risk say little about its mean.
COARSE = (0.1, 0.2, 0.4, 0.6, 0.8, 0.9, 1.0, 1.1, 1.25, 1.6, 2.2, 3.5, 6.0, 10.0)
FINE = (
    0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.86, 0.91, 1.0,
    1.1, 1.16, 1.25, 1.4, 1.6, 1.8, 2.2, 2.7, 3.5, 5.0, 7.0, 10.0,
)  # fmt: skip


def _sweep(ratios: tuple[float, ...], n_train: int, n_seeds: int) -> list[RunConfig]:
    runs = []
    for ratio in ratios:
        p = round(ratio * n_train)
        base = RunConfig(
            model=Linear(n_features=p),
            data=GaussianTeacher(
                n_train=n_train,
                dimension=p,
                noise_variance=0.2,
                spectrum=Isotropic(signal_power=1.0),
            ),
            train=Ridgeless(),
        )
        # Every point has its own seeds, which do not change when the sweep grows. So points are
        # independent, as the share of points within 3 standard errors assumes.
        for offset, train in ((0, Ridgeless()), (500, OptimalRidge())):
            first = 1000 * p + offset
            runs += grid(base, {"train": [train], "seed": range(first, first + n_seeds)})
    return runs


THRESHOLD_ALONG = "model.n_features"

SWEEP: Sweep = {
    "smoke": partial(_sweep, COARSE, n_train=60, n_seeds=20),
    "cpu": partial(_sweep, FINE, n_train=200, n_seeds=40),
    "gpu": partial(_sweep, FINE, n_train=1000, n_seeds=100),
}


RIDGELESS, TUNED = "ridgeless", "tuned ridge"
LOOKS = {RIDGELESS: style.SERIES[0], TUNED: style.SERIES[1]}
X_LABEL = "features / training examples, $p/n$"

INTERPOLATED = 1e-16
"""Train squared error below which a model interpolates; targets are of order one."""

EXPECTED = (
    Expected(
        name="within_3_standard_errors",
        says="share of points within 3 s.e. of theory (p = n left out)",
        low=0.95,
        source="Hastie et al. 2019, thm 1, sec. 5; exact finite-n form",
    ),
    Expected(
        name="ridgeless_peak",
        says="peak of the ridgeless risk, p/n",
        low=0.95,
        high=1.05,
        source="Hastie et al. 2019, thm 1",
    ),
    Expected(
        name="tuned_monotone",
        says="tuned risk falls monotonically with n/p (1: yes, 0: not shown)",
        low=1,
        source="Nakkiran et al. 2020, fig. 1",
    ),
)

CAPTION = (
    "(a) Excess risk over features per example, means with standard errors, and exact theory, "
    "dashed; at p = n, where the mean is infinite, the median. (b) Measured less theory in "
    "standard errors.",
    "The ridgeless risk peaks at p/n = {ridgeless_peak}; a share of {within_3_standard_errors} "
    "of the points lies within three standard errors.",
)
ALT = (
    "Line chart of risk over features per example: without a ridge it peaks at "
    "{ridgeless_peak}, with the tuned ridge it does not; points lie on the theory.",
)


class Teacher(NamedTuple):
    """Variance of the label noise, and power of the signal."""

    noise_variance: float
    signal_power: float


class Details(NamedTuple):
    """What the figure draws."""

    runs: pd.DataFrame
    excluded: pd.DataFrame
    n_train: int
    teacher: Teacher


def analyse(table: pd.DataFrame) -> Findings[Details]:
    """Compares the excess risk with exact (ridgeless) and asymptotic (ridge) theory."""
    table = table.assign(
        aspect_ratio=table["model.n_features"] / table["data.n_train"],
        estimator=np.where(table["train.kind"] == "ridgeless", RIDGELESS, TUNED),
    )
    runs, excluded = results.usable(table, ["eval_excess_risk", "train_squared_error"])
    n = int(runs["data.n_train"].iloc[0])
    teacher = Teacher(
        noise_variance=float(runs["data.noise_variance"].iloc[0]),
        signal_power=float(runs["data.spectrum.signal_power"].iloc[0]),
    )
    risk = results.summarise(runs, ["estimator", "aspect_ratio"], "eval_excess_risk")
    gamma = risk["aspect_ratio"].to_numpy()
    risk["theory"] = np.where(
        risk["estimator"] == RIDGELESS,
        theory.ridgeless_excess_risk_exact(n, np.rint(gamma * n), **teacher._asdict()),
        theory.optimal_ridge_excess_risk(gamma, **teacher._asdict()),
    )
    risk["z"] = (risk["mean"] - risk["theory"]) / risk["sem"]
    judged = risk[np.isfinite(risk["theory"])]

    bare, tuned = (runs.loc[runs["estimator"] == name] for name in (RIDGELESS, TUNED))
    found = _descent(bare, bare["aspect_ratio"])
    cured = _descent(tuned, 1 / tuned["aspect_ratio"])
    monotone = cured.verdict is verdict.Verdict.MONOTONE
    return Findings(
        measured={
            "within_3_standard_errors": Measured(
                value=float(np.mean(np.abs(judged["z"]) <= 3)),
                note=f"{len(judged)} points of {judged['n_runs'].min()} runs or more",
            ),
            "ridgeless_peak": peak_of(found),
            "tuned_monotone": Measured(value=float(monotone), note=cured.verdict.value),
        },
        verdict=(
            f"ridgeless: {found.verdict.value}. {found.reason}\n"
            f"tuned ridge: {cured.verdict.value}. {cured.reason}"
        ),
        shown=with_notes(risk, excluded, "aspect_ratio", ridgeless_threshold=found.threshold),
        details=Details(runs, excluded, n, teacher),
        report={"teacher": teacher._asdict(), "n_train": n},
    )


def _descent(runs: pd.DataFrame, size: ArrayLike) -> verdict.DoubleDescent:
    train, risk = runs["train_squared_error"], runs["eval_excess_risk"]
    return verdict.descent(size, train, risk, runs["seed"], tolerance=INTERPOLATED)


def figure(findings: Findings[Details]) -> Figure:
    """Draws the risk with its theory, and below it the standardised difference."""
    with style.paper_figure(2, 1, width=style.SINGLE_COLUMN, height=4.6) as (drawing, axes):
        top, bottom = axes[:, 0]
        overview(top, findings)
        ticks.log_scale(bottom, "x")
        for name, look in LOOKS.items():
            rows = findings.shown[findings.shown["estimator"] == name]
            rows = rows[np.isfinite(rows["theory"])]
            curves.draw_standardised_residuals(
                bottom, rows["aspect_ratio"], rows["z"], label=name, style=look
            )
        style.legend_above(bottom)
        bottom.set(xlabel=X_LABEL, ylabel="(measured − theory) / s.e.")
    return drawing


def overview(ax: Axes, findings: Findings[Details]) -> None:
    """Draws the excess risk against p/n: means and standard errors, with theory.

    At p = n the mean is infinite, so the median over seeds is drawn, with 68 % of the seeds.
    """
    runs, excluded, n, teacher = findings.details
    ticks.log_scale(ax, "x")
    ticks.log_scale(ax, "y", ticks=(1,))
    ends = runs["aspect_ratio"].min(), runs["aspect_ratio"].max()
    p = np.unique(np.rint(np.geomspace(*ends, 400) * n))
    theories = {
        RIDGELESS: theory.ridgeless_excess_risk_exact(n, p, **teacher._asdict()),
        TUNED: theory.optimal_ridge_excess_risk(p / n, **teacher._asdict()),
    }
    for name, look in LOOKS.items():
        rows = runs[(runs["estimator"] == name) & (runs["aspect_ratio"] != 1)]
        curves.draw_replicates(
            ax, rows["aspect_ratio"], rows["eval_excess_risk"], rows["seed"],
            label=f"{name} ± s.e.", band="standard_error", style=look,
            bars=True,
        )  # fmt: skip
        label = "theory" if name == TUNED else ""
        curves.draw_theory(ax, p / n, theories[name], label=label)
    at = runs[(runs["estimator"] == RIDGELESS) & (runs["aspect_ratio"] == 1)]
    if len(at):
        curves.draw_replicates(
            ax, at["aspect_ratio"], at["eval_excess_risk"], at["seed"],
            label="at $p = n$: median", band=(0.16, 0.84), style=style.SERIES[3], bars=True,
        )  # fmt: skip
    mark_excluded(ax, excluded, "aspect_ratio")
    ax.set(xlabel=X_LABEL, ylabel="excess risk (target units²)")
    ax.legend(loc="upper left")
