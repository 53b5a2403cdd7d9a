"""Hoffmann's tables of best models: two follow from their exponents, the third not from its law.

Claim: three ways give the size and tokens of the best model for nine sizes from 400M to 10T.
Paper: Hoffmann et al. 2022 (arXiv 2203.15556), tables 2, 3 and A3; constants before rounding from
its TeX source, as Besiroglu et al. 2024 (arXiv 2404.10102) found them.
Command: scaling reproduce hoffmann2022-tables
Data: the rows of the tables.
Refitted: the exponents of size and tokens over the compute 6 N D of each table's rows; the tokens
of every row from its size and FLOPs; and the FLOPs of approach 3 from the constants of its law. The
FLOPs of one row are a tenth of what they should be, and those of all but one lie 6 to 18 % below
what the constants give: the table was made with others.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analysis.plots import style
from analysis.plots.ticks import log_ticks
from analysis.published import library
from analysis.published.optimum import best_compute
from experiments.experiment import Findings, Measured
from experiments.reproductions.published import Published, near

DATA = "tables 3 and A3 of the paper, and the constants of hoffmann2022-unrounded"


class _Row(NamedTuple):
    """A row of a table: its name, parameters, FLOPs, tokens, and half their last digit."""

    name: str
    size: float
    flops: float
    tokens: float
    half: float


_SIZES = {
    "400M": 4e8, "1B": 1e9, "10B": 1e10, "67B": 6.7e10, "175B": 1.75e11, "280B": 2.8e11,
    "520B": 5.2e11, "1T": 1e12, "10T": 1e13,
}  # fmt: skip
_FLOPS_AND_TOKENS: Mapping[int, tuple[tuple[float, float, float], ...]] = {
    1: ((1.92e19, 8.0e9, 5e7), (1.21e20, 20.2e9, 5e7), (1.23e22, 205.1e9, 5e7),
        (5.76e23, 1.5e12, 5e10), (3.85e24, 3.7e12, 5e10), (9.90e24, 5.9e12, 5e10),
        (3.43e25, 11.0e12, 5e10), (1.27e26, 21.2e12, 5e10), (1.30e28, 216.2e12, 5e10)),
    2: ((1.84e19, 7.7e9, 5e7), (1.20e20, 20.0e9, 5e7), (1.32e22, 219.5e9, 5e7),
        (6.88e23, 1.7e12, 5e10), (4.54e24, 4.3e12, 5e10), (1.18e25, 7.1e12, 5e10),
        (4.19e25, 13.4e12, 5e10), (1.59e26, 26.5e12, 5e10), (1.75e28, 292.0e12, 5e10)),
    3: ((2.21e19, 9.2e9, 5e7), (1.62e20, 27.1e9, 5e7), (2.46e22, 410.1e9, 5e7),
        (1.71e24, 4.1e12, 5e10), (1.26e24, 12.0e12, 5e10), (3.52e25, 20.1e12, 5e10),
        (1.36e26, 43.5e12, 5e10), (5.65e26, 94.1e12, 5e10), (8.55e28, 1425.5e12, 5e10)),
}  # fmt: skip
_TABLES = {
    approach: tuple(
        _Row(name, size, *cells) for (name, size), cells in zip(_SIZES.items(), rows, strict=True)
    )
    for approach, rows in _FLOPS_AND_TOKENS.items()
}
_EXPONENTS = {1: (0.50, 0.50), 2: (0.49, 0.51), 3: (0.46, 0.54)}
_PRODUCT = 0.012  # relative: half the last digits of size and FLOPs
_OFF = {
    (3, "67B"): "1.71e24 FLOPs are 4.25e12 tokens",
    (3, "175B"): "the FLOPs are printed as 1.26e24: 6 N D is 1.26e25",
    (3, "280B"): "3.52e25 FLOPs are 20.95e12 tokens",
}


def _where(approach: int) -> str:
    return "table 3" if approach == 1 else "table A3"


def _exponents(approach: int) -> tuple[Published, Published]:
    a, b = _EXPONENTS[approach]
    return (
        near(f"a {approach}", f"exponent a, approach {approach}", a, 5e-3, "table 2"),
        near(f"b {approach}", f"exponent b, approach {approach}", b, 5e-3, "table 2"),
    )


def _tokens(approach: int, row: _Row) -> Published:
    return Published(
        name=f"D {approach} {row.name}",
        says=f"tokens of {row.name}, approach {approach}, from C / (6 N)",
        value=row.tokens,
        tolerance=row.half + _PRODUCT * row.tokens,
        source=_where(approach),
        finding=_OFF.get((approach, row.name), ""),
    )


def _flops(row: _Row) -> Published:
    return Published(
        name=f"C {row.name}",
        says=f"FLOPs at which {row.name} is best by the law",
        value=row.flops,
        tolerance=0.03 * row.flops,
        source="table A3, approach 3",
        finding="" if row.name == "67B" else "the constants of the law give more",
    )


PUBLISHED = (
    *(each for approach in _TABLES for each in _exponents(approach)),
    *(_tokens(approach, row) for approach, rows in _TABLES.items() for row in rows),
    *(_flops(row) for row in _TABLES[3]),
)


def _flops_of(size: float) -> float:
    """FLOPs at which a size is the best, by the law's closed form."""
    return best_compute(library.find("hoffmann2022-unrounded").curves[0], size)


def refit() -> Findings[None]:
    """Fits the exponents of each table, and finds tokens and FLOPs of its rows."""
    values: dict[str, float] = {}
    for approach, rows in _TABLES.items():
        size, tokens = (
            np.array([getattr(row, name) for row in rows]) for name in ("size", "tokens")
        )
        log_c = np.log(6 * size * tokens)
        values[f"a {approach}"] = float(np.polyfit(log_c, np.log(size), 1)[0])
        values[f"b {approach}"] = float(np.polyfit(log_c, np.log(tokens), 1)[0])
        values |= {f"D {approach} {row.name}": row.flops / (6 * row.size) for row in rows}
    values |= {f"C {row.name}": _flops_of(row.size) for row in _TABLES[3]}
    ratios = [values[f"C {row.name}"] / (6 * row.size * row.tokens) for row in _TABLES[3]]
    return Findings(
        measured={name: Measured(value=value) for name, value in values.items()},
        verdict="The rows grow with the exponents of table 2. The law of approach 3 takes "
        f"{min(ratios):.2f} to {max(ratios):.2f} times the compute of its own rows.",
        shown=_shown(),
    )


def _shown() -> pd.DataFrame:
    return pd.DataFrame(
        {"approach": approach, "parameters": row.size, "flops as printed": row.flops,
         "6 N D": 6 * row.size * row.tokens, "tokens": row.tokens,
         "flops by the law": _flops_of(row.size) if approach == 3 else np.nan}
        for approach, rows in _TABLES.items()
        for row in rows
    )  # fmt: skip


def figure(findings: Findings[None]) -> Figure:
    """Draws size over compute by approach, as figure A3, and approach 3's law over its rows."""
    shown = findings.shown
    with style.paper_figure(1, 2, height=2.6) as (drawing, axes):
        for (approach, rows), look in zip(shown.groupby("approach"), style.SERIES, strict=False):
            axes[0, 0].plot(rows["flops as printed"], rows["parameters"], **look.marks(),
                            label=f"approach {approach}")  # fmt: skip
            a = findings.measured[f"a {approach}"].value or np.nan
            middle = np.exp(np.log(rows[["6 N D", "parameters"]]).mean())
            budgets = np.geomspace(1e19, 1e29, 2)
            axes[0, 0].plot(budgets, middle["parameters"] * (budgets / middle["6 N D"]) ** a,
                            **look.line(), label=f"$a$ = {a:.3f}")  # fmt: skip
        axes[0, 0].set(xscale="log", yscale="log", xlabel="FLOPs", ylabel="parameters")
        third = shown.loc[shown["approach"] == 3]
        axes[0, 1].plot(third["parameters"], third["flops by the law"] / third["6 N D"],
                        **style.SERIES[2].marks(), label="law over 6 N D of the rows")  # fmt: skip
        axes[0, 1].axhline(1, color=style.GREY, linewidth=0.6)
        axes[0, 1].set(xscale="log", xlabel="parameters", ylabel="FLOPs, law over row",
                       ylim=(0.95, 1.25))  # fmt: skip
        log_ticks(axes[0, 0], "x", "y")
        log_ticks(axes[0, 1], "x")
        style.legend_above(axes[0, 0], n_columns=3)
        style.legend_above(axes[0, 1])
    return drawing
