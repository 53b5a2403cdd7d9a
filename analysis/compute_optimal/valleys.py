"""Minima of loss over any x, a curve for each group, and how the minimum grows with the group.

The x may be the parameters at a compute budget (`analysis.compute_optimal.isoflop`), the learning
rate at a width, or the aspect ratio at a size.

Seed noise is carried from losses to minima to exponents by a parametric bootstrap: normal noise is
added to the points, every curve is made again, and the line goes through the new minima. Intervals
therefore hold for noise; a bias of the method is not in them (`analysis.compute_optimal.valley`
gives that of the parabola). Akima curves have little bias, but follow the noise: on seven sizes a
budget their exponents scatter six times as widely as those of parabolas.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analysis.compute_optimal.growth import Trend, fit_trend
from analysis.compute_optimal.points import KnownNoise, Points, SeedNoise, group_points
from analysis.compute_optimal.valley import (
    MIN_POINTS,
    PARABOLA,
    Curve,
    Minima,
    Refusal,
    Valley,
    akima_minima,
    clamped_estimate,
    parabola_minima,
    parabola_projection,
    parabola_weights,
    refuse,
    sampled_curve,
    used_points,
)
from analysis.errors import FitError
from analysis.estimate import Bootstrap, Estimate, Floats
from analysis.fitting.bootstrap.replicates import percentile_interval, require_resolvable

# Least error of a minimum, in units of the mean spacing of points in log x: noise does not show the
# error of a curve between its points. The value is that of Porian et al.'s code.
_ERROR_FLOOR = 0.33

_MIN_REPEAT_DF = 5

_OUTSIDE = (
    "noise moves the minimum of this curve to one side, so that it lies outside its own interval; "
    "use parabolas, or add seeds"
)


class Optimum(NamedTuple):
    """The minimum of one curve with its replicates.

    Attributes:
        group: The group of the curve.
        value: log x at the minimum; and log of the other quantity where there is one.
        replicates: `value` of noisy replicates, shape `(1 or 2, n_replicates)`.
        share_inside: Share of the replicates whose minimum lies inside the grid.
        spacing: Mean spacing of the points in log x.
    """

    group: float
    value: Floats
    replicates: Floats
    share_inside: float
    spacing: float


@dataclass(frozen=True, eq=False)
class Valleys:
    """The minima of all curves, from `valleys`.

    Attributes:
        curve: How minima were found.
        noise: The noise behind the intervals.
        bootstrap: The replicates and the level of the intervals.
        valleys: Every curve in ascending order of group, the refused ones too.
        optima: The minima with their replicates, of the curves that have one.
        growth: Power law of x at the minimum in the group; None where only one curve has a minimum.
    """

    curve: Curve
    noise: KnownNoise
    bootstrap: Bootstrap
    valleys: tuple[Valley, ...]
    optima: tuple[Optimum, ...] = field(repr=False)
    growth: Trend | None


def valleys(
    x: ArrayLike,
    loss: ArrayLike,
    group: ArrayLike,
    *,
    other: ArrayLike | None = None,
    curve: Curve = PARABOLA,
    noise: SeedNoise | None = None,
    tolerance: float = 0.1,
    bootstrap: Bootstrap = Bootstrap(),
) -> Valleys:
    """Finds the minimum of loss over x in each group, and its growth with the group.

    A curve without a trustworthy minimum is kept in the result with the reason; the power law is
    that of the other curves, weighted by one over the squared standard error of the log of the
    optimum, which counts as no less than a third of the mean spacing of the points.

    Args:
        x: Position of each run along its curve, positive, shape `(n_runs,)`.
        loss: Final loss of each run, shape `(n_runs,)`.
        group: Curve that each run belongs to, a positive number, shape `(n_runs,)`.
        other: Another positive quantity of each run, to be read off at the minimum.
        curve: Kind of curve through the points.
        noise: Noise of the loss over seeds. Unless given: from repeated runs if there are enough,
            else, for parabolas, from the scatter about them.
        tolerance: Relative difference of the groups of runs of one curve.
        bootstrap: Replicates with normal noise, and the level of the intervals.

    Raises:
        ValueError: An argument is at fault (`analysis.compute_optimal.points.group_points` says how
            columns can be).
        FitError: No curve has a minimum, with the reason for each; or the noise is unknown.
    """
    bootstrap.require_kind("parametric", "normal noise of the losses")
    require_resolvable(bootstrap.level, bootstrap.n)
    curves = group_points(x, loss, group, other=other, noise=noise, tolerance=tolerance)

    # 1. One estimate of the noise serves all curves.
    enough = [points for points in curves if used_points(points, curve).sum() >= MIN_POINTS]
    if not enough:
        raise _none_left([_too_few(points, curve) for points in curves])
    known = _known_noise(enough, curve, noise)

    # 2. All errors are drawn before any stand-in for a replicate: the same runs, with x counted in
    #    two ways, get the same noise. Student's t, as in `analysis.fitting.bootstrap.replicates`.
    rng = np.random.default_rng(bootstrap.seed)
    scales, df = np.ones(bootstrap.n), known.degrees_of_freedom
    if np.isfinite(df):
        scales = np.sqrt(df / rng.chisquare(df, size=bootstrap.n))
    errors = [scales * rng.standard_normal((len(points.x), bootstrap.n)) for points in curves]

    # 3. Every curve and its replicates.
    both = [
        _minimum(points, curve, known, error, bootstrap.level, rng)
        for points, error in zip(curves, errors, strict=True)
    ]
    found = tuple(valley for valley, _ in both)
    optima = tuple(optimum for _, optimum in both if optimum is not None)
    if not optima:
        raise _none_left(found)

    # 4. The line through the minima.
    return Valleys(
        curve=curve,
        noise=known,
        bootstrap=bootstrap,
        valleys=found,
        optima=optima,
        growth=growth_of(optima, np.eye(len(optima[0].value))[0], bootstrap.level)
        if len(optima) > 1
        else None,
    )


def growth_of(optima: Sequence[Optimum], of: Floats, level: float) -> Trend:
    """Returns the power law in the group of a product of powers of x and the other quantity.

    Args:
        optima: The minima, two or more.
        of: Power of x, and of the other quantity where there is one: (-1, 1) for other / x.
        level: Nominal coverage of the intervals.
    """
    noisy = np.einsum("k,bkr->br", of, np.array([optimum.replicates for optimum in optima]))
    spacings = np.array([optimum.spacing for optimum in optima])
    floor = _ERROR_FLOOR * np.abs(of).sum() * spacings
    shares = np.array([optimum.share_inside for optimum in optima])
    return fit_trend(
        np.array([optimum.group for optimum in optima]),
        np.array([optimum.value for optimum in optima]) @ of,
        noisy,
        np.maximum(noisy.std(axis=1), floor) / shares,
        level,
    )


def _known_noise(curves: Sequence[Points], curve: Curve, given: SeedNoise | None) -> KnownNoise:
    """Returns the noise of a run, as given or pooled over curves with enough points.

    Raises:
        FitError: Repeats are too few, and the method leaves no residuals to take it from.
    """
    if given is not None:
        return KnownNoise("given", None, float(given.degrees_of_freedom))
    squares = sum(points.squares for points in curves)
    df = float(sum(np.sum(points.counts - 1) for points in curves))
    if df >= _MIN_REPEAT_DF:
        return KnownNoise("repeats", float(np.sqrt(squares / df)), df)
    if curve.method == "akima":
        raise FitError(
            f"The seed noise is unknown: an Akima curve passes through every point, and repeated "
            f"runs have {df:.0f} degrees of freedom ({_MIN_REPEAT_DF} needed). Give noise, a "
            "standard deviation in units of the loss, or use parabolas."
        )
    for points in curves:
        used = used_points(points, curve)
        weights = parabola_weights(points)[used]
        design, projection = parabola_projection(np.log(points.x[used]), weights)
        residual = points.loss[used] - design @ (projection @ points.loss[used])
        squares += float(weights @ residual**2)
        df += len(residual) - design.shape[1]
    return KnownNoise("residuals", float(np.sqrt(squares / df)), df)


class _Used(NamedTuple):
    """The points that a curve is made from, in columns of shape `(n,)`.

    Attributes:
        log_x: log x, ascending.
        loss: Mean losses.
        projection: Matrix that takes losses to a parabola's coefficients; None for an Akima curve.
        log_other: Log of the other quantity; None where there is none.
    """

    log_x: Floats
    loss: Floats
    projection: Floats | None
    log_other: Floats | None

    def minima(self, error: Floats) -> Minima:
        """Returns minima of the curve with errors of shape `(n, n_columns)` added to its points."""
        if self.projection is not None:
            return parabola_minima(self.log_x, self.loss[:, None] + error, self.projection)
        # On log L, whose slopes change less across a valley than those of L.
        loss = self.loss[:, None]
        found = akima_minima(self.log_x, np.log(loss) + error / loss)
        return found._replace(loss=np.exp(found.loss))

    def logs_at(self, minima: Minima) -> Floats:
        """Returns log x at minima, and log of the other quantity, shape `(1 or 2, n_columns)`."""
        if self.log_other is None:
            return minima.log_x[None]
        return np.stack([minima.log_x, np.interp(minima.log_x, self.log_x, self.log_other)])


def _minimum(
    points: Points,
    curve: Curve,
    noise: KnownNoise,
    errors: Floats,
    level: float,
    rng: np.random.Generator,
) -> tuple[Valley, Optimum | None]:
    """Returns the valley of one curve, and its optimum where there is one.

    `errors` are those of the replicates, in units of the noise, shape `(n_points, n)`; `rng` draws
    the stand-ins for replicates without a minimum.
    """
    # 1. The curve, its replicates, and whether it has a minimum.
    at = used_points(points, curve)
    if at.sum() < MIN_POINTS:
        return _too_few(points, curve), None
    log_x, projection = np.log(points.x[at]), None
    if curve.method == "parabola":
        projection = parabola_projection(log_x, parabola_weights(points)[at])[1]
    used = _Used(
        log_x=log_x,
        loss=points.loss[at],
        projection=projection,
        log_other=None if points.other is None else np.log(points.other[at]),
    )
    sd = noise.of_means(points)
    best, noisy = used.minima(np.zeros((len(used.loss), 1))), used.minima(sd[at, None] * errors[at])
    refusal, reason = refuse(used.log_x, used.loss, used.projection, best, noisy)
    curve_x, curve_loss = sampled_curve(used.log_x, used.loss, used.projection)
    share_inside = float(noisy.inside.mean())
    valley = replace(
        _bare(points, at),
        curve_x=tuple(curve_x.tolist()),
        curve_loss=tuple(curve_loss.tolist()),
        refusal=refusal,
        reason=reason,
        share_inside=share_inside,
        loss_sd=tuple(sd.tolist()),
    )
    if refusal is not None:
        return valley, None

    # 2. The intervals.
    value, replicates = used.logs_at(best)[:, 0], used.logs_at(noisy)
    low, high = percentile_interval(np.vstack([replicates, noisy.loss]).T, level)
    if not low[0] <= value[0] <= high[0]:
        reason = f"{reason}; {_OUTSIDE}" if reason else _OUTSIDE

    def estimate(row: int, grid: Floats) -> Estimate:
        ends = low[row], high[row]
        return clamped_estimate(value[row], ends, (grid.min(), grid.max()), level)

    valley = replace(
        valley,
        reason=reason,
        optimum=estimate(0, used.log_x),
        lowest_loss=Estimate(float(best.loss[0]), float(low[-1]), float(high[-1]), level),
        optimal_other=None if used.log_other is None else estimate(1, used.log_other),
    )

    # 3. Where a replicate has no minimum inside, another of the same curve stands in.
    rows = np.arange(len(noisy.inside))
    outside = ~noisy.inside
    rows[outside] = rng.choice(rows[noisy.inside], outside.sum())
    spacing = float(np.mean(np.diff(used.log_x)))
    return valley, Optimum(points.group, value, replicates[:, rows], share_inside, spacing)


def _bare(points: Points, used: NDArray[np.bool_]) -> Valley:
    """Returns the valley of points that have no curve."""
    return Valley(
        group=points.group,
        x=tuple(points.x.tolist()),
        loss=tuple(points.loss.tolist()),
        n_runs=tuple(points.counts.astype(int).tolist()),
        used=tuple(used.tolist()),
        other=None if points.other is None else tuple(points.other.tolist()),
    )


def _too_few(points: Points, curve: Curve) -> Valley:
    used = used_points(points, curve)
    within = "" if curve.span is None else f" within a factor {curve.span:g} of the lowest loss"
    return replace(
        _bare(points, used),
        refusal=Refusal.TOO_FEW_SIZES,
        reason=f"a minimum needs {MIN_POINTS} distinct values, not {used.sum()}{within}: add some",
    )


def _none_left(found: Sequence[Valley]) -> FitError:
    why = ", ".join(sorted({str(valley.refusal) for valley in found}))
    reasons = "; ".join(f"{valley.group:.3g}: {valley.reason}" for valley in found)
    return FitError(f"No curve of {len(found)} has a minimum ({why}).", f"{reasons}.")
