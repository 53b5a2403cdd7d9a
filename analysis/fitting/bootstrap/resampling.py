"""Noise for the bootstrap, corrected for what the fit took from the residuals."""

from collections.abc import Callable
from typing import NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from analysis.errors import FitError
from analysis.estimate import Floats, Redrawn
from analysis.fitting.bootstrap import sandwich
from analysis.fitting.bootstrap.autocorrelation import why_no_curve
from analysis.fitting.bootstrap.noise_trend import NoiseTrend
from analysis.fitting.bootstrap.units import unit_noise
from analysis.fitting.engine.likelihood import likeliest_scale, size_quantile
from analysis.fitting.engine.loss import Loss
from analysis.fitting.engine.observations import Observations
from analysis.fitting.engine.problem import Problem

MIN_CLUSTERS = 5
"""Fewer clusters do not show how clusters differ."""

_BY_ROWS = ("rows", "sandwich")

_MANY_UNITS = 12
_WEBB = np.sqrt([0.5, 1.0, 1.5])

_ROWS_A_PARAMETER, _ROWS_A_PARAMETER_HUBER = 20, 5
"""Rows for each parameter from which on rows, not residuals, are redrawn."""


def choose_resampling(
    problem: Problem, asked: Redrawn | None, trend: NoiseTrend | None = None
) -> Redrawn:
    """Returns the kind asked for, or the best that the rows allow.

    Redrawn residuals assume noise of one size everywhere. Runs are not so: small models scatter
    more. Where the noise falls sevenfold over the rows of a Chinchilla fit, of the 90 % intervals
    from redrawn residuals 63 to 77 % cover under squared error and 32 to 60 % under Huber's loss,
    of those from redrawn rows 83 to 95 %; with noise of one size, both are right. So rows are
    redrawn wherever they are many; few rows, redrawn, miss out parts of the curve. There each row
    keeps its residual and only the sign is redrawn ("wild") where the noise has a trend.

    A curve that is not to lie in the middle of the rows leaves residuals that are not centred on
    it, and little of the noise below it: of the 95 % intervals that they give 80 to 95 % cover
    (normal noise, a tenth above, 20 to 60 rows), of those from redrawn rows 88 to 96 %. Only rows
    are redrawn there.

    Raises:
        ValueError: No such kind, or one that does not suit the rows.
    """
    rows, loss = problem.rows, problem.loss
    if asked is None:
        best = _best_kind(rows, loss, len(problem.law.params))
        return "wild" if best == "residuals" and trend is not None and trend.is_unequal else best
    if asked not in get_args(Redrawn):
        raise ValueError(
            f"bootstrap kind = {asked!r}, but it is one of {', '.join(get_args(Redrawn))}. "
            "Give one, or None for the best that the rows allow."
        )
    if asked == "curve" and (reason := why_no_curve(problem)) is not None:
        raise ValueError(
            f"bootstrap kind = 'curve' draws the noise of one curve, but {reason}. Give the rows "
            "of one run, or leave the kind out."
        )
    if asked in _BY_ROWS:
        return asked
    if loss.above != 1:
        raise ValueError(
            f"bootstrap kind = {asked!r} with above = {loss.above:g}: residuals are not centred on "
            "a curve that seeks the floor of the rows. Give 'rows', or leave the kind out."
        )
    if asked == "within_x" and np.ptp(rows.weights) > 0:
        raise ValueError(
            "bootstrap kind = 'within_x' with weights that differ: the repeats must weigh the "
            "same. Give 'residuals' or 'rows', or leave the weights out."
        )
    if asked != "curve" and (asked == "clusters") != (rows.clusters is not None):
        state = "missing" if rows.clusters is None else "given"
        raise ValueError(
            f"bootstrap kind = {asked!r} with `clusters` {state}: `clusters` belong to the kinds "
            "'clusters', 'rows' and 'sandwich'. Give both or neither."
        )
    return asked


def _best_kind(rows: Observations, loss: Loss, n_params: int) -> Redrawn:
    n_rows = len(rows.log_y)
    if n_rows > sandwich.FROM:
        return "sandwich"
    if loss.above != 1:
        return "rows"
    if rows.clusters is not None:
        return "clusters"
    if np.all(rows.group_sizes > 1) and np.ptp(rows.weights) == 0:
        return "within_x"
    enough = _ROWS_A_PARAMETER if loss.delta is None else _ROWS_A_PARAMETER_HUBER
    return "rows" if n_rows >= enough * n_params else "residuals"


class Noise(NamedTuple):
    """A source of noise for rows.

    Attributes:
        draw: `(generator, n_draws) -> noise`, shape `(n_draws, n_rows)`, in units of log y.
        degrees_of_freedom: Degrees of freedom with which the spread of the draws estimates that of
            the true noise.
    """

    draw: Callable[[np.random.Generator, int], Floats]
    degrees_of_freedom: float


def noise_of(kind: Redrawn, problem: Problem, theta: Floats) -> Noise:
    """Returns the source of noise of a kind of bootstrap, about the curve of the estimate `theta`.

    "rows" and "sandwich" have none.

    Raises:
        FitError: Too few repeats or clusters.
    """
    rows = problem.rows
    jacobian = problem.law.jacobian(theta, rows.log_x)
    residuals = problem.residuals(theta)
    if kind == "within_x":
        return _repeats(rows, residuals, jacobian)
    # A weight is taken to be the inverse variance of its row, where it is of most use.
    root = np.sqrt(rows.weights)
    residuals, jacobian = residuals * root, jacobian * root[:, None]
    if kind == "residuals":
        pooled = _any_residual(residuals, jacobian, problem.loss)
    elif kind == "parametric":
        pooled = _from_density(residuals, jacobian.shape[1], problem.loss)
    else:
        if kind == "clusters":
            require_clusters(rows)
        pooled = _flipped_units(residuals, jacobian, units_of(rows))
    return pooled._replace(draw=lambda rng, n_draws: pooled.draw(rng, n_draws) / root)


def units_of(rows: Observations) -> NDArray[np.intp]:
    """The number of what errs by itself: of the cluster of each row, or of the row."""
    return np.arange(len(rows.log_y)) if rows.clusters is None else rows.clusters


def row_counts(rows: Observations, rng: np.random.Generator, n_draws: int) -> Floats:
    """Returns how often each row is drawn if as many rows, or clusters, are drawn with repeats.

    The bootstrap of cases (Efron 1979), or of clusters where rows belong to some. It assumes only
    that rows, or clusters, are independent. From few of them its intervals are too short: nothing
    is corrected here.

    Returns:
        Counts, shape `(n_draws, n_rows)`.

    Raises:
        FitError: Too few clusters.
    """
    if rows.clusters is None:
        n_rows = len(rows.log_y)
        return rng.multinomial(n_rows, np.full(n_rows, 1 / n_rows), n_draws).astype(np.float64)
    n_clusters = require_clusters(rows)
    drawn = rng.multinomial(n_clusters, np.full(n_clusters, 1 / n_clusters), n_draws)
    return drawn[:, rows.clusters].astype(np.float64)


def require_clusters(rows: Observations) -> int:
    """Returns the number of clusters; raises a FitError if they are too few to redraw."""
    n_clusters = rows.n_clusters or 0
    if n_clusters < MIN_CLUSTERS:
        raise FitError(
            f"{n_clusters} clusters are too few: they do not show how clusters differ. Give at "
            f"least {MIN_CLUSTERS}, or leave `clusters` out if rows are independent."
        )
    return n_clusters


def _any_residual(residuals: Floats, jacobian: Floats, loss: Loss) -> Noise:
    """Any row's residual, divided by sqrt(1 - leverage); all rows share one spread.

    Davison and Hinkley, Bootstrap Methods and their Application (1997), algorithm 6.1. The
    leverage is that of the tangent plane, so the spread is then set to the unbiased one.
    """
    n_rows, n_params = jacobian.shape
    df = n_rows - n_params
    leverage = np.sum(np.linalg.svd(jacobian, full_matrices=False)[0] ** 2, axis=1)
    pool = residuals / np.sqrt(np.maximum(1.0 - leverage, 1e-8))
    pool = pool - np.average(pool, weights=loss.influence(pool))
    unbiased, actual = residuals @ residuals / df, np.mean(pool**2)
    pool = pool * np.sqrt(unbiased / actual) if actual > 0 else pool
    return Noise(lambda rng, n_draws: pool[rng.integers(0, n_rows, (n_draws, n_rows))], df)


def _from_density(residuals: Floats, n_params: int, loss: Loss) -> Noise:
    """The noise that the loss is the likelihood of: normal, or that of `engine.likelihood`.

    Its scale is the likeliest for the residuals, the loss divided by n - p in place of n, which for
    normal noise is the unbiased variance. Efron and Tibshirani 1993, An Introduction to the
    Bootstrap, section 6.5.
    """
    n_rows = len(residuals)
    df = n_rows - n_params
    mean_loss, delta = float(loss.value(residuals).sum()) / df, loss.delta
    if delta is None:
        sigma = np.sqrt(2 * mean_loss)
        return Noise(lambda rng, n_draws: sigma * rng.standard_normal((n_draws, n_rows)), df)
    scale = float(likeliest_scale(np.array(mean_loss / delta**2)))

    def draw(rng: np.random.Generator, n_draws: int) -> Floats:
        # One number for both: its side of 1/2 is the sign.
        place = 2 * rng.random((n_draws, n_rows)) - 1
        return delta * np.sign(place) * size_quantile(np.abs(place), scale)

    return Noise(draw, df)


def _repeats(rows: Observations, residuals: Floats, jacobian: Floats) -> Noise:
    """The residual of a row with the same input, the spread about their mean made unbiased.

    Degrees of freedom by Welch and Satterthwaite for each parameter, to first order in the noise;
    the smallest counts.
    """
    sizes = rows.group_sizes
    if np.any(sizes < 2):
        raise FitError(
            f"bootstrap kind = 'within_x' redraws repeats, but {np.sum(sizes < 2)} of {len(sizes)} "
            "distinct x have one row. Repeat those runs, or give the kind 'residuals'."
        )
    means = rows.group_means(residuals)[rows.group]
    deviations = (residuals - means) * np.sqrt(sizes / (sizes - 1))[rows.group]
    # The means stay in: with them the estimate is the fit to the mean of the draws, under
    # squared error exactly, and under Huber's loss nearly.
    pool = means + deviations
    first, size = (np.cumsum(sizes) - sizes)[rows.group], sizes[rows.group]

    root = np.sqrt(sizes)
    influence = np.linalg.pinv(rows.group_means(jacobian.T).T * root[:, None]) * root
    shares = influence**2 * (rows.group_means(deviations**2) / sizes)
    total = shares.sum(axis=1)
    df = total**2 / np.maximum((shares**2 / (sizes - 1)).sum(axis=1), np.finfo(float).tiny)
    df = float(np.min(df, where=total > 0, initial=np.sum(sizes - 1)))
    return Noise(lambda rng, n_draws: pool[first + rng.integers(0, size, (n_draws, len(size)))], df)


def _flipped_units(residuals: Floats, jacobian: Floats, units: NDArray[np.intp]) -> Noise:
    """Each row's corrected residual, its sign flipped at random for all rows of a unit at once.

    The wild bootstrap of Wu (1986, Ann. Statist. 14(4), 1261) and of Cameron, Gelbach and Miller
    (2008, Rev. Econ. Stat. 90(3), 414). It keeps how large the noise of each unit is and what its
    rows have in common, whatever that is, and unlike drawing units with replacement it never loses
    an input. Under 12 units two signs give too few draws that differ; there a unit is multiplied by
    one of six numbers (Webb 2023, Can. J. Econ. 56(3), 839). The replicates share one Student's t,
    that of the median parameter.
    """
    noise, n_units = unit_noise(jacobian, residuals, units), int(units.max()) + 1
    moved = noise.degrees_of_freedom[noise.variances > 0]
    sizes = np.ones(1) if n_units >= _MANY_UNITS else _WEBB

    def draw(rng: np.random.Generator, n_draws: int) -> Floats:
        factors = rng.choice(np.concatenate([-sizes, sizes]), (n_draws, n_units))
        return noise.residuals * factors[:, units]

    return Noise(draw, float(np.median(moved)) if moved.size else n_units - 1)
