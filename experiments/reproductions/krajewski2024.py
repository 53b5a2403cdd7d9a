"""The best granularity of experts follows from the law and the price of routing.

Claim: experts of finer grain pay, the more the larger the budget; at 1e20 FLOPs a mixture is as
good as a dense model of twenty times the compute, from 1e25 on of more than forty times.
Paper: Krajewski et al. 2024 (arXiv 2402.07871), equations 9 and 10, tables 1 and 2, figure 1.
Command: scaling reproduce krajewski2024
Data: the constants of table 1; runs are not released.
Refitted: for each budget of table 2 the size, the tokens and the granularity of least loss, with 6
FLOPs a parameter and 14 a weight of the router (appendix E), widths of 64 times the depth, and 64
experts of expansion. Numbers agree within what the rounding of the constants leaves; the exponents
have three digits, which move a size by a few percent.
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.optimize import brentq, minimize_scalar

from analysis.plots import style
from analysis.plots.ticks import log_ticks
from analysis.published import library
from experiments.experiment import Findings, Measured
from experiments.reproductions.published import Published
from experiments.reproductions.rounding import left_open

DATA = "table 1 of the paper: the constants of krajewski2024 in `scaling laws`"

_EXPERTS = 64  # expansion
_BODY, _ROUTER = 6, 14  # FLOPs a parameter and token, forward and backward
_ASPECT = 64  # width over depth
_GRAINS = tuple(2**power for power in range(9))
_HALF_DENSE = {"E": 5e-3, "A": 0.05, "alpha": 5e-4, "B": 0.05, "beta": 5e-4}
_HALF = {"E": 5e-3, "a": 0.05, "alpha": 5e-4, "b": 0.05, "beta": 5e-4, "g": 0.05, "gamma": 5e-3}


class _Row(NamedTuple):
    """A row of table 2: active parameters, tokens and half their last digit, grain, FLOPs, loss."""

    active: float
    tokens: float
    half: float
    grain: int
    flops: float
    loss: float


_ROWS = (
    _Row(1e8, 4.37e9, 5e6, 8, 2.95e18, 3.133),
    _Row(1e9, 28.94e9, 5e6, 16, 1.93e20, 2.491),
    _Row(3e9, 72.90e9, 5e6, 16, 1.41e21, 2.245),
    _Row(7e9, 137.60e9, 5e6, 32, 6.46e21, 2.076),
    _Row(7e10, 941.07e9, 5e6, 32, 4.16e23, 1.694),
    _Row(3e11, 2.96e12, 5e9, 64, 5.69e24, 1.503),
    _Row(1e12, 7.94e12, 5e9, 64, 4.97e25, 1.367),
)


def _published(row: _Row) -> tuple[Published, ...]:
    budget, source = f"{row.flops:.3g} FLOPs", "table 2"
    return (
        Published(name=f"loss {budget}", says=f"least loss at {budget}", value=row.loss,
                  tolerance=5e-4, covered=True, source=source),
        Published(name=f"D {budget}", says=f"best tokens at {budget}", value=row.tokens,
                  tolerance=row.half, covered=True, source=source),
        Published(name=f"N {budget}", says=f"best active parameters at {budget}", value=row.active,
                  covered=True, source=source),
        Published(name=f"G {budget}", says=f"best granularity at {budget}", value=row.grain,
                  tolerance=0.0, source=source),
    )  # fmt: skip


PUBLISHED = (
    *(each for row in _ROWS for each in _published(row)),
    Published(name="20", says="compute of a dense model as good, at 1e20 FLOPs", value=20,
              tolerance=0.5, covered=True, source="figure 1"),
    Published(name="40", says="the same at 1e25 FLOPs", value=40, tolerance=0.5, covered=True,
              source="figure 1"),
)  # fmt: skip


class _Best(NamedTuple):
    """The best mixture of a budget: active parameters, tokens, granularity, loss."""

    active: float
    tokens: float
    grain: int
    loss: float


def _loss(constants: Mapping[str, float], total: float, tokens: float, grain: float) -> float:
    c = constants
    of_n = (c["g"] * grain ** -c["gamma"] + c["a"]) * total ** -c["alpha"]
    return c["E"] + of_n + c["b"] * tokens ** -c["beta"]


def _best_of_grain(constants: Mapping[str, float], flops: float, grain: int) -> _Best:
    """The best size at one granularity; equation 10 gives the tokens."""

    def at(log_active: float) -> _Best:
        depth = (math.exp(log_active) / (12 * _ASPECT**2)) ** (1 / 3)
        width = _ASPECT * depth
        per_token = (12 * width**2 * _BODY + width * _EXPERTS * grain * _ROUTER) * depth
        tokens = flops / per_token
        total = width**2 * (8 * _EXPERTS + 4) * depth
        loss = _loss(constants, total, tokens, grain)
        return _Best(math.exp(log_active), tokens, grain, loss)

    ends = (math.log(1e5), math.log(1e15))
    found: Any = minimize_scalar(lambda x: at(x).loss, bounds=ends, options={"xatol": 1e-9})
    return at(found.x)


def _best(constants: Mapping[str, float], flops: float) -> _Best:
    grains = (_best_of_grain(constants, flops, grain) for grain in _GRAINS)
    return min(grains, key=lambda best: best.loss)


def _dense_loss(constants: Mapping[str, float], flops: float) -> float:
    c, product = constants, flops / _BODY
    g = (c["alpha"] * c["A"] / (c["beta"] * c["B"])) ** (1 / (c["alpha"] + c["beta"]))
    n = g * product ** (c["beta"] / (c["alpha"] + c["beta"]))
    return c["E"] + c["A"] * n ** -c["alpha"] + c["B"] * (product / n) ** -c["beta"]


def _dense_factor(
    mixture: Mapping[str, float], dense: Mapping[str, float], flops: float
) -> Measured:
    """Compute of the dense model that is as good as the best mixture, over the mixture's."""

    def factor(constants: Mapping[str, float]) -> float:
        loss = _best({name: constants[f"mixture {name}"] for name in mixture}, flops).loss
        of_dense = {name: constants[f"dense {name}"] for name in dense}
        log: Any = brentq(
            lambda log: _dense_loss(of_dense, math.exp(log) * flops) - loss, -3, math.log(1e6)
        )
        return math.exp(log)

    both = {"mixture": (mixture, _HALF), "dense": (dense, _HALF_DENSE)}
    constants = {f"{kind} {name}": c[name] for kind, (c, _) in both.items() for name in c}
    half = {f"{kind} {name}": h[name] for kind, (_, h) in both.items() for name in h}
    return left_open(factor, constants, half)


def refit() -> Findings[Mapping[str, Mapping[str, float]]]:
    """Finds the best mixture of every budget of the table, and the dense model as good."""
    entry = library.find("krajewski2024")
    mixture, dense = (dict(entry.curve(name).constants) for name in ("mixture", "dense"))
    measured: dict[str, Measured] = {}
    for row in _ROWS:
        budget, grain = f"{row.flops:.3g} FLOPs", _best(mixture, row.flops).grain
        for name, of in (("loss", "loss"), ("D", "tokens"), ("N", "active")):
            measured[f"{name} {budget}"] = left_open(
                lambda constants, of=of, row=row, grain=grain: getattr(
                    _best_of_grain(constants, row.flops, grain), of
                ),
                mixture,
                _HALF,
            )
        measured[f"G {budget}"] = Measured(value=float(grain))
    measured["20"] = _dense_factor(mixture, dense, 1e20)
    measured["40"] = _dense_factor(mixture, dense, 1e25)
    best = [_best(mixture, row.flops) for row in _ROWS]
    worth = ", ".join(
        f"{found.value:.0f} [{found.low:.0f}, {found.high:.0f}] at 1e{power} FLOPs"
        for power, found in ((20, measured["20"]), (25, measured["40"]))
    )
    loss = max(abs(found.loss / row.loss - 1) for found, row in zip(best, _ROWS, strict=True))
    return Findings(
        measured=measured,
        verdict=f"All seven best granularities come out, and losses within {loss:.1%}, which is "
        "what rounding the exponents to three digits can move. It leaves open how many times the "
        f"compute a dense model as good takes: {worth}.",
        shown=_shown(mixture, dense),
        details={"mixture": mixture, "dense": dense},
    )


def _shown(mixture: Mapping[str, float], dense: Mapping[str, float]) -> pd.DataFrame:
    rows = []
    for flops in np.geomspace(1e18, 1e26, 33):
        best, coarse = _best(mixture, flops), _best_of_grain(mixture, flops, 1)
        rows.append(
            {
                "flops": flops,
                "mixture": best.loss,
                "mixture, G = 1": coarse.loss,
                "dense": _dense_loss(dense, flops),
                "G": best.grain,
                "active parameters": best.active,
                "tokens": best.tokens,
            }
        )
    return pd.DataFrame(rows)


def figure(findings: Findings[Mapping[str, Mapping[str, float]]]) -> Figure:
    """Draws the least loss over compute, as figure 1, and the best size, tokens and grain."""
    shown = findings.shown
    with style.paper_figure(1, 2, height=2.7) as (drawing, axes):
        _draw_losses(axes[0, 0], shown)
        _draw_best(axes[0, 1], shown)
    return drawing


def _draw_losses(ax: Axes, shown: pd.DataFrame) -> None:
    for name, look in zip(("mixture", "mixture, G = 1", "dense"), style.SERIES, strict=False):
        ax.plot(shown["flops"], shown[name], **look.line(), label=name.replace("G", "$G$"))
    ax.plot([row.flops for row in _ROWS], [row.loss for row in _ROWS], color=style.INK, marker="o",
            markerfacecolor="none", linestyle="none", label="table 2")  # fmt: skip
    ax.set(xscale="log", yscale="log", xlabel="training FLOPs", ylabel="loss (nats/token)")
    ax.set_yticks([1.5, 2, 3, 4], ["1.5", "2", "3", "4"])
    ax.minorticks_off()
    log_ticks(ax, "x")
    style.legend_above(ax)


def _draw_best(ax: Axes, shown: pd.DataFrame) -> None:
    looks = zip(("active parameters", "tokens"), style.SERIES[3:], strict=False)
    for (name, look), of in zip(looks, ("active", "tokens"), strict=True):
        ax.plot(shown["flops"], shown[name], **look.line(), label=name)
        ax.plot([row.flops for row in _ROWS], [getattr(row, of) for row in _ROWS],
                color=look.color, marker="o", markerfacecolor="none", linestyle="none")  # fmt: skip
    for row in _ROWS:
        ax.annotate(f"$G$ = {row.grain}", (row.flops, row.active), textcoords="offset points",
                    xytext=(4, -9), fontsize=6, color=style.INK)  # fmt: skip
    ax.plot([], [], color=style.INK, marker="o", markerfacecolor="none", linestyle="none",
            label="table 2")  # fmt: skip
    ax.set(xscale="log", yscale="log", xlabel="training FLOPs", ylabel="parameters, tokens")
    log_ticks(ax, "x", "y")
    style.legend_above(ax)
