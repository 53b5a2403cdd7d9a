"""The figures of `scaling fit --figures`: every one that a fit has, beside the numbers it shows.

They stand apart from `fit_output`, so that a fit without figures does not load matplotlib.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analysis.checks.flags import is_flagged
from analysis.fitting.profile import Profile
from analysis.fitting.result import FitResult
from analysis.plots import frontier, style, surface
from analysis.plots.deviance_curves import profiles_figure, profiles_table
from analysis.plots.fit_residuals import residuals_figure, residuals_table
from analysis.plots.held_out import curve_figure, curve_table, held_out_figure, held_out_table
from analysis.plots.published import beside_figure
from analysis.plots.replicate_clouds import clouds_figure, clouds_table
from analysis.plots.rows import rows_of_fit
from analysis.tables import results
from experiments.commands.beside import Beside
from experiments.commands.console import console
from sweeps.files import storing


class Drawn(NamedTuple):
    """A figure, and the exact numbers that it shows."""

    name: str
    figure: Figure
    shown: pd.DataFrame


def draw(
    result: FitResult,
    profiles: Mapping[str, Profile] | str,
    table: pd.DataFrame,
    flags: pd.DataFrame,
    folder: Path,
    kept: pd.DataFrame | None = None,
) -> None:
    """Writes the figures of a fit as PDF and PNG, each with a CSV of its numbers.

    Rows held out (`kept`) have a figure of their own.
    """
    made = []
    drawn = [*figures(result, profiles, is_flagged(table, flags))]
    if kept is not None:
        drawn.append(_held_out(result, kept))
    for name, figure, shown in drawn:
        with storing(folder):
            style.save(figure, folder / name)
            results.write(shown, folder / f"{name}.csv")
        made.append(name)
    console.print(f"{folder}: {', '.join(made)} (.pdf .png .csv)")


def draw_beside(
    result: FitResult, table: pd.DataFrame, laws: Sequence[Beside], folder: Path
) -> None:
    """Writes the figure of a fit and published laws at its rows, with a CSV of its numbers."""
    along = "C" if "C" in table else result.law.inputs[0]
    shown = pd.DataFrame({along: table[along], "this fit": _log_residuals(result)})
    for each in laws:
        shown[each.law] = each.residuals
    with storing(folder):
        style.save(beside_figure(shown, along, result.law.output), folder / "beside")
        results.write(shown, folder / "beside.csv")
    console.print(f"{folder}: beside (.pdf .png .csv)")


def _log_residuals(result: FitResult) -> np.ndarray:
    rows = result.require_rows()
    return np.log(rows.y) - np.log(result.predict(rows.x))


def _held_out(result: FitResult, kept: pd.DataFrame) -> Drawn:
    """The fit against the rows held out."""
    rows = result.require_rows()
    x = np.concatenate([rows.x, kept.loc[:, list(result.law.inputs)].to_numpy(np.float64)])
    y = np.concatenate([rows.y, kept[result.law.output].to_numpy(np.float64)])
    out = np.arange(len(y)) >= len(rows.y)
    return Drawn(
        "held_out", held_out_figure([result], x, y, out), held_out_table([result], x, y, out)
    )


def figures(
    result: FitResult, profiles: Mapping[str, Profile] | str, flagged: np.ndarray
) -> Iterator[Drawn]:
    """Every figure that applies to a fit.

    Args:
        result: The fit.
        profiles: Of its parameters; a sentence where there are none.
        flagged: Rows that are doubtful, shape `(n_rows,)`.
    """
    rows = rows_of_fit(result, flagged)
    if surface.planes(rows):
        yield Drawn(
            "surface", surface.surface_figure(result, rows), surface.surface_table(result, rows)
        )
    if frontier.has_frontier(result.law):
        drawn = frontier.frontier_figure(result, rows)
        yield Drawn("frontier", drawn, frontier.frontier_table(result, rows))
    if len(result.law.inputs) == 1:
        along = np.geomspace(rows.x.min(), rows.x.max(), 200)
        points = {result.law.inputs[0]: rows.x[:, 0], "observed": rows.y, "flagged": flagged}
        shown = pd.concat([pd.DataFrame(points), curve_table(result, along)])
        yield Drawn("curve", curve_figure(result, flagged=flagged), shown)
    drawn = residuals_figure(result, flagged=flagged)
    yield Drawn("residuals", drawn, residuals_table(result, flagged))
    yield Drawn("replicates", clouds_figure(result), clouds_table(result))
    if not isinstance(profiles, str):
        yield Drawn("profiles", profiles_figure(profiles, result), profiles_table(profiles))
