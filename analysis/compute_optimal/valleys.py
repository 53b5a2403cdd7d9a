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
from analysis.compute_optimal.points import Points, SeedNoise, group_points
from analysis.compute_optimal.seed_noise import KnownNoise, known_noise
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
    """Minima of loss over x in each group, and their growth with the group.

    A curve without a trustworthy minimum is kept in the result with the reason; the power law is
    that of the other curves, weighted by one over the squared standard error of the log of the
    optimum, which counts as no less than a third of the mean spacing of the points.

    Args:
        x: Where each run lies along its curve, positive, shape `(n_runs,)`.
        loss: Final loss of each run, shape `(n_runs,)`.
        group: Which curve each run belongs to, a positive number, shape `(n_runs,)`.
        other: Another positive quantity of each run, to be read off at the minimum.
        curve: How a curve is drawn through the points.
        noise: Noise of the loss over seeds. Unless given: from repeated runs if there are enough,
            else, for parabolas, from the scatter about them.
        tolerance: Relative difference of the groups of runs of one curve.
        bootstrap: Replicates with normal noise, and the level of the intervals.

    Returns:
        The result.

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
    known = known_noise(enough, curve, noise)

    # 2. All errors are drawn before any stand-in for a replicate: the same runs, with x counted in
    #    two ways, are given the same noise.
    rng = np.random.default_rng(bootstrap.seed)
    errors = _errors(curves, known, bootstrap.n, rng)

    # 3. Every curve and its replicates.
    found: list[Valley] = []
    optima: list[Optimum] = []
    for points, error in zip(curves, errors, strict=True):
        used = used_points(points, curve)
        if used.sum() < MIN_POINTS:
            found.append(_too_few(points, curve))
            continue
        measured = _Measured(points, used, curve, known)
        valley, optimum = measured.minimum(error, bootstrap.level, rng)
        found.append(valley)
        optima += [] if optimum is None else [optimum]
    if not optima:
        raise _none_left(found)

    # 4. The line through the minima.
    return Valleys(
        curve=curve,
        noise=known,
        bootstrap=bootstrap,
        valleys=tuple(found),
        optima=tuple(optima),
        growth=growth_of(optima, bootstrap.level) if len(optima) > 1 else None,
    )


def growth_of(optima: Sequence[Optimum], level: float, powers: Sequence[float] = (1.0,)) -> Trend:
    """Power law in the group of a product of powers of the quantities at the minima.

    Args:
        optima: The minima, two or more.
        level: Nominal coverage of the intervals.
        powers: Power of x, and of the other quantity where there is one: (-1, 1) for other / x.
    """
    of = np.zeros(len(optima[0].value))
    of[: len(powers)] = powers
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


def _errors(
    curves: Sequence[Points], noise: KnownNoise, n: int, rng: np.random.Generator
) -> list[Floats]:
    """Errors of replicates in units of the noise, shape `(n_points, n)` for each curve."""
    # Student's t, as in `analysis.fitting.bootstrap.replicates`.
    scales, df = np.ones(n), noise.degrees_of_freedom
    if np.isfinite(df):
        scales = np.sqrt(df / rng.chisquare(df, size=n))
    return [scales * rng.standard_normal((len(points.x), n)) for points in curves]


class _Measured(NamedTuple):
    """A curve with enough points.

    Attributes:
        points: Its points.
        used: Which of them the curve is made from.
        curve: How.
        noise: Noise of the loss of a run.
    """

    points: Points
    used: NDArray[np.bool_]
    curve: Curve
    noise: KnownNoise

    def minima(self, error: Floats) -> Minima:
        """Minima of the curve with errors added to its points, shape `(n_used, n_columns)`."""
        log_x, loss = np.log(self.points.x[self.used]), self.points.loss[self.used]
        if self.curve.method == "akima":
            # On log L, whose slopes change less across a valley than those of L.
            found = akima_minima(log_x, np.log(loss)[:, None] + error / loss[:, None])
            return found._replace(loss=np.exp(found.loss))
        weights = parabola_weights(self.points)[self.used]
        return parabola_minima(log_x, loss[:, None] + error, weights)

    def minimum(
        self, errors: Floats, level: float, rng: np.random.Generator
    ) -> tuple[Valley, Optimum | None]:
        """The valley of the curve, and its optimum where there is one.

        Args:
            errors: Errors of the replicates, in units of the noise, shape `(n_points, n)`.
            level: Nominal coverage of the intervals.
            rng: Draws the stand-ins for replicates without a minimum.
        """
        points, used = self.points, self.used
        log_x, loss = np.log(points.x[used]), points.loss[used]
        weights = parabola_weights(points)[used] if self.curve.method == "parabola" else None
        best = self.minima(np.zeros((len(loss), 1)))
        noisy = self.minima(self.noise.of_means(points)[used, None] * errors[used])
        refusal, reason = refuse(points, used, best, noisy, weights)
        curve_x, curve_loss = sampled_curve(log_x, loss, weights)
        valley = replace(
            _bare(points, used),
            curve_x=tuple(curve_x.tolist()),
            curve_loss=tuple(curve_loss.tolist()),
            refusal=refusal,
            reason=reason,
            share_inside=float(noisy.inside.mean()),
            loss_sd=tuple(self.noise.of_means(points).tolist()),
        )
        if refusal is not None:
            return valley, None
        return self._with_intervals(valley, best, noisy, level), self._optimum(best, noisy, rng)

    def _with_intervals(self, valley: Valley, best: Minima, noisy: Minima, level: float) -> Valley:
        log_x = np.log(self.points.x[self.used])
        low, high = percentile_interval(np.stack([noisy.log_x, noisy.loss], axis=1), level)
        reason, at = valley.reason, float(best.log_x[0])
        if not low[0] <= at <= high[0]:
            reason = f"{reason}; {_OUTSIDE}" if reason else _OUTSIDE
        optimal_other = None
        if self.points.other is not None:
            log_other = np.log(self.points.other[self.used])
            other_low, other_high = percentile_interval(self._other(noisy)[:, None], level)
            grid = (min(log_other), max(log_other))
            optimal_other = clamped_estimate(
                self._other(best)[0], (other_low[0], other_high[0]), grid, level
            )
        return replace(
            valley,
            reason=reason,
            optimum=clamped_estimate(at, (low[0], high[0]), (log_x[0], log_x[-1]), level),
            lowest_loss=Estimate(float(best.loss[0]), float(low[1]), float(high[1]), level),
            optimal_other=optimal_other,
        )

    def _other(self, minima: Minima) -> Floats:
        """Log of the other quantity at minima, interpolated in log x, shape `(n_columns,)`."""
        assert self.points.other is not None
        log_x, log_other = np.log(self.points.x[self.used]), np.log(self.points.other[self.used])
        return np.interp(minima.log_x, log_x, log_other)

    def _optimum(self, best: Minima, noisy: Minima, rng: np.random.Generator) -> Optimum:
        inside = np.flatnonzero(noisy.inside)
        rows = np.arange(len(noisy.inside))
        # Where a replicate has no minimum inside, another of the same curve stands in.
        rows[~noisy.inside] = rng.choice(inside, len(rows) - len(inside))
        both = [
            [minima.log_x, *([] if self.points.other is None else [self._other(minima)])]
            for minima in (best, noisy)
        ]
        return Optimum(
            group=self.points.group,
            value=np.array(both[0])[:, 0],
            replicates=np.stack(both[1])[:, rows],
            share_inside=float(noisy.inside.mean()),
            spacing=float(np.mean(np.diff(np.log(self.points.x[self.used])))),
        )


def _bare(points: Points, used: NDArray[np.bool_]) -> Valley:
    """The valley of points that have no curve."""
    return Valley(
        group=points.group,
        x=tuple(points.x.tolist()),
        loss=tuple(points.loss.tolist()),
        n_runs=tuple(points.counts.astype(int).tolist()),
        used=tuple(used.tolist()),
        curve_x=(),
        curve_loss=(),
        refusal=None,
        reason="",
        optimum=None,
        lowest_loss=None,
        other=None if points.other is None else tuple(points.other.tolist()),
        optimal_other=None,
        share_inside=0.0,
        loss_sd=(),
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
