"""A question small enough to be asked often.

Claim: ridgeless regression peaks at p = n.
"""

from typing import NamedTuple

import pandas as pd

from analysis.plots import curves, style
from analysis.tables import results
from experiments.experiment import Expected, Findings, Measured
from experiments.shared.panels import mark_excluded
from scaling.config import RunConfig
from scaling.data.gaussian import GaussianTeacher
from scaling.models.linear import Linear
from scaling.solving import Ridgeless
from sweeps.space import grid


def _sweep():
    base = RunConfig(
        model=Linear(n_features=1),
        data=GaussianTeacher(n_train=20, dimension=60, noise_variance=0.1),
        train=Ridgeless(),
    )
    return grid(base, {"model.n_features": [5, 20, 60], "seed": range(3)})


SWEEP = {"smoke": _sweep, "cpu": _sweep, "gpu": _sweep}
EXPECTED = (Expected(name="peak", says="peak, p/n", low=0.9, high=1.1, source="theory"),)


class Details(NamedTuple):
    runs: pd.DataFrame
    excluded: pd.DataFrame


def analyse(table):
    runs, excluded = results.usable(table, ["eval_excess_risk"])
    shown = results.summarise(runs, ["model.n_features"], "eval_excess_risk")
    top = shown["model.n_features"][shown["median"].idxmax()]
    n = runs["data.n_train"].iloc[0]
    return Findings(
        measured={"peak": Measured(value=float(top / n))},
        verdict="peak",
        shown=shown,
        details=Details(runs, excluded),
    )


def figure(findings):
    with style.paper_style():
        drawing, axes = style.new_figure()
        overview(axes[0, 0], findings)
    return drawing


def overview(ax, findings):
    runs = findings.details.runs
    curves.draw_replicates(
        ax, runs["model.n_features"], runs["eval_excess_risk"], runs["seed"], label="risk"
    )
    mark_excluded(ax, findings.details.excluded, "model.n_features")
    ax.set(xlabel="features", ylabel="excess risk")
