"""Allocation of multimodal models follows from their exponents, but for three of nine fits.

Claim: the best size of an early-fusion model grows as C^0.526, that of a late-fusion model faster.
Paper: Shukor et al. 2025, Scaling Laws for Native Multimodal Models (arXiv 2504.07951), tables 2,
3.
Command: scaling reproduce shukor2025
Data: the exponents alpha and beta of nine fits; losses are not released.
Refitted: a = beta / (alpha + beta), b = alpha / (alpha + beta) and d = b / a, by which tokens grow
with size. The paper fits lines to optima of its laws, so that a and b need not add up to 1 to the
last digit. For late fusion a is printed as 0.6358, where the exponents give 0.538 and b is as they
say; the row of the sparse model and that of the mixture 20-40-40 are off by less.
"""

from typing import NamedTuple

import pandas as pd
from matplotlib.figure import Figure

from analysis.plots import style
from experiments.experiment import Findings, Measured
from experiments.reproductions.published import Published

DATA = "exponents alpha and beta of tables 2 and 3 of the paper"


class _Row(NamedTuple):
    """A fit: its name and table, alpha and beta, and what follows as printed."""

    name: str
    table: str
    alpha: float
    beta: float
    a: float
    b: float
    d: float


_ROWS = (
    _Row("early, text", "table 2", 0.3084, 0.3375, 0.5246, 0.4774, 0.9085),
    _Row("early, image-caption", "table 2", 0.3111, 0.3386, 0.5203, 0.4785, 0.9187),
    _Row("early, interleaved", "table 2", 0.2971, 0.338, 0.5315, 0.4680, 0.8791),
    _Row("early, all", "table 2", 0.301, 0.335, 0.5262, 0.473, 0.8987),
    _Row("late, all", "table 2", 0.2903, 0.3383, 0.6358, 0.4619, 0.6732),
    _Row("sparse early, all", "table 2", 0.710, 0.372, 0.361, 0.656, 1.797),
    _Row("40-20-40", "table 3", 0.328, 0.348, 0.518, 0.486, 0.937),
    _Row("30-30-40", "table 3", 0.253, 0.338, 0.572, 0.428, 0.748),
    _Row("20-40-40", "table 3", 0.259, 0.354, 0.582, 0.423, 0.726),
)
_TOLERANCE = {"a": 0.0045, "b": 0.0045, "d": 0.008}
_OFF = {
    ("late, all", "a"): "the exponents and b say 0.538",
    ("late, all", "d"): "the exponents and b say 0.858",
    ("sparse early, all", "a"): "the exponents and b say 0.344",
    ("sparse early, all", "d"): "the exponents say 1.91",
    ("20-40-40", "a"): "the exponents and b say 0.577",
}

PUBLISHED = tuple(
    Published(
        name=f"{name} {row.name}",
        says=f"{name}, {row.name}",
        value=getattr(row, name),
        tolerance=tolerance,
        source=row.table,
        finding=_OFF.get((row.name, name), ""),
    )
    for row in _ROWS
    for name, tolerance in _TOLERANCE.items()
)


def refit() -> Findings[None]:
    """Derives the growth of size and tokens from the exponents of each fit."""
    values = {}
    rows = []
    for row in _ROWS:
        a = row.beta / (row.alpha + row.beta)
        derived = {"a": a, "b": 1 - a, "d": (1 - a) / a}
        values |= {f"{name} {row.name}": value for name, value in derived.items()}
        rows += [
            {"fit": row.name, "number": name, "printed": getattr(row, name), "derived": value}
            for name, value in derived.items()
        ]
    return Findings(
        measured={name: Measured(value=value) for name, value in values.items()},
        verdict="The best size of late fusion grows as C^0.538 by its own exponents, not as "
        "C^0.636: hardly faster than that of early fusion, C^0.527.",
        shown=pd.DataFrame(rows),
    )


def figure(findings: Findings[None]) -> Figure:
    """Draws the exponents as printed over those that follow."""
    shown = findings.shown
    with style.paper_figure(height=3.0) as (drawing, axes):
        ax = axes[0, 0]
        for (name, rows), look in zip(shown.groupby("number"), style.SERIES, strict=False):
            ax.plot(rows["derived"], rows["printed"], **look.marks(filled=False),
                    label=f"${name}$")  # fmt: skip
        ends = [0.3, 2.0]
        ax.plot(ends, ends, color=style.GREY, linewidth=0.6)
        late = shown.loc[(shown["fit"] == "late, all") & (shown["number"] == "a")].iloc[0]
        ax.annotate("late fusion", (late["derived"], late["printed"]), xytext=(-4, 8),
                    textcoords="offset points", fontsize=7, ha="right")  # fmt: skip
        ax.set(xscale="log", yscale="log", xlabel=r"from $\alpha$ and $\beta$", ylabel="as printed")
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_ticks([0.3, 0.5, 1, 2], ["0.3", "0.5", "1", "2"])
            axis.set_ticks([], minor=True)
        style.legend_above(ax, n_columns=3)
    return drawing
