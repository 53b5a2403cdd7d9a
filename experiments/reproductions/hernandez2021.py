"""What pre-training is worth, extrapolated to a model of GPT-3's size.

Claim: to a model of 175B parameters text is worth 3.7e8 characters of Python, text and code 4.1e9;
300 characters of Python multiply the first by 2.8 and the second by 1.7.
Paper: Hernandez et al. 2021, Scaling Laws for Transfer (arXiv 2102.01293), equations 1.1 and 1.2,
table 1, sections 1.1 and 6.2.
Command: scaling reproduce hernandez2021
Data: the constants of table 1; losses are not released.
Refitted: the law at the points of the text, and how much data a larger model replaces. The example
of figure 1, a thousand times the data, is a measurement: the law gives 475 times.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analysis.plots import style
from analysis.plots.ticks import log_ticks
from analysis.published import library
from experiments.experiment import Findings, Measured
from experiments.reproductions.published import Published
from experiments.reproductions.rounding import left_open

DATA = "table 1 of the paper: the constants of hernandez2021 in `scaling laws`"

_GPT3 = 1.75e11
_TEXT, _CODE = "text to Python", "text and code to Python"
_HALF: Mapping[str, Mapping[str, float]] = {
    _TEXT: {"k": 5e2, "alpha": 5e-3, "beta": 5e-3},
    _CODE: {"k": 5e3, "alpha": 5e-4, "beta": 5e-3},
}


def _number(name: str, says: str, value: float, half: float, source: str) -> Published:
    return Published(name=name, says=says, value=value, tolerance=half, covered=True, source=source)


PUBLISHED = (
    _number("text", "worth of text to 175B parameters, characters", 3.7e8, 5e6, "section 6.2"),
    _number("code", "worth of text and code to them, characters", 4.1e9, 5e7, "section 6.2"),
    _number("text 300", "the first with 300 characters, times", 2.8, 0.05, "section 6.2"),
    _number("code 300", "the second with 300 characters, times", 1.7, 0.05, "section 6.2"),
    _number("tenfold", "data that a model ten times larger replaces, times", 100, 50,
            "section 1.1: beta is about 2 alpha"),
    Published(name="example", says="data in effect over 3e5 characters, 40M parameters",
              value=1000, tolerance=100, source="figure 1",
              finding="the figure shows a measurement, which the law halves"),
)  # fmt: skip

Constants = Mapping[str, float]


def _worth(c: Constants, data: float, size: float) -> float:
    return c["k"] * data ** c["alpha"] * size ** c["beta"]


def refit() -> Findings[None]:
    """Evaluates the law at the points of the text."""
    entry = library.find("hernandez2021")
    text, code = (dict(entry.curve(name).constants) for name in (_TEXT, _CODE))
    measured: dict[str, Measured] = {}
    for name, constants, half in (("text", text, _HALF[_TEXT]), ("code", code, _HALF[_CODE])):
        measured[name] = left_open(lambda c: _worth(c, 1, _GPT3), constants, half)
        measured[f"{name} 300"] = left_open(
            lambda c: _worth(c, 300, _GPT3) / _worth(c, 1, _GPT3), constants, half
        )
    measured["tenfold"] = left_open(lambda c: 10 ** (c["beta"] / c["alpha"]), text, _HALF[_TEXT])
    example = (_worth(text, 3e5, 4e7) + 3e5) / 3e5
    measured["example"] = Measured(value=example)
    return Findings(
        measured=measured,
        verdict=f"Text is worth {measured['text'].value:.3g} characters to a model of GPT-3's "
        f"size; a model of 40M parameters has {example:.0f} times its 3e5 characters.",
        shown=_shown(text, code),
    )


def _shown(text: Constants, code: Constants) -> pd.DataFrame:
    return pd.DataFrame(
        {"pre-training": name, "parameters": size, "D_F": data, "D_T": _worth(c, data, size)}
        for name, c in ((_TEXT, text), (_CODE, code))
        for size in (1e6, 4e7, 1e9)
        for data in np.geomspace(1e5, 1e9, 9)
    )


def figure(findings: Findings[None]) -> Figure:
    """Draws the worth of pre-training over the data, by size, as figure 2."""
    with style.paper_figure(1, 2, height=2.5) as (drawing, axes):
        for ax, (name, rows) in zip(axes[0], findings.shown.groupby("pre-training", sort=False),
                                    strict=True):  # fmt: skip
            for (size, of), look in zip(rows.groupby("parameters"), style.SERIES, strict=False):
                millions = float(str(size)) / 1e6
                ax.plot(of["D_F"], of["D_T"], **look.line(), label=f"{millions:,.0f}M parameters")
            ax.plot([1e5, 1e9], [1e5, 1e9], color=style.GREY, linestyle=":", label="$D_T = D_F$")
            ax.set(xscale="log", yscale="log", xlabel="$D_F$, characters of Python",
                   ylabel="$D_T$, characters", ylim=(1e5, 5e10))  # fmt: skip
            ax.set_title(str(name), fontsize=8)
            log_ticks(ax, "x", "y")
        style.outer_legend(drawing, axes[0, :1], "outside lower center", 4)
    return drawing
