"""What any sweep shows: the lowest loss among its settings, and the loss along its axes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from analysis.estimate import Floats
from analysis.plots import style
from analysis.plots.ticks import log_ticks
from analysis.tables import results
from experiments.experiment import Experiment, Findings, Measured
from experiments.shared.panels import mark_excluded
from scaling.config import RunConfig
from scaling.record import finite

Ints = NDArray[np.intp]

METRICS = {
    "eval_loss_nats": ("held-out loss (nats)", "nats"),
    "eval_excess_risk": ("excess risk", "1"),
    "eval_squared_error": ("held-out squared error", "1"),
    "eval_error": ("held-out error (fraction)", "1"),
}
"""Label and unit of what runs are compared by: the first that they have."""

_WIDE = 4.0  # ratio of the ends of an axis that is drawn on a logarithmic scale


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
    done = table.loc[table["status"] == "done"]
    metric = next((name for name in METRICS if name in done and done[name].count()), None)
    if metric is None:
        raise ValueError("no run has a held-out loss or error to compare")
    runs, excluded = results.usable(table, [metric])
    # 1. Each setting once, its seeds together.
    varying = [path for path in axes if path != "seed"] or ["seed"]
    without = {
        path: "none" for path in varying if runs[path].hasnans
    }  # a field of some kinds alone
    named = runs.astype(dict.fromkeys(without, object)).fillna(without)
    cells = results.summarise(named, varying, metric)
    best = cells.to_dict("records")[int(np.argmin(cells["mean"].to_numpy()))]
    # 2. Along the axis with most numbers; one with few values tells lines apart.
    n_values = {path: len(set(cells[path].tolist())) for path in varying}
    numeric = [path for path in varying if _is_numeric(cells, path)]
    x = max(numeric, key=n_values.__getitem__, default=varying[0])
    others = tuple(p for p in varying if p != x and 1 < n_values[p] <= len(style.SERIES))
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
    with style.paper_figure(height=2.6) as (drawing, axes):
        _draw(axes[0, 0], findings.details)
        style.outer_legend(drawing, axes[0], "outside lower center", 2)
    return drawing


def _draw(ax: Axes, details: Details) -> None:
    cells, x, others, metric, excluded = details
    values = cells[x].tolist()
    numeric = _is_numeric(cells, x)
    places = None if numeric else {v: k for k, v in enumerate(sorted(set(values), key=str))}
    at = np.array(values if places is None else [places[value] for value in values], np.float64)
    middle, low, high = (cells[name].to_numpy(np.float64) for name in ("mean", "q16", "q84"))
    for number, (label, rows) in enumerate(_lines(cells, others, middle)):
        named = number < len(style.SERIES)
        look = style.SERIES[number] if named else style.Series(style.GREY, ".", "-")
        joined = numeric and len(np.unique(at[rows])) == len(rows)
        shown = label if named else "others" if number == len(style.SERIES) else ""
        line = look.marks() | (look.line() if joined else {})
        ax.plot(at[rows], middle[rows], **line, label=shown or None)
        ax.vlines(at[rows], low[rows], high[rows], color=look.color, linewidth=0.8, zorder=1.9)
    several = "\n(mean, 68 % of seeds)" if cells["n_runs"].to_numpy().max() > 1 else ""
    ax.set(xlabel=x, ylabel=f"{METRICS[metric][0]}{several}")
    if places is not None:
        ax.set_xticks(list(places.values()), [_shown(value) for value in places])
    elif _is_wide(at):
        ax.set_xscale("log")
        log_ticks(ax, "x")
    if _is_wide(middle):
        ax.set_yscale("log")
        log_ticks(ax, "y")
    if numeric and len(excluded):
        mark_excluded(ax, excluded, x)


def _lines(cells: pd.DataFrame, others: Sequence[str], middle: Floats) -> list[tuple[str, Ints]]:
    """Label and rows of each line, the one that comes lowest first."""
    labels = np.array(
        [
            ", ".join(
                f"{path.rpartition('.')[2]} {_shown(value)}"
                for path, value in zip(others, row, strict=True)
            )
            for row in cells[list(others)].itertuples(index=False)
        ],
        dtype=object,
    )
    found = [(str(label), np.flatnonzero(labels == label)) for label in dict.fromkeys(labels)]
    return sorted(found, key=lambda line: float(middle[line[1]].min()))


def _is_numeric(cells: pd.DataFrame, path: str) -> bool:
    return pd.api.types.is_numeric_dtype(cells.dtypes[path])


def _is_wide(values: Floats) -> bool:
    """Whether a logarithmic scale shows the values better."""
    low, high = float(values.min()), float(values.max())
    return low > 0 and high / low >= _WIDE


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
