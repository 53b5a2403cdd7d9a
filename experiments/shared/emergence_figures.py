"""Panels of the experiment on emergence: tasks, when they appear, the tail sum, and metrics."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from analysis import theory
from analysis.estimate import Floats
from analysis.fitting.survival import DelayLaw
from analysis.plots import style, ticks
from experiments.shared.watched_tasks import CHAIN, SHORT_CHAIN, Watched


def draw_tasks(ax: Axes, watched: Watched, frequency: Floats) -> None:
    """Draws the loss of each task and the mean over steps, of the first watched run."""
    shown = [0, 1, 2, 4, 7, 11]
    for place, task in enumerate(task for task in shown if task < len(frequency)):
        look = style.SERIES[place % len(style.SERIES)]
        losses = watched.losses[0, :, task]
        ax.plot(watched.steps, losses, **look.line(), linewidth=0.9, label=f"task {task + 1}")
    mean = watched.losses[0] @ frequency
    ax.plot(watched.steps, mean, color=style.INK, linewidth=1.8, label="all, weighted")
    ticks.log_scale(ax, "x", ticks=(1,))
    ax.set(xlabel="step", ylabel="loss / log 2", ylim=(-0.05, 1.45), xlim=(10, None))
    ax.legend(loc="upper left", ncols=3, fontsize=6)


def draw_emergence(ax: Axes, watched: Watched, frequency: Floats, law: DelayLaw) -> None:
    """Draws the step at which each task appears against its frequency, and the law of them."""
    _, until = watched.emergence()
    for run, steps in enumerate(until):
        seen = np.isfinite(steps)
        label = "runs" if run == 0 else ""
        ax.plot(frequency[seen], steps[seen], **style.SERIES[0].marks(), label=label)
    seen = np.isfinite(until).any(axis=0)
    along = np.geomspace(frequency[seen].min(), frequency.max(), 20)
    slope = f"slope {-law.exponent.value:.2f}"
    ax.plot(along, law.at(1 / along), color=style.INK, linewidth=0.9, label=slope)
    ticks.log_scale(ax, "x", "y", ticks=(1,))
    ax.set(xlabel="frequency of the task", ylabel="step of emergence")
    ax.legend(loc="upper right")


def draw_tail(ax: Axes, ended: pd.DataFrame, n_tasks: int, exponent: float) -> None:
    """Draws the loss of each run against the tasks that it has learnt, and the exact tail sum."""
    most = int(ended["learnt"].to_numpy().max()) + 1
    along = np.arange(most + 1)
    tail = theory.quanta_loss(along, exponent=exponent, tasks=n_tasks)
    ax.plot(along, tail, color=style.INK, linewidth=0.9, label="exact tail sum")
    for look, (name, rows) in zip(style.SERIES, ended.groupby("along"), strict=False):
        ax.plot(rows["learnt"], rows["loss"], **look.marks(), label=f"over {name}")
    ticks.log_scale(ax, "y")
    ticks.whole_numbers(ax, "x")
    ax.set(xlabel="tasks learnt", ylabel="loss (nats)")
    ax.legend(loc="upper right")


def draw_metrics(ax: Axes, metrics: pd.DataFrame) -> None:
    """Draws the smooth and the sharp metrics over steps, each over its range."""
    for look, (name, label) in zip(
        style.SERIES,
        (
            ("smooth", "log of the mean loss"),
            ("sharp", f"exact match of {CHAIN} answers"),
            ("shorter", f"of {SHORT_CHAIN} answers"),
        ),
        strict=False,
    ):
        ax.plot(metrics["steps"], metrics[name], **look.line(), label=label)
        ax.plot(metrics["steps"], metrics[name], **look.marks())
    ticks.log_scale(ax, "x")
    ax.set(xlabel="step", ylabel="metric, over its range")
    ax.legend(loc="upper left")
