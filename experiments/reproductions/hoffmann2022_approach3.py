"""Hoffmann's constants, evaluated: rounded or not, they are not an optimum.

Claim: L = 1.69 + 406.4 N^-0.34 + 410.7 D^-0.28 minimises Huber's loss of the log residuals.
Paper: Hoffmann et al. 2022 (arXiv 2203.15556), section 3.3 and equation 10; the constants before
rounding are those of its TeX source, as Besiroglu et al. 2024 (arXiv 2404.10102) found them.
Command: scaling reproduce hoffmann2022-approach3
Data: 240 of 245 digitised points of the paper's figure 4.
Refitted: the objective at both sets of constants, and its optimum from many starts. A pass means
that the evaluations agree with those of others, so that the constants are not an optimum: the
optimiser had stopped early, and rounding did the rest.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.fitting.audit import audit, objective_of
from analysis.fitting.engine.loss import Loss
from analysis.laws import CHINCHILLA
from analysis.laws.chinchilla import compute_optimal, growth
from analysis.plots import style
from experiments.experiment import Findings, Measured
from experiments.reproductions import data
from experiments.reproductions.chinchilla_points import DELTA, ROUNDED, TEX, points, residuals
from experiments.reproductions.published import (
    Published,
    draw_points,
    in_order,
    log_predict,
    near,
    without_replicates,
)

DATA = data.CHINCHILLA

_BESIROGLU = "arXiv 2404.10102, data_analysis.ipynb@9225883"
_EVALUATED = "the constants of the paper under its objective"
_IMPLIED = "a = beta / (alpha + beta) of the constants of the paper"

PUBLISHED = (
    near("rounded objective", "objective of the rounded constants", 0.0041210, 5e-8, _EVALUATED),
    near("TeX objective", "objective of the unrounded constants", 0.0012312, 5e-8, _EVALUATED),
    near("optimum", "objective of the optimum", 0.0010182740, 5e-9, _BESIROGLU),
    Published(
        name="excess",
        says="unrounded constants above the optimum, as a factor",
        value=1.2091,
        low=1.2,
        source="the two above",
    ),
    near("rounded a", "exponent a of the rounded constants", 0.4516, 5e-5, _IMPLIED),
    near("TeX a", "exponent a of the unrounded constants", 0.4565, 5e-5, _IMPLIED),
)

Laws = Mapping[str, Mapping[str, float]]
"""Parameters of the laws that the figure draws."""


def refit(table: pd.DataFrame) -> Findings[Laws]:
    """Evaluates both sets of constants and finds the optimum."""
    runs = points(table)
    tex = audit(CHINCHILLA, TEX, runs.x, runs.loss, loss=Loss(DELTA))
    optimum, exponent = tex.refit, tex.refit.derived()["a"]
    rounded = objective_of(CHINCHILLA, ROUNDED, runs.x, runs.loss, loss=Loss(DELTA))
    measured = {
        "rounded objective": rounded,
        "TeX objective": tex.objective,
        "optimum": optimum.objective,
        "excess": tex.ratio,
        "rounded a": _exponent(ROUNDED),
        "TeX a": _exponent(TEX),
    }
    return Findings(
        measured={name: Measured(value=value) for name, value in measured.items()},
        verdict=(
            f"Unrounded: {tex.reason} Rounded they cost {rounded / optimum.objective - 1:.0%} "
            f"more than the optimum, where a = {exponent.value:.3f} "
            f"[{exponent.interval[0]:.3f}, {exponent.interval[1]:.3f}]."
        ),
        shown=pd.DataFrame(
            {
                "parameters": runs.x[:, 0],
                "tokens": runs.x[:, 1],
                "flops": runs.flops,
                "loss": runs.loss,
                "optimum": residuals(optimum.params, runs),
                "unrounded": residuals(TEX, runs),
                "rounded": residuals(ROUNDED, runs),
            }
        ),
        details={"optimum": optimum.params, "unrounded": TEX, "rounded": ROUNDED},
        report={"optimum": without_replicates(optimum)},
    )


def _exponent(params: Mapping[str, float]) -> float:
    return float(growth(in_order(CHINCHILLA, params))["a"])


_STYLES = dict(zip(("optimum", "rounded", "unrounded"), style.SERIES, strict=False))


def figure(findings: Findings[Laws]) -> Figure:
    """Draws contours of the loss with the efficient frontiers, and residuals along compute."""
    laws, shown = findings.details, findings.shown
    with style.paper_figure(1, 2, height=2.9) as (drawing, axes):
        _draw_contours(axes[0, 0], laws, shown)
        _draw_residuals(axes[0, 1], shown)
    return drawing


def _draw_contours(ax: Axes, laws: Laws, shown: pd.DataFrame) -> None:
    """Draws contours of the loss over compute and size: the optimum, the unrounded constants."""
    flops, sizes = np.meshgrid(np.geomspace(1e18, 2e22, 80), np.geomspace(4e7, 2.2e10, 80))
    x = np.stack([sizes.ravel(), (flops / (6 * sizes)).ravel()], axis=1)
    levels = [2.0, 2.2, 2.4, 2.7, 3.0, 3.5, 4.0, 5.0]
    for name in ("optimum", "unrounded"):
        look, surface = _STYLES[name], np.exp(log_predict(CHINCHILLA, laws[name], x))
        lines = ax.contour(
            flops, sizes, surface.reshape(flops.shape), levels, colors=look.color,
            linewidths=0.8, linestyles=["solid" if name == "optimum" else "dashed"],
        )  # fmt: skip
        if name == "optimum":
            for text in ax.clabel(lines, fmt="%g", fontsize=7, inline=False, colors=style.INK):
                text.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 0.6})
    ax.plot(shown["flops"], shown["parameters"], color=style.GREY, marker=".", markersize=2.5,
            linestyle="none", label="run")  # fmt: skip
    ax.plot([], [], color=style.INK, linewidth=0.8, label="loss (nats/token)")
    budgets = np.geomspace(1e18, 2e22, 40)
    for name, look in _STYLES.items():
        best = compute_optimal(in_order(CHINCHILLA, laws[name]), budgets)
        ax.plot(budgets, best.parameters, **look.line(), linewidth=1.8,
                label=f"frontier, {name}")  # fmt: skip
    ax.set(xscale="log", yscale="log", xlabel="training FLOPs", ylabel="parameters",
           xlim=(1e18, 2e22), ylim=(4e7, 2.2e10))  # fmt: skip
    style.legend_above(ax)


def _draw_residuals(ax: Axes, shown: pd.DataFrame) -> None:
    for name, look in _STYLES.items():
        draw_points(ax, shown["flops"], shown[name], look, name)
    ax.axhline(0, color=style.INK, linewidth=0.6)
    ax.set(xscale="log", xlabel="training FLOPs", ylabel="log loss − log law")
    style.legend_above(ax, n_columns=3)
