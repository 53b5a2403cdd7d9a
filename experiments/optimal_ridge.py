"""Does one ridge, the same for every number of examples, remove sample-wise double descent?

Claim: with p = 500 features the test risk of minimum-norm regression peaks at n = p examples. With
the ridge Lam = p sigma^2 / |beta|^2 of |Xb - y|^2 + Lam |b|^2, which does not depend on n, it falls
monotonically with n, and no other ridge is better at any n.
Paper: Nakkiran, Venkat, Kakade, Ma 2020 (arXiv 2003.01897), figure 1: d = 500, sigma = 0.5,
|beta| = 1, so that Lam = 125.
Command: scaling run optimal_ridge
Cost: 13 sizes x 12 seeds x 4 ridges, about 15 s on two CPU cores.
Expected: 95 % of the points within 3 standard errors of theory, which is asymptotic with a ridge
and exact without, half of them within 2 %; monotone at Lam = 125, which is the best of the ridges
at every n; without a ridge the peak lies at n = p.
"""

from functools import partial

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analysis import theory
from analysis.double_descent import verdict
from analysis.estimate import Floats
from experiments.experiment import Expected, Findings, Measured, Sweep
from experiments.shared.over_theory import (
    Compared,
    Curve,
    agreement,
    agreement_expected,
    compared,
    doubts_of,
    drawing,
    size_of_extreme,
)
from experiments.shared.panels import with_notes
from scaling.config import RunConfig
from scaling.data.gaussian import GaussianTeacher
from scaling.models.linear import Linear
from scaling.solving import Ridge, Ridgeless
from sweeps.space import grid

RATIOS = (0.1, 0.2, 0.4, 0.6, 0.8, 0.9, 1.0, 1.1, 1.2, 1.5, 2.0, 3.0, 4.0)
NOISE = 0.25
FACTORS = {"a tenth of it": 0.1, "optimal ridge": 1.0, "ten times it": 10.0}
BARE, TUNED = "no ridge", "optimal ridge"
INTERPOLATED = 1e-16


def _sweep(p: int, n_seeds: int) -> list[RunConfig]:
    base = RunConfig(
        model=Linear(n_features=p),
        data=GaussianTeacher(n_train=1, dimension=p, noise_variance=NOISE),
        train=Ridgeless(),
    )
    runs = []
    for i, ratio in enumerate(RATIOS):
        n = round(ratio * p)
        ways = [Ridgeless(), *(Ridge(ridge=f * p * NOISE / n) for f in FACTORS.values())]
        seeds = range(1000 * i, 1000 * i + n_seeds)
        runs += grid(base, {"data.n_train": [n], "train": ways, "seed": seeds})
    return runs


SWEEP: Sweep = {
    "smoke": partial(_sweep, p=60, n_seeds=24),
    "cpu": partial(_sweep, p=500, n_seeds=12),
    "gpu": partial(_sweep, p=2000, n_seeds=30),
}

_PAPER = "Nakkiran et al. 2020, fig. 1"

EXPECTED = (
    *agreement_expected("Hastie et al. 2019; exact without a ridge", within=0.02),
    Expected(
        name="tuned_monotone",
        says="risk falls monotonically with n at the optimal ridge (1: yes, 0: not shown)",
        low=1,
        source=_PAPER,
    ),
    Expected(
        name="best_everywhere",
        says="share of n at which the optimal ridge has the least mean risk",
        low=0.9,
        source=_PAPER,
    ),
    Expected(
        name="peak",
        says="largest median risk without a ridge, n/p",
        low=0.95,
        high=1.05,
        source=_PAPER,
    ),
)

CAPTION = (
    "Test risk over examples per feature at four ridges, medians with bands over seeds; theory "
    "is dashed, residuals below.",
    "Without a ridge it peaks at n/p = {peak}; the optimal ridge is the best at a share of "
    "{best_everywhere} of the sizes.",
)
ALT = (
    "Line chart of risk over examples per feature: without a ridge more data hurt up to n/p = "
    "{peak}; with the optimal one the risk falls throughout.",
)


def analyse(table: pd.DataFrame) -> Findings[Compared]:
    """Compares the test risk at four ridges with theory, and judges its fall with n."""
    p = int(table["model.n_features"].iloc[0])
    n = table["data.n_train"].astype(float)
    factor = (table["train.ridge"].astype(float) * n / (p * NOISE)).round(6)
    names = {value: name for name, value in FACTORS.items()}
    table = table.assign(size=n / p, setting=[names.get(each, BARE) for each in factor])
    found = compared(table, "eval_squared_error", theories(p), ["train_squared_error"])
    tuned = found.runs.loc[found.runs["setting"] == TUNED]
    cured = verdict.descent(
        tuned["size"], tuned["train_squared_error"], tuned["eval_squared_error"], tuned["seed"],
        tolerance=INTERPOLATED,
    )  # fmt: skip
    means = found.shown.pivot(index="size", columns="setting", values="mean")
    best = float(np.mean(means[[*FACTORS, BARE]].idxmin(axis=1) == TUNED))
    peak = size_of_extreme(found.shown, BARE, "median", largest=True)
    monotone = cured.verdict is verdict.Verdict.MONOTONE
    return Findings(
        measured={
            **agreement(found),
            "tuned_monotone": Measured(value=float(monotone), note=cured.verdict.value),
            "best_everywhere": Measured(value=best),
            "peak": Measured(value=peak),
        },
        verdict=f"optimal ridge, over n/p: {cured.verdict.value}. {cured.reason}",
        shown=with_notes(found.shown, found.excluded, "size"),
        details=found,
        doubts=doubts_of(found, "n/p"),
        report={"n_features": p, "optimal_ridge": p * NOISE},
    )


def theories(p: int) -> dict[str, Curve]:
    """The test risk of each setting over n/p."""

    def bare(ratio: Floats) -> Floats:
        n = ratio * p
        risk = theory.ridgeless_excess_risk_exact(n, p, noise_variance=NOISE, signal_power=1.0)
        return risk + NOISE

    def ridged(factor: float, ratio: Floats) -> Floats:
        ridge = factor * NOISE / ratio
        risk = theory.ridge_excess_risk(1 / ratio, ridge, noise_variance=NOISE, signal_power=1.0)
        return risk + NOISE

    return {BARE: bare} | {name: partial(ridged, factor) for name, factor in FACTORS.items()}


def figure(findings: Findings[Compared]) -> Figure:
    """Draws the test risk at every ridge over theory, with residuals."""
    label = "training examples / features, $n/p$"
    return drawing(findings.details, x=label, y="test risk (target units²)")
