"""Size in FLOPs a token: what parameters, with or without the vocabulary, get wrong.

Claim: 6 times the parameters without embeddings are down to 0.43 of the FLOPs that a token takes,
and 6 times all of them up to 1.32; batch and learning rate of the 7B and 67B models follow from
compute.
Paper: DeepSeek-AI (Bi et al.) 2024, DeepSeek LLM (arXiv 2401.02954), tables 2 and 3, figures 3 and
4.
Command: scaling reproduce bi2024
Data: the shapes of tables 2 and 3, and the constants of equations 1 and 4.
Refitted: parameters and FLOPs a token of seven shapes from layers, width, vocabulary and context,
counted as everywhere in this project; batch, learning rate, size and tokens from the equations. The
67B model has grouped keys and values and its own inner width, which its FLOPs count.
"""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.plots import style
from analysis.plots.ticks import log_ticks
from analysis.published import library
from analysis.published.conversions import Shape
from experiments.experiment import Findings, Measured
from experiments.reproductions.published import Published, near

DATA = "shapes of tables 2 and 3 of the paper, and the constants of bi2024 in `scaling laws`"

_VOCABULARY, _CONTEXT = 102400, 4096


class _Row(NamedTuple):
    """A row of table 3: layers, width, N without and with embeddings, M, 6 N / M of either."""

    layers: int
    width: int
    blocks: float
    whole: float
    per_token: float
    low: float
    high: float

    @property
    def name(self) -> str:
        """Layers and width."""
        return f"{self.layers} x {self.width}"


_ROWS = (
    _Row(8, 512, 25.2e6, 77.6e6, 352e6, 0.43, 1.32),
    _Row(12, 768, 84.9e6, 164e6, 963e6, 0.53, 1.02),
    _Row(24, 1024, 302e6, 407e6, 3.02e9, 0.60, 0.81),
    _Row(24, 2048, 1.21e9, 1.42e9, 9.66e9, 0.75, 0.88),
    _Row(32, 4096, 6.44e9, 6.86e9, 45.1e9, 0.85, 0.91),
    _Row(40, 5120, 12.6e9, 13.1e9, 85.6e9, 0.88, 0.92),
    _Row(80, 8192, 64.4e9, 65.3e9, 419e9, 0.92, 0.94),
)

_DIGITS = 0.0051  # relative: half of the third digit, at most


def _published(row: _Row) -> tuple[Published, ...]:
    def cell(name: str, says: str, value: float, tolerance: float) -> Published:
        return near(f"{name} {row.name}", f"{says}, {row.name}", value, tolerance, "table 3")

    return (
        cell("N1", "parameters without embeddings", row.blocks, _DIGITS * row.blocks),
        cell("N2", "parameters with the vocabulary", row.whole, _DIGITS * row.whole),
        cell("M", "FLOPs a token", row.per_token, _DIGITS * row.per_token),
        replace(
            cell("low", "6 N without embeddings over M", row.low, 0.0055),
            finding="0.857 is printed as 0.85" if row.width == 4096 else "",
        ),
        cell("high", "6 N with the vocabulary over M", row.high, 0.0055),
    )


PUBLISHED = (
    *(each for row in _ROWS for each in _published(row)),
    near("batch 7B", "batch of the 7B model, tokens", 9.2e6, 1e5, "figure 3"),
    near("rate 7B", "its learning rate", 4.2e-4, 5e-6, "table 2"),
    near("batch 67B", "batch of the 67B model, tokens", 19.7e6, 1e5, "figure 3"),
    near("rate 67B", "its learning rate", 3.2e-4, 5e-6, "table 2"),
    near("best M", "best FLOPs a token at 4.5e23 FLOPs", 4.3e11, 5e9, "figure 4"),
    near("best D", "best tokens there", 1.04e12, 1e10, "figure 4"),
)

_TOKENS = 2e12  # of both models, table 2
_SMALL = (30, 4096)  # layers and width of the 7B model, table 2
_LARGE = (95, 8192)  # of the 67B model
_KEYS, _INNER = 8 * 128, 22016  # its width of keys and of values, and of its feed-forward layers


def _shape(layers: int, width: int, vocabulary: int = _VOCABULARY) -> Shape:
    return Shape(layers=layers, width=width, vocabulary=vocabulary, context=_CONTEXT)


def _without_vocabulary(layers: int, width: int) -> float:
    """FLOPs a token of the blocks alone, their attention counted in full."""
    return _shape(layers, width, vocabulary=0).flops_per_token()


def _flops() -> dict[str, float]:
    """FLOPs of the two models, without embeddings."""
    layers, width = _LARGE
    weights = 2 * width**2 + 2 * width * _KEYS + 3 * width * _INNER
    attention = _without_vocabulary(*_LARGE) - 6 * _shape(*_LARGE).parameters("non_embedding")
    large = 6 * layers * weights + attention
    return {"7B": _without_vocabulary(*_SMALL) * _TOKENS, "67B": large * _TOKENS}


def refit() -> Findings[None]:
    """Counts the shapes of table 3, and evaluates the equations at the two models."""
    values: dict[str, float] = {}
    for row in _ROWS:
        shape, per_token = _shape(row.layers, row.width), _without_vocabulary(row.layers, row.width)
        blocks, whole = shape.parameters("non_embedding"), shape.parameters("total")
        values |= {
            f"N1 {row.name}": blocks,
            f"N2 {row.name}": whole,
            f"M {row.name}": per_token,
            f"low {row.name}": 6 * blocks / per_token,
            f"high {row.name}": 6 * whole / per_token,
        }
    entry = library.find("bi2024")
    for name, flops in _flops().items():
        values[f"batch {name}"] = float(entry.curve("batch").predict({"C": flops}))
        values[f"rate {name}"] = float(entry.curve("learning rate").predict({"C": flops}))
    for name in ("best M", "best D"):
        values[name] = float(entry.curve(name).predict({"C": 4.5e23}))
    return Findings(
        measured={name: Measured(value=value) for name, value in values.items()},
        verdict="Counts and ratios of all seven shapes come out, and the settings of both models.",
        shown=_shown(),
    )


def _shown() -> pd.DataFrame:
    entry = library.find("bi2024")
    flops = np.geomspace(1e17, 1e25, 33)
    return pd.DataFrame(
        {
            "flops": flops,
            "batch": entry.curve("batch").predict({"C": flops}),
            "learning rate": entry.curve("learning rate").predict({"C": flops}),
            "best M": entry.curve("best M").predict({"C": flops}),
            "best D": entry.curve("best D").predict({"C": flops}),
        }
    )


def figure(findings: Findings[None]) -> Figure:
    """Draws the ratios of table 3 over size, and batch and rate over compute as figure 3."""
    with style.paper_figure(1, 3, height=2.5) as (drawing, axes):
        _draw_ratios(axes[0, 0], findings)
        shown = findings.shown
        for ax, name, unit, marks in (
            (axes[0, 1], "batch", "batch (tokens)", (9.2e6, 19.7e6)),
            (axes[0, 2], "learning rate", "learning rate", (4.2e-4, 3.2e-4)),
        ):
            ax.plot(shown["flops"], shown[name], **style.SERIES[0].line(), label="equation 1")
            ax.plot(list(_flops().values()), marks, color=style.INK, marker="*", markersize=6,
                    linestyle="none", label="7B, 67B")  # fmt: skip
            ax.set(xscale="log", yscale="log", xlabel="FLOPs without embeddings", ylabel=unit)
            log_ticks(ax, "x", "y", most=5)
            style.legend_above(ax)
    return drawing


def _draw_ratios(ax: Axes, findings: Findings[None]) -> None:
    sizes = [row.per_token for row in _ROWS]
    names = {"low": "without embeddings", "high": "with the vocabulary"}
    for (name, label), look in zip(names.items(), style.SERIES, strict=False):
        found = [findings.measured[f"{name} {row.name}"].value or np.nan for row in _ROWS]
        ax.plot(sizes, found, **look.line(), label=label)
        ax.plot(sizes, [getattr(row, name) for row in _ROWS], **look.marks(filled=False))
    ax.axhline(1, color=style.GREY, linewidth=0.6)
    ax.set(xscale="log", xlabel="FLOPs a token, $M$", ylabel="$6N/M$")
    log_ticks(ax, "x", most=5)
    style.legend_above(ax, n_columns=1)
