"""Do ReLU features on the sphere follow the exact asymptotics of random features?

Claim: ridge regression on N random ReLU features of n inputs on the sphere in d dimensions has a
test error given in closed form as N, n and d grow together. It peaks at N = n without a ridge; a
ridge tames the peak, and the best error lies at the largest N.
Paper: Mei, Montanari 2019 (arXiv 1908.05355), theorem 2, figures 1 and 4; psi1 = N/d, psi2 = n/d.
Command: scaling run mei_montanari
Cost: 13 sizes x 20 seeds x 3 ridges at d = 100, n = 300, about 15 s on two CPU cores.
Expected: half of the points within 4 % of theory, which is asymptotic (0.6 to 4.1 % at d = 100 in
an independent simulation), 85 % within 8 %; the peak at N = n; at the larger ridge the least error
at the largest N.
"""

from functools import partial

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analysis import theory
from analysis.estimate import Floats
from experiments.experiment import Expected, Findings, Measured, Sweep
from experiments.shared.over_theory import (
    Compared,
    Curve,
    agreement,
    compared,
    doubts_of,
    drawing,
    size_of_extreme,
)
from experiments.shared.panels import with_notes
from scaling.config import RunConfig
from scaling.data.sphere import SphereTeacher
from scaling.models.random_features import RandomFeatures
from scaling.solving import Ridge, Ridgeless
from sweeps.space import grid

RATIOS = (0.1, 0.2, 0.4, 0.6, 0.8, 0.9, 1.0, 1.1, 1.25, 1.6, 2.5, 5.0, 10.0)
"""N/n."""

PSI2 = 3
LINEAR, NONLINEAR, NOISE = 1.0, 0.25, 0.25
RIDGES = {"no ridge": 0.0, "ridge 0.001": 1e-3, "ridge 0.1": 0.1}
"""Ridges lam of the paper: the penalty is (N lam / d) |a|^2 on features without a scale."""


def _sweep(dimension: int, n_seeds: int) -> list[RunConfig]:
    n = PSI2 * dimension
    base = RunConfig(
        model=RandomFeatures(
            n_features=1,
            activation="relu",
            weight_scale=dimension**-0.5,
            nested=True,
            directions="sphere",
            centred=True,
        ),
        data=SphereTeacher(
            n_train=n,
            dimension=dimension,
            linear_power=LINEAR,
            nonlinear_power=NONLINEAR,
            noise_variance=NOISE,
            n_eval=1000,
        ),
        train=Ridgeless(),
    )
    # Features here have the scale sqrt(2/N), so that the same estimator has a ridge of 2 lam / d.
    ways = [Ridge(ridge=2 * lam / dimension) if lam else Ridgeless() for lam in RIDGES.values()]
    sizes = [round(ratio * n) for ratio in RATIOS]
    return grid(base, {"model.n_features": sizes, "train": ways, "seed": range(n_seeds)})


SWEEP: Sweep = {
    "smoke": partial(_sweep, dimension=40, n_seeds=20),
    "cpu": partial(_sweep, dimension=100, n_seeds=20),
    "gpu": partial(_sweep, dimension=400, n_seeds=20),
}

_PAPER = "Mei & Montanari 2019, theorem 2"

EXPECTED = (
    Expected(
        name="median_deviation",
        says="median deviation from theory, share of it",
        high=0.04,
        source=f"{_PAPER}; asymptotic",
    ),
    Expected(
        name="within_8_percent",
        says="share of points within 8 % of theory, where it is finite",
        low=0.85,
        source=f"{_PAPER}; asymptotic",
    ),
    Expected(
        name="peak",
        says="largest median error without a ridge, N/n",
        low=0.95,
        high=1.05,
        source="Mei & Montanari 2019, fig. 1",
    ),
    Expected(
        name="best_size",
        says="least mean error at the larger ridge, N/n",
        low=5,
        source="Mei & Montanari 2019, fig. 4",
    ),
)

CAPTION = (
    "Test squared error of random ReLU features on the sphere over features per example at "
    "three ridges, medians with bands over seeds; exact asymptotics are dashed, residuals "
    "below.",
    "Without a ridge it peaks at N/n = {peak}; half of the points are within {median_deviation} "
    "of theory.",
)
ALT = (
    "Line chart of test error over features per example: a peak at N/n = {peak} without a "
    "ridge, lower with a small one and gone with a large one, along the theory.",
)


def analyse(table: pd.DataFrame) -> Findings[Compared]:
    """Compares the test error at three ridges with theory."""
    n, dimension = (int(table[name].iloc[0]) for name in ("data.n_train", "data.dimension"))
    lam = (table["train.ridge"].astype(float).fillna(0.0) * dimension / 2).round(9)
    names = {value: name for name, value in RIDGES.items()}
    table = table.assign(size=table["model.n_features"] / n, setting=[names[each] for each in lam])
    found = compared(table, "eval_squared_error", theories())
    judged = found.shown.loc[np.isfinite(found.shown["theory"])]
    bare, *_, strong = RIDGES
    measured = agreement(found)
    return Findings(
        measured={
            **measured,
            "within_8_percent": Measured(value=float(np.mean(np.abs(judged["deviation"]) <= 0.08))),
            "peak": Measured(value=size_of_extreme(found.shown, bare, "median", largest=True)),
            "best_size": Measured(value=size_of_extreme(found.shown, strong, "mean")),
        },
        verdict=(
            f"At d = {dimension} errors deviate from the asymptotic theory by "
            f"{measured['median_deviation'].value:.1%} in the median; "
            f"{measured['median_deviation'].note}."
        ),
        shown=with_notes(found.shown, found.excluded, "size"),
        details=found,
        doubts=doubts_of(found, "N/n"),
        report={"n_train": n, "dimension": dimension},
    )


def theories() -> dict[str, Curve]:
    """The test error of each setting over N/n."""

    def risk(lam: float, ratio: Floats) -> Floats:
        excess = theory.sphere_features_excess_risk(
            PSI2 * ratio, PSI2, ridge=lam, linear_power=LINEAR, nonlinear_power=NONLINEAR,
            noise_variance=NOISE,
        )  # fmt: skip
        return excess + NOISE

    return {name: partial(risk, lam) for name, lam in RIDGES.items()}


def figure(findings: Findings[Compared]) -> Figure:
    """Draws the test error at every ridge over theory, with residuals."""
    label = "features / examples, $N/n$"
    return drawing(findings.details, x=label, y="test squared error (target units²)")
