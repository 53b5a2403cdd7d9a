"""`scaling rank`: the laws that apply to a table, by how well they predict larger sizes."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.checks.flags import is_flagged
from analysis.estimate import FEW_REPLICATES, Bootstrap
from analysis.fitting.engine.loss import Loss
from analysis.fitting.fit import fit
from analysis.fitting.highest_floor import at_highest_floor
from analysis.fitting.ranking import rank
from analysis.fitting.ranking_result import Ranking
from analysis.laws import LAWS, Law
from analysis.plots import style
from analysis.plots.held_out import held_out_figure, held_out_table
from analysis.tables import read, results
from experiments.commands import doubts
from experiments.commands.console import console, write_text
from experiments.commands.hold_out import held_out, log_errors
from experiments.commands.options.analyses import RankOptions
from experiments.commands.rows import print_flags, read_rows, settled
from scaling.fields import nearest
from sweeps.files import storing

MOST_DRAWN = 3
"""Laws of a ranking that its figure shows."""

LEAST_RUN_SIZES = 6
"""Sizes that whole runs reach from which runs, not rows, are left out."""

_GENERIC = "x"
"""The input of laws that are for any single variable."""


def run(options: RankOptions) -> int:
    """Reads a table, ranks every law of its quantities, and prints the ranking."""
    source = read_rows(options)
    inputs = _inputs(source)
    source, kept = held_out(source, options.holdout)
    source, _, found = settled(source, inputs, "loss", options.flagged)
    laws = applicable(inputs)
    if options.floor is not None:
        laws = [at_highest_floor(law) for law in laws]
    size = _size(source.table, inputs, options.along)
    x = source.table.loc[:, list(inputs)].to_numpy(np.float64)
    y = source.table["loss"].to_numpy(np.float64)
    sizes, of_runs = _sizes_of(source.table, size)
    to = options.predict
    if kept is not None and to is None:
        farthest = float(kept[size].to_numpy(np.float64).max())
        to = farthest if farthest > sizes.max() else None
    if to is not None and not sizes.max() < to < np.inf:
        raise ValueError(
            f"--predict {to:g}: the largest size of the rows is {sizes.max():g}, and a prediction "
            "lies beyond it; give a larger size, or leave --predict out"
        )
    # Verdicts look at replicates; their intervals are not shown.
    few = Bootstrap(n=FEW_REPLICATES)
    ranking = rank(laws, x, y, along=sizes, to=to, loss=Loss(options.huber), bootstrap=few)
    console.print(f"\nextrapolation to larger {size}{of_runs}", highlight=False)
    console.print(ranking.summary())
    at = _asked_for(ranking, kept, inputs, to)
    nearest = None if at is None else ranking.nearest(at).law.name
    if at is not None:
        console.print(f"the one law nearest to the combination there: {nearest}", highlight=False)
        for name in ranking.left_out(at):
            console.print(
                f"{name} lies far outside the rows there and does not count", highlight=False
            )
        if ranking.runs_off(at):
            console.print("every law lies far outside the rows there, so all count")
    scores = {} if kept is None else _scores(ranking, kept, inputs)
    for name, score in scores.items():
        console.print(f"held out, {options.holdout}: RMSLE {score:.4g}, {name}", highlight=False)
    print_flags(found, options.flagged)
    about_rows = doubts.about(source.table, inputs)
    doubts.print_about(about_rows)
    if options.figure is not None:
        _draw(ranking, x, y, sizes, is_flagged(source.table, found), options)
    if options.json is not None:
        values = {
            "ranking": ranking.to_dict(),
            "along": size,
            "predict": to,
            "holdout": options.holdout,
            "holdout_rmsle": scores,
            "nearest": nearest,
            "huber": options.huber,
            "floor": options.floor,
            "doubts": about_rows,
            "source": {**source.provenance(), "where": options.where, "flagged": options.flagged},
        }
        write_text(options.json, json.dumps(values, indent=1, allow_nan=False))
    return 0


def _sizes_of(table: pd.DataFrame, size: str) -> tuple[np.ndarray, str]:
    """The size by which each row is fitted or left out, and how that was settled, in words.

    Rows of one run err together: a fit to its first rows has seen the noise of its last. Where
    there are enough runs each is fitted or left out as a whole, by the largest size it reached.
    """
    sizes = table[size]
    if "run" not in table or not table["run"].duplicated().any():
        return sizes.to_numpy(np.float64), ""
    reached = sizes.groupby(table["run"], dropna=False, sort=False).transform("max")
    if len(reached.unique()) >= LEAST_RUN_SIZES:
        return reached.to_numpy(np.float64), " of whole runs"
    n_runs = len(table["run"].unique())
    split = "" if n_runs == 1 else f" (rows of {n_runs} runs, too few to leave out whole)"
    return sizes.to_numpy(np.float64), split


def _scores(ranking: Ranking, kept: pd.DataFrame, inputs: tuple[str, ...]) -> dict[str, float]:
    """RMSLE on the rows held out of the combined prediction, and of each ranked law."""
    x, y = kept.loc[:, list(inputs)].to_numpy(np.float64), kept["loss"].to_numpy(np.float64)
    predict = {"combined": ranking.predict}
    predict |= {row.law.name: row.fit.predict for row in ranking.rows if row.fit is not None}
    return {
        name: float(np.sqrt(np.mean(log_errors(each, x, y) ** 2))) for name, each in predict.items()
    }


def _asked_for(
    ranking: Ranking, kept: pd.DataFrame | None, inputs: tuple[str, ...], to: float | None
) -> np.ndarray | None:
    """The inputs to predict: those of the rows held out, or the size.

    None where nothing is combined, or one size does not say what the other inputs are.
    """
    if ranking.horizon is None or (kept is None and len(inputs) > 1):
        return None
    return np.array([[to]]) if kept is None else kept.loc[:, list(inputs)].to_numpy(np.float64)


def _draw(
    ranking: Ranking,
    x: np.ndarray,
    y: np.ndarray,
    sizes: np.ndarray,
    flagged: np.ndarray,
    options: RankOptions,
) -> None:
    """Draws the best laws, fitted below the first window that all share, over the rows above it."""
    stem = options.figure
    assert stem is not None
    best = [row for row in ranking.rows if row.error is not None][:MOST_DRAWN]
    fitted = [[row.windows[number].rmsle is not None for row in best] for number in ranking.windows]
    place = next((place for place, each in enumerate(fitted) if all(each)), -1)
    beyond = sizes >= best[0].windows[ranking.windows[place]].scored_from
    best = [row for row, has_fit in zip(best, fitted[place], strict=True) if has_fit]
    loss = Loss(options.huber)
    fits = [fit(row.law, x[~beyond], y[~beyond], loss=loss) for row in best]
    with storing(Path(stem)):
        style.save(held_out_figure(fits, x, y, beyond, flagged=flagged), stem)
        results.write(held_out_table(fits, x, y, beyond, flagged=flagged), f"{stem}.csv")
    console.print(f"{stem}: .pdf .png .csv")


def applicable(inputs: tuple[str, ...]) -> list[Law]:
    """The laws of those inputs; of a single one, also the laws of any variable."""
    generic = (_GENERIC,) if len(inputs) == 1 else inputs
    return [
        law for law in LAWS.values() if law.inputs in (inputs, generic) and law.output == "loss"
    ]


def _inputs(source: read.Source) -> tuple[str, ...]:
    """Inputs of the laws to rank: a declared x, else N and D, else whichever there is.

    A column that is named x but not declared may be anything, so it comes last.
    """
    if _GENERIC in source.origins:
        return (_GENERIC,)
    for choice in (("N", "D"), ("N",), ("D",), ("C",), (_GENERIC,)):
        if set(choice) <= set(source.table):
            return choice
    raise ValueError(
        "there is no N, D, C or x to rank laws over; declare one, as --columns x=NAME,loss=NAME"
    )


def _size(table: pd.DataFrame, inputs: tuple[str, ...], along: str | None) -> str:
    """The quantity over which laws extrapolate: compute where it is known."""
    if along is None:
        return "C" if "C" in table and _GENERIC not in inputs else inputs[0]
    known = {name for name in (*inputs, "N", "D", "C") if name in table}
    if along not in known:
        raise ValueError(f"--along {along}: no such quantity; {nearest(along, known)}")
    return along
