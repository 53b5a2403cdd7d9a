"""What Kaplan's six trends imply: allocation, convergence, overfitting, and where they meet.

Claim: compute-efficient training stops a tenth above the converged loss, with a size that grows as
C^0.73; it saves 65 % of the compute of training to within 2 %.
Paper: Kaplan et al. 2020 (arXiv 2001.08361), sections 1, 4 and 6, appendices A and B.
Command: scaling reproduce kaplan2020
Data: the exponents and scales of tables 2, 5 and 6; runs are not released.
Refitted: the numbers that the text derives from them. Three do not follow: the exponent of compute
is 0.052, as in equation B.7, where section 6.2 prints 0.054, and what section 6.2 derives from it;
and the tokens of section 6.3 are twice what its own size gives. The meeting point of two trends is
said to an order of magnitude.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy.optimize import brentq

from analysis.plots import style
from analysis.plots.ticks import log_ticks
from analysis.published import library
from analysis.published.entry import UNITS
from experiments.experiment import Findings, Measured
from experiments.reproductions.published import Published, near

DATA = "tables 2, 5 and 6 of the paper: the constants of kaplan2020 in `scaling laws`"

_ALPHA_S = 0.76  # table 5: L(N, S)
_ALPHA_B = 0.21  # table 5: the critical batch over the loss
_EFFICIENT, _CONVERGED = 0.10, 0.02  # share of the loss above that of training without end
_DAY = UNITS["PF-days"]

PUBLISHED = (
    near("alpha C", "exponent of compute, from those of N, S and B", 0.052, 5e-4, "equation B.7"),
    Published(name="alpha C 6.2", says="the same", value=0.054, tolerance=5e-4,
              source="section 6.2", finding="equation B.7 has 0.052, which the exponents give"),
    Published(name="growth 6.2", says="exponent of the best size, alpha C / alpha N", value=0.71,
              tolerance=5e-3, source="section 6.2", finding="it follows from 0.054 instead"),
    near("above", "share above the converged loss, alpha N / alpha S", 0.10, 5e-3, "equation B.5"),
    near("N ratio", "size of efficient training over that to within 2 %", 2.7, 0.05, "B.12"),
    near("S ratio", "its steps over those", 0.13, 5e-3, "equation B.13"),
    near("C ratio", "its compute over that", 0.35, 0.01, "equation B.14"),
    near("saved", "compute saved, %", 65, 1, "appendix B.3"),
    near("fewer steps", "steps of converged training over its own", 7.7, 0.25, "appendix B.3"),
    near("small", "compute at 0.6 of the best size, times the least", 1.2, 0.05, "appendix B.4"),
    near("large", "compute at 2.2 times the best size, times the least", 1.2, 0.05, "appendix B.4"),
    near("large steps", "steps saved there, %", 45, 0.5, "appendix B.4"),
    near("B of L", "exponent of the critical batch over 1 / L", 4.8, 0.05, "section 6.1"),
    near("B of C", "exponent of the batch over compute", 0.24, 5e-3, "section 6.1, table 6"),
    near("S of C", "exponent of the steps over compute", 0.03, 5e-3, "section 6.1, table 6"),
    near("D of C", "exponent of the tokens over compute", 0.27, 5e-3, "table 6"),
    near("S scale", "steps at one PF-day", 5.4e3, 2e2, "table 6"),
    near("D scale", "tokens at one PF-day, at the critical batch", 2e10, 3e9, "table 6"),
    Published(name="D scale 6.3", says="the same", value=4e10, tolerance=5e9,
              source="section 6.3", finding="2 C / (6 N) at its N is half of it, as in table 6"),
    near("tenfold N", "size for ten times the compute, times", 5, 0.5, "figure 14"),
    near("tenfold D", "tokens for ten times the compute, times", 2, 0.5, "figure 14"),
    near("D of N", "exponent of the tokens that avoid overfitting over size", 0.74, 5e-3, "4.4"),
    near("D enough", "their number at N = 1", 5e3, 6e2, "equation 4.4: 0.02 above the loss"),
    near("eightfold", "tokens for eight times the size, times", 5, 0.5, "section 1.1"),
    near("WebText2", "largest size that 22e9 tokens train, 1e9", 1, 0.15, "section 4.3"),
    near("D of C 6.3", "exponent of those tokens over compute", 0.54, 5e-3, "section 6.3"),
    near("L of C 6.3", "exponent of the loss that data limit, over compute", 0.03, 5e-3, "6.3"),
    near("doubled", "loss of twice the size, times", 0.95, 5e-3, "section 1.2"),
    near("log C*", "log10 of the compute, in PF-days, where two trends meet", 4, 1.05, "6.3"),
    near("log N*", "log10 of the best size there", 12, 1, "section 6.3"),
    near("log D*", "log10 of its tokens", 12, 1, "section 6.3"),
    near("L*", "loss there (nats/token)", 1.7, 0.25, "section 6.3"),
)  # fmt: skip


def refit() -> Findings[Mapping[str, float]]:
    """Derives the numbers of the text from the trends."""
    entry = library.find("kaplan2020")
    n, d, c, joint, size, batch = (
        entry.curve(name).constants
        for name in ("L(N)", "L(D)", "L(C)", "L(N, D)", "best N", "batch")
    )
    measured = _efficient(n["alpha"]) | _growth(c["alpha"], size, batch)
    measured |= _overfitting(joint) | _meeting(c, d, size)
    measured["doubled"] = 2 ** -n["alpha"]
    measured["growth 6.2"] = measured["alpha C"] / n["alpha"]
    measured["D of C 6.3"] = size["a"] * joint["alpha"] / joint["beta"]
    measured["L of C 6.3"] = d["alpha"] * (1 - size["a"])
    return Findings(
        measured={name: Measured(value=value) for name, value in measured.items()},
        verdict=f"The trends give an exponent of compute of {measured['alpha C']:.3f} and meet at "
        f"10^{measured['log C*']:.1f} PF-days; of the text's numbers three do not follow.",
        shown=_shown(c, d, size),
        details=measured,
    )


def _efficient(alpha_n: float) -> dict[str, float]:
    """Appendix B: efficient training beside training to convergence and at other sizes."""
    exponent = 1 / (1 / _ALPHA_S + 1 / _ALPHA_B + 1 / alpha_n)
    more = ((1 + _EFFICIENT) / (1 + _CONVERGED)) ** (1 / alpha_n)
    fewer = ((1 + 1 / _EFFICIENT) / (1 + 1 / _CONVERGED)) ** (1 / _ALPHA_S)

    def steps(share: float) -> float:
        """Steps at a share of the best size, over those at the best: equation B.17."""
        bracket = 1 + _ALPHA_S / alpha_n * (1 - share**-alpha_n)
        return bracket ** (-1 / _ALPHA_S)

    return {
        "alpha C": exponent,
        "alpha C 6.2": exponent,
        "above": alpha_n / _ALPHA_S,
        "N ratio": more,
        "S ratio": fewer,
        "C ratio": more * fewer,
        "saved": 100 * (1 - more * fewer),
        "fewer steps": 1 / fewer,
        "small": 0.6 * steps(0.6),
        "large": 2.2 * steps(2.2),
        "large steps": 100 * (1 - steps(2.2)),
    }


def _growth(
    alpha_c: float, size: Mapping[str, float], batch: Mapping[str, float]
) -> dict[str, float]:
    """Section 6.1 and table 6: C = 6 N B S shared out."""
    grows = alpha_c / _ALPHA_B
    twice = 2 * _DAY / (6 * size["k"])
    return {
        "B of L": 1 / _ALPHA_B,
        "B of C": grows,
        "S of C": 1 - size["a"] - grows,
        "D of C": 1 - size["a"],
        "S scale": _DAY / (6 * size["k"] * batch["k"]),
        "D scale": twice,
        "D scale 6.3": twice,
        "tenfold N": 10 ** size["a"],
        "tenfold D": 10 ** (1 - size["a"]),
    }


def _overfitting(joint: Mapping[str, float]) -> dict[str, float]:
    """Section 4: the tokens with which a size stays within 2 % of its loss without limit."""
    power = joint["alpha"] / joint["beta"]
    room = (1 + 0.02) ** (1 / joint["beta"]) - 1
    enough = joint["D_c"] / joint["N_c"] ** power / room
    return {
        "D of N": power,
        "D enough": enough,
        "eightfold": 8**power,
        "WebText2": (2.2e10 / enough) ** (1 / power) / 1e9,
    }


def _data_limit(
    flops: float, d: Mapping[str, float], size: Mapping[str, float]
) -> tuple[float, float]:
    """Tokens of efficient training at some PF-days, and the loss that so many allow."""
    tokens = 2 * _DAY * flops / (6 * size["k"] * flops ** size["a"])
    return tokens, (d["D_c"] / tokens) ** d["alpha"]


def _meeting(
    c: Mapping[str, float], d: Mapping[str, float], size: Mapping[str, float]
) -> dict[str, float]:
    """Section 6.3: where efficient training would do better than its tokens allow."""

    def gap(log_flops: float) -> float:
        flops = 10**log_flops
        return c["alpha"] * math.log(c["C_c"] / flops) - math.log(_data_limit(flops, d, size)[1])

    log_flops: Any = brentq(gap, 0, 12)
    flops = 10**log_flops
    return {
        "log C*": log_flops,
        "log N*": math.log10(size["k"] * flops ** size["a"]),
        "log D*": math.log10(_data_limit(flops, d, size)[0]),
        "L*": (c["C_c"] / flops) ** c["alpha"],
    }


def _shown(
    c: Mapping[str, float], d: Mapping[str, float], size: Mapping[str, float]
) -> pd.DataFrame:
    flops = np.geomspace(1e-8, 1e8, 49)
    limits = [_data_limit(float(each), d, size) for each in flops]
    return pd.DataFrame(
        {
            "PF-days": flops,
            "L(C)": (c["C_c"] / flops) ** c["alpha"],
            "L(D(C))": [loss for _, loss in limits],
            "tokens": [tokens for tokens, _ in limits],
            "parameters": size["k"] * flops ** size["a"],
        }
    )


def figure(findings: Findings[Mapping[str, float]]) -> Figure:
    """Draws where the trends meet, as figure 15, and size and tokens over compute, as figure 14."""
    shown, found = findings.shown, findings.details
    with style.paper_figure(1, 2, height=2.6) as (drawing, axes):
        labels = {"L(C)": "$L(C)$", "L(D(C))": "$L(D(C))$"}
        for (name, label), look in zip(labels.items(), style.SERIES, strict=False):
            axes[0, 0].plot(shown["PF-days"], shown[name], **look.line(), label=label)
        axes[0, 0].plot([10 ** found["log C*"]], [found["L*"]], color=style.INK, marker="o",
                        linestyle="none", label="they meet")  # fmt: skip
        axes[0, 0].plot([1e4], [1.7], color=style.INK, marker="o", markerfacecolor="none",
                        linestyle="none", label="section 6.3")  # fmt: skip
        axes[0, 0].set(xscale="log", yscale="log", xlabel="compute (PF-days)",
                       ylabel="loss (nats/token)")  # fmt: skip
        for name, look in zip(("parameters", "tokens"), style.SERIES[2:], strict=False):
            axes[0, 1].plot(shown["PF-days"], shown[name], **look.line(), label=name)
        axes[0, 1].set(xscale="log", yscale="log", xlabel="compute (PF-days)",
                       ylabel="of the best model")  # fmt: skip
        log_ticks(axes[0, 0], "x", "y")
        log_ticks(axes[0, 1], "x", "y")
        for ax in axes[0]:
            style.legend_above(ax)
    return drawing
