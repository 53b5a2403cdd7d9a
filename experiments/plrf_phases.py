"""Do power-law random features scale with compute as the phases of theory say?

Claim: where inputs and target decay as power laws, one pass of SGD on d random features has an
optimal size d* ~ f^xi and a risk P* ~ f^-eta at a compute f = d x steps. Which terms of the risk
balance there decides both exponents: phases Ia, II and III.
Paper: Paquette, Paquette, Xiao, Pennington 2024 (arXiv 2405.15074), figures 2 to 4.
Command: scaling run plrf_phases
Cost: 3 phases x 9 sizes x 4 draws x 3 seeds, about 25 s on two CPU cores.
Expected: the measured loss exponent eta is within 12 % of theory in each phase, since at most 256
features are far from their limit. The size exponent xi is reported with its interval and not
judged: the risk is flat in d near its minimum. Runs follow the exact mean of SGD at every step.
"""

from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from scipy.special import ndtr, stdtrit

from analysis import theory
from analysis.estimate import Floats
from analysis.plots import curves as draw
from analysis.plots import style, ticks
from analysis.tables import results
from experiments.experiment import Expected, Findings, Measured, Sweep
from experiments.shared.panels import with_notes
from scaling.config import RunConfig
from scaling.data.power_law_features import PowerLawFeatures
from scaling.models.linear import Linear
from scaling.solving import OnePassSGD
from sweeps.space import grid

PHASES = {"Ia": (0.9, 0.2), "II": (1.0, 0.8), "III": (0.9, 1.4)}
"""Decay of data and target in each phase, away from its borders."""
SIZES = (16, 23, 32, 45, 64, 91, 128, 181, 256)
COARSE = (11, 16, 23, 32, 45, 64, 91)
STABILITY = 0.5
"""Step size times the sum of the eigenvalues; training diverges from about 1 on."""
TOLERANCE = 0.12
N_RESAMPLES = 100

CURVES = True


def _sweep(
    sizes: tuple[int, ...], n_modes: int, compute: float, n_draws: int, n_seeds: int
) -> list[RunConfig]:
    runs = []
    for index, (a, b) in enumerate(PHASES.values()):
        eigenvalues, _ = theory.power_law_problem(n_modes, a, b)
        train = OnePassSGD(step_size=STABILITY / float(eigenvalues.sum()), evaluations=25)
        for d in sizes:
            base = RunConfig(
                model=Linear(n_features=d),
                data=PowerLawFeatures(
                    n_train=round(compute / d),
                    dimension=d,
                    n_modes=n_modes,
                    data_exponent=a,
                    target_exponent=b,
                ),
                train=train,
            )
            for features in range(n_draws):
                first = 100_000 * index + 100 * d + 10 * features
                seeds = range(first, first + n_seeds)
                runs += grid(base, {"data.draw": [first], "seed": seeds})
    return runs


SWEEP: Sweep = {
    "smoke": partial(_sweep, COARSE, n_modes=768, compute=6e4, n_draws=3, n_seeds=2),
    "cpu": partial(_sweep, SIZES, n_modes=2048, compute=4e5, n_draws=4, n_seeds=3),
    "gpu": partial(
        _sweep, (*SIZES, 362, 512, 724), n_modes=6144, compute=2e6, n_draws=6, n_seeds=4
    ),
}


def _eta(phase: str) -> float:
    return theory.compute_optimal_exponents(*PHASES[phase]).loss_exponent


EXPECTED = (
    *(
        Expected(
            name=f"eta_{phase}",
            says=f"loss exponent eta, phase {phase} (theory {_eta(phase):.3f})",
            low=(1 - TOLERANCE) * _eta(phase),
            high=(1 + TOLERANCE) * _eta(phase),
            source="Paquette et al. 2024, table of phases",
        )
        for phase in PHASES
    ),
    Expected(
        name="within_5_percent",
        says="share of points within 5 % of the exact mean of SGD, or 3 s.e. (Student's)",
        low=0.95,
        source="Paquette et al. 2024, the Volterra equation",
    ),
)

CAPTION = (
    "Risk over compute, a shade a size d, in three phases, with the exact mean of SGD (dashed), "
    "the best over d and the slope of theory (dotted); below, runs less the mean in standard "
    "errors.",
    "The exponents of the loss are {eta_Ia}, {eta_II} and {eta_III} in phases Ia, II and III.",
)
ALT = (
    "Falling curves of risk over compute in three phases, and their envelopes.",
    "Its exponents are {eta_Ia}, {eta_II} and {eta_III}; a share of {within_5_percent} of the "
    "points lies on the exact mean.",
)


class Size(NamedTuple):
    """Runs of one size: steps, shape (n,), and risks, measured and exact, shape (n_seeds, n)."""

    d: int
    steps: Floats
    risks: Floats
    exact: Floats

    @property
    def z(self) -> Floats:
        """Mean over seeds of measured less exact risk, in standard errors."""
        off = self.risks - self.exact
        return off.mean(axis=0) * np.sqrt(len(off)) / off.std(axis=0, ddof=1)


class Frontier(NamedTuple):
    """Compute-optimal size and risk at each compute, on logarithms, shape (n,)."""

    compute: Floats
    size: Floats
    risk: Floats

    @property
    def exponents(self) -> tuple[float, float]:
        """Slopes eta and xi."""
        eta, xi = (np.polyfit(self.compute, y, 1)[0] for y in (-self.risk, self.size))
        return float(eta), float(xi)


class Phase(NamedTuple):
    """What was found in one phase."""

    sizes: list[Size]
    measured: Frontier
    exact: Frontier
    resampled: Floats


Details = dict[str, Phase]


def analyse(table: pd.DataFrame, curves: pd.DataFrame) -> Findings[Details]:
    """Finds the compute-optimal frontier in each phase, of the runs and of the exact mean."""
    runs, excluded = results.usable(table, ["eval_squared_error"])
    columns = ["data.data_exponent", "data.target_exponent"]
    of_phase = {exponents: name for name, exponents in PHASES.items()}
    named = [of_phase[a, b] for a, b in runs[columns].itertuples(index=False)]
    runs = runs.assign(phase=named)
    phases = {str(name): _phase(group, curves) for name, group in runs.groupby("phase", sort=True)}
    every = [size for phase in phases.values() for size in phase.sizes]
    close = np.concatenate([_close(size) for size in every])
    return Findings(
        measured={
            **{f"eta_{name}": _measured(phase) for name, phase in phases.items()},
            "within_5_percent": Measured(value=float(np.mean(close)), note=f"{len(close)} points"),
        },
        verdict="\n".join(_said(name, phase) for name, phase in phases.items()),
        shown=with_notes(
            pd.concat([_shown(name, size) for name, p in phases.items() for size in p.sizes]),
            excluded.assign(step=np.nan),
            "step",
        ),
        details=phases,
        report={name: _reported(phase) for name, phase in phases.items()},
    )


def _phase(runs: pd.DataFrame, curves: pd.DataFrame) -> Phase:
    sizes = [_size(group, curves) for _, group in runs.groupby("data.dimension", sort=True)]
    measured = _frontier(sizes, [size.risks.mean(axis=0) for size in sizes])
    exact = _frontier(sizes, [size.exact.mean(axis=0) for size in sizes])
    rng, resampled = np.random.default_rng(0), []
    for _ in range(N_RESAMPLES):
        drawn = [size.risks[rng.integers(len(size.risks), size=len(size.risks))] for size in sizes]
        resampled.append(_frontier(sizes, [each.mean(axis=0) for each in drawn]).exponents)
    return Phase(sizes, measured, exact, np.array(resampled))


def _size(runs: pd.DataFrame, curves: pd.DataFrame) -> Size:
    """Curves of the runs of one size, each with the exact mean for its own features."""
    first_run = runs.iloc[0]
    d, n_modes = int(first_run["data.dimension"]), int(first_run["data.n_modes"])
    rows = curves[curves["run_id"].isin(runs["run_id"])]
    risks = rows.pivot(index="run_id", columns="step", values="eval_loss").loc[runs["run_id"]]
    steps = risks.columns.to_numpy(np.float64)
    a, b = (float(first_run[f"data.{name}_exponent"]) for name in ("data", "target"))
    exact = {}
    for number in sorted(set(runs["data.draw"].astype(int))):
        drawn = PowerLawFeatures(
            n_train=1, dimension=d, n_modes=n_modes, data_exponent=a, target_exponent=b, draw=number
        )
        exact[number] = theory.one_pass_sgd_risk(
            drawn.features(),
            steps,
            data_exponent=a,
            target_exponent=b,
            step_size=float(first_run["train.step_size"]),
        )
    of_runs = np.array([exact[number] for number in runs["data.draw"].astype(int)])
    return Size(d, steps, risks.to_numpy(np.float64), of_runs)


def _frontier(sizes: list[Size], risks: list[Floats]) -> Frontier:
    """The least risk over sizes at each compute, where a size inside the grid has it.

    At each compute a parabola in log d goes through the best size and up to three on either side.
    """
    log_d = np.log([size.d for size in sizes])
    ends = [np.log(size.steps[[0, -1]] * size.d) for size in sizes]
    along = np.linspace(max(low for low, _ in ends), min(high for _, high in ends), 25)
    at = np.array(
        [
            np.interp(along, np.log(size.steps * size.d), np.log(risk))
            for size, risk in zip(sizes, risks, strict=True)
        ]
    )
    found = []
    for compute, risk in zip(along, at.T, strict=True):
        best = int(np.argmin(risk))
        if not 0 < best < len(sizes) - 1:
            continue
        near = slice(max(best - 3, 0), best + 4)
        curvature, slope, _ = fit = np.polyfit(log_d[near], risk[near], 2)
        if curvature <= 0:
            continue
        size = -slope / (2 * curvature)
        found.append((compute, size, np.polyval(fit, size)))
    return Frontier(*np.array(found).T)


def _close(size: Size) -> np.ndarray:
    """Whether the mean is within 5 % of the exact one, or as near as 3 s.e. of many runs are."""
    off = np.abs(size.risks.mean(axis=0) / size.exact.mean(axis=0) - 1)
    reach = stdtrit(len(size.risks) - 1, ndtr(3))
    return (off <= 0.05) | (np.abs(size.z) <= reach)


def _interval(phase: Phase, which: int) -> tuple[float, float]:
    low, high = np.percentile(phase.resampled[:, which], [2.5, 97.5])
    value = phase.measured.exponents[which]
    return min(float(low), value), max(float(high), value)


def _measured(phase: Phase) -> Measured:
    low, high = _interval(phase, 0)
    exact, _ = phase.exact.exponents
    return Measured(
        value=phase.measured.exponents[0], low=low, high=high, note=f"exact mean {exact:.3f}"
    )


def _said(name: str, phase: Phase) -> str:
    said = theory.compute_optimal_exponents(*PHASES[name])
    (eta, xi), (low, high) = phase.measured.exponents, _interval(phase, 1)
    return (
        f"phase {name}: risk ~ compute^-{eta:.3f} (theory {said.loss_exponent:.3f}); optimal size "
        f"~ compute^{xi:.2f} [{low:.2f}, {high:.2f}] (theory {said.size_exponent:.2f}, not judged)"
    )


def _reported(phase: Phase) -> dict[str, dict[str, float]]:
    found = {}
    for which, name in enumerate(("eta", "xi")):
        low, high = _interval(phase, which)
        value, exact = phase.measured.exponents[which], phase.exact.exponents[which]
        found[name] = {"value": value, "low": low, "high": high, "exact_mean": exact}
    return found


def _shown(name: str, size: Size) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "phase": name,
            "n_features": size.d,
            "step": size.steps,
            "compute": size.d * size.steps,
            "mean": size.risks.mean(axis=0),
            "exact": size.exact.mean(axis=0),
            "z": size.z,
            "n_runs": len(size.risks),
        }
    )


def figure(findings: Findings[Details]) -> Figure:
    """Draws risk against compute in each phase, a curve a size, and the residuals below."""
    with style.paper_style():
        drawing, axes = style.new_figure(2, len(PHASES), width=style.DOUBLE_COLUMN, height=4.2)
        for (top, bottom), name in zip(axes.T, PHASES, strict=True):
            _draw(top, name, findings.details[name])
            bottom.set(xscale="log")
            for size, color in _colored(findings.details[name].sizes):
                look = style.SERIES[0]._replace(color=color)
                thin = slice(None, None, 4)
                draw.draw_standardised_residuals(
                    bottom, (size.d * size.steps)[thin], size.z[thin], label="", style=look
                )
            bottom.set(xlabel="compute, $f = d$ × steps", xlim=top.get_xlim())
            ticks.log_ticks(bottom, "x", most=4)
        axes[0, 0].set_ylabel("risk (target units²)")
        axes[1, 0].set_ylabel("residual / s.e.")
        style.outer_legend(drawing, axes[0], "outside lower center", 5)
        style.letter_panels(axes[0])
    return drawing


def overview(ax: Axes, findings: Findings[Details]) -> None:
    """Draws risk against compute in phase III."""
    _draw(ax, "III", findings.details["III"])
    ax.set_ylabel("risk (target units²)")
    ax.legend(loc="lower left")


def _draw(ax: Axes, name: str, phase: Phase) -> None:
    ax.set(xscale="log", yscale="log")
    ends = phase.sizes[0].d, phase.sizes[-1].d
    for size, color in _colored(phase.sizes):
        label = f"$d$ = {size.d}" if size.d in ends else ""
        compute = size.d * size.steps
        ax.plot(compute, size.risks.mean(axis=0), color=color, linewidth=0.9, label=label)
        draw.draw_theory(
            ax, compute, size.exact.mean(axis=0), label="exact mean" if size.d == ends[0] else ""
        )
    _, level = phase.measured.compute, np.exp(phase.measured.risk)
    along = np.exp(phase.measured.compute)
    ax.plot(along, level, **style.SERIES[1].line(), label="best over $d$")
    middle = len(along) // 2
    predicted = level[middle] * (along / along[middle]) ** -_eta(name)
    ax.plot(along, 0.7 * predicted, **style.SERIES[3].line(), label="slope of theory")
    ticks.log_ticks(ax, "x", "y", most=4)
    eta, _ = phase.measured.exponents
    ax.set_title(f"phase {name}\n$\\eta$ = {eta:.3f}, theory {_eta(name):.3f}", fontsize=8)


def _colored(sizes: list[Size]) -> list[tuple[Size, str]]:
    shades = colormaps["Blues"](np.linspace(0.35, 0.95, len(sizes)))
    return [(size, to_hex(shade)) for size, shade in zip(sizes, shades, strict=True)]
