"""Runs on many tasks that are watched as they learn: losses of each task, and two metrics of all.

A task is learnt all at once. Of two metrics of all tasks, one is smooth and the other sharp.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from analysis.estimate import Floats
from experiments.experiment import Measured

CHAIN, SHORT_CHAIN = 30, 10
"""Answers that are all to be right for an exact match; the longer the chain, the sharper."""
LEARNT = 0.5
"""Share of log 2 below which a task's loss says that it is learnt."""


class Watched(NamedTuple):
    """Runs that are watched as they learn.

    Attributes:
        steps: Steps of the evaluations, shape (n,).
        losses: Losses of tasks over log 2, shape (runs, n, tasks).
        loss: Mean loss over tasks and runs, in nats, shape (n,).
        likelihood: Mean probability of a right answer, shape (n,).
    """

    steps: Floats
    losses: Floats
    loss: Floats
    likelihood: Floats

    @property
    def learnt(self) -> np.ndarray:
        """Whether each task is learnt, of the same shape as the losses."""
        return self.losses < LEARNT

    def emergence(self) -> tuple[Floats, Floats]:
        """Last step before, and first at which, a task is learnt, (runs, tasks); or infinite."""
        learnt = self.learnt
        first, ever = learnt.argmax(axis=1), learnt.any(axis=1)
        after = np.where(ever, self.steps[np.maximum(first - 1, 0)], self.steps[-1])
        return after, np.where(ever, self.steps[first], np.inf)


def task_losses(evaluations: Sequence[dict[str, float]], n_tasks: int) -> Floats:
    """Losses of tasks over log 2, shape (evaluations, tasks)."""
    names = [f"task {k + 1}" for k in range(n_tasks)]
    return np.array([[each[name] for name in names] for each in evaluations]) / np.log(2)


def watched_runs(curves: pd.DataFrame, n_tasks: int) -> Watched:
    """Gathers runs that are evaluated at the same steps, from their learning curves.

    Raises:
        ValueError: There is no run.
    """
    if curves.empty:
        raise ValueError("No run at a constant learning rate is done. Run the command again.")
    histories = [history.sort_values("step") for _, history in curves.groupby("run_id")]
    losses = np.array([task_losses(list(history["eval_by"]), n_tasks) for history in histories])
    loss, likelihood = (
        np.mean([read(history) for history in histories], axis=0)
        for read in (
            lambda history: history["eval_loss"].to_numpy(np.float64),
            lambda history: [each["likelihood"] for each in history["eval_by"]],
        )
    )
    return Watched(histories[0]["step"].to_numpy(np.float64), losses, loss, likelihood)


def metrics_of(watched: Watched) -> pd.DataFrame:
    """Log of the mean loss, and exact match of chains, from 0 to 1 each, at doubling steps.

    They begin five doublings before the end, where the first task is learnt.
    """
    steps = watched.steps[-1] / 2.0 ** np.arange(5, -1, -1)
    log_loss, likelihood = (
        np.interp(np.log(steps), np.log(watched.steps), each)
        for each in (np.log(watched.loss), watched.likelihood)
    )
    table = pd.DataFrame(
        {
            "steps": steps,
            "smooth": -log_loss,
            "sharp": likelihood**CHAIN,
            "shorter": likelihood**SHORT_CHAIN,
        }
    )
    for name in ("smooth", "sharp", "shorter"):
        table[name] = (table[name] - table[name].min()) / np.ptp(table[name])
    return table


def _second_difference(x: Floats, y: Floats) -> float:
    """Largest second divided difference of y in x, of either sign."""
    slopes = np.diff(y) / np.diff(x)
    return float(np.max(np.abs(np.diff(slopes) / ((x[2:] - x[:-2]) / 2))))


def artefact(metrics: pd.DataFrame) -> Measured:
    """How many times as sharply exact match bends as the log of the loss, in log steps."""
    at = np.log(metrics["steps"].to_numpy(np.float64))
    smooth, sharp, shorter = (
        _second_difference(at, metrics[name].to_numpy(np.float64))
        for name in ("smooth", "sharp", "shorter")
    )
    note = f"{CHAIN} answers; {shorter / smooth:.1f} with {SHORT_CHAIN}"
    return Measured(value=sharp / smooth, note=note)
