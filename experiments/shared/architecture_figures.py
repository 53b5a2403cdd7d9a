"""Figures of `experiments.architectures`."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.estimate import Floats
from analysis.plots import style
from analysis.plots.ticks import log_ticks
from experiments.shared.by_position import RULER
from experiments.shared.family_exponents import FamilyExponents


class Details(NamedTuple):
    """What the figure draws.

    Attributes:
        positions: Loss minus that of the 8-gram by family and position, on text.
        difference: LSTM minus Transformer by position, of each seed.
        excess: Loss minus that of the source's own probabilities, by model.
        exponents: Exponents of allocation of the families.
    """

    positions: pd.DataFrame
    difference: pd.DataFrame
    excess: pd.DataFrame
    exponents: FamilyExponents


LABELS = {
    "transformer": "Transformer",
    "lstm": "LSTM",
    "gru": "GRU",
    "min_gru": "minimal GRU",
    "convolutional": "convolution",
    "counted_ngram": "counted n-gram",
    "neural_ngram": "neural 8-gram",
}
LOOKS = dict(zip(LABELS, style.SERIES, strict=True))


def families_figure(details: Details) -> Figure:
    """Draws families by position, LSTM against Transformer, the excess, and exponents."""
    with style.paper_figure(2, 2, height=5.2) as (drawing, axes):
        draw_positions(axes[0, 0], details.positions)
        _draw_difference(axes[0, 1], details.difference)
        _draw_excess(axes[1, 0], details.excess)
        _draw_exponents(axes[1, 1], details.exponents)
        style.outer_legend(drawing, axes[:, 0], "outside lower center", 4)
    return drawing


def draw_positions(ax: Axes, rows: pd.DataFrame) -> None:
    """Draws the loss of each family minus that of the 8-gram against position."""
    ax.axhline(0, color=style.GREY, linewidth=0.8)
    for name, look in LOOKS.items():
        of = rows.loc[rows["family"] == name]
        if name != RULER and not of.empty:
            ax.plot(_middle(of), of["gain"], **look.line(), label=LABELS[name])
    ax.set(
        xscale="log", xlabel="tokens seen", ylabel="loss minus that of the\nneural 8-gram (nats)"
    )
    log_ticks(ax, "x", most=4)


def _middle(rows: pd.DataFrame) -> Floats:
    """Tokens that a prediction sees, the geometric mean over a part of the context."""
    first, end = (rows[name].to_numpy(np.float64) for name in ("first", "end"))
    return np.sqrt((first + 1) * end)


def _draw_difference(ax: Axes, difference: pd.DataFrame) -> None:
    ax.axhline(0, color=style.GREY, linewidth=0.8)
    for _, rows in difference.groupby("seed"):
        ax.plot(_middle(rows), rows["difference"], color=style.GREY, linewidth=0.8)
    each = difference.loc[:, ["first", "end", "difference"]]
    mean = each.groupby(["first", "end"]).mean().reset_index()
    ax.plot(_middle(mean), mean["difference"], color=style.INK)
    ax.set(xscale="log", xlabel="tokens seen", ylabel="LSTM minus Transformer (nats)")
    ax.set_title("black: mean over seeds", loc="right", fontsize=7)
    log_ticks(ax, "x", most=4)


def _draw_excess(ax: Axes, excess: pd.DataFrame) -> None:
    whole = excess.loc[(excess["first"] == 0) & (excess["end"] == excess["end"].max())]
    for name, look in LOOKS.items():
        rows = whole.loc[whole["family"] == name].sort_values("order")
        if name == "counted_ngram":
            marked = {**look.marks(), **look.line()}
            ax.plot(rows["order"], rows["excess"], **marked, label=LABELS[name])
            ax.set_xticks(rows["order"].to_numpy(np.float64))
        elif not rows.empty:
            ax.axhline(rows["excess"].iloc[0], **look.line(), label=LABELS[name])
    ax.set(yscale="log", xlabel="order of the n-gram", ylabel="loss above the entropy (nats)")


def _draw_exponents(ax: Axes, exponents: FamilyExponents) -> None:
    """A mark a family, with its interval; equal shares of compute go to a = 1/2."""
    found = exponents.of_parameters()
    ax.axvline(0.5, color=style.GREY, linewidth=0.8)
    for place, (name, a) in enumerate(found.items()):
        look = LOOKS[name].marks()
        ax.plot([a.low, a.high], [place, place], color=look["color"], linewidth=1)
        ax.plot(a.value, place, **look)
    if not found:
        ax.text(0.5, 0.5, "too few sizes and lengths", ha="center", transform=ax.transAxes)
    ax.set_yticks(range(len(found)), [LABELS[name] for name in found])
    ax.invert_yaxis()
    ax.set(xlabel="exponent of compute-optimal parameters", xlim=(0, 1))
