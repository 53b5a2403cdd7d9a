"""The seed noise of the losses in an iso-FLOP analysis, and how it came to be known."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from analysis.compute_optimal.budgets import Budget
from analysis.compute_optimal.valley import Method, parabola_projection, used_points
from analysis.errors import FitError
from analysis.estimate import Floats

NoiseSource = Literal["given", "repeats", "residuals"]
"""Where the noise of a run is known from: the caller, runs repeated at one size and budget, or
the scatter of the points about the parabolas of all budgets, misfit of the parabola included."""

_MIN_REPEAT_DF = 5


@dataclass(frozen=True)
class SeedNoise:
    """The noise of the loss of one run.

    Attributes:
        source: Where it is known from.
        sd: Standard deviation, nats; None where it was given, and may differ from run to run.
        degrees_of_freedom: Of `sd`; infinite where it was given as known.
    """

    source: NoiseSource
    sd: float | None
    degrees_of_freedom: float

    def of_means(self, budget: Budget) -> Floats:
        """Standard deviation of the mean loss of each size, nats, shape `(n_sizes,)`."""
        if budget.noise is not None:
            return budget.noise
        assert self.sd is not None
        return self.sd / np.sqrt(budget.counts)


def parabola_weights(budget: Budget) -> Floats:
    """One over the variance of each mean loss, up to a factor, shape `(n_sizes,)`."""
    return budget.counts if budget.noise is None else budget.noise**-2.0


def seed_noise(
    budgets: Sequence[Budget], method: Method, span: float | None, given_df: float
) -> SeedNoise:
    """The noise of a run, pooled over budgets.

    Args:
        budgets: Budgets with sizes enough for a curve; at least one.
        method: How minima are found.
        span: Of the parabola.
        given_df: Degrees of freedom of a noise that the budgets were given.

    Returns:
        The noise.

    Raises:
        FitError: Repeats are too few, and the method leaves no residuals to take it from.
    """
    if budgets[0].noise is not None:
        return SeedNoise("given", None, given_df)
    squares = sum(budget.squares for budget in budgets)
    df = float(sum(np.sum(budget.counts - 1) for budget in budgets))
    if df >= _MIN_REPEAT_DF:
        return SeedNoise("repeats", float(np.sqrt(squares / df)), df)
    if method == "akima":
        raise FitError(
            f"an Akima curve passes through every point, so only repeated runs tell the seed noise "
            f"({df:.0f} to spare, {_MIN_REPEAT_DF} needed): give noise, a standard deviation in "
            "nats, or use parabolas"
        )
    for budget in budgets:
        used = used_points(budget, span)
        weights = parabola_weights(budget)[used]
        design, projection = parabola_projection(np.log(budget.n_params[used]), weights)
        residual = budget.loss[used] - design @ (projection @ budget.loss[used])
        squares += float(weights @ residual**2)
        df += len(residual) - design.shape[1]
    return SeedNoise("residuals", float(np.sqrt(squares / df)), df)
