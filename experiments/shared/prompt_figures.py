"""Panels of models that regress inside a prompt: errors by examples, by size and by tasks."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from analysis.fitting.result import FitResult
from analysis.plots import style, ticks
from experiments.shared.panels import draw_law
from experiments.shared.prompt_errors import Floor, columns
from scaling.data.stream import MOST_EXAMPLES


def draw_examples(ax: Axes, floor: Floor, by_examples: pd.DataFrame) -> None:
    """Draws the error after each number of examples, by width, over the exact floor."""
    places = np.arange(len(floor.ridge))
    ax.plot(places, floor.ridge, color=style.INK, linewidth=0.9, label="ridge, exact")
    for look, (width, rows) in zip(style.SERIES, by_examples.groupby("width"), strict=False):
        ax.plot(rows["examples"], rows["error"], **look.marks(), label=f"width {width:g}")
    ax.set(xlabel="examples in the prompt $k$", ylabel="squared error", ylim=(0, None))
    ticks.whole_numbers(ax, "x")
    ax.legend(loc="upper right")


def draw_excess(ax: Axes, rows: pd.DataFrame, law: FitResult | None) -> None:
    """Draws the excess over the floor against parameters, and its law."""
    ax.plot(rows["n_params"], rows["excess"], **style.SERIES[0].marks(filled=False))
    if law is not None:
        along = np.geomspace(rows["n_params"].min(), rows["n_params"].max(), 40)
        label = f"{law.params['E']:.3f} + $A N^{{-{law.params['alpha']:.2f}}}$"
        draw_law(ax, along, law, label)
        ax.legend(loc="upper right")
    ticks.log_scale(ax, "x", "y")
    ax.set(xlabel="parameters", ylabel="squared error above the floor")


def draw_tasks(ax: Axes, floor: Floor, by_tasks: pd.DataFrame, threshold: float | None) -> None:
    """Draws errors on own and new tasks against the number of tasks, and the threshold."""
    rows = by_tasks.loc[by_tasks["tasks"] < MOST_EXAMPLES]
    for look, part, dashes in zip(style.SERIES, ("own", "new"), (":", "-."), strict=False):
        model, discrete = columns(rows, f"{part}_error_model", f"{part}_error_discrete")
        ax.plot(rows["tasks"], model, **look.marks(), label=f"model, {part} tasks")
        label = f"Bayes for its tasks, {part} tasks"
        ax.plot(rows["tasks"], discrete, color=look.color, linestyle=dashes, label=label)
    ax.axhline(floor.ridge.mean(), color=style.INK, linewidth=0.9, label="ridge, exact")
    if threshold is not None:
        ax.axvline(threshold, color=style.GREY, linewidth=0.9, linestyle="--")
    ticks.log_scale(ax, "x", ticks=(1,))
    ticks.log_scale(ax, "y")
    ax.set(xlabel="tasks trained on $M$ (dashed: threshold)", ylabel="squared error, mean over $k$")
    ax.legend(loc="upper right", fontsize=6)


def draw_least_squares(ax: Axes, floor: Floor) -> None:
    """Draws errors of least squares, simulated and exact, beside those of ridge."""
    places = np.arange(len(floor.ridge))
    finite = np.isfinite(floor.least_squares)
    ax.plot(places, floor.simulated, **style.SERIES[1].marks(), label="least squares, simulated")
    for part in (places < places[~finite].min(), places > places[~finite].max()):
        label = "exact" if part[0] else ""
        ax.plot(places[part], floor.least_squares[part], color=style.SERIES[1].color, label=label)
    ax.plot(places, floor.ridge, color=style.INK, linewidth=0.9, label="ridge, exact")
    ax.set(xlabel="examples in the prompt $k$", ylabel="squared error", yscale="log")
    ticks.log_ticks(ax, "y")
    ticks.whole_numbers(ax, "x")
    ax.legend(loc="center right")  # the highest point is at D examples, in the middle or beyond
