"""Rows held out of a fit by `--holdout`, and the score on them.

The conditions are those of `--where` (`analysis.tables.selection`), on columns and quantities.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from analysis.estimate import Floats
from analysis.fitting.result import FitResult
from analysis.tables import results, selection
from analysis.tables.read import Source
from analysis.writing import plain
from experiments.commands.console import console


class Score(NamedTuple):
    """How a fit predicts rows that it has not seen.

    Attributes:
        where: The conditions that the rows fulfil.
        n_rows: Rows held out.
        rmsle: Root mean squared log error.
        bias: Mean of `log y - log f`.
        in_band: Share of the rows inside the prediction band; None of a fit without one.
        level: Level of the band.
    """

    where: str
    n_rows: int
    rmsle: float
    bias: float
    in_band: float | None
    level: float

    def __str__(self) -> str:
        band = (
            ""
            if self.in_band is None
            else f", {self.in_band:.0%} inside the {100 * self.level:g} % band of a new run"
        )
        return (
            f"held out, {self.where}: {self.n_rows:,} rows, RMSLE {self.rmsle:.4g}, mean log error "
            f"{self.bias:+.4g}{band}"
        )

    def to_dict(self) -> dict[str, Any]:
        """The score as JSON values."""
        return plain(self._asdict())


def held_out(source: Source, where: str | None) -> tuple[Source, pd.DataFrame | None]:
    """Returns a source without the rows to hold out, and those rows; None where none are asked for.

    Raises:
        ValueError: Conditions at fault, or none or all of the rows held out.
    """
    if where is None:
        return source, None
    table = source.table
    try:
        conditions = selection.parse(where)
        fulfilling = selection.by_columns(table, conditions)
        quantities = {name: results.column(table, name) for name in source.origins}
        taken = selection.by_quantities(fulfilling, conditions, quantities)
    except ValueError as error:
        raise ValueError(str(error).replace("--where", "--holdout")) from None
    for doubt in selection.passed_over(table, conditions):
        console.print(f"doubt: {doubt.replace('--where', '--holdout')}")
    rest = table.loc[~table.index.isin(taken.index)]
    if rest.empty:
        raise ValueError(
            f"--holdout {where}: every row is held out, so none is left to fit; ask for fewer"
        )
    return replace(source, table=rest), taken


def score_of(result: FitResult, rows: pd.DataFrame, where: str) -> Score:
    """Scores a fit on rows held out."""
    x = rows.loc[:, list(result.law.inputs)].to_numpy(np.float64)
    y = rows[result.law.output].to_numpy(np.float64)
    in_band = None
    if result.loss.above == 1:
        low, high = result.prediction_interval(x)
        in_band = float(np.mean((low <= y) & (y <= high)))
    errors = log_errors(result.predict, x, y)
    return Score(
        where,
        len(y),
        float(np.sqrt(np.mean(errors**2))),
        float(errors.mean()),
        in_band,
        result.level,
    )


def log_errors(predict: Callable[[Floats], Floats], x: Floats, y: Floats) -> Floats:
    """Returns `log y - log f(x)`, shape `(n_rows,)`."""
    return np.log(y) - np.log(predict(x))
