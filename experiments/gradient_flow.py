"""Do two scales of features make double descent over training time?

Claim: features that are learnt fast have their own U-shaped curve over training, and so have those
that are learnt slowly. Where the scales lie far apart, the test risk has two minima with a bump
between them. Few samples make the same two descents without any label noise, since what is not yet
learnt acts as noise. Both follow closed forms at every time.
Paper: Heckel & Yilmaz 2020 (arXiv 2007.10099); Pezeshki, Mitra, Bengio, Lajoie 2021
(arXiv 2112.03215), figure 1; Advani & Saxe 2017 (arXiv 1710.03667).
Command: scaling run gradient_flow
Cost: 2 problems x 30 seeds, about 15 s on two CPU cores.
Expected: with noise and many samples (400 a feature; 60 % of the coordinates fast, the others
275 times smaller, all of equal power: constants chosen to give one instance of Heckel & Yilmaz's
curves) minima at steps 24 and 1.9e6 and the bump at 214. Without noise and with few samples
(n = 130, d = 100, 70 fast, condition number 100) the second descent ends far below the first
minimum. The risk of the flow is that of theory at every step.
"""

from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from analysis import theory
from analysis.double_descent.turning_points import TurningPoints, turning_points
from analysis.estimate import Floats
from analysis.plots import curves as draw
from analysis.plots import marks, style, ticks
from analysis.tables import results
from experiments.experiment import Expected, Findings, Measured, Sweep
from experiments.shared.panels import measured, with_notes
from scaling.config import RunConfig
from scaling.data.gaussian import GaussianTeacher, TwoScales
from scaling.models.linear import Linear
from scaling.solving import GradientFlow
from sweeps.space import grid

TIME_PER_STEP = 0.05
NOISY, CLEAN = "label noise", "few samples"
LOOKS = {NOISY: style.SERIES[0], CLEAN: style.SERIES[1]}
MARKS = 25
"""About as many points of a curve are drawn."""

CURVES = True


def _sweep(dimension: int, per_feature: int, n_seeds: int, evaluations: int) -> list[RunConfig]:
    # Its curve depends on noise_variance / n_train alone, as long as samples are many.
    n_train = per_feature * dimension
    noisy = GaussianTeacher(
        n_train=n_train,
        dimension=dimension,
        noise_variance=0.41 * n_train / dimension,
        spectrum=TwoScales(n_fast=round(0.6 * dimension), condition_number=275),
    )
    clean = GaussianTeacher(
        n_train=130, dimension=100, spectrum=TwoScales(n_fast=70, condition_number=100)
    )
    runs = []
    for data, steps, first in ((noisy, 10**8, 0), (clean, 10**7, 10_000)):
        base = RunConfig(
            model=Linear(n_features=data.dimension),
            data=data,
            train=GradientFlow(time_per_step=TIME_PER_STEP, steps=steps, evaluations=evaluations),
        )
        runs += grid(base, {"seed": range(first, first + n_seeds)})
    return runs


SWEEP: Sweep = {
    "smoke": partial(_sweep, dimension=40, per_feature=200, n_seeds=12, evaluations=61),
    "cpu": partial(_sweep, dimension=60, per_feature=400, n_seeds=30, evaluations=121),
    "gpu": partial(_sweep, dimension=200, per_feature=400, n_seeds=100, evaluations=121),
}

EXPECTED = (
    *(
        Expected(
            name=name,
            says=f"{says} under label noise",
            unit="steps",
            low=step * 0.9,
            high=step * 1.1,
            source=f"sum of U-curves, Heckel & Yilmaz 2020, one instance: {step:g}",
        )
        for name, says, step in (
            ("first_minimum", "first minimum", 24),
            ("bump", "bump", 214),
            ("second_minimum", "second minimum", 1.9e6),
        )
    ),
    Expected(
        name="end_over_first_minimum",
        says="few samples: risk at the end / at the first minimum",
        high=0.1,
        source="Pezeshki et al. 2021, fig. 1: the second descent ends at 0",
    ),
    Expected(
        name="bump_over_first_minimum",
        says="few samples: risk at the bump / at the first minimum",
        low=1.05,
        source="Pezeshki et al. 2021, fig. 1: up before the second descent",
    ),
    Expected(
        name="within_5_percent",
        says="share of points within 5 % of theory, or 3 s.e.",
        low=0.95,
        source="gradient flow on any spectrum; Advani & Saxe 2017",
    ),
)

CAPTION = (
    "(a) Mean excess risk over steps of gradient flow with standard errors, theory dashed and "
    "the bumps dotted; (b) mean less theory in standard errors.",
    "Under label noise the risk has minima after {first_minimum} and {second_minimum}, and a "
    "bump after {bump}.",
)
ALT = (
    "Line chart of risk over training steps: it falls, rises to a bump and falls again.",
    "Under label noise the bump comes after {bump}, between minima after {first_minimum} and "
    "{second_minimum}.",
)


class Problem(NamedTuple):
    """One problem: its curves, its theory and where its mean curve turns."""

    steps: Floats
    risks: Floats
    theory: Floats
    turns: TurningPoints | None

    @property
    def z(self) -> Floats:
        """The mean over seeds minus theory, in standard errors."""
        error = self.risks.std(axis=0, ddof=1) / np.sqrt(len(self.risks))
        return (self.risks.mean(axis=0) - self.theory) / error


Details = dict[str, Problem]
"""The problems by name, their risks without the noise of the test label."""


def analyse(table: pd.DataFrame, curves: pd.DataFrame) -> Findings[Details]:
    """Finds the turning points of the mean excess risk, and compares it with theory."""
    noisy = table["data.noise_variance"] > 0
    runs, excluded = results.usable(
        table.assign(problem=np.where(noisy, NOISY, CLEAN)), ["eval_excess_risk"]
    )
    problems = {
        str(name): _problem(group, curves) for name, group in runs.groupby("problem", sort=True)
    }
    turns = problems[NOISY].turns
    few = problems[CLEAN]
    close = np.concatenate([_close(problem) for problem in problems.values()])
    return Findings(
        measured={
            "first_minimum": measured(turns.first_minimum.at if turns else None),
            "bump": measured(turns.bump.at if turns else None),
            "second_minimum": measured(turns.second_minimum.at if turns else None),
            "end_over_first_minimum": _over_first(few, "second_minimum"),
            "bump_over_first_minimum": _over_first(few, "bump"),
            "within_5_percent": Measured(value=float(np.mean(close)), note=f"{len(close)} points"),
        },
        verdict="\n".join(f"{name}: {_said(problem)}" for name, problem in problems.items()),
        shown=with_notes(_shown(problems), excluded.assign(step=np.nan), "step"),
        details=problems,
        report={"time_per_step": TIME_PER_STEP},
    )


def _problem(runs: pd.DataFrame, curves: pd.DataFrame) -> Problem:
    """The excess risk of each run over steps, with theory at the same times."""
    first_run = runs.iloc[0]
    rows = curves[curves["run_id"].isin(runs["run_id"])]
    risks = rows.pivot(index="run_id", columns="step", values="eval_loss")
    s2, p = float(first_run["data.noise_variance"]), int(first_run["data.dimension"])
    spectrum = TwoScales(
        n_fast=int(first_run["data.spectrum.n_fast"]),
        condition_number=float(first_run["data.spectrum.condition_number"]),
        signal_power=float(first_run["data.spectrum.signal_power"]),
    )
    steps = risks.columns.to_numpy(np.float64)
    predicted = theory.gradient_flow_test_risk(
        steps * float(first_run["train.time_per_step"]),
        spectrum.eigenvalues(p),
        np.full(p, spectrum.signal_power / p),
        float(first_run["data.n_train"]),
        noise_variance=s2,
    )
    excess = risks.to_numpy(np.float64) - s2
    return Problem(steps, excess, predicted - s2, turning_points(steps, excess))


def _close(problem: Problem) -> np.ndarray:
    """Whether each point agrees with theory; what is learnt to a thousandth is left out."""
    relative = np.abs(problem.risks.mean(axis=0) / problem.theory - 1)
    agrees = (relative <= 0.05) | (np.abs(problem.z) <= 3)
    return agrees[_to_show(problem)]


def _to_show(problem: Problem) -> np.ndarray:
    return problem.theory > 1e-3 * problem.theory[0]


def _over_first(problem: Problem, turn: str) -> Measured:
    if problem.turns is None:
        return Measured(value=None, note="no bump")
    level, first = getattr(problem.turns, turn).level, problem.turns.first_minimum.level.value
    return Measured(value=level.value / first, low=level.low / first, high=level.high / first)


def _said(problem: Problem) -> str:
    if problem.turns is None:
        return "one descent: the mean curve has no bump"
    first, bump, second, _ = problem.turns
    below = "below" if second.level.value < first.level.value else "above"
    return (
        f"minima at steps {first.at.value:.3g} and {second.at.value:.3g}, bump at "
        f"{bump.at.value:.3g}; the second descent ends {below} the first minimum"
    )


def _shown(problems: Details) -> pd.DataFrame:
    parts = [
        pd.DataFrame(
            {
                "problem": name,
                "step": each.steps,
                "mean": each.risks.mean(axis=0),
                "sem": each.risks.std(axis=0, ddof=1) / np.sqrt(len(each.risks)),
                "theory": each.theory,
                "z": each.z,
                "n_runs": len(each.risks),
            }
        )
        for name, each in problems.items()
    ]
    return pd.concat(parts)


def figure(findings: Findings[Details]) -> Figure:
    """Draws the risk of both problems over steps with theory, and the differences below."""
    with style.paper_figure(2, 1, width=style.SINGLE_COLUMN, height=4.6) as (drawing, axes):
        top, bottom = axes[:, 0]
        overview(top, findings)
        ticks.log_scale(bottom, "x", ticks=(1,))
        for name, problem in findings.details.items():
            kept = np.flatnonzero(_to_show(problem))[:: len(problem.steps) // MARKS]
            draw.draw_standardised_residuals(
                bottom, problem.steps[kept], problem.z[kept], label=name, style=LOOKS[name]
            )
        _step_axis(bottom)
        bottom.set(ylabel="(mean − theory) / s.e.", xlim=top.get_xlim())
    return drawing


def overview(ax: Axes, findings: Findings[Details]) -> None:
    """Draws the mean excess risk over steps, with its standard error, theory and bumps.

    Theory has all steps; of the measured ones a few are drawn, so that the line shows under them.
    """
    ticks.log_scale(ax, "x", ticks=(1,))
    for name, problem in findings.details.items():
        steps, risks, predicted, _ = problem
        thin = slice(None, None, len(steps) // MARKS)
        at, some = steps[thin], risks[:, thin]
        draw.draw_replicates(
            ax, np.tile(at, len(some)), some.ravel(), np.repeat(np.arange(len(some)), len(at)),
            label=f"{name} ± s.e.", band="standard_error", style=LOOKS[name], bars=True,
        )  # fmt: skip
        draw.draw_theory(ax, steps, predicted, label="theory" if name == NOISY else "")
    _step_axis(ax)
    for name, problem in findings.details.items():
        if problem.turns is not None:
            label = "bump, 95 %" if name == NOISY else ""
            marks.mark_peak(ax, problem.turns.bump.at, label=label)
    ax.set(ylabel="excess risk (target units²)", ylim=(0, None))
    style.legend_above(ax)


def _step_axis(ax: Axes) -> None:
    """Labels every second decade: those of all eight would overlap."""
    decades = range(0, 9, 2)
    ax.set_xticks([10.0**k for k in decades], [f"$10^{k}$" for k in decades])
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xlabel("step")
