"""How much of the noise that an interpolator fits does its test error show? A constant factor.

Claim: minimum-norm regression on a spectrum i^-alpha that fits labels of pure noise has a test risk
of E0 times their variance, whatever the number of examples: E0 tends to alpha. Overfitting is
tempered, neither benign (1) nor catastrophic (growing).
Paper: Mallinar, Simon, Abedsoltan, Pandit, Belkin, Nakkiran 2022 (arXiv 2207.06569), theorem 3.1;
Simon et al. 2021 (arXiv 2110.03922) for E0 at finite n.
Command: scaling run tempered
Cost: 4 sizes x 24 seeds x 3 spectra, about 20 s on two CPU cores.
Expected: 95 % of the points within 3 standard errors of E0 for the spectrum as it is cut, half of
them within 4 %; by the same formula E0 / alpha = 1 within 1 % at n = 2,000 and a spectrum without
an end; risks at the largest n within 25 % of those at the smallest (a cut spectrum bends them).
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
    agreement_expected,
    compared,
    doubts_of,
    drawing,
)
from experiments.shared.panels import with_notes
from scaling.config import RunConfig
from scaling.data.gaussian import GaussianTeacher, PowerLaw
from scaling.models.linear import Linear
from scaling.solving import Ridgeless
from sweeps.space import grid

ALPHAS = (1.5, 2.0, 3.0)
SIGNAL = 10.0
"""Exponent of the power of the target: all of it lies on the first mode, which is always learnt."""


def _sweep(sizes: list[int], dimension: int, n_seeds: int) -> list[RunConfig]:
    runs = []
    for i, alpha in enumerate(ALPHAS):
        base = RunConfig(
            model=Linear(n_features=dimension),
            data=GaussianTeacher(
                n_train=1,
                dimension=dimension,
                noise_variance=1.0,
                spectrum=PowerLaw(eigenvalue_exponent=alpha, target_exponent=SIGNAL),
            ),
            train=Ridgeless(),
        )
        for n in sizes:
            first = 1000 * n + 100 * i
            runs += grid(base, {"data.n_train": [n], "seed": range(first, first + n_seeds)})
    return runs


SWEEP: Sweep = {
    "smoke": partial(_sweep, [16, 32, 64], dimension=1024, n_seeds=24),
    "cpu": partial(_sweep, [32, 64, 128, 256], dimension=4096, n_seeds=24),
    "gpu": partial(_sweep, [128, 256, 512, 1024, 2048], dimension=32_768, n_seeds=40),
}

_PAPER = "Mallinar et al. 2022, thm 3.1"

EXPECTED = (
    *agreement_expected("Simon et al. 2021, E0 of the cut spectrum", within=0.04),
    *(
        Expected(
            name=f"limit_{alpha:g}",
            says=f"E0 / alpha at n = 2,000 by the formula, alpha = {alpha:g}",
            low=0.99,
            high=1.01,
            source=_PAPER,
        )
        for alpha in ALPHAS
    ),
    Expected(
        name="growth",
        says="largest ratio of mean risks at the largest and the smallest n",
        low=0.75,
        high=1.25,
        source=f"{_PAPER}: constant in n",
    ),
)

CAPTION = (
    "Test risk over the variance of the noise that minimum-norm regression fits, over examples, "
    "for three spectra: means and bands over seeds; theory is dashed, residuals below.",
    "From fewest to most examples risks change {growth} times at most; half of the points are "
    "within {median_deviation} of theory.",
)
ALT = (
    "Nearly flat lines of test risk over examples, higher for steeper spectra: overfitting "
    "costs a constant factor.",
    "Risks change {growth} times at most.",
)


def analyse(table: pd.DataFrame) -> Findings[Compared]:
    """Compares the test risk on noise with E0 at finite n and cut spectrum."""
    alpha = table["data.spectrum.eigenvalue_exponent"].astype(float)
    dimension = int(table["data.dimension"].iloc[0])
    table = table.assign(size=table["data.n_train"], setting=[_name(each) for each in alpha])
    found = compared(table, "eval_squared_error", theories(dimension))
    means = found.shown.pivot(index="size", columns="setting", values="mean")
    growth = means.iloc[-1] / means.iloc[0]
    furthest = float(growth.iloc[np.nanargmax(np.abs(np.log(growth)))])
    measured = agreement(found)
    limits = {f"limit_{each:g}": Measured(value=_limit(each) / each) for each in ALPHAS}
    each = ", ".join(f"{value:.3g} ({name})" for name, value in means.iloc[-1].items())
    return Findings(
        measured=measured | limits | {"growth": Measured(value=furthest)},
        verdict=(
            f"Overfitting is tempered: at n = {means.index[-1]} the test risk on noise of variance "
            f"1 is {each}, and it deviates from theory by {measured['median_deviation'].value:.1%} "
            "in the median."
        ),
        shown=with_notes(found.shown, found.excluded, "size"),
        details=found,
        doubts=doubts_of(found, "n"),
        report={"dimension": dimension},
    )


def theories(dimension: int) -> dict[str, Curve]:
    """Test risk of each spectrum over n."""

    def risk(alpha: float, n: Floats) -> Floats:
        return theory.kernel_ridge_risk(
            theory.power_law_spectrum(dimension, alpha - 1),
            theory.power_law_spectrum(dimension, SIGNAL - 1),
            n, ridge=0.0, noise_variance=1.0,
        ).test_risk  # fmt: skip

    return {_name(alpha): partial(risk, alpha) for alpha in ALPHAS}


def _name(alpha: float) -> str:
    return f"alpha = {alpha:g}"


def _limit(alpha: float, n: int = 2000, n_modes: int = 200_000) -> float:
    """E0 of the spectrum without an end.

    Modes beyond `n_modes` lie far below the effective ridge kappa: they act as a ridge of their
    sum, which is nearly their integral from n_modes + 1/2 on.
    """
    spectrum = theory.power_law_spectrum(n_modes, alpha - 1)
    tail = (n_modes + 0.5) ** (1 - alpha) / (alpha - 1)
    found = theory.kernel_ridge_risk(spectrum, np.zeros(n_modes), n, ridge=tail, noise_variance=1.0)
    return float(found.overfitting)


def figure(findings: Findings[Compared]) -> Figure:
    """Draws the test risk on pure noise over examples, with theory and residuals."""
    label = "test risk / noise variance"
    return drawing(findings.details, x="training examples, $n$", y=label, log=False)
