"""Bootstrap replicates of a fit whose plain percentiles are intervals that cover.

A percentile interval from few points is too short for two reasons: the residuals of a fit are
smaller than the noise, and a resampled noise level is one estimate where Student's t allows for
every level that the data support. Both are corrected where the noise is drawn, so that parameters
stay within their bounds, and the same replicates serve every level, every parameter and the band of
the curve:

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
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np

from analysis.estimate import Bootstrap, Floats, Redrawn
from analysis.fitting.bootstrap import sandwich
from analysis.fitting.bootstrap.autocorrelation import (
    Draws,
    Processes,
    draw_processes,
    processes_of,
    why_no_curve,
)
from analysis.fitting.bootstrap.noise_trend import NoiseTrend
from analysis.fitting.bootstrap.resampling import (
    choose_resampling,
    noise_of,
    require_clusters,
    row_counts,
)
from analysis.fitting.engine.least_squares import Points, solve
from analysis.fitting.engine.problem import Problem

_MIN_REPLICATES_BEYOND = 5
_BLOCK = 2_000_000  # row values in memory at once


@dataclass(frozen=True)
class BootstrapRecord:
    """How the intervals of a fit were made.

    Attributes:
        resampling: What was redrawn (`analysis.fitting.bootstrap.resampling`).
        n_replicates: Replicates fitted.
        n_unconverged: Replicates whose fit stopped before its minimum; they are kept.
        n_clusters: Clusters that the rows belong to; None where rows are independent.
        degrees_of_freedom: Those of the Student t that the replicates follow; None for "rows".
        seed: Seed of the draws.
        correlation: Correlation of the noise of neighbours, for "curve"; else None.
    """

    resampling: Redrawn
    n_replicates: int
    n_unconverged: int
    n_clusters: int | None
    degrees_of_freedom: float | None
    seed: int
    correlation: float | None = None

    @property
    def takes_noise_as_equal(self) -> bool:
        """Whether the noise that is drawn is of one size, whatever the input."""
        return self.resampling in ("residuals", "parametric", "curve")


def require_resolvable(level: float, n_replicates: int) -> None:
    """Refuses a level that is no probability, or that the replicates cannot resolve.

    Raises:
        ValueError: Either of them.
    """
    require_level(level)
    needed = math.ceil(round(2 * _MIN_REPLICATES_BEYOND / (1 - level), 6))
    if not n_replicates >= needed:
        raise ValueError(
            f"n = {n_replicates} bootstrap replicates leave fewer than {_MIN_REPLICATES_BEYOND} "
            f"beyond each end of a {100 * level:g} % interval: give at least {needed}."
        )


def require_level(level: float) -> None:
    """Raises `ValueError` for a level that is no probability."""
    if not 0 < level < 1:
        raise ValueError(
            f"level = {level}, but a probability lies between 0 and 1. Give e.g. 0.95."
        )


def percentile_interval(replicates: Floats, level: float) -> tuple[Floats, Floats]:
    """Returns the ends, low and high, between which a share `level` of each column lies.

    The k-th of n sorted replicates stands for probability k / (n + 1): a truth that is distributed
    as the replicates are then falls inside with probability `level`, however few they are.
    Replicates have shape `(n_replicates, n_columns)`, either end `(n_columns,)`.

    Raises:
        ValueError: A level that the replicates cannot resolve.
    """
    require_resolvable(level, len(replicates))
    return percentiles(replicates, level)


def percentiles(replicates: Floats, level: float) -> tuple[Floats, Floats]:
    """Returns `percentile_interval` of replicates that are known to resolve the level."""
    tail, last = (1 - level) / 2, len(replicates) - 1
    # `np.quantile` by Weibull's method, which takes five times as long for a few columns.
    ordered = np.sort(replicates, axis=0)

    def end(share: float) -> Floats:
        place = min(max((last + 1) * share + share - 1, 0.0), float(last))
        below, beyond = ordered[int(place)], ordered[min(int(place) + 1, last)]
        found = below + (beyond - below) * (place % 1)
        return np.where(np.isnan(ordered[-1]), np.nan, found)

    return end(tail), end(1 - tail)


class Replicates(NamedTuple):
    """Refitted coordinates in centred units.

    Attributes:
        theta: Coordinates, shape `(n_replicates, n_params)`.
        noise_scale: The factor s_b of each replicate, shape `(n_replicates,)`.
        how: How they were made.
        noise: Standard deviation of a row about the curve, in centred units, that the factors are
            of; None where the residuals have it.
    """

    theta: Floats
    noise_scale: Floats
    how: BootstrapRecord
    noise: float | None = None

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
    """Returns the factors s_b, shape `(n_replicates,)`; 1 where there are no degrees of freedom."""
    if degrees_of_freedom is None:
        return np.ones(n_replicates)
    return np.sqrt(degrees_of_freedom / rng.chisquare(degrees_of_freedom, size=n_replicates))


Redraw: TypeAlias = Callable[[slice], tuple[Points, Floats]]
"""A block of replicates -> where and to what each of them is fitted."""


class Drawing(NamedTuple):
    """What the replicates of a fit are fitted to.

    Attributes:
        redraw: Draws a block of them; blocks are drawn in ascending order.
        scales: The factor s_b of each, shape `(n_replicates,)`.
        kind: What is redrawn.
        degrees_of_freedom: As in `BootstrapRecord`.
        correlation: As in `BootstrapRecord`.
        noise: As in `Replicates`.
    """

    redraw: Redraw
    scales: Floats
    kind: Redrawn
    degrees_of_freedom: float | None
    correlation: float | None = None
    noise: float | None = None


def draw_replicates(
    problem: Problem, theta: Floats, bootstrap: Bootstrap, trend: NoiseTrend | None = None
) -> Replicates:
    """Refits the law to redrawn rows, all replicates at once, each from the estimate `theta`.

    The same seed and rows give the same replicates. The kind that is chosen where none is asked for
    allows for the trend of the noise.

    Raises:
        ValueError: A kind that does not suit the rows.
        FitError: Too few repeats or clusters.
    """
    n_replicates = int(bootstrap.n)
    if choose_resampling(problem, bootstrap.kind, trend) == "sandwich":
        if problem.rows.clusters is not None:
            require_clusters(problem.rows)
        rng = np.random.default_rng(int(bootstrap.seed))
        found = sandwich.draw(problem, theta, n_replicates, rng)
        how = _record(problem, bootstrap, "sandwich")
        return Replicates(found, np.ones(n_replicates), how)
    drawing = draw_rows(problem, theta, bootstrap, trend)
    found, n_unconverged = _refits(problem, theta, n_replicates, drawing.redraw)
    return replicates_of(problem, bootstrap, drawing, found, n_unconverged)


def draw_rows(
    problem: Problem, theta: Floats, bootstrap: Bootstrap, trend: NoiseTrend | None
) -> Drawing:
    """Returns how rows are redrawn about the estimate, by any kind but "sandwich".

    Raises:
        ValueError: A kind that does not suit the rows.
        FitError: Too few repeats or clusters.
    """
    n_replicates, rng = int(bootstrap.n), np.random.default_rng(int(bootstrap.seed))
    chosen = choose_resampling(problem, bootstrap.kind, trend)
    kind, processes = _known_process(problem, theta, bootstrap.kind, chosen)
    if processes is not None:
        drawn = draw_processes(processes, n_replicates, rng)
        noise = float(np.median(drawn.deviation))
        return Drawing(
            _of_curve(problem, theta, drawn, rng),
            drawn.deviation / noise,
            kind,
            processes.degrees_of_freedom,
            processes.correlation,
            noise,
        )
    by_scale, df = _redraws(kind, problem, theta, rng)
    scales = student_scales(rng, df, n_replicates)
    return Drawing(lambda some: by_scale(scales[some]), scales, kind, df)


def replicates_of(
    problem: Problem, bootstrap: Bootstrap, drawing: Drawing, theta: Floats, n_unconverged: int
) -> Replicates:
    """Returns refits to what was drawn, with how they were made.

    Args:
        problem: The problem of the fit.
        bootstrap: What was asked for.
        drawing: What was drawn.
        theta: Refitted coordinates, shape `(n_replicates, n_params)`.
        n_unconverged: How many of the refits did not converge.
    """
    _, scales, kind, df, correlation, noise = drawing
    how = _record(problem, bootstrap, kind, n_unconverged, df, correlation)
    return Replicates(theta, scales, how, noise)


def _record(
    problem: Problem,
    bootstrap: Bootstrap,
    kind: Redrawn,
    n_unconverged: int = 0,
    degrees_of_freedom: float | None = None,
    correlation: float | None = None,
) -> BootstrapRecord:
    return BootstrapRecord(
        resampling=kind,
        n_replicates=int(bootstrap.n),
        n_unconverged=n_unconverged,
        n_clusters=problem.rows.n_clusters,
        degrees_of_freedom=degrees_of_freedom,
        seed=int(bootstrap.seed),
        correlation=correlation,
    )


def _known_process(
    problem: Problem, theta: Floats, asked: Redrawn | None, kind: Redrawn
) -> tuple[Redrawn, Processes | None]:
    """Whether rows are treated as one curve, as `kind`, and the processes of its noise if so.

    Where they are evaluations of one run, the residuals of neighbours decide.
    """
    may_be_one = (
        asked is None
        and problem.rows.one_run
        and kind in ("residuals", "wild", "rows")
        and problem.loss.above == 1
        and why_no_curve(problem) is None
    )
    found = processes_of(problem, theta) if asked == "curve" or may_be_one else None
    if asked == "curve":
        return ("residuals" if found is None else "curve"), found  # no noise: no process
    if found is not None and found.are_evident:
        return "curve", found
    return kind, None


def _of_curve(problem: Problem, theta: Floats, drawn: Draws, rng: np.random.Generator) -> Redraw:
    """Refits to the curve of the estimate with the noise of a run about it."""
    fitted = problem.law.log_predict(theta, problem.rows.log_x)
    root = np.sqrt(problem.rows.weights)

    def redraw(some: slice) -> tuple[Points, Floats]:
        return problem.points, problem.targets(fitted + drawn.noise(rng, some) / root)

    return redraw


def _redraws(
    kind: Redrawn, problem: Problem, theta: Floats, rng: np.random.Generator
) -> tuple[Callable[[Floats], tuple[Points, Floats]], float | None]:
    """How replicates are drawn given their factors s_b, and the degrees of freedom of the noise."""
    rows = problem.rows

    def of_rows(scale: Floats) -> tuple[Points, Floats]:
        weights = rows.weights * row_counts(rows, rng, len(scale))
        return Points(rows.log_x, weights), np.broadcast_to(rows.log_y, weights.shape)

    if kind == "rows":
        return of_rows, None
    fitted, points = problem.law.log_predict(theta, rows.log_x), problem.points
    noise = noise_of(kind, problem, theta)

    def of_noise(scale: Floats) -> tuple[Points, Floats]:
        return points, problem.targets(fitted + scale[:, None] * noise.draw(rng, len(scale)))

    return of_noise, float(noise.degrees_of_freedom)


def _refits(
    problem: Problem, theta: Floats, n_replicates: int, redraw: Redraw
) -> tuple[Floats, int]:
    """Refitted coordinates, in blocks that fit the memory, and how many did not converge."""
    replicates, n_unconverged = [], 0
    n_blocks = math.ceil(n_replicates * len(problem.rows.log_y) / _BLOCK)
    for block in np.array_split(np.arange(n_replicates), n_blocks):
        where, targets = redraw(slice(block[0], block[-1] + 1))
        starts = np.broadcast_to(theta, (len(block), len(theta)))
        found = solve(
            problem.law, where, targets, starts, loss=problem.loss, project=problem.project
        )
        replicates.append(found.theta)
        n_unconverged += int(np.sum(~found.converged))
    return np.concatenate(replicates), n_unconverged
