"""Means over seeds in several settings, compared with a closed form and drawn over it."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analysis.estimate import Floats
from analysis.plots import descent, style, ticks
from analysis.plots.descent_axes import own_axis
from analysis.tables import results
from experiments.experiment import Expected, Measured
from experiments.shared.cut_offs import cut_off_doubts
from experiments.shared.panels import mark_excluded

Curve = Callable[[Floats], Floats]
"""Maps sizes to what theory predicts there."""


class Compared(NamedTuple):
    """Runs and theory, as a figure draws them.

    Attributes:
        runs: Runs, with the columns `setting` and `size`.
        excluded: Runs left out, with the column `size`.
        quantity: Column that is compared.
        theories: The closed form of each setting.
        shown: A row a point: means over seeds with `theory`, `deviation`, its share, and `z`, in
            standard errors.
    """

    runs: pd.DataFrame
    excluded: pd.DataFrame
    quantity: str
    theories: Mapping[str, Curve]
    shown: pd.DataFrame


def compared(
    table: pd.DataFrame, quantity: str, theories: Mapping[str, Curve], more: Sequence[str] = ()
) -> Compared:
    """Compares means over seeds with theory, at every size of every setting.

    Args:
        table: Runs, with the columns `setting` and `size`.
        quantity: Column to compare.
        theories: The closed form of each setting; not finite where theory has no mean.
        more: Columns without which a run is left out, too.
    """
    runs, excluded = results.usable(table, [quantity, *more])
    shown = results.summarise(runs, ["setting", "size"], quantity)
    predicted = np.empty(len(shown))
    for name, theory in theories.items():
        rows = (shown["setting"] == name).to_numpy()
        predicted[rows] = theory(shown["size"].to_numpy(np.float64)[rows])
    shown["theory"] = predicted
    shown["deviation"] = shown["mean"] / shown["theory"] - 1
    shown["z"] = (shown["mean"] - shown["theory"]) / shown["sem"]
    return Compared(runs, excluded, quantity, theories, shown)


def agreement(found: Compared) -> dict[str, Measured]:
    """Measures the agreement that `agreement_expected` expects."""
    judged = found.shown.loc[np.isfinite(found.shown["theory"])]
    off = judged["deviation"].abs()
    worst = judged.loc[off.idxmax()]
    note = f"worst: {worst['deviation']:+.1%} at {worst['setting']}, size {worst['size']:.4g}"
    return {
        "within_3_standard_errors": Measured(
            value=float(np.mean(np.abs(judged["z"]) <= 3)), note=f"{len(judged)} points"
        ),
        "median_deviation": Measured(value=float(np.median(off)), note=note),
    }


def doubts_of(found: Compared, says: str) -> list[str]:
    """Doubts about the points of each setting at which the solver's cut-off decides the answer."""
    by_setting = found.runs.groupby("setting", sort=False)
    return [
        f"{setting}: {line}"
        for setting, rows in by_setting
        for line in cut_off_doubts(rows, "size", says)
    ]


def agreement_expected(source: str, *, within: float) -> tuple[Expected, ...]:
    """Expects most points within 3 standard errors of theory, and half within a share of it."""
    return (
        Expected(
            name="within_3_standard_errors",
            says="share of points within 3 s.e. of theory, where it is finite",
            low=0.95,
            source=source,
        ),
        Expected(
            name="median_deviation",
            says="median deviation from theory, share of it",
            high=within,
            source=source,
        ),
    )


def size_of_extreme(
    shown: pd.DataFrame, setting: str, column: str, *, largest: bool = False
) -> float:
    """Returns the size at which a summary of a setting is least, or largest."""
    rows = shown.loc[shown["setting"] == setting]
    values = rows[column].to_numpy(np.float64)
    at = np.argmax(values) if largest else np.argmin(values)
    return float(rows["size"].to_numpy(np.float64)[at])


def drawing(found: Compared, *, x: str, y: str, log: bool = True) -> Figure:
    """Draws means with standard errors over theory, and the residuals below.

    Where theory has no mean, the median with 68 % of seeds is drawn instead.

    Args:
        found: Runs and theory.
        x: Label of the sizes.
        y: Label of the quantity.
        log: Whether the quantity has a logarithmic axis.
    """
    axis = own_axis(x)
    with style.paper_style():
        figure, (top,), (bottom,) = descent.descent_panels(1, residuals=True, height=2.9)
        if log:
            ticks.log_scale(top, "y")
        sizes = np.geomspace(found.runs["size"].min(), found.runs["size"].max(), 200)
        for i, (name, theory) in enumerate(found.theories.items()):
            look = style.SERIES[i]
            rows = found.runs.loc[found.runs["setting"] == name]
            finite = np.isfinite(theory(rows["size"].to_numpy(np.float64)))
            has, lacks = rows.loc[finite], rows.loc[~finite]
            descent.draw_quantity(
                top, has["size"], has[found.quantity], has["seed"], axis=axis, label=name,
                style=look._replace(linestyle="none"), band="standard_error",
            )  # fmt: skip
            if len(lacks):
                descent.draw_quantity(
                    top, lacks["size"], lacks[found.quantity], lacks["seed"], axis=axis, label="",
                    style=look._replace(linestyle="none"),
                )  # fmt: skip
            label = "theory" if i == 0 else ""
            descent.draw_theory(top, sizes, theory(sizes), axis=axis, label=label)
            descent.draw_residuals(
                bottom, has["size"], has[found.quantity], has["seed"], theory, axis=axis,
                label=name, style=look,
            )  # fmt: skip
        mark_excluded(top, found.excluded, "size")
        top.set(ylabel=y, xlabel="")
        style.outer_legend(figure, [top], "outside lower center", 2)
    return figure
