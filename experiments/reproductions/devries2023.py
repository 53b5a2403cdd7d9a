"""How far a model can be shrunk before training it to the same loss costs too much.

Claim: half the best size costs a fifth more compute, a quarter of it nearly three times as much,
whatever the budget; LLaMA-7B and SantaCoder are far from the least size.
Paper: De Vries 2023, Go smol or go home (harmdevries.com/post/model-size-vs-compute-overhead), by
Hoffmann et al. 2022 (arXiv 2203.15556), equation 10 and table A3, with the exponents 0.336 and
0.283 for 0.34 and 0.28.
Command: scaling reproduce devries2023
Data: the four constants of that law; nothing else.
Refitted: the best size and tokens of his budgets, the tokens at which a smaller model has the same
loss, found by bisection, and the compute that this takes.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy.optimize import brentq

from analysis.plots import style
from analysis.plots.ticks import log_ticks
from analysis.published import library
from analysis.published.entry import Curve
from analysis.published.optimum import Best, best_model
from experiments.experiment import Findings, Measured
from experiments.reproductions.published import Published, near

DATA = "the constants of devries2023 in `scaling laws`"

_ENTRY = "devries2023"
_TABLE, _TEXT = "table of k_N", "section on LLaMA-7B and SantaCoder"
_BILLION = 1e9
_HALF = 5.1e-3  # of the second decimal, in billions
_DIGITS = 3e-6  # relative, where six digits are more than two decimals

_BEST: Mapping[float, tuple[float, float]] = {
    2.21e19: (0.40, 9.22),
    1.62e20: (0.99, 27.20),
    2.46e22: (9.87, 415.53),
    1e23: (18.73, 889.63),
    1.71e24: (68.60, 4154.24),
}
"""Budget: the best parameters and tokens, in billions."""

_SMALLER: Mapping[float, Mapping[float, tuple[float, float]]] = {
    0.5: {2.21e19: (0.20, 22.28), 1.62e20: (0.50, 65.70), 2.46e22: (4.93, 1003.77),
          1e23: (9.37, 2149.02), 1.71e24: (34.30, 10035.16)},
    0.3: {2.21e19: (0.12, 63.20), 1.62e20: (0.30, 186.35), 2.46e22: (2.96, 2847.27),
          1e23: (5.62, 6095.86), 1.71e24: (20.58, 28465.50)},
}  # fmt: skip
"""Share of the best size: parameters and tokens of the same loss, in billions."""

_OVERHEADS: Mapping[float, tuple[float, float]] = {
    0.75: (2.8, 0.06), 0.5: (20, 1), 0.25: (188, 1), 0.6: (10, 0.5), 0.4: (42, 2),
}  # fmt: skip
"""Share of the best size: compute in excess, in percent, and its tolerance."""


def _published() -> tuple[Published, ...]:
    found = []
    for flops, (n, d) in _BEST.items():
        found += [
            near(f"N {flops:.3g}", f"best parameters at {flops:.3g} FLOPs, 1e9", n, _HALF, _TABLE),
            near(f"D {flops:.3g}", f"best tokens at {flops:.3g} FLOPs, 1e9", d, _HALF, _TABLE),
        ]
    for share, cells in _SMALLER.items():
        for flops, (n, d) in cells.items():
            at = f"{share:g} of the size at {flops:.3g} FLOPs, 1e9"
            found += [
                near(f"N {share:g} {flops:.3g}", f"parameters, {at}", n, _HALF, _TABLE),
                near(
                    f"D {share:g} {flops:.3g}", f"tokens, {at}", d, max(_HALF, _DIGITS * d), _TABLE
                ),
            ]
    for share, (excess, tolerance) in _OVERHEADS.items():
        says = f"compute in excess at {share:g} of the best size, %"
        found.append(near(f"excess {share:g}", says, excess, tolerance, "The critical model size"))
    return (
        *found,
        Published(name="excess 0.3", says="compute in excess at 0.3 of the best size, %", value=100,
                  tolerance=2.0, source="The critical model size",
                  finding="he rounds 106 to 100"),
        near("LLaMA N", "best parameters for LLaMA-7B's compute, 1e9", 12.52, _HALF, _TEXT),
        near("LLaMA D", "best tokens for it, 1e9", 550, 2, _TEXT),
        near("LLaMA excess", "compute in excess at 0.57 of that size, %", 12, 0.6, _TEXT),
        near("LLaMA tokens", "tokens there, 1e9", 1088, 3, _TEXT),
        near("SantaCoder N", "best parameters for SantaCoder's compute, 1e9", 2.79, 0.01, _TEXT),
        near("SantaCoder D", "best tokens for it, 1e9", 93, 0.5, _TEXT),
        near("SantaCoder tokens", "tokens at 0.46 of that size, 1e9", 258, 1, _TEXT),
        Published(name="SantaCoder excess", says="compute in excess there, %", value=24,
                  tolerance=0.5, source=_TEXT,
                  finding="his own sizes and tokens there make 6 N D 28 % larger, as here"),
    )  # fmt: skip


PUBLISHED = _published()


def _loss(curve: Curve, n: float, d: float) -> float:
    return float(curve.predict({"N": n, "D": d}))


def _tokens_of_same_loss(curve: Curve, best: Best, share: float) -> float:
    """Tokens at which a share of the best size has the loss of the best model."""
    n, loss = share * best.parameters, best.loss
    assert loss is not None
    found: Any = brentq(lambda d: _loss(curve, n, d) - loss, best.tokens, 1e3 * best.tokens)
    return found


def _excess(curve: Curve, best: Best, share: float) -> float:
    """Compute in excess at a share of the best size, in percent."""
    return 100 * (share * _tokens_of_same_loss(curve, best, share) / best.tokens - 1)


def refit() -> Findings[Mapping[str, float]]:
    """Finds the best models, and what smaller ones of the same loss take."""
    entry = library.find(_ENTRY)
    curve = entry.curves[0]
    values: dict[str, float] = {}
    for flops in _BEST:
        best = best_model(entry, flops)
        values[f"N {flops:.3g}"] = best.parameters / _BILLION
        values[f"D {flops:.3g}"] = best.tokens / _BILLION
        for share in _SMALLER:
            values[f"N {share:g} {flops:.3g}"] = share * best.parameters / _BILLION
            tokens = _tokens_of_same_loss(curve, best, share)
            values[f"D {share:g} {flops:.3g}"] = tokens / _BILLION
    best = best_model(entry, 1e23)
    for share in (*_OVERHEADS, 0.3):
        values[f"excess {share:g}"] = _excess(curve, best, share)
    for name, flops, share in (("LLaMA", 4.14e22, 0.57), ("SantaCoder", 1.56e21, 0.46)):
        of = best_model(entry, flops)
        values[f"{name} N"] = of.parameters / _BILLION
        values[f"{name} D"] = of.tokens / _BILLION
        values[f"{name} tokens"] = _tokens_of_same_loss(curve, of, share) / _BILLION
        values[f"{name} excess"] = _excess(curve, of, share)
    shares = np.geomspace(0.22, 1.0, 40)
    shown = pd.DataFrame(
        {"share of the best size": shares,
         "excess compute (%)": [_excess(curve, best, float(share)) for share in shares],
         "tokens, times": [
             _tokens_of_same_loss(curve, best, float(share)) / best.tokens for share in shares]}
    )  # fmt: skip
    return Findings(
        measured={name: Measured(value=value) for name, value in values.items()},
        verdict="Every cell of his table comes out to six digits; two percentages of the text "
        "are rounded or off.",
        shown=shown,
        details=values,
    )


def figure(findings: Findings[Mapping[str, float]]) -> Figure:
    """Draws compute in excess and tokens over the share of the best size, as his figure."""
    shown = findings.shown
    with style.paper_figure(1, 2, height=2.5) as (drawing, axes):
        x = 100 * shown["share of the best size"]
        look = style.SERIES[0]
        axes[0, 0].plot(x, shown["excess compute (%)"], **look.line(), label="law")
        points = {**{share: value for share, (value, _) in _OVERHEADS.items()}, 0.3: 100.0}
        axes[0, 0].plot([100 * share for share in points], list(points.values()), color=style.INK,
                        marker="o", markerfacecolor="none", linestyle="none", label="his text"
        )  # fmt: skip
        axes[0, 0].set(xlabel="size, % of the best", ylabel="compute in excess (%)", ylim=(-5, 300))
        axes[0, 1].plot(x, shown["tokens, times"], **look.line(), label="law")
        marks = [
            (100 * share, cells[1e23][1] / _BEST[1e23][1]) for share, cells in _SMALLER.items()
        ]
        axes[0, 1].plot(*zip(*marks, strict=True), color=style.INK, marker="o",
                        markerfacecolor="none", linestyle="none", label="his table")  # fmt: skip
        axes[0, 1].set(xlabel="size, % of the best", ylabel="tokens, times the best", yscale="log")
        log_ticks(axes[0, 1], "y")
        for ax in axes[0]:
            style.legend_above(ax)
    return drawing
