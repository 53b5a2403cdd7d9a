"""Learning rates that a sweep tries for each of its settings, and the best of them."""

from collections.abc import Sequence

import pandas as pd

from analysis.tables import results

RATE = "train.optimizer.learning_rate"


def at_best_rates(
    runs: pd.DataFrame, cell: Sequence[str], by: str = "eval_loss_nats"
) -> pd.DataFrame:
    """Returns the runs of each cell at the learning rate with the least mean over seeds.

    A rate at which fewer seeds are done than at another is not considered: of one at which some
    diverged, those that are left could win on their own.

    Args:
        runs: Runs that are done.
        cell: Columns that name a cell: a setting whose rate is tuned for itself.
        by: Column that judges rates, the less the better.
    """
    cell = list(cell)
    mean = results.summarise(runs, [*cell, RATE], by)
    mean = mean.loc[mean["n_runs"] == mean.groupby(cell)["n_runs"].transform("max")]
    best = mean.loc[mean.groupby(cell)["mean"].idxmin(), [*cell, RATE]]
    return runs.merge(best, on=[*cell, RATE])


def at_the_edge(runs: pd.DataFrame, best: pd.DataFrame, cell: Sequence[str]) -> list[str]:
    """Returns a doubt for each cell whose best rate is the least or greatest of three or more.

    Args:
        runs: Runs at all rates.
        best: Those at the best rates, of `at_best_rates`.
        cell: Columns that name a cell.
    """
    of_cell = results.summarise(runs, [*cell, RATE], "eval_loss_nats").groupby(list(cell))[RATE]
    tried = pd.DataFrame(
        {
            "low": of_cell.min(),
            "high": of_cell.max(),
            "n": of_cell.size(),
            "rate": best.groupby(list(cell))[RATE].first(),
        }
    )
    doubts = []
    for row in tried.reset_index().to_dict("records"):
        if row["n"] > 2 and row["rate"] in (row["low"], row["high"]):
            where = ", ".join(row[c] if isinstance(row[c], str) else f"{row[c]:g}" for c in cell)
            end = "lowest" if row["rate"] == row["low"] else "highest"
            doubts.append(
                f"{where}: the best learning rate, {row['rate']:g}, is the {end} of those tried"
            )
    return doubts
