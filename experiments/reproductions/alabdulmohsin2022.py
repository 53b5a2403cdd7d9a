"""Laws are judged by their predictions: M1 to M4 on learning curves of translation models.

Claim: of four laws of one variable, the one with a floor and a ceiling (M4) predicts best how a
learning curve goes on.
Paper: Alabdulmohsin, Neyshabur, Zhai 2022 (arXiv 2209.06640), and its code and data
(google-research/revisiting_neural_scaling_laws). Published are the errors that the authors' code
gives on the data, not numbers that the paper prints.
Command: scaling reproduce alabdulmohsin2022
Data: five curves of neural machine translation; their last point is held out.
Refitted: the RMSLE of the held-out points. M1, M2 and M4 as their authors fit them, by the squared
error of log(y - e): it has several minima in the floor e, and they take the highest, from which
their descent starts, though on three of the five curves M2 lies lower with no floor at all. Their
M4 moves its ceiling of 1 a little, ours keeps it, hence 3 %. M3 by the least squared error of
log y, where theirs is a search on a grid; ours must be no worse. Last, a law that we choose without
the held-out point is compared with the best of the four, which is chosen with it.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.optimize import elementwise

from analysis.estimate import Bootstrap, Floats
from analysis.fitting.fit import fit
from analysis.fitting.highest_floor import highest_floor
from analysis.fitting.ranking import rank
from analysis.fitting.ranking_result import RankedLaw
from analysis.laws import DELAYED_POWER_LAW, LAWS, POWER_LAW
from analysis.plots import style, ticks
from experiments.experiment import Findings, Measured
from experiments.reproductions import data
from experiments.reproductions.published import Published

DATA = data.LEARNING_CURVES

_PUBLISHED_ERRORS = {
    "28 Enc, 6 Dec": (0.171, 0.0564, 0.0337, 0.0181),
    "6 Enc, 28 Dec": (0.234, 0.0527, 0.0165, 0.0444),
    "6 Enc, 6 Dec": (0.262, 0.0384, 0.0892, 0.0205),
    "Dec-only": (0.252, 0.0103, 0.0328, 0.00843),
    "TEnc-LSTM": (0.190, 0.0126, 0.0632, 0.0126),
}
_LAWS = ("M1", "M2", "M3", "M4")
_CHOSEN = "ours, chosen blind"
_SOURCE = "the authors' code on their data"
_FLOOR_BELOW = 1e-3  # the highest floor lies this far below the least loss fitted
_CEILING = 1.0  # of M4


def _published(curve: str) -> Sequence[Published]:
    errors = dict(zip(_LAWS, _PUBLISHED_ERRORS[curve], strict=True))
    # Half a unit of the last digit, but for M3 and M4 (see the card).
    tolerances = {"M1": 5e-4, "M2": 5e-5, "M4": 0.03 * errors["M4"]}
    return [
        *(
            Published(
                name=f"{curve}: {law}",
                says=f"RMSLE of {curve}, {law}",
                value=error,
                source=_SOURCE,
                tolerance=tolerances.get(law),
                high=error,
            )
            for law, error in errors.items()
        ),
        Published(
            name=f"{curve}: {_CHOSEN}",
            says=f"RMSLE of {curve}, {_CHOSEN}",
            value=min(errors.values()),
            high=min(errors.values()),
            source=f"{_SOURCE}: the best of M1 to M4",
        ),
    ]


PUBLISHED = tuple(each for curve in _PUBLISHED_ERRORS for each in _published(curve))


class _Curve(NamedTuple):
    """A learning curve: examples and losses to fit, and those held out."""

    x: Floats
    y: Floats
    held_x: Floats
    held_y: Floats


_Predict = Callable[["Floats"], "Floats"]


class Details(NamedTuple):
    """What the figure draws."""

    curves: dict[str, _Curve]
    laws: dict[str, dict[str, _Predict]]
    measured: dict[str, Measured]


def refit(table: pd.DataFrame) -> Findings[Details]:
    """Fits every law to every curve, and scores it on the points held out."""
    curves = {name: _curve(table, name) for name in _PUBLISHED_ERRORS}
    chosen = {name: _chosen(curve) for name, curve in curves.items()}
    laws: dict[str, dict[str, _Predict]] = {}
    measured: dict[str, Measured] = {}
    for name, curve in curves.items():
        best = chosen[name]
        assert best.fit is not None
        laws[name] = {
            "M1": fit(POWER_LAW, curve.x, curve.y, bootstrap=Bootstrap(n=200)).predict,
            "M2": _with_floor(curve, ceiling=None),
            "M3": fit(DELAYED_POWER_LAW, curve.x, curve.y, bootstrap=Bootstrap(n=200)).predict,
            "M4": _with_floor(curve, ceiling=_CEILING),
            _CHOSEN: best.fit.predict,
        }
        for law, predict in laws[name].items():
            error = float(np.sqrt(np.mean(np.log(predict(curve.held_x) / curve.held_y) ** 2)))
            note = best.law.name if law == _CHOSEN else ""
            measured[f"{name}: {law}"] = Measured(value=error, note=note)
    names = ", ".join(f"{best.law.name} for {name}" for name, best in chosen.items())
    return Findings(
        measured=measured,
        verdict=f"Chosen without the held-out points: {names}.",
        shown=pd.concat([_shown(name, curves[name], laws[name]) for name in curves]),
        details=Details(curves, laws, measured),
        report={"chosen": {name: best.law.name for name, best in chosen.items()}},
    )


def _curve(table: pd.DataFrame, model: str) -> _Curve:
    rows = table.loc[(table["Domain"] == "NMT") & (table["Model"] == model)]
    parts = []
    for training in (1, 0):
        part = rows["Training"] == training
        parts += [rows.loc[part, name].to_numpy(np.float64) for name in ("Seen Examples", "Loss")]
    return _Curve(*parts)


def _chosen(curve: _Curve) -> RankedLaw:
    """The law that extrapolates best within the points to fit."""
    candidates = [law for law in LAWS.values() if law.inputs == ("x",)]
    return rank(candidates, curve.x, curve.y, bootstrap=Bootstrap(n=200)).best


def _with_floor(curve: _Curve, ceiling: float | None) -> _Predict:
    """Fits M2 (M4 with a ceiling) at the highest minimum in e of the squared error of log(y - e).

    `analysis.fitting.highest_floor` says how.
    """
    found = highest_floor(curve.x, curve.y, ceiling=ceiling, below=_FLOOR_BELOW)
    assert found is not None
    floor, log_b, exponent, bend = found
    return lambda x: _above_floor(x, floor, log_b, exponent, ceiling, bend)


def _above_floor(
    x: Floats, floor: float, log_b: float, exponent: float, ceiling: float | None, bend: float
) -> Floats:
    """Solves (y - floor) / (ceiling - y)^bend = b x^-exponent; bend is 0 without a ceiling."""
    power = np.exp(log_b - exponent * np.log(x))
    if ceiling is None:
        return floor + power
    low, high = np.full_like(power, floor), np.full_like(power, ceiling)
    root = elementwise.find_root(
        lambda y, right: (y - floor) - right * (ceiling - y) ** bend, (low, high), args=(power,)
    )
    return root.x


def _shown(name: str, curve: _Curve, laws: dict[str, _Predict]) -> pd.DataFrame:
    """Measured and predicted loss at every point."""
    x = np.concatenate([curve.x, curve.held_x])
    return pd.DataFrame(
        {
            "curve": name,
            "examples": x,
            "held out": np.arange(len(x)) >= len(curve.x),
            "loss": np.concatenate([curve.y, curve.held_y]),
            **{law: predict(x) for law, predict in laws.items()},
        }
    )


_STYLES: dict[str, style.Series] = dict(
    zip((*_LAWS, _CHOSEN), (*style.SERIES[:4], style.SERIES[6]), strict=True)
)


def figure(findings: Findings[Details]) -> Figure:
    """Draws the five curves with their laws, held-out points open, and all errors."""
    curves, laws, measured = findings.details
    with style.paper_figure(2, 3, height=4.6) as (drawing, axes):
        for ax, (name, curve) in zip(axes.flat, curves.items(), strict=False):
            _draw_curve(ax, name, curve, laws[name])
        for ax in axes[:, 0]:
            ax.set_ylabel("log perplexity (nats)")
        _draw_errors(axes[1, 2], measured)
        style.outer_legend(drawing, axes[0, :1], "outside lower center", 4)
    return drawing


def _draw_curve(ax: Axes, name: str, curve: _Curve, laws: dict[str, _Predict]) -> None:
    along = np.geomspace(curve.x.min(), 2 * curve.held_x.max(), 80)
    ticks.log_scale(ax, "y", ticks=(2, 3, 5, 7))
    for law, predict in laws.items():
        look = _STYLES[law]
        ax.plot(along, predict(along), **look.line(),
                linewidth=1.6 if law == _CHOSEN else 1.0, label=law)  # fmt: skip
    for x, y, face, label in (
        (curve.x, curve.y, style.INK, "fitted"),
        (curve.held_x, curve.held_y, "white", "held out"),
    ):
        ax.plot(x, y, color=style.INK, marker="o", markerfacecolor=face, linestyle="none",
                label=label, zorder=4)  # fmt: skip
    ax.set(xscale="log", xlabel="examples seen", ylim=(0.22, 1.1))
    ax.set_title(name, fontsize=8)


def _draw_errors(ax: Axes, measured: dict[str, Measured]) -> None:
    for law, look in _STYLES.items():
        errors = [measured[f"{curve}: {law}"].value or np.nan for curve in _PUBLISHED_ERRORS]
        ring = law == _CHOSEN
        ax.scatter(errors, range(len(errors)), color=None if ring else look.color,
                   edgecolor=look.color, facecolor="none" if ring else look.color,
                   marker="o" if ring else look.marker, s=50 if ring else 14)  # fmt: skip
    ax.set(xscale="log", xlabel="RMSLE of the held-out point", ylabel="panel")
    ax.set_yticks(range(len(_PUBLISHED_ERRORS)), list("abcde"))
    ax.invert_yaxis()
