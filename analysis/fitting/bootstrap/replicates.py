"""Bootstrap replicates of a fit whose plain percentiles are honest intervals.

A percentile interval from few points is too short twice over: the residuals of a fit are smaller
than the noise, and a resampled noise level is one estimate where Student's t allows for every
level that the data support. Both are mended where the noise is drawn, so that bounds on parameters
hold, and the same replicates serve every level, every parameter and the band of the curve:

    log y*_b = log f(x; estimate) + s_b noise_b,      s_b = sqrt(df / chi2_df)

with `noise_b` resampled from corrected residuals, or drawn from their density
(`analysis.fitting.bootstrap.resampling`), and `s_b` drawn anew for each replicate. For a law linear
in theta and normal noise the replicates follow the textbook's t. Intervals hold where the law does:
a wrong law gives narrow ones around the wrong curve.

Where rows themselves are redrawn ("rows"), the replicates are plain refits to the drawn rows; of
very many rows they come from the limit of such refits ("sandwich",
`analysis.fitting.bootstrap.sandwich`).
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from analysis.estimate import Floats
from analysis.fitting.bootstrap import sandwich
from analysis.fitting.bootstrap.resampling import Resampling, noise_of, row_counts
from analysis.fitting.engine.least_squares import Points, Project, solve
from analysis.fitting.engine.observations import Observations
from analysis.laws.law import Law

_MIN_REPLICATES_BEYOND = 5
_BLOCK = 2_000_000  # row values in memory at once


@dataclass(frozen=True)
class Bootstrap:
    """How the intervals of a fit were made.

    Attributes:
        resampling: Where replicates have their noise from
            (`analysis.fitting.bootstrap.resampling`).
        n_replicates: Replicates fitted.
        n_unconverged: Replicates whose fit stopped before its minimum; they are kept.
        n_units: Units that the rows belong to; None where none were given.
        degrees_of_freedom: Those of the Student t that the replicates follow; None for "rows".
        seed: Seed of the draws.
    """

    resampling: Resampling
    n_replicates: int
    n_unconverged: int
    n_units: int | None
    degrees_of_freedom: float | None
    seed: int


def require_resolvable(level: float, n_replicates: int) -> None:
    """Refuse a level that is no probability, or that the replicates cannot resolve.

    Raises:
        ValueError: Either of them.
    """
    if not 0 < level < 1:
        raise ValueError(
            f"level = {level}, but a probability lies between 0 and 1: give e.g. 0.95."
        )
    needed = math.ceil(round(2 * _MIN_REPLICATES_BEYOND / (1 - level), 6))
    if n_replicates < needed:
        raise ValueError(
            f"n_replicates = {n_replicates} leaves fewer than {_MIN_REPLICATES_BEYOND} replicates "
            f"beyond each end of a {100 * level:g} % interval: give at least {needed}."
        )


def percentile_interval(replicates: Floats, level: float) -> tuple[Floats, Floats]:
    """Ends between which a share `level` of the replicates lies, for each column.

    The k-th of n sorted replicates stands for probability k / (n + 1): a truth that is distributed
    as the replicates are then falls inside with probability `level`, however few they are.

    Args:
        replicates: Shape `(n_replicates, n_columns)`.
        level: The share.

    Returns:
        Low and high, each of shape `(n_columns,)`.

    Raises:
        ValueError: A level that the replicates cannot resolve.
    """
    require_resolvable(level, len(replicates))
    return percentiles(replicates, level)


def percentiles(replicates: Floats, level: float) -> tuple[Floats, Floats]:
    """`percentile_interval` of replicates that are known to resolve the level."""
    tail = (1 - level) / 2
    low, high = np.quantile(replicates, [tail, 1 - tail], axis=0, method="weibull")
    return low, high


class Replicates(NamedTuple):
    """Refitted coordinates in centred units.

    Attributes:
        theta: Shape `(n_replicates, n_params)`.
        noise_scale: The factor s_b of each replicate, shape `(n_replicates,)`.
        how: How they were made.
    """

    theta: Floats
    noise_scale: Floats
    how: Bootstrap

    def covariance(self, estimate: Floats) -> Floats:
        """Covariance of the estimate, shape `(n_params, n_params)`.

        To first order a replicate's deviation is proportional to `noise_scale`; divided by it,
        deviations have the spread of the estimate rather than the wider one of Student's t.
        """
        deviations = (self.theta - estimate) / self.noise_scale[:, None]
        return np.atleast_2d(np.cov(deviations, rowvar=False))


def student_scales(
    rng: np.random.Generator, degrees_of_freedom: float | None, n_replicates: int
) -> Floats:
    """The factors s_b, shape `(n_replicates,)`; 1 where there are no degrees of freedom."""
    if degrees_of_freedom is None:
        return np.ones(n_replicates)
    return np.sqrt(degrees_of_freedom / rng.chisquare(degrees_of_freedom, size=n_replicates))


def draw_replicates(
    law: Law,
    rows: Observations,
    theta: Floats,
    *,
    resampling: Resampling,
    n_replicates: int,
    seed: int,
    delta: float | None = None,
    above: float = 1.0,
    project: Project | None = None,
) -> Replicates:
    """Refit the law to redrawn rows, all replicates at once, each from the estimate.

    Args:
        law: The law.
        rows: The observations.
        theta: The estimate, in the centred units of `rows`, shape `(n_params,)`.
        resampling: Where replicates have their noise from.
        n_replicates: Replicates to fit.
        seed: Seed of the draws: the same seed and rows give the same replicates.
        delta: Huber's threshold in units of log y; None for squared error.
        above: Factor of the loss of rows above the curve.
        project: For variable projection, under squared error.

    Returns:
        The replicates.

    Raises:
        FitError: Too few repeats or units.
    """
    rng = np.random.default_rng(seed)
    n_units = None if rows.units is None else int(rows.units.max()) + 1
    if resampling == "sandwich":
        drawn = sandwich.draw(
            law, rows, theta, n_draws=n_replicates, rng=rng, delta=delta, above=above
        )
        how = Bootstrap(resampling, n_replicates, 0, n_units, None, seed)
        return Replicates(drawn, np.ones(n_replicates), how)
    if resampling == "rows":
        df, scales = None, student_scales(rng, None, n_replicates)

        def redraw(scale: Floats) -> tuple[Points, Floats]:
            weights = rows.weights * row_counts(rows, rng, len(scale))
            return Points(rows.log_x, weights), np.broadcast_to(rows.log_y, weights.shape)
    else:
        fitted = law.log_predict(theta, rows.log_x)
        jacobian = law.jacobian(theta, rows.log_x)
        noise = noise_of(resampling, rows, rows.log_y - fitted, jacobian, delta)
        df, points = float(noise.degrees_of_freedom), rows.points(delta, above)
        scales = student_scales(rng, df, n_replicates)

        def redraw(scale: Floats) -> tuple[Points, Floats]:
            redrawn = fitted + scale[:, None] * noise.draw(rng, len(scale))
            return points, rows.targets(redrawn, delta, above)

    replicates, n_unconverged = [], 0
    for scale in np.array_split(scales, math.ceil(n_replicates * len(rows.log_y) / _BLOCK)):
        where, targets = redraw(scale)
        starts = np.broadcast_to(theta, (len(scale), len(theta)))
        found = solve(law, where, targets, starts, delta=delta, above=above, project=project)
        replicates.append(found.theta)
        n_unconverged += int(np.sum(~found.converged))
    how = Bootstrap(
        resampling=resampling,
        n_replicates=n_replicates,
        n_unconverged=n_unconverged,
        n_units=n_units,
        degrees_of_freedom=df,
        seed=seed,
    )
    return Replicates(np.concatenate(replicates), scales, how)
