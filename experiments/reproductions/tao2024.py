"""The best vocabulary of a model, by three ways that agree.

Claim: the best vocabulary grows with the rest of the model, as its power 0.83; 7B parameters
deserve 60,000 tokens and 70B parameters 216,000, seven times those of Llama 2.
Paper: Tao et al. 2024 (arXiv 2407.13623), section 4 and table 1; constants with all digits from its
code (sail-sg/scaling-with-vocab).
Command: scaling reproduce tao2024
Data: the constants of the three approaches; losses are not released.
Refitted: the vocabulary of seven sizes by growth with compute, by growth with size from a small
model, and as the least loss of a law of size, vocabulary and tokens at fixed compute, found by
bisection of its slope; and the compute at which each size is best.
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy.optimize import brentq

from analysis.plots import style
from analysis.plots.ticks import log_ticks
from analysis.published import library
from experiments.experiment import Findings, Measured
from experiments.reproductions.published import Published, near

DATA = "constants of section 4 of the paper: tao2024 in `scaling laws`, and those of approach 3"

_SMALL, _ITS_VOCABULARY, _GAMMA = 33e6, 3145728, 0.8353974035228025
_A2, _ALPHA2 = 0.19584238398665638, 0.6707374679896795
_B, _BETA = 2.1241123120064955, 0.44660634152009615
_MILLION, _BILLION = 1e6, 1e9  # units of parameters and of tokens in approach 3


class _Row(NamedTuple):
    """A row of table 1: parameters, width, thousands of tokens by three approaches, FLOPs."""

    size: float
    width: int
    by_compute: float
    by_size: float
    by_loss: float
    flops: float

    @property
    def name(self) -> str:
        """Parameters, in billions."""
        return f"{self.size / _BILLION:.0f}B"


_ROWS = (
    _Row(3e9, 3200, 39, 43, 37, 1.3e21),
    _Row(7e9, 4096, 62, 67, 60, 7.1e21),
    _Row(13e9, 5120, 83, 91, 81, 2.4e22),
    _Row(30e9, 6048, 142, 154, 142, 1.3e23),
    _Row(70e9, 8192, 212, 231, 218, 7.1e23),
    _Row(130e9, 12888, 237, 258, 248, 2.4e24),
    _Row(300e9, 16384, 356, 389, 383, 1.3e25),
)
_WIDTH = "the width 12,888 is a misprint of 12,288, with which the number comes out"
_APPROACHES: Mapping[str, str] = {
    "by_compute": "growth with compute",
    "by_size": "growth with size",
    "by_loss": "least loss",
}

PUBLISHED = (
    *(
        Published(name=f"{name} {row.name}", says=f"vocabulary of {row.name}, {says}, thousands",
                  value=getattr(row, name), tolerance=1.0, source="table 1",
                  finding=_WIDTH if row.size == 130e9 else "")
        for row in _ROWS
        for name, says in _APPROACHES.items()
    ),
    *(
        near(f"flops {row.name}", f"compute at which {row.name} is best", row.flops,
             0.06 * row.flops, "table 1")
        for row in _ROWS
    ),
)  # fmt: skip


def _best_compute(size: float) -> float:
    """Compute at which a size is the best."""
    growth = library.find("tao2024").curve("best N").constants
    return (size / growth["k"]) ** (1 / growth["a"])


def _by_compute(size: float, flops: float) -> float:
    return float(library.find("tao2024").curve("best vocabulary").predict({"C": flops}))


def _by_size(size: float, flops: float) -> float:
    return _ITS_VOCABULARY * (size / _SMALL) ** _GAMMA


def _by_loss(size: float, flops: float) -> float:
    """Vocabulary parameters of least loss where 6 (N + N_v) D is the compute."""

    def slope(log_v: float) -> float:
        v = math.exp(log_v)
        tokens = flops / (6 * (size + v)) / _BILLION
        gained = _ALPHA2 * _A2 * (v / _MILLION) ** -_ALPHA2
        lost = _BETA * _B * tokens**-_BETA * v / (size + v)
        return lost - gained

    log_v: Any = brentq(slope, math.log(1e5), math.log(size))
    return math.exp(log_v)


_WAYS = {"by_compute": _by_compute, "by_size": _by_size, "by_loss": _by_loss}


def refit() -> Findings[None]:
    """Finds the best vocabulary of seven sizes in three ways."""
    values: dict[str, float] = {}
    for row in _ROWS:
        flops = _best_compute(row.size)
        values[f"flops {row.name}"] = flops
        for name, way in _WAYS.items():
            values[f"{name} {row.name}"] = way(row.size, flops) / row.width / 1e3
    seven = values["by_loss 70B"]
    return Findings(
        measured={name: Measured(value=value) for name, value in values.items()},
        verdict="All cells come out but for a misprinted width; 70B parameters deserve "
        f"{seven:.0f} thousand tokens by the least loss.",
        shown=_shown(),
    )


def _shown() -> pd.DataFrame:
    sizes = np.geomspace(1e8, 1e12, 33)
    return pd.DataFrame(
        {
            "parameters": sizes,
            **{
                says: [_WAYS[name](float(n), _best_compute(float(n))) for n in sizes]
                for name, says in _APPROACHES.items()
            },
        }
    )


def figure(findings: Findings[None]) -> Figure:
    """Draws vocabulary parameters over the others, as figure 1, with the rows of table 1."""
    shown = findings.shown
    with style.paper_figure(height=2.8) as (drawing, axes):
        ax = axes[0, 0]
        for (name, says), look in zip(_APPROACHES.items(), style.SERIES, strict=False):
            ax.plot(shown["parameters"], shown[says], **look.line(), label=says)
            ax.plot([row.size for row in _ROWS],
                    [1e3 * getattr(row, name) * row.width for row in _ROWS],
                    **look.marks(filled=False))  # fmt: skip
        ax.plot([], [], color=style.INK, marker="o", markerfacecolor="white", linestyle="none",
                label="table 1")  # fmt: skip
        ax.set(xscale="log", yscale="log", xlabel="parameters without the vocabulary",
               ylabel="vocabulary parameters")  # fmt: skip
        log_ticks(ax, "x", "y")
        style.legend_above(ax)
    return drawing
