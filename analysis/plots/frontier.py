"""Compute-optimal growth as a fit predicts it: N, D and tokens per parameter against compute.

Every replicate of the fit is a law with its own optimum; bands are percentiles over replicates. Any
law of N and D can be drawn whose `derived` gives a, b and G of `N_opt = G (C/6)^a` and
`D_opt = (C/6)^b / G`, like `analysis.laws.chinchilla.growth`.
"""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from analysis.estimate import Floats
from analysis.fitting.bootstrap.replicates import percentiles
from analysis.fitting.result import FitResult
from analysis.laws.chinchilla import FLOPS_PER_PARAMETER_AND_TOKEN
from analysis.laws.law import Law
from analysis.planning.allocate import FAR
from analysis.plots.rows import Rows
from analysis.plots.style import GREY, INK, SERIES, Series, legend_above, paper_figure
from analysis.plots.ticks import log_ticks

_QUANTITIES = ("parameters", "tokens", "tokens_per_parameter")
_N_BUDGETS = 81


def has_frontier(law: Law) -> bool:
    """Returns whether a law of N and D derives how they grow with compute."""
    if law.inputs != ("N", "D"):
        return False
    with np.errstate(all="ignore"):
        return {"a", "b", "G"} <= set(law.derived(np.ones((1, len(law.params)))))


def budgets_of(rows: Rows, beyond: float = FAR) -> Floats:
    """Returns budgets from the least fitted compute to a multiple of the largest, in FLOPs.

    Args:
        rows: Rows with the inputs N and D.
        beyond: Factor by which they go beyond the largest fitted compute.

    Returns:
        Shape `(n_budgets,)`, evenly spaced in log C; the largest fitted compute is among them.
    """
    flops = _flops(rows)[rows.fitted]
    within = np.geomspace(flops.min(), flops.max(), _N_BUDGETS)
    further = np.geomspace(flops.max(), beyond * flops.max(), _N_BUDGETS // 4)
    return np.concatenate([within, further[1:]])


def frontier_table(result: FitResult, rows: Rows, flops: ArrayLike | None = None) -> pd.DataFrame:
    """Returns the optimum at each budget, C = 6 N D, with the interval of its replicates.

    Args:
        result: A fit for whose law `has_frontier` is true.
        rows: Its rows; those not fitted are ignored.
        flops: Budgets, ascending; `budgets_of(rows)` unless given.

    Returns:
        Columns "flops", "extrapolated" (beyond the budgets fitted), and for each of "parameters",
        "tokens" and "tokens_per_parameter" the value, "_low" and "_high". The ends are NaN where so
        many replicates lack an optimum that the percentiles are unknown.

    Raises:
        ValueError: A law without a known optimum.
    """
    if not has_frontier(result.law):
        raise ValueError(
            f"The law {result.law.name} derives no compute-optimal growth (a, b and G); give a fit "
            "of chinchilla, or of another law of N and D that derives it."
        )
    budgets = budgets_of(rows) if flops is None else np.asarray(flops, dtype=np.float64)
    fitted = _flops(rows)[rows.fitted]
    estimate = np.array([[result.params[name] for name in result.law.params]])
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        every = np.vstack([estimate, result.law.to_params(result.replicates)])
        values = _optimum(result.law, every, budgets)
    table = {"flops": budgets, "extrapolated": (budgets < fitted.min()) | (budgets > fitted.max())}
    for name, logs in zip(_QUANTITIES, values, strict=True):
        low = high = np.full(len(budgets), np.nan)
        defined = logs[1:][np.all(np.isfinite(logs[1:]), axis=1)]
        if 1 - len(defined) / len(result.replicates) <= (1 - result.level) / 2:
            low, high = percentiles(defined, result.level)
        table |= {name: np.exp(logs[0]), f"{name}_low": np.exp(low), f"{name}_high": np.exp(high)}
    return pd.DataFrame(table)


def _optimum(law: Law, params: Floats, flops: Floats) -> tuple[Floats, Floats, Floats]:
    """Logarithms of N, D and D / N at the optimum, each of shape `(n, n_budgets)`."""
    found = law.derived(params)
    a, b, g = (np.asarray(found[name], dtype=np.float64)[:, None] for name in ("a", "b", "G"))
    product = np.log(flops / FLOPS_PER_PARAMETER_AND_TOKEN)
    log_n, log_d = np.log(g) + a * product, b * product - np.log(g)
    return log_n, log_d, log_d - log_n


def _flops(rows: Rows) -> Floats:
    return FLOPS_PER_PARAMETER_AND_TOKEN * rows.column("N") * rows.column("D")


def draw_growth(
    ax: Axes, table: pd.DataFrame, quantity: str, *, label: str, style: Series = SERIES[0]
) -> Axes:
    """Draws an optimal quantity against compute with its band, dashed where extrapolated.

    Args:
        ax: Axes to draw on, x in FLOPs, both logarithmic.
        table: Table from `frontier_table`.
        quantity: "parameters", "tokens" or "tokens_per_parameter".
        label: Legend entry of the line.
        style: Colour, and the mark at the ends of the fitted range.
    """
    flops = table["flops"]
    low, high = table[f"{quantity}_low"], table[f"{quantity}_high"]
    ax.fill_between(flops, low, high, color=style.color, alpha=0.18, linewidth=0, zorder=1.5)
    look = {"color": style.color, "marker": style.marker}
    return draw_dashed_beyond(ax, table, "flops", quantity, label=label, **look)


def draw_dashed_beyond(
    ax: Axes, table: pd.DataFrame, x: str, y: str, *, label: str, color: str = INK, marker: str = ""
) -> Axes:
    """Draws one column against another, solid within the fitted budgets and dashed beyond them.

    Args:
        ax: Axes to draw on.
        table: Table from `frontier_table`.
        x: Column for the horizontal axis.
        y: Column for the vertical axis.
        label: Legend entry.
        color: Colour of the line.
        marker: Mark at both ends of the fitted budgets; none unless given.
    """
    beyond = table["extrapolated"].to_numpy()
    below = np.flatnonzero(~beyond)[:1].sum()
    inside = table[~beyond]
    ends = {"marker": marker, "markevery": max(len(inside) - 1, 1)}
    ax.plot(inside[x], inside[y], color=color, linewidth=1.2, label=label, zorder=2.6, **ends)
    for part in (table.iloc[: below + 1], table.iloc[below + len(inside) - 1 :]):
        if len(part) > 1:
            ax.plot(part[x], part[y], color=color, linewidth=1.2, linestyle=(0, (3, 2)), zorder=2.6)
    return ax


def frontier_figure(result: FitResult, rows: Rows) -> Figure:
    """Draws optimal parameters, tokens, and tokens per parameter against compute.

    Args:
        result: A fit for whose law `has_frontier` is true.
        rows: Its rows.

    Returns:
        A figure two columns wide.
    """
    table = frontier_table(result, rows)
    band = f"{100 * result.level:g} % band"
    with paper_figure(1, 2, height=2.9) as (figure, axes):
        growth, ratio = axes[0]
        for ax in axes[0]:
            ax.set(xscale="log", yscale="log", xlabel=rows.label("C"))
        for quantity, name, style in (("parameters", "N", SERIES[0]), ("tokens", "D", SERIES[1])):
            exponent = result.derived()["a" if name == "N" else "b"]
            label = (
                f"${name}^*\\propto C^{{{exponent.value:.3f}\\pm{exponent.standard_error:.3f}}}$"
            )
            draw_growth(growth, table, quantity, label=label, style=style)
        draw_growth(ratio, table, "tokens_per_parameter", label="optimum", style=SERIES[2])
        growth.set(ylabel="compute-optimal $N^*$, $D^*$")
        ratio.set(ylabel="tokens per parameter $D^*\\!/N^*$")
        for ax, color in ((growth, GREY), (ratio, SERIES[2].color)):
            ax.fill_between([], [], color=color, alpha=0.25, linewidth=0, label=band)
            ax.plot([], [], color=INK, linestyle=(0, (3, 2)), linewidth=1, label="extrapolated")
            log_ticks(ax, "x", "y")
            legend_above(ax)
    return figure
