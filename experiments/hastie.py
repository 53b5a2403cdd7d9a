"""Does minimum-norm regression follow theory at every signal-to-noise ratio, and misspecified?

Claim: the excess risk of minimum-norm least squares diverges at p = n. Beyond it there is a second
minimum at p/n = sqrt(SNR) / (sqrt(SNR) - 1) where the signal-to-noise ratio SNR exceeds 1, and none
where it does not: the risk falls to that of predicting nothing. A model that sees the first p of
many coordinates of equal power has its least risk beyond the threshold.
Paper: Hastie, Montanari, Rosset, Tibshirani 2019 (arXiv 1903.08560), theorem 1, sections 3 and 5;
Belkin, Hsu, Xu 2019 (arXiv 1903.07571), theorem 1, for finite n.
Command: scaling run hastie
Cost: 15 ratios x 24 seeds x 3 settings, about 10 s on two CPU cores.
Expected: 95 % of the points within 3 standard errors of the exact form at finite n, half of them
within 3 %; peaks at p = n; at SNR 5 the least risk beyond the threshold at 1.5 to 2.2 (theory:
1.81), at SNR 1 at the largest model.
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
    size_of_extreme,
)
from experiments.shared.panels import with_notes
from scaling.config import RunConfig
from scaling.data.gaussian import GaussianTeacher
from scaling.models.linear import Linear
from scaling.solving import Ridgeless
from sweeps.space import grid

RATIOS = (0.1, 0.2, 0.4, 0.6, 0.8, 0.9, 1.0, 1.1, 1.2, 1.5, 1.8, 2.2, 3.0, 5.0, 10.0)
COARSE = (0.1, 0.4, 0.8, 1.0, 1.2, 1.8, 3.0, 5.0, 10.0)
NOISE = {"SNR 5": 0.2, "SNR 1": 1.0}
PARTIAL, PARTIAL_NOISE, PARTIAL_DIMENSION = "SNR 5, sees p of 10 n coordinates", 0.2, 10


def _sweep(ratios: tuple[float, ...], n_train: int, n_seeds: int) -> list[RunConfig]:
    runs = []
    for i, ratio in enumerate(ratios):
        p = round(ratio * n_train)
        for j, noise in enumerate([*NOISE.values(), PARTIAL_NOISE]):
            is_partial = j == len(NOISE)
            base = RunConfig(
                model=Linear(n_features=p),
                data=GaussianTeacher(
                    n_train=n_train,
                    dimension=PARTIAL_DIMENSION * n_train if is_partial else p,
                    noise_variance=noise,
                ),
                train=Ridgeless(),
            )
            # A model of all coordinates sees other inputs at each p, and has its own seeds; one of
            # some of them shares its inputs, and so its solutions, over p.
            first = 100_000 if is_partial else 10_000 * j + 500 * i
            runs += grid(base, {"seed": range(first, first + n_seeds)})
    return runs


THRESHOLD_ALONG = "model.n_features"

SWEEP: Sweep = {
    "smoke": partial(_sweep, COARSE, n_train=60, n_seeds=24),
    "cpu": partial(_sweep, RATIOS, n_train=200, n_seeds=24),
    "gpu": partial(_sweep, RATIOS, n_train=1000, n_seeds=60),
}

_PAPER = "Hastie et al. 2019, theorem 1"

EXPECTED = (
    *agreement_expected(f"{_PAPER}; exact at finite n", within=0.03),
    *(
        Expected(
            name=name,
            says=f"largest median risk, {setting}: p/n",
            low=0.95,
            high=1.05,
            source=_PAPER,
        )
        for name, setting in (("peak_5", "SNR 5"), ("peak_1", "SNR 1"))
    ),
    Expected(
        name="second_minimum",
        says="least risk beyond the threshold, SNR 5: p/n",
        low=1.5,
        high=2.2,
        source="sqrt(SNR) / (sqrt(SNR) - 1) = 1.81",
    ),
    Expected(
        name="no_second_minimum",
        says="least risk beyond the threshold, SNR 1: p/n",
        low=5,
        source="monotone where SNR <= 1",
    ),
    Expected(
        name="misspecified",
        says="least misspecified risk: p/n",
        low=1.05,
        source="Hastie et al. 2019, section 5",
    ),
)

CAPTION = (
    "Excess risk of minimum-norm regression over features per example, medians with bands over "
    "seeds, at two signal-to-noise ratios and misspecified; theory is dashed, residuals below.",
    "At a ratio of 5 it peaks at p/n = {peak_5} and has a second minimum at {second_minimum}; "
    "half of the points are within {median_deviation} of theory.",
)
ALT = (
    "Line chart of risk over features per example: every curve peaks at p/n = {peak_5} and "
    "follows theory.",
    "At a signal-to-noise ratio of 5 there is a second minimum at {second_minimum}.",
)


def analyse(table: pd.DataFrame) -> Findings[Compared]:
    """Compares the excess risk with the exact form at finite n, and finds its minima."""
    n = int(table["data.n_train"].iloc[0])
    is_partial = table["data.dimension"] == PARTIAL_DIMENSION * n
    is_partial &= table["seed"] >= 100_000
    by_noise = {noise: name for name, noise in NOISE.items()}
    whole = [by_noise[noise] for noise in table["data.noise_variance"].astype(float)]
    setting = np.where(is_partial, PARTIAL, whole)
    table = table.assign(setting=setting, size=table["model.n_features"] / n)
    found = compared(table, "eval_excess_risk", theories(n))
    beyond = found.shown.loc[found.shown["size"] >= 1.05]
    everywhere = found.shown.loc[np.isfinite(found.shown["theory"])]
    numbers = {
        "peak_5": size_of_extreme(found.shown, "SNR 5", "median", largest=True),
        "peak_1": size_of_extreme(found.shown, "SNR 1", "median", largest=True),
        "second_minimum": size_of_extreme(beyond, "SNR 5", "mean"),
        "no_second_minimum": size_of_extreme(beyond, "SNR 1", "mean"),
        "misspecified": size_of_extreme(everywhere, PARTIAL, "mean"),
    }
    measured = agreement(found)
    return Findings(
        measured=measured | {name: Measured(value=value) for name, value in numbers.items()},
        verdict=(
            f"Risks follow theory with a median deviation of "
            f"{measured['median_deviation'].value:.1%}; {measured['median_deviation'].note}. "
            f"Beyond the threshold the risk is least at p/n = {numbers['second_minimum']:g} for "
            f"SNR 5 and at the end of the grid, {numbers['no_second_minimum']:g}, for SNR 1."
        ),
        shown=with_notes(found.shown, found.excluded, "size"),
        details=found,
        doubts=doubts_of(found, "p/n"),
        report={"n_train": n},
    )


def theories(n: int) -> dict[str, Curve]:
    """The exact excess risk of each setting over p/n."""

    def whole(noise: float, ratio: Floats) -> Floats:
        return theory.ridgeless_excess_risk_exact(
            n, ratio * n, noise_variance=noise, signal_power=1.0
        )

    def seen(ratio: Floats) -> Floats:
        p = ratio * n
        return theory.misspecified_excess_risk_exact(
            n, p, noise_variance=PARTIAL_NOISE, signal_power=1.0,
            observed_share=np.minimum(p / (PARTIAL_DIMENSION * n), 1.0),
        )  # fmt: skip

    return {name: partial(whole, noise) for name, noise in NOISE.items()} | {PARTIAL: seen}


def figure(findings: Findings[Compared]) -> Figure:
    """Draws the excess risk of every setting over theory, with residuals."""
    label = "features / training examples, $p/n$"
    return drawing(findings.details, x=label, y="excess risk (target units²)")
