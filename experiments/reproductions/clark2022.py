"""Routed models as dense ones: effective parameters, and the size at which routing stops to pay.

Claim: a model of 5M parameters with 128 experts is as good as a dense one of 55M; routing stops to
help at 937B parameters with S-BASE, 85B with reinforcement learning, 83B with hashing.
Paper: Clark et al. 2022 (arXiv 2202.01169), equations 1 and 11, table 3, section 5.
Command: scaling reproduce clark2022
Data: the constants of table 3; losses are not released.
Refitted: effective parameters from the law, the cut-off 10^(-b / c), and the exponent of the dense
model, which the law gives at one expert. c has one or two digits, which leaves the cut-offs open
within a factor of three to forty.
"""

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analysis.laws.routed import effective_parameters
from analysis.plots import style
from analysis.plots.ticks import log_ticks
from analysis.published import library
from analysis.published.forms import parameters
from experiments.experiment import Findings, Measured
from experiments.reproductions.published import Published
from experiments.reproductions.rounding import left_open

DATA = "table 3 of the paper: the constants of clark2022 in `scaling laws`"

_HALF = {"a": 5e-4, "b": 5e-4, "c": 5e-4, "d": 5e-4, "X_start": 5e-4, "X_max": 5e-4}
_CUTOFFS = {"S-BASE": 9.37e11, "RL-R": 8.5e10, "HASH": 8.3e10}
_EXPERTS = 128
_SIZES = {5e6: "5M parameters", 1.3e9: "1.3B parameters"}

PUBLISHED = (
    *(
        Published(name=f"cut-off {router}", says=f"log10 of the size where {router} stops to help",
                  value=math.log10(size), tolerance=0.01, covered=True, source="section 5")
        for router, size in _CUTOFFS.items()
    ),
    Published(name="effective", says="parameters of a dense model as good as 5M with 128 experts",
              value=5.5e7, tolerance=5e5, covered=True, source="section 5"),
    *(
        Published(name=f"dense {router}", says=f"exponent of dense models by {router}'s law",
                  value=0.078, tolerance=5e-4, covered=True, source="section 3",
                  finding="dense models fitted alone; with the routed ones they fall faster")
        for router in _CUTOFFS
    ),
)  # fmt: skip


def _params(constants: Mapping[str, float], router: str) -> np.ndarray:
    law = library.find("clark2022").curve(router).law
    found = parameters(law, constants)
    return np.array([found[name] for name in law.params])


def _derived(constants: Mapping[str, float], router: str, name: str) -> float:
    law = library.find("clark2022").curve(router).law
    return float(law.derived(_params(constants, router))[name])


def refit() -> Findings[Mapping[str, np.ndarray]]:
    """Finds cut-offs, effective parameters and dense exponents of the three routers."""
    entry = library.find("clark2022")
    measured: dict[str, Measured] = {}
    for router in _CUTOFFS:
        constants = dict(entry.curve(router).constants)
        measured[f"cut-off {router}"] = left_open(
            lambda c, router=router: math.log10(_derived(c, router, "N_cutoff")), constants, _HALF
        )
        measured[f"dense {router}"] = left_open(
            lambda c, router=router: _derived(c, router, "alpha_dense"), constants, _HALF
        )
    measured["effective"] = left_open(
        lambda c: float(effective_parameters(_params(c, "S-BASE"), 5e6, _EXPERTS)),
        dict(entry.curve("S-BASE").constants),
        _HALF,
    )
    params = {router: _params(entry.curve(router).constants, router) for router in _CUTOFFS}
    return Findings(
        measured=measured,
        verdict=f"5M parameters with {_EXPERTS} experts are worth "
        f"{(measured['effective'].value or math.nan) / 1e6:.0f}M; the digits of c leave every "
        "cut-off open by a large factor.",
        shown=_shown(params),
        details=params,
    )


def _shown(params: Mapping[str, np.ndarray]) -> pd.DataFrame:
    return pd.DataFrame(
        {"router": router, "parameters": n, "experts": experts,
         "effective": float(effective_parameters(of, n, experts))}
        for router, of in params.items()
        for n in _SIZES
        for experts in 2.0 ** np.arange(10)
    )  # fmt: skip


def figure(findings: Findings[Mapping[str, np.ndarray]]) -> Figure:
    """Draws effective parameters over experts for a small and a large model."""
    shown = findings.shown
    with style.paper_figure(1, 2, height=2.5) as (drawing, axes):
        for ax, (n, rows) in zip(axes[0], shown.groupby("parameters"), strict=True):
            for (router, of), look in zip(rows.groupby("router"), style.SERIES, strict=False):
                ax.plot(of["experts"], of["effective"], **look.line(), label=str(router))
            ax.set(xscale="log", yscale="log", xlabel="experts", ylabel="effective parameters")
            ax.set_title(_SIZES[float(str(n))], fontsize=8)
            ax.margins(y=0.15)  # no label beside the letter of the panel
            log_ticks(ax, "y")
            ax.set_xticks([1, 8, 64, 512], ["1", "8", "64", "512"])
            ax.minorticks_off()
        axes[0, 0].plot([_EXPERTS], [5.5e7], color=style.INK, marker="o", markerfacecolor="none",
                        linestyle="none", label="section 5")  # fmt: skip
        style.outer_legend(drawing, axes[0, :1], "outside lower center", 4)
    return drawing
