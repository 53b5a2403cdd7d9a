"""Panels and marks that several experiments draw alike, and the numbers and tables beside them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator
from numpy.typing import ArrayLike

from analysis.compute_optimal.approaches_result import Approach
from analysis.double_descent.verdict import DoubleDescent
from analysis.estimate import Estimate, Floats
from analysis.fitting.result import FitResult
from analysis.plots import curves, marks, style
from analysis.tables import results
from experiments.experiment import Details, Findings, Measured
from scaling.record import finite


def measured(estimate: Estimate | None) -> Measured:
    """Makes a measured number of an estimate; one beyond the grid has no value."""
    if estimate is None or estimate.censored:
        return Measured(value=None, note="not found" if estimate is None else str(estimate))
    return Measured(value=estimate.value, low=finite(estimate.low), high=finite(estimate.high))


def peak_of(descent: DoubleDescent, estimate: Estimate | None = None) -> Measured:
    """Location of a peak, or another estimate that depends on it, if there is a peak at all.

    A bump that could be seed noise has a location too; reporting it would claim a peak.
    """
    if descent.peak is None or not descent.verdict.has_peak:
        return Measured(value=None, note=descent.verdict.value)
    return measured(estimate or descent.peak.location)


def with_notes(
    shown: pd.DataFrame, excluded: pd.DataFrame, x: str, **located: Estimate | None
) -> pd.DataFrame:
    """Adds the numbers behind the marks of a figure to those of its points.

    Args:
        shown: Summaries of the runs drawn.
        excluded: Runs left out, with their `why`: the second table of
            `analysis.tables.results.usable`.
        x: Column of the axis that has the marks.
        **located: Marked locations by name, with their intervals.
    """
    marked = [
        {"mark": name, x: each.value, "low": each.low, "high": each.high}
        for name, each in located.items()
        if each is not None
    ]
    return stacked(shown, left_out(excluded, x), pd.DataFrame(marked))


def left_out(excluded: pd.DataFrame, *columns: str) -> pd.DataFrame:
    """Rows for a figure's table: the runs that it leaves out, by those columns, and why."""
    return excluded.assign(run_ids=excluded["run_id"]).loc[:, [*columns, "why", "run_ids"]]


def summaries(runs: pd.DataFrame, by: Sequence[str], quantities: Iterable[str]) -> pd.DataFrame:
    """Summaries of several quantities of the same runs, one after another, by `quantity`."""
    return stacked(
        *(results.summarise(runs, list(by), name).assign(quantity=name) for name in quantities)
    )


def require(missing: Sequence[str], compared: str) -> None:
    """Refuses to compare what has no run that is done.

    Raises:
        ValueError: Something is missing.
    """
    if missing:
        raise ValueError(
            f"No run of {', '.join(missing)} is done, so {compared} cannot be compared. Run the "
            "same command again; `scaling show` gives the reasons."
        )


def stacked(*tables: pd.DataFrame) -> pd.DataFrame:
    """Stacks tables, without the empty ones, whose columns have no types."""
    return pd.concat([table for table in tables if len(table)])


def growth_rows(
    approach: Approach, compute: Iterable[float]
) -> list[dict[str, str | float | None]]:
    """Rows for a figure's table: optimal size and tokens by the power law of an approach."""
    if approach.exponents is None:
        return []
    return [
        {"approach": approach.kind.title, "kind": "power law", "flops": flops}
        | size_cells(approach.exponents.params.at(flops))
        | {"tokens": approach.exponents.tokens.at(flops).value}
        for flops in compute
    ]


def size_cells(size: Estimate) -> dict[str, float | None]:
    """Cells of an optimal number of parameters; an open end is empty."""
    return {"n_params": size.value, "n_params_low": size.low, "n_params_high": finite(size.high)}


def plain(estimate: Estimate) -> dict[str, float | None]:
    """An estimate as JSON values; an open end is null, and so is a value beyond the grid."""
    return {name: finite(getattr(estimate, name)) for name in ("value", "low", "high")}


def one_panel(
    overview: Callable[[Axes, Findings[Details]], None], findings: Findings[Details], height: float
) -> Figure:
    """Draws the main panel of an experiment alone, one column wide."""
    with style.paper_figure(height=height) as (figure, axes):
        overview(axes[0, 0], findings)
    return figure


class Descent(NamedTuple):
    """What a figure of double descent draws: runs, those left out, and where they peak."""

    runs: pd.DataFrame
    excluded: pd.DataFrame
    found: DoubleDescent


def draw_descent(
    ax: Axes, details: Descent, x: str, quantity: str, expected: tuple[float, float] | None
) -> None:
    """Draws a quantity against size `x` on a panel whose scales are set, with threshold and peak.

    `expected` holds the sizes between which the peak is expected.
    """
    runs, excluded, found = details
    ax.margins(y=0.12)  # room for the bars along the top
    curves.draw_replicates(
        ax, runs[x], runs[quantity], runs["seed"], label="median, 68 %", band=(0.16, 0.84)
    )
    if expected is not None:
        marks.mark_expected(ax, *expected, label="peak expected")
    marks.mark_threshold(ax, found.threshold, label="threshold, 95 %")
    if found.peak is not None:
        marks.mark_peak(ax, found.peak.location, label="peak, 95 %")
    mark_excluded(ax, excluded, x)


def draw_law(ax: Axes, along: Floats, result: FitResult, label: str) -> None:
    """Draws a fitted law of one variable with the band of its curve."""
    low, high = result.predict_interval(along)
    curves.draw_fit(ax, along, lambda x: (low, result.predict(x), high), label=label)


def exponent_of(result: FitResult) -> str:
    """Exponent of a fitted power law, with its interval."""
    alpha, (low, high) = result.params["alpha"], result.intervals["alpha"]
    return f"exponent {alpha:.3f} [{low:.3f}, {high:.3f}]"


def panels(labels: Mapping[str, str], draw: Callable[[Axes, str], None]) -> Figure:
    """Draws a row of panels with one legend; `labels` has the y-label of each quantity."""
    with style.paper_figure(1, len(labels), height=2.6) as (figure, axes):
        for ax, (quantity, label) in zip(axes[0], labels.items(), strict=True):
            draw(ax, quantity)
            ax.set_ylabel(label)
        style.outer_legend(figure, axes[0], "outside lower center", len(style.SERIES))
    return figure


def share_limits(axes: Iterable[Axes], *names: Literal["x", "y"]) -> None:
    """Gives panels the same limits, the widest of any; call it once all is drawn."""
    shared = list(axes)
    for name in names:
        limits = [ax.get_xlim() if name == "x" else ax.get_ylim() for ax in shared]
        widest = min(low for low, _ in limits), max(high for _, high in limits)
        for ax in shared:
            ax.set(**{f"{name}lim": widest})


def tick_widths(ax: Axes, widths: ArrayLike) -> None:
    """Labels a logarithmic x-axis at the widths themselves."""
    shown = np.unique(np.asarray(widths, np.float64)).tolist()
    ax.set_xticks(shown, [f"{width:g}" for width in shown])
    ax.xaxis.set_minor_locator(NullLocator())


def mark_excluded(ax: Axes, excluded: pd.DataFrame, x: str) -> None:
    """Marks on the axis, which shows column `x`, the runs that are missing from a figure."""
    diverged = excluded["why"] == "diverged"
    marks.mark_missing(ax, diverged=excluded[x][diverged], failed=excluded[x][~diverged])
