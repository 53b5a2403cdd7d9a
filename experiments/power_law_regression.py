"""Does regression on a power-law spectrum follow the scaling law that theory gives?

Claim: where covariance eigenvalues fall as i^-(1+a) and the power of the target along them as
i^-(1+b), the test error of (nearly) ridgeless regression falls with the number of examples as
n^-min(b, 2(1+a)).
Paper: Bordelon, Canatar, Pehlevan 2020 (arXiv 2002.02561); Simon et al. 2021 (arXiv 2110.03922),
eigenlearning; Spigler, Geiger, Wyart 2019 (arXiv 1905.10843) for the exponent.
Command: scaling run power_law_regression
Cost: 8 sizes x 24 seeds, about 10 s on two CPU cores.
Expected: the closed-form exponent lies inside the fitted 95 % interval. It is the exponent as n
goes to infinity. At finite sizes, few examples flatten the slope by a per cent and a spectrum cut
at `dimension` steepens it by as much; dimension / n = 11 is chosen so that the two cancel in
theory. The slope of theory at these sizes is reported beside the fit.
"""

from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis import theory
from analysis.fitting.fit import fit
from analysis.fitting.result import FitResult
from analysis.laws import POWER_LAW
from analysis.plots import curves, ticks
from analysis.tables import results
from experiments.experiment import Expected, Findings, Measured, Sweep
from experiments.shared.panels import draw_law, exponent_of, mark_excluded, one_panel, with_notes
from scaling.config import RunConfig
from scaling.data.gaussian import GaussianTeacher, PowerLaw
from scaling.models.linear import Linear
from scaling.solving import Ridge
from sweeps.space import chain, grid

EIGENVALUES = 1.0  # a: eigenvalues i^-(1+a)
TARGET = 1.5  # b: target power i^-(1+b)
EXPONENT = float(theory.power_law_exponent(eigenvalue_exponent=EIGENVALUES, target_exponent=TARGET))


def _sweep(sizes: list[int], dimension: int, n_seeds: int) -> list[RunConfig]:
    # Well below the effective ridge of the largest size, (pi / 2n)^2, the ridge has no effect.
    base = RunConfig(
        model=Linear(n_features=dimension),
        data=GaussianTeacher(
            n_train=1,
            dimension=dimension,
            spectrum=PowerLaw(eigenvalue_exponent=1 + EIGENVALUES, target_exponent=1 + TARGET),
        ),
        train=Ridge(ridge=1e-8),
    )
    # Each size has its own seeds. At one seed, a smaller training set is the beginning of a larger
    # one: means over shared seeds would not be independent, as the fit assumes.
    return chain(
        *(
            grid(base, {"data.n_train": [n], "seed": range(1000 * n, 1000 * n + n_seeds)})
            for n in sizes
        )
    )


SWEEP: Sweep = {
    "smoke": partial(_sweep, [16, 23, 32, 45, 64, 91, 128, 181], dimension=2048, n_seeds=24),
    "cpu": partial(_sweep, [32, 45, 64, 91, 128, 181, 256, 362], dimension=4096, n_seeds=24),
    "gpu": partial(
        _sweep, [64, 91, 128, 181, 256, 362, 512, 724, 1024], dimension=11_584, n_seeds=50
    ),
}

EXPECTED = (
    Expected(
        name="exponent",
        says="fitted exponent, 95 % interval",
        target=EXPONENT,
        source="min(b, 2(1+a)) with a = 1, b = 1.5; Spigler et al. 2019",
    ),
)

CAPTION = (
    "Test squared error of ridge regression on a power-law spectrum over examples: means with "
    "standard errors, the fitted law with its 95 % band, and theory, dashed.",
    "The fitted exponent is {exponent}.",
)
ALT = (
    "A straight line of test error over examples on logarithmic axes, beside fit and theory.",
    "The exponent is {exponent}.",
)


class Details(NamedTuple):
    """What the figure draws."""

    runs: pd.DataFrame
    excluded: pd.DataFrame
    fit: FitResult
    dimension: int
    ridge: float


def analyse(table: pd.DataFrame) -> Findings[Details]:
    """Fits the power law to mean test errors, and evaluates theory at the same sizes.

    Means over seeds are fitted, not single runs, because theory gives the mean error; the mean of
    logarithms lies below the logarithm of the mean, most so at the smallest sizes.
    """
    table = table.assign(n=table["data.n_train"])
    runs, excluded = results.usable(table, ["eval_squared_error"])
    shown = results.summarise(runs, ["n"], "eval_squared_error")
    dimension, ridge = (runs[name].iloc[0] for name in ("data.dimension", "train.ridge"))
    n = shown["n"].to_numpy(np.float64)
    shown["theory"] = _theory(n, int(dimension), float(ridge))
    result = fit(POWER_LAW, n, shown["mean"])
    alpha, (low, high) = result.params["alpha"], result.intervals["alpha"]
    shown["fit"] = result.predict(n)
    shown["fit_low"], shown["fit_high"] = result.predict_interval(n)
    local = np.polyfit(np.log(n), np.log(shown["theory"]), 1)[0]
    return Findings(
        measured={
            "exponent": Measured(
                value=alpha, low=low, high=high, note=f"theory at these sizes {-local:.4g}"
            )
        },
        verdict=f"test error ~ n^-{alpha:.3f}: {result.verdict.value}. {result.reason}",
        shown=with_notes(shown, excluded, "n"),
        details=Details(runs, excluded, result, int(dimension), float(ridge)),
        report={"fit": result.to_dict()},
    )


def figure(findings: Findings[Details]) -> Figure:
    """Draws the test error against examples, with the fitted law, its band and the theory."""
    return one_panel(overview, findings, height=2.6)


def overview(ax: Axes, findings: Findings[Details]) -> None:
    """Draws the test error against examples on logarithmic axes."""
    runs, excluded, result, dimension, ridge = findings.details
    ticks.log_scale(ax, "x")
    ticks.log_scale(ax, "y", ticks=(1,))
    sizes = np.geomspace(runs["n"].min(), runs["n"].max(), 60)
    curves.draw_replicates(
        ax, runs["n"], runs["eval_squared_error"], runs["seed"], label="mean ± s.e.",
        band="standard_error", bars=True,
    )  # fmt: skip
    draw_law(ax, sizes, result, f"fit: {exponent_of(result)}")
    predicted = _theory(sizes, dimension, ridge)
    curves.draw_theory(ax, sizes, predicted, label=f"theory: exponent → {EXPONENT:g}")
    mark_excluded(ax, excluded, "n")
    ax.set(xlabel="training examples, $n$", ylabel="test squared error (target units²)")
    ax.legend(loc="lower left")


def _theory(n: np.ndarray, dimension: int, ridge: float) -> np.ndarray:
    """Returns the eigenlearning test risk at finite n, with the spectrum cut at `dimension`."""
    return theory.kernel_ridge_risk(
        theory.power_law_spectrum(dimension, EIGENVALUES),
        theory.power_law_spectrum(dimension, TARGET),
        n,
        ridge=n * ridge,
        noise_variance=0.0,
    ).test_risk
