"""A test of whether the noise is of one size, by residuals against each input.

Small models scatter more than large ones. Harvey's test (1976, Econometrica 44(3), 461) regresses
the log of squared residuals on the log inputs; the noise is then `exp(c) x_1^k_1 x_2^k_2 ...`. Rows
of one input count as one, by their mean: what they share is no evidence of a trend.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import fdtrc

from analysis.estimate import Floats
from analysis.fitting.engine.problem import Problem

LEVEL = 0.05
"""Noise of one size is taken to be unequal with this probability."""

MIN_ROWS = 20
"""Fewer rows do not show how the noise changes."""

_LEAST_SQUARE = 1e-4  # of the mean square: of normal residuals one in 125 is smaller
_EXACT_RESIDUAL = 1e-10  # log residuals below it are those of a noise-free curve


@dataclass(frozen=True)
class NoiseTrend:
    """How the size of the noise changes over the inputs.

    Attributes:
        slopes: Exponent of the standard deviation by name of the input: -0.4 for N^-0.4. 0 for an
            input that is the same in all rows.
        log_factor: Log of the standard deviation at inputs of 1, on the scale of the residuals.
        log_range: Least and largest log of the standard deviation at the rows.
        p_value: Probability of so strong a trend in noise of one size.
    """

    slopes: dict[str, float]
    log_factor: float
    log_range: tuple[float, float]
    p_value: float

    @property
    def is_unequal(self) -> bool:
        """Whether noise of one size is refuted."""
        return self.p_value < LEVEL

    def __str__(self) -> str:
        powers = " ".join(f"{name}^{slope:.2g}" for name, slope in self.slopes.items() if slope)
        return f"the noise changes as {powers} (p = {self.p_value:.1g})"

    def at(self, log_x: Floats) -> Floats:
        """Standard deviations at log inputs, shape `(n, n_inputs)`; beyond the rows the nearest."""
        found = self.log_factor + log_x @ np.array(list(self.slopes.values()))
        return np.exp(np.clip(found, *self.log_range))


def noise_trend(problem: Problem, theta: Floats, inputs: tuple[str, ...]) -> NoiseTrend | None:
    """Returns the trend of the noise about a fit; None of few rows, or of rows without noise.

    Args:
        problem: The problem.
        theta: Its solution. Where rows have weights, the noise is that of weight 1.
        inputs: Names of the inputs.
    """
    rows = problem.rows
    root = np.sqrt(rows.weights)
    squares = (root * problem.residuals(theta)) ** 2
    n_rows, mean = len(squares), float(np.mean(squares))
    if n_rows < MIN_ROWS or mean <= _EXACT_RESIDUAL**2:
        return None
    basis = np.linalg.svd(
        problem.law.jacobian(theta, rows.log_x) * root[:, None], full_matrices=False
    )[0]
    squares = squares / np.maximum(1 - np.sum(basis**2, axis=1), 1e-8)
    varied = np.ptp(rows.log_x, axis=0) > 0
    columns = np.column_stack([np.ones(n_rows), rows.log_x[:, varied]])
    count = np.sqrt(rows.group_sizes)
    logs = rows.group_means(np.log(np.maximum(squares, _LEAST_SQUARE * mean))) * count
    places = rows.group_means(columns.T).T * count[:, None]
    found, _, rank, _ = np.linalg.lstsq(places, logs, rcond=None)
    fitted, df = columns @ found, len(logs) - rank
    unexplained = float(np.sum((logs - places @ found) ** 2))
    alike = count * (count @ logs / n_rows)
    explained = float(np.sum((places @ found - alike) ** 2))
    if rank < 2 or df < 1 or unexplained <= 0:
        return None
    slopes = np.zeros(len(inputs))
    slopes[varied] = found[1:] / 2
    # The level by which residuals over their standard deviation have the mean square 1.
    level = np.log(problem.unit) + 0.5 * np.log(np.mean(squares / np.exp(fitted)))
    deviations = level + fitted / 2
    return NoiseTrend(
        slopes=dict(zip(inputs, slopes.tolist(), strict=True)),
        log_factor=float(level + found[0] / 2 - rows.log_x_scale @ slopes),
        log_range=(float(deviations.min()), float(deviations.max())),
        p_value=float(fdtrc(rank - 1, df, explained / (rank - 1) / (unexplained / df))),
    )
