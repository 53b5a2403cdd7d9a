"""What any sweep shows: the lowest loss among its settings, and the loss along its axes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.plots import style
from analysis.plots.ticks import log_ticks
from analysis.tables import results
from experiments.experiment import Experiment, Findings, Measured
from experiments.shared.panels import mark_excluded
from scaling.config import RunConfig
from scaling.record import finite

METRICS = {
    "eval_loss_nats": ("held-out loss (nats)", "nats"),
    "eval_excess_risk": ("excess risk", "1"),
    "eval_squared_error": ("held-out squared error", "1"),
    "eval_error": ("held-out error (fraction)", "1"),
}
"""Label and unit of what runs are compared by: the first that they have."""

_WIDE = 8.0  # ratio of the ends of an axis that is drawn on a logarithmic scale


class Details(NamedTuple):
    """What the figure draws.

    Attributes:
        cells: A row for each setting: its axes, and centre and spread over seeds.
        x: Axis along which it is drawn.
        others: Axes that tell its lines apart.
        metric: Column of the losses.
        excluded: Runs left out.
    """

    cells: pd.DataFrame
    x: str
    others: tuple[str, ...]
    metric: str
    excluded: pd.DataFrame


def experiment_of(name: str, configs: Sequence[RunConfig], axes: Sequence[str]) -> Experiment:
    """The sweep as an experiment that expects nothing.

    Args:
        name: Name of the sweep.
        configs: Its runs.
        axes: Paths of the fields that vary.
    """
    return Experiment(
        name=name,
        file=Path(__file__),
        card=f"A sweep of {len(configs):,} runs along {', '.join(axes) or 'nothing'}.",
        sweep={"cpu": lambda: list(configs)},
        expected=(),
        analyse=lambda table, _: analyse(table, axes),
        figure=figure,
        takes_curves=False,
        runs_of=name,
    )


def analyse(table: pd.DataFrame, axes: Sequence[str]) -> Findings[Details]:
    """Finds the setting with the lowest loss, over the mean of its seeds.

    Raises:
        ValueError: No run is done, or none has a loss.
    """
    done = table[table["status"] == "done"]
    metric = next((name for name in METRICS if name in done and done[name].notna().any()), None)
    if metric is None:
        raise ValueError("no run has a held-out loss or error to compare")
    runs, excluded = results.usable(table, [metric])
    # 1. Each setting once, its seeds together.
    varying = [path for path in axes if path != "seed"] or ["seed"]
    cells = results.summarise(runs.fillna(dict.fromkeys(varying, "none")), varying, metric)
    best = cells.loc[cells["mean"].idxmin()]
    # 2. Along the axis with most numbers; one with few values tells lines apart.
    numeric = [path for path in varying if pd.api.types.is_numeric_dtype(cells[path])]
    x = max(numeric, key=lambda path: cells[path].nunique(), default=varying[0])
    others = tuple(
        path for path in varying if path != x and 1 < cells[path].nunique() <= len(style.SERIES)
    )
    sem = finite(best["sem"])
    seeds = f", standard error {sem:.2g} over {best['n_runs']} seeds" if sem else ""
    return Findings(
        measured={"lowest": Measured(value=float(best["mean"]))},
        verdict=f"lowest {METRICS[metric][0]}: {best['mean']:.5g}{seeds}, at "
        f"{', '.join(f'{path} = {_shown(best[path])}' for path in varying)}",
        shown=cells,
        details=Details(cells, x, others, metric, excluded),
    )


def figure(findings: Findings[Details]) -> Figure:
    """Draws the loss against the longest axis, a line for each value of the others."""
    with style.paper_style():
        drawing, axes = style.new_figure(height=2.6)
        _draw(axes[0, 0], findings.details)
        style.outer_legend(drawing, axes[0], "outside lower center", 2)
    return drawing


def _draw(ax: Axes, details: Details) -> None:
    cells, x, others, metric, excluded = details
    numeric = pd.api.types.is_numeric_dtype(cells[x])
    lines = list(cells.groupby(list(others))) if others else [((), cells)]
    lines.sort(key=lambda line: line[1]["mean"].min())
    places = {value: k for k, value in enumerate(sorted(cells[x].unique(), key=str))}
    for number, (values, rows) in enumerate(lines):
        named = number < len(style.SERIES)
        at = rows[x].to_numpy(np.float64) if numeric else rows[x].map(places).to_numpy(np.float64)
        label = ", ".join(
            f"{path.rpartition('.')[2]} {_shown(value)}"
            for path, value in zip(others, values, strict=True)
        )
        look = style.SERIES[number] if named else style.Series(style.GREY, ".", "-")
        joined = len(np.unique(at)) == len(at) and numeric
        ax.plot(
            at,
            rows["mean"],
            **look.marks() | (look.line() if joined else {}),
            label=(label or None) if named else "others" if number == len(style.SERIES) else None,
        )
        ax.vlines(at, rows["q16"], rows["q84"], color=look.color, linewidth=0.8, zorder=1.9)
    several = " (mean, 68 % of seeds)" if cells["n_runs"].max() > 1 else ""
    ax.set(xlabel=x, ylabel=f"{METRICS[metric][0]}{several}")
    _scale(ax, cells, details, places if not numeric else None)
    if numeric and x in excluded:
        mark_excluded(ax, excluded, x)


def _scale(ax: Axes, cells: pd.DataFrame, details: Details, places: dict[Any, int] | None) -> None:
    wide = partial(_spans, factor=_WIDE)
    if places is not None:
        ax.set_xticks(list(places.values()), [_shown(value) for value in places])
    elif wide(cells[details.x]):
        ax.set_xscale("log")
        log_ticks(ax, "x")
    if wide(cells["mean"]):
        ax.set_yscale("log")
        log_ticks(ax, "y")


def _spans(values: pd.Series, factor: float) -> bool:
    low, high = float(values.min()), float(values.max())
    return low > 0 and high / low >= factor


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
