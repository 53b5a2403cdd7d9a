"""Are there four regimes of scaling, in data and in parameters, limited by variance or resolution?

Claim: with far more parameters than data the loss falls as D^-a, with far more data than parameters
as P^-a, with one exponent a: the resolution-limited regimes. Where the other of the two is held and
this one grows on, the loss approaches its limit as 1/D and as 1/P: the variance-limited regimes.
Paper: Bahri, Dyer, Kaplan, Lee, Sharma 2021 (arXiv 2102.06701), section 2; random features of a
power-law spectrum stand for teacher and student on a manifold of dimension d, with a = 4 / d.
`four_regimes_networks` trains networks on a teacher's outputs.
Command: scaling run four_regimes
Cost: 570 regressions, about 15 s on two CPU cores.
Expected: exponents within 12 % of 4 / d in D and in P for d = 2, 3, 4 and 6; the exponent of the
variance-limited regime within 12 % of 1 in D, and 1 within its interval in P. Risks follow the
closed form of random-feature regression.
"""

from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.special import ndtri, stdtr

from analysis import theory
from analysis.estimate import Floats
from analysis.plots import curves as draw
from analysis.plots import style, ticks
from analysis.tables import results
from experiments.experiment import Expected, Findings, Measured, Sweep
from experiments.shared.panels import with_notes
from scaling.config import RunConfig
from scaling.data.gaussian import GaussianTeacher, PowerLaw
from scaling.data.power_law_features import PowerLawFeatures
from scaling.models.linear import Linear
from scaling.solving import Ridgeless
from sweeps.space import grid

MANIFOLDS = (2, 3, 4, 6)
"""Dimensions d of the manifold; the spectrum falls as i^-(1 + 4/d)."""
HELD = 16
"""What is held in the variance-limited regimes: features, or examples; there d = 4."""
FEW_MODES = 512
"""Modes in the variance-limited regimes, in which the tail of the spectrum decides nothing."""
PLENTY = 16
"""Examples a feature where parameters limit the resolution."""
TOLERANCE = 0.12
N_RESAMPLES = 200

RESOLUTION_D, RESOLUTION_P = "resolution, D", "resolution, P"
VARIANCE_D, VARIANCE_P = "variance, D", "variance, P"


def _features(dimension: int, n_train: int, n_modes: int, a: float) -> RunConfig:
    """Ridgeless regression on random features of a power-law spectrum, as the target's power."""
    data = PowerLawFeatures(
        n_train=n_train,
        dimension=dimension,
        n_modes=n_modes,
        data_exponent=(1 + a) / 2,
        target_exponent=0.0,
    )
    return RunConfig(model=Linear(n_features=dimension), data=data, train=Ridgeless())


def _all_features(n_train: int, n_modes: int, a: float) -> RunConfig:
    """The limit of many features: regression on the spectrum itself."""
    spectrum = PowerLaw(eigenvalue_exponent=1 + a, target_exponent=1 + a)
    data = GaussianTeacher(n_train=n_train, dimension=n_modes, spectrum=spectrum)
    return RunConfig(model=Linear(n_features=n_modes), data=data, train=Ridgeless())


def _sweep(
    sizes: tuple[int, ...],
    limits: tuple[tuple[int, ...], tuple[int, ...]],
    n_modes: int,
    n_seeds: int,
    n_seeds_of_limit: int,
) -> list[RunConfig]:
    points: list[tuple[RunConfig, int]] = []
    for d in MANIFOLDS:
        points += [(_all_features(n, n_modes, 4 / d), n_seeds) for n in sizes]
        points += [(_features(p, PLENTY * p, n_modes, 4 / d), n_seeds) for p in sizes]
    of_data, of_features = limits
    points += [(_features(HELD, n, FEW_MODES, 1.0), n_seeds) for n in of_data]
    points += [(_features(p, HELD, FEW_MODES, 1.0), n_seeds_of_limit) for p in of_features]
    runs = []
    for index, (base, n) in enumerate(points):
        # Every point has its own seeds, and each of its runs its own features.
        for seed in range(1000 * index, 1000 * index + n):
            own = {"data.draw": [seed]} if isinstance(base.data, PowerLawFeatures) else {}
            runs += grid(base, {**own, "seed": [seed]})
    return runs


SWEEP: Sweep = {
    "smoke": partial(
        _sweep, (16, 40, 100), ((128, 512, 2048), (48, 64, 128)),
        n_modes=2048, n_seeds=6, n_seeds_of_limit=20,
    ),
    "cpu": partial(
        _sweep, (16, 32, 64, 128), ((128, 256, 512, 1024, 2048), (48, 64, 91, 128, 181)),
        n_modes=4096, n_seeds=10, n_seeds_of_limit=40,
    ),
    "gpu": partial(
        _sweep, (16, 32, 64, 128, 256, 512), ((128, 512, 2048, 8192), (48, 64, 91, 128, 256)),
        n_modes=16_384, n_seeds=12, n_seeds_of_limit=100,
    ),
}  # fmt: skip

EXPECTED = (
    *(
        Expected(
            name=f"{axis}_{d}",
            says=f"exponent in {axis}, d = {d} (4 / d = {4 / d:.3g})",
            low=(1 - TOLERANCE) * 4 / d,
            high=(1 + TOLERANCE) * 4 / d,
            source="Bahri et al. 2021: a of the spectrum, a_D = a_P",
        )
        for axis in ("D", "P")
        for d in MANIFOLDS
    ),
    Expected(
        name="variance_D",
        says="exponent of L - L(D = inf) in D",
        low=1 - TOLERANCE,
        high=1 + TOLERANCE,
        source="Bahri et al. 2021: 1",
    ),
    Expected(
        name="variance_P",
        says="exponent of L - L(P = inf) in P, 95 % interval",
        target=1.0,
        source="Bahri et al. 2021: 1",
    ),
    Expected(
        name="within_3_standard_errors",
        says="share of points within 3 s.e. (Student's) of theory",
        low=0.95,
        source="random-feature regression, Simon et al. 2023; eigenlearning",
    ),
)

CAPTION = (
    "Loss where (a) data and (b) parameters limit the resolution, a series a dimension d with "
    "its exponent, and (c) where variance limits; theory is dashed, and below are the "
    "differences in standard errors.",
    "At d = 4 the exponents are {D_4} in data and {P_4} in parameters; where variance limits "
    "{variance_D} and {variance_P}.",
)
ALT = (
    "Straight lines of loss on logarithmic axes, less steep in higher dimensions.",
    "At d = 4 the exponents are {D_4} in data and {P_4} in parameters; a share of "
    "{within_3_standard_errors} of the points lies within three standard errors of theory.",
)


class Line(NamedTuple):
    """One curve: sizes, the losses of each with theory, shape (n,), and the limit left out."""

    sizes: Floats
    losses: list[Floats]
    theory: Floats

    @property
    def means(self) -> Floats:
        """Mean over seeds at each size."""
        return np.array([each.mean() for each in self.losses])

    @property
    def errors(self) -> Floats:
        """Standard error of each mean."""
        return np.array([each.std(ddof=1) / np.sqrt(len(each)) for each in self.losses])


Details = dict[tuple[str, int], Line]
"""Curves by regime and dimension of the manifold."""


def analyse(table: pd.DataFrame) -> Findings[Details]:
    """Fits the exponent of each curve, and compares every point with theory."""
    runs, excluded = results.usable(table.assign(size=np.nan), ["eval_squared_error"])
    runs = _with_regime(runs)
    lines: Details = {}
    for _, group in runs.groupby(["regime", "manifold"], sort=True):
        regime, d = str(group["regime"].iloc[0]), int(group["manifold"].iloc[0])
        lines[regime, d] = _line(group, regime)
    fitted = {key: _exponent(line) for key, line in lines.items()}
    z = np.concatenate([_standard(line) for line in lines.values()])
    named = {"D": RESOLUTION_D, "P": RESOLUTION_P}
    return Findings(
        measured={
            **{
                f"{axis}_{d}": fitted[regime, d]
                for axis, regime in named.items()
                for d in MANIFOLDS
            },
            "variance_D": fitted[VARIANCE_D, 4],
            "variance_P": fitted[VARIANCE_P, 4],
            "within_3_standard_errors": Measured(
                value=float(np.mean(np.abs(z) <= 3)), note=f"{len(z)} points"
            ),
        },
        verdict="\n".join(
            f"{regime}, d = {d}: exponent {found.value:.3f}; {found.note}"
            for (regime, d), found in fitted.items()
        ),
        shown=with_notes(
            pd.concat([_shown(key, line) for key, line in lines.items()]), excluded, "size"
        ),
        details=lines,
    )


def _with_regime(runs: pd.DataFrame) -> pd.DataFrame:
    """Adds regime, dimension of the manifold and the size that varies."""
    features = (runs["data.kind"] == "power_law_features").to_numpy(bool)
    n, p = (runs[name].to_numpy(np.float64) for name in ("data.n_train", "data.dimension"))
    decay = np.where(
        features,
        2 * runs["data.data_exponent"].to_numpy(np.float64),
        runs["data.spectrum.eigenvalue_exponent"].to_numpy(np.float64),
    )
    held_n = n == HELD
    few_modes = features & (runs["data.n_modes"].to_numpy(np.float64) == FEW_MODES)
    regime = np.select(
        [~features, few_modes & held_n, few_modes],
        [RESOLUTION_D, VARIANCE_P, VARIANCE_D],
        RESOLUTION_P,
    )
    return runs.assign(
        regime=regime,
        manifold=np.rint(4 / (decay - 1)).astype(int),
        size=np.where(np.isin(regime, [RESOLUTION_D, VARIANCE_D]), n, p),
    )


def _line(runs: pd.DataFrame, regime: str) -> Line:
    """The curve of one regime, without its limit where variance limits it."""
    a, first_run = 4 / int(runs["manifold"].iloc[0]), runs.iloc[0]
    n_modes = int(first_run["data.dimension" if regime == RESOLUTION_D else "data.n_modes"])
    spectrum = theory.power_law_spectrum(n_modes, a)
    groups = [group for _, group in runs.groupby("size", sort=True)]
    sizes = np.array([group["size"].iloc[0] for group in groups], np.float64)
    column = "eval_excess_risk" if regime == VARIANCE_D else "eval_squared_error"
    losses = [group[column].to_numpy(np.float64) for group in groups]
    risk = partial(theory.random_feature_risk, spectrum, spectrum, ridge=0.0, noise_variance=0.0)
    all_features = partial(
        theory.kernel_ridge_risk, spectrum, spectrum, ridge=0.0, noise_variance=0.0
    )
    if regime == RESOLUTION_D:
        return Line(sizes, losses, all_features(sizes).test_risk)
    if regime == RESOLUTION_P:
        return Line(sizes, losses, risk(PLENTY * sizes, sizes).test_risk)
    if regime == VARIANCE_D:
        floor = theory.feature_floor(
            HELD, data_exponent=(1 + a) / 2, target_exponent=0.0, n_modes=n_modes
        )
        return Line(sizes, losses, risk(sizes, HELD).test_risk - floor)
    limit = float(all_features(HELD).test_risk)
    beyond = [each - limit for each in losses]
    return Line(sizes, beyond, risk(HELD, sizes).test_risk - limit)


def _slope(line: Line, means: Floats) -> float:
    """Exponent of a decay: the weighted slope of the logarithms, with its sign turned."""
    kept = means > 0
    weights = (means / line.errors)[kept]
    return -float(np.polyfit(np.log(line.sizes[kept]), np.log(means[kept]), 1, w=weights)[0])


def _exponent(line: Line) -> Measured:
    """Exponent of a curve, with its interval over resampled seeds."""
    rng, found = np.random.default_rng(0), []
    for _ in range(N_RESAMPLES):
        means = np.array([rng.choice(each, len(each)).mean() for each in line.losses])
        if np.sum(means > 0) > 2:
            found.append(_slope(line, means))
    low, high = np.percentile(found, [2.5, 97.5])
    value = _slope(line, line.means)
    by_theory = -np.polyfit(np.log(line.sizes), np.log(line.theory), 1)[0]
    return Measured(
        value=value,
        low=min(float(low), value),
        high=max(float(high), value),
        note=f"theory at these sizes {by_theory:.3f}",
    )


def _standard(line: Line) -> Floats:
    """Distances from theory as those of a normal mean, Student's tails taken into account."""
    freedom = np.array([len(each) - 1 for each in line.losses])
    t = (line.means - line.theory) / line.errors
    return ndtri(np.clip(stdtr(freedom, t), 1e-15, 1 - 1e-15))


def _shown(key: tuple[str, int], line: Line) -> pd.DataFrame:
    regime, d = key
    return pd.DataFrame(
        {
            "regime": regime,
            "manifold": d,
            "size": line.sizes,
            "mean": line.means,
            "sem": line.errors,
            "theory": line.theory,
            "z": _standard(line),
            "n_runs": [len(each) for each in line.losses],
        }
    )


_PANELS = {
    "data limit the resolution": ("training examples, $D$", (RESOLUTION_D,)),
    "parameters limit it": ("features, $P$", (RESOLUTION_P,)),
    "variance limits": ("$D$ or $P$", (VARIANCE_D, VARIANCE_P)),
}


def figure(findings: Findings[Details]) -> Figure:
    """Draws losses in the four regimes with theory, and the differences below."""
    with style.paper_style():
        drawing, axes = style.new_figure(2, 3, width=style.DOUBLE_COLUMN, height=4.2)
        for (top, bottom), (title, (x_label, regimes)) in zip(axes.T, _PANELS.items(), strict=True):
            _draw(top, findings, regimes)
            top.set_title(title, fontsize=8)
            for key, look in _looks(findings, regimes):
                line = findings.details[key]
                draw.draw_standardised_residuals(
                    bottom, line.sizes, _standard(line), label="", style=look
                )
            bottom.set(xscale="log", xlim=top.get_xlim(), xlabel=x_label)
            ticks.log_ticks(bottom, "x", most=4)
        axes[0, 0].set_ylabel("loss (target units²)")
        axes[0, 2].set_ylabel("loss − its limit")
        axes[1, 0].set_ylabel("residual / s.e.")
        style.letter_panels(axes[0])
    return drawing


def overview(ax: Axes, findings: Findings[Details]) -> None:
    """Draws the loss against examples where data limit the resolution."""
    _draw(ax, findings, (RESOLUTION_D,))
    ax.set(xlabel="training examples, $D$", ylabel="loss (target units²)")


def _looks(
    findings: Findings[Details], regimes: tuple[str, ...]
) -> list[tuple[tuple[str, int], style.Series]]:
    keys = [key for key in findings.details if key[0] in regimes]
    return list(zip(keys, style.SERIES, strict=False))


def _draw(ax: Axes, findings: Findings[Details], regimes: tuple[str, ...]) -> None:
    ax.set(xscale="log", yscale="log")
    for (key, look), first in zip(_looks(findings, regimes), [True] + [False] * 9, strict=False):
        line, (regime, d) = findings.details[key], key
        name = f"$d$ = {d}" if len(regimes) == 1 else f"in {regime[-1]}"
        value = _slope(line, line.means)
        ax.errorbar(
            line.sizes, line.means, line.errors, **look.marks(filled=False),
            elinewidth=0.8, label=f"{name}: {value:.2f}",
        )  # fmt: skip
        draw.draw_theory(ax, line.sizes, line.theory, label="theory" if first else "")
    if len(regimes) == 1:
        ax.set_ylim(bottom=ax.get_ylim()[0] / 100)  # room for the legend under the lowest curve
    ticks.log_ticks(ax, "x", "y", most=4)
    ax.legend(loc="lower left", fontsize=7)
