"""The frontier of steps and batch size at several losses, and the noise scale, at one size."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.compute_optimal.critical_batch import (
    BatchGrowth,
    common_losses,
    critical_batches,
    least_over_rates,
    ratio_of_means,
    steps_to_losses,
)
from analysis.estimate import Estimate, Floats

N_LOSSES = 5


@dataclass(frozen=True)
class AtSize:
    """Frontier and noise scale at one number of parameters.

    Attributes:
        n_params: Parameters in products.
        losses: Losses, descending, shape `(n_losses,)`.
        batch: Tokens per batch, shape `(n_batches,)`.
        steps: Fewest steps to each loss, shape `(n_batches, n_losses)`.
        rates: Learning rates with a run that is done, ascending, one array per batch; shorter where
            runs diverged.
        best: Index of the best rate for each loss, shape `(n_batches, n_losses)`.
        run_ids: Ids of the best runs, a list per batch.
        growth: Fits of the frontier.
        noise: Gradient noise scale at each loss, tokens.
    """

    n_params: int
    losses: Floats
    batch: Floats
    steps: Floats
    rates: tuple[Floats, ...]
    best: NDArray[np.intp]
    run_ids: Sequence[Sequence[str]]
    growth: BatchGrowth
    noise: tuple[Estimate, ...]

    def best_rates(self, loss: int) -> Floats:
        """Best rate tried at each batch for one of the losses, shape `(n_batches,)`."""
        return np.array([rates[i] for rates, i in zip(self.rates, self.best[:, loss], strict=True)])

    def inside(self) -> float:
        """Share of the best rates that have tried rates on both sides."""
        last = np.array([[len(rates) - 1] for rates in self.rates])
        return float(np.mean((self.best > 0) & (self.best < last)))


def at_size(runs: pd.DataFrame, by_run: Mapping[str, pd.DataFrame]) -> AtSize:
    """Measures the frontier and the noise scale at one size.

    Args:
        runs: Records of its runs that are done, with `batch`, the tokens of a batch.
        by_run: Evaluations of each run, by run_id, in ascending order of steps.

    Raises:
        FitError: Too few batch sizes, or no loss that all of them reach.
    """
    groups = [
        each.sort_values("train.optimizer.learning_rate") for _, each in runs.groupby("batch")
    ]
    of_batch = [[by_run[name] for name in each["run_id"]] for each in groups]
    losses = common_losses([[curve["eval_loss"] for curve in each] for each in of_batch], N_LOSSES)
    steps, best = [], []
    for group, each in zip(groups, of_batch, strict=True):
        tried = np.stack(
            [steps_to_losses(curve["step"], curve["eval_loss"], losses) for curve in each]
        )
        steps.append(least_over_rates(group["train.optimizer.learning_rate"], tried))
        best.append(np.nanargmin(tried, axis=0))
    batch = np.array([each["batch"].iloc[0] for each in groups])
    chosen = [[each[i] for i in at] for each, at in zip(of_batch, best, strict=True)]
    return AtSize(
        n_params=int(runs["n_params_matmul"].iloc[0]),
        losses=losses,
        batch=batch,
        steps=np.stack(steps),
        rates=tuple(each["train.optimizer.learning_rate"].to_numpy(np.float64) for each in groups),
        best=np.stack(best),
        run_ids=[[curve["run_id"].iloc[0] for curve in each] for each in chosen],
        growth=critical_batches(batch, np.stack(steps), losses),
        noise=tuple(
            _noise_scale([each[i] for each in chosen], losses, i) for i in range(len(losses))
        ),
    )


def _noise_scale(best: Sequence[pd.DataFrame], losses: Floats, i: int) -> Estimate:
    """Noise scale of the best runs, from their evaluations nearest to one of the losses."""
    half_way = np.sqrt(losses[0] / losses[1])
    means = []
    for curve in best:
        ratio = curve["eval_loss"].to_numpy(np.float64) / losses[i]
        near = (ratio < half_way) & (ratio > 1 / half_way)
        trace, square = (
            curve[name].to_numpy(np.float64)[near]
            for name in ("gradient_covariance_trace", "gradient_squared_norm")
        )
        if np.any(near):
            means.append((trace.mean(), square.mean()))
    above, below = np.array(means).reshape(-1, 2).T
    return ratio_of_means(above, below)
