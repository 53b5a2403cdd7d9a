"""Does reinforcement learning on a proxy overshoot where theory says?

Claim: a policy that is trained on a linear proxy moves straight along it. Its gold reward over d,
the root of the divergence from the start, is then exactly d (alpha - beta d), the form of best of
n: it peaks at d = alpha / 2 beta and falls. A penalty on divergence stops it at 1 / penalty on the
way, whether REINFORCE or PPO takes it there; the divergence of REINFORCE after each step is known,
too.
Paper: Gao, Schulman, Hilton 2022 (arXiv 2210.10760) for the question; Williams 1992, Schulman et
al. 2017 (arXiv 1707.06347) for the methods; the closed forms are derived in
`analysis.theory.best_of_n`.
Command: scaling run policy_gradient
Cost: 2 methods x 3 penalties x 16 seeds of 200 steps, under a minute on two CPU cores.
Expected: the last divergence within 2 % of 1 / (2 penalty^2), that of REINFORCE within 2 % of its
exact course, 9 of 10 points of gold within 2 standard errors of the closed form, and alpha and beta
fitted to them within 3 % of the exact ones. Paths of both methods over d are one; PPO, which steps
several times on a batch, is further along after as many steps.
"""

from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from analysis import theory
from analysis.estimate import Bootstrap, Floats
from analysis.fitting.fit import fit
from analysis.fitting.result import FitResult
from analysis.laws import BEST_OF_N
from analysis.plots import style, ticks
from analysis.tables import results
from experiments.experiment import Expected, Findings, Measured, Sweep
from experiments.shared.panels import with_notes
from scaling.config import RunConfig
from scaling.data.proxy_rewards import ProxyRewards
from scaling.models.linear import Linear
from scaling.policy_gradient import PPO, PolicyGradient, Reinforce
from scaling.training import SGD
from sweeps.space import grid

CURVES = True

RATE = 0.2
LEAST = 0.3
"""Least d at which gold is fitted and, for REINFORCE, the divergence compared."""


def _sweep(penalties: tuple[float, ...], batch: int, steps: int, seeds: int) -> list[RunConfig]:
    base = RunConfig(
        model=Linear(n_features=1),
        data=ProxyRewards(),
        train=PolicyGradient(
            optimizer=SGD(learning_rate=RATE),
            penalty=penalties[0],
            batch_size=batch,
            steps=steps,
            evaluations=14,
            spacing="geometric",
        ),
    )
    axes = {"train.method": (Reinforce(), PPO()), "train.penalty": penalties, "seed": range(seeds)}
    return grid(base, axes)


SWEEP: Sweep = {
    "smoke": partial(_sweep, (0.25,), 256, 150, 6),
    "cpu": partial(_sweep, (0.25, 0.5, 1.0), 1024, 200, 16),
    "gpu": partial(_sweep, (0.125, 0.25, 0.5, 1.0), 8192, 400, 32),
}

_EXACT = "exact: the policy is N(theta, I), the proxy linear"

EXPECTED = (
    Expected(
        name="kl",
        says="last divergence, largest distance from 1 / (2 penalty^2), share of it",
        high=0.02,
        source=f"{_EXACT}; the tilt by exp(proxy / penalty)",
    ),
    Expected(
        name="course",
        says="divergence of REINFORCE on its way, largest distance from the exact, share of it",
        high=0.02,
        source=_EXACT,
        budgets=("cpu", "gpu"),
    ),
    Expected(
        name="gold",
        says="share of points of gold within 2 standard errors of the closed form",
        low=0.9,
        source=_EXACT,
    ),
    Expected(
        name="alpha",
        says="fitted alpha over the exact one",
        low=0.97,
        high=1.03,
        source=f"{_EXACT}: 2^1/2 gain cos(angle)",
    ),
    Expected(
        name="beta",
        says="fitted beta over the exact one",
        low=0.97,
        high=1.03,
        source=f"{_EXACT}: 2 drawback",
    ),
)

CAPTION = (
    "(a) Gold reward and proxy over the root of the divergence from the start; line: closed form.",
    "{gold} of the points lie within two standard errors of it.",
    "(b) Divergence over steps; lines: the exact course of REINFORCE; dashed: the exact end.",
)
ALT = (
    "Two panels. Gold reward rises with the divergence, peaks and falls along an exact parabola "
    "while the proxy goes on rising; the divergence over steps levels off at its exact end.",
)


class Details(NamedTuple):
    """What the figure draws: means over seeds at each evaluation, and the setting."""

    points: pd.DataFrame
    data: ProxyRewards
    fitted: FitResult


def analyse(table: pd.DataFrame, curves: pd.DataFrame) -> Findings[Details]:
    """Takes means over seeds at every evaluation, and compares them with the closed forms."""
    runs, excluded = results.usable(table, ["eval_loss_nats"])
    data = _data(runs)
    points = _points(runs, curves, data)
    law = fit(BEST_OF_N, *_fitted(points), fixed={"base": 0.0}, bootstrap=Bootstrap(n=200))
    last = points.loc[points["step"] == points["step"].max()]
    ends = (last["kl"] * 2 * last["penalty"] ** 2 - 1).abs()
    on_course = points.loc[(points["method"] == "reinforce") & (points["d"] > LEAST)]
    course = (on_course["kl"] / on_course["kl_exact"] - 1).abs()
    off = ((points["gold"] - points["gold_exact"]) / points["gold_sem"]).abs().to_numpy(np.float64)
    exact = _coefficients(data)
    measured = {
        "kl": Measured(value=float(ends.to_numpy().max()), note=f"{len(last)} ends"),
        "course": Measured(value=float(course.to_numpy().max()), note=f"{len(on_course)} points"),
        "gold": Measured(
            value=float(np.mean(off <= 2)), note=f"{len(off)}; at most {off.max():.1f}"
        ),
        **{name: _relative(law, name, exact[name]) for name in exact},
    }
    return Findings(
        measured=measured,
        verdict=_verdict(points, exact, last),
        shown=with_notes(points, excluded.assign(step=excluded["steps"]), "step"),
        details=Details(points, data, law),
        report={"exact": exact, "fitted": {name: law.params[name] for name in exact}},
    )


def _data(runs: pd.DataFrame) -> ProxyRewards:
    """The rewards that all runs have."""
    angle, gain, drawback, dimension = (
        runs[f"data.{name}"].to_numpy(np.float64)[0]
        for name in ("angle", "gain", "drawback", "dimension")
    )
    return ProxyRewards(dimension=int(dimension), angle=angle, gain=gain, drawback=drawback)


def _coefficients(data: ProxyRewards) -> dict[str, float]:
    """Alpha and beta of gold over d."""
    return {"alpha": float(2**0.5 * data.gain * np.cos(data.angle)), "beta": 2 * data.drawback}


def _points(runs: pd.DataFrame, curves: pd.DataFrame, data: ProxyRewards) -> pd.DataFrame:
    """Means over seeds at every evaluation, with the closed forms."""
    ids = runs["run_id"].tolist()
    method = dict(zip(ids, runs["train.method.kind"], strict=True))
    penalty = dict(zip(ids, runs["train.penalty"].to_numpy(np.float64), strict=True))
    every = pd.DataFrame(
        {
            "run_id": curves["run_id"],
            "step": curves["step"],
            "method": curves["run_id"].map(method.get),
            "penalty": curves["run_id"].map(penalty.get),
            **{name: [by[name] for by in curves["eval_by"]] for name in ("gold", "proxy", "kl")},
        }
    ).dropna()
    batch = int(runs["train.batch_size"].to_numpy()[0])
    return pd.DataFrame(
        [_point(rows, data, batch) for _, rows in every.groupby(["method", "penalty", "step"])]
    )


def _point(rows: pd.DataFrame, data: ProxyRewards, batch: int) -> dict[str, object]:
    """One evaluation of the seeds of one method and penalty."""
    method, penalty, step = (rows[name].iloc[0] for name in ("method", "penalty", "step"))
    gold, proxy, kl = (rows[name].to_numpy(np.float64) for name in ("gold", "proxy", "kl"))
    d = np.sqrt(kl.mean())
    exact = theory.reinforced_kl(
        step, rate=RATE, penalty=penalty, dimension=data.dimension, batch=batch
    )
    return {
        "method": method,
        "penalty": penalty,
        "step": step,
        "kl": kl.mean(),
        "kl_exact": float(exact) if method == Reinforce.kind else np.nan,
        "d": d,
        "gold": gold.mean(),
        "gold_sem": gold.std(ddof=1) / len(gold) ** 0.5,
        "gold_exact": float(_gold(d, data)),
        "proxy": proxy.mean(),
        "run_ids": " ".join(rows["run_id"]),
    }


def _gold(d: ArrayLike, data: ProxyRewards) -> Floats:
    return theory.gaussian_policy_gold(d, gain=data.gain, angle=data.angle, penalty=data.drawback)


def _fitted(points: pd.DataFrame) -> tuple[Floats, Floats]:
    kept = points.loc[points["d"] > LEAST]
    return kept["d"].to_numpy(np.float64), np.exp(kept["gold"].to_numpy(np.float64))


def _relative(law: FitResult, name: str, exact: float) -> Measured:
    low, high = law.intervals[name]
    return Measured(value=law.params[name] / exact, low=low / exact, high=high / exact)


def _verdict(points: pd.DataFrame, exact: dict[str, float], last: pd.DataFrame) -> str:
    peak = exact["alpha"] / (2 * exact["beta"])
    lines = []
    for method, rows in points.groupby("method"):
        best = rows.loc[rows["gold"].idxmax()]
        end = last.loc[
            (last["method"] == method) & (last["penalty"] == last["penalty"].min())
        ].iloc[0]
        lines.append(
            f"{method}: gold peaks at {best['gold']:.3f}, d = {best['d']:.2f} (exact "
            f"{exact['alpha'] * peak / 2:.3f} at {peak:.2f}), and ends at {end['gold']:.3f} where "
            f"the penalty {end['penalty']:g} lets it go to {end['kl']:.3f} nats."
        )
    return "\n".join(lines)


def figure(findings: Findings[Details]) -> Figure:
    """Draws gold and proxy over d, and the divergence over steps."""
    with style.paper_figure(1, 2, height=2.9) as (drawing, axes):
        overview(axes[0, 0], findings)
        _draw_courses(axes[0, 1], findings.details)
    return drawing


def overview(ax: Axes, findings: Findings[Details]) -> None:
    """Draws gold and proxy over the root of the divergence."""
    points, data, _ = findings.details
    along = np.linspace(0, points["d"].to_numpy().max(), 80)
    ax.plot(along, _gold(along, data), color=style.INK, linewidth=0.9, label="gold, exact")
    ax.plot(along, np.sqrt(2) * along, color=style.GREY, linewidth=0.9, linestyle="--",
            label="proxy, exact")  # fmt: skip
    for look, (method, rows) in zip(style.SERIES, points.groupby("method"), strict=False):
        ax.errorbar(rows["d"], rows["gold"], rows["gold_sem"], **look.marks(), markersize=3,
                    elinewidth=0.8, label=f"gold, {_SHOWN[str(method)]}")  # fmt: skip
    exact = _coefficients(data)
    peak = exact["alpha"] / (2 * exact["beta"])
    ax.plot([peak, peak], [-0.05, exact["alpha"] * peak / 2], color=style.GREY, linewidth=0.6,
            linestyle=":")  # fmt: skip
    ax.set_ylim(-0.05, 1.9)
    ax.set(xlabel="$d = \\sqrt{KL}$ (nats$^{1/2}$)", ylabel="reward above the start")
    ax.legend(loc="upper right", fontsize=7)


_SHOWN = {"reinforce": "REINFORCE", "ppo": "PPO"}


def _draw_courses(ax: Axes, details: Details) -> None:
    points = details.points
    for look, (method, rows) in zip(style.SERIES, points.groupby("method"), strict=False):
        ax.plot(rows["step"], rows["kl"], **look.marks(), markersize=3, label=_SHOWN[str(method)])
    for penalty, rows in points.groupby("penalty"):
        exact = rows.loc[rows["method"] == "reinforce"]
        ax.plot(exact["step"], exact["kl_exact"], color=style.INK, linewidth=0.9)
        ax.axhline(1 / (2 * float(str(penalty)) ** 2), color=style.GREY, linewidth=0.7,
                   linestyle="--")  # fmt: skip
    ticks.log_scale(ax, "x", "y")
    ax.set(xlabel="steps", ylabel="divergence from the start (nats)")
    ax.legend(loc="lower right")
