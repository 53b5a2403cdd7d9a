"""One curve of loss over x: its minimum, or the reason why it has none.

**Bias of the parabola.** On `L = E + A N^-alpha + B D^-beta` with D = C / (6 N), a budget's curve
is not a parabola. With sizes spread evenly in log N from N*/s to N* s the vertex lies at

    log N* + (alpha - beta) (log s)^2 / 10

to leading order in log s, at every budget alike: the factor enters the coefficient of N* ~ C^a and
leaves the exponent as it is. Where the grid drifts against the optimum from budget to budget, or
widens, the exponent is biased too, without any noise and even if alpha = beta (Open-Athena,
scaling-law-analysis, experiments 1 to 3). A small span about the lowest point limits both.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import Akima1DInterpolator

from analysis.compute_optimal.points import Points
from analysis.estimate import Estimate, Floats

Method = Literal["parabola", "akima"]
"""A parabola in log x by least squares, or Akima's interpolation of the points in log x."""

MIN_POINTS = 4
_MIN_SHARE_INSIDE = 0.5
_CURVE_POINTS = 81


@dataclass(frozen=True)
class Curve:
    """How a curve is drawn through points.

    Attributes:
        method: "parabola" or "akima".
        span: A parabola is fitted to points within this factor of the one with the lowest loss;
            None: to all. A wide grid biases it.

    Raises:
        ValueError: An unknown method, or an impossible span.
    """

    method: Method = "parabola"
    span: float | None = None

    def __post_init__(self) -> None:
        if self.method not in get_args(Method):
            raise ValueError(
                f"method = {self.method!r}, but it is one of {', '.join(get_args(Method))}: "
                "give one."
            )
        if self.span is not None and (self.method != "parabola" or not 1 < self.span < np.inf):
            raise ValueError(
                f"span = {self.span} with method {self.method!r}: give a factor above 1 with "
                "'parabola', and none with 'akima', whose curves are local."
            )


PARABOLA = Curve("parabola")
"""A parabola through all points."""

AKIMA = Curve("akima")
"""Akima's interpolation."""


class Refusal(StrEnum):
    """Why a curve, or a span of compute, has no minimum."""

    TOO_FEW_SIZES = "too_few_sizes"
    """The curve has fewer distinct x than a minimum needs."""

    WRONG_CURVATURE = "wrong_curvature"
    """The parabola opens downward."""

    EDGE = "edge"
    """The lowest loss lies at an end of the grid."""

    UNRESOLVED = "unresolved"
    """Too few noisy replicates have a minimum inside the grid."""

    UNCOVERED = "uncovered"
    """A neighbour of the size with the lowest loss has no learning curve there."""


@dataclass(frozen=True)
class Valley:
    """The points of one curve, the curve through them and its minimum.

    Attributes:
        group: What the runs of the curve have in common, such as their budget or width.
        x: Distinct x, ascending.
        loss: Mean loss of each.
        n_runs: Number of runs that each mean is over.
        used: Which of them the curve was made from.
        other: Another quantity at each x; None where there is none.
        curve_x: x along the curve; empty where too few points make one.
        curve_loss: Losses along the curve.
        refusal: Why there is no minimum; None if there is one.
        reason: The refusal, or a doubt about the minimum, in a sentence; empty without either.
        optimum: x at the minimum; an end of the interval that the grid does not bound is 0 or
            infinite. None where refused; so are the next two.
        lowest_loss: Loss at the minimum.
        optimal_other: The other quantity at the minimum, its log being interpolated in log x.
        share_inside: Share of the noisy replicates whose minimum lies inside the grid.
        loss_sd: Standard deviation of each mean loss over seeds; empty where too few points make a
            curve.
    """

    group: float
    x: tuple[float, ...]
    loss: tuple[float, ...]
    n_runs: tuple[int, ...]
    used: tuple[bool, ...]
    other: tuple[float, ...] | None
    curve_x: tuple[float, ...] = ()
    curve_loss: tuple[float, ...] = ()
    refusal: Refusal | None = None
    reason: str = ""
    optimum: Estimate | None = None
    lowest_loss: Estimate | None = None
    optimal_other: Estimate | None = None
    share_inside: float = 0.0
    loss_sd: tuple[float, ...] = ()


class Minima(NamedTuple):
    """Lowest points, over the range of x, of curves through columns of losses.

    Attributes:
        log_x: log x of each, at an end of the range where there is no minimum inside, shape
            `(n_columns,)`.
        loss: Loss of each, shape `(n_columns,)`.
        inside: Which are minima inside the range, shape `(n_columns,)`.
    """

    log_x: Floats
    loss: Floats
    inside: NDArray[np.bool_]


def used_points(points: Points, curve: Curve) -> NDArray[np.bool_]:
    """Returns which points lie within the span of the lowest one, shape `(n_points,)`."""
    if curve.span is None:
        return np.ones(len(points.x), dtype=bool)
    ratio = np.abs(np.log(points.x / points.x[np.argmin(points.loss)]))
    return ratio <= np.log(curve.span) * (1 + 1e-12)


def parabola_weights(points: Points) -> Floats:
    """Returns one over the variance of each mean loss, up to a factor, shape `(n_points,)`."""
    return points.counts if points.noise is None else points.noise**-2.0


def parabola_projection(log_x: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Returns the matrices of weighted least squares by a quadratic in log x.

    Args:
        log_x: Distinct values of log x, ascending, shape `(n,)`, n >= 3.
        weights: One over the variance of each loss, up to a factor, shape `(n,)`.

    Returns:
        The design, shape `(n, 3)`, in powers of `log_x` less its mid-range over its half-range, and
        the matrix that takes losses to coefficients, shape `(3, n)`.
    """
    middle, half = (log_x[0] + log_x[-1]) / 2, (log_x[-1] - log_x[0]) / 2
    design = np.vander((log_x - middle) / half, 3, increasing=True)
    root = np.sqrt(weights / weights.max())
    return design, np.linalg.pinv(design * root[:, None]) * root


def parabola_minima(log_x: Floats, losses: Floats, projection: Floats) -> Minima:
    """Returns minima of parabolas through columns of losses, shape `(n, n_columns)`.

    `projection` takes losses to coefficients, as `parabola_projection` gives it.
    """
    middle, half = (log_x[0] + log_x[-1]) / 2, (log_x[-1] - log_x[0]) / 2
    offset, slope, curvature = projection @ losses
    upward = curvature > 0
    vertex = -slope / (2 * np.where(upward, curvature, 1.0))
    inside = upward & (np.abs(vertex) < 1)
    right = slope < 0  # the lower end of a parabola without a vertex inside
    at = np.where(inside, vertex, np.where(right, 1.0, -1.0))
    log_at = np.where(inside, middle + half * at, np.where(right, log_x[-1], log_x[0]))
    return Minima(log_at, offset + (slope + curvature * at) * at, inside)


def akima_minima(log_x: Floats, losses: Floats) -> Minima:
    """Returns exact minima of the Akima curves through columns of losses, shape `(n, n_columns)`.

    Akima (1970), J. ACM 17(4), 589: a cubic between neighbours, with slopes taken from the five
    points about each; a far point that is off leaves the curve where it is.
    """
    cubic, square, linear, constant = Akima1DInterpolator(log_x, losses).c
    # Stationary points in each piece: roots of its derivative, without cancellation.
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        root = np.sqrt(square**2 - 3 * cubic * linear)
        q = -(square + np.copysign(root, square))
        inner = np.stack([q / (3 * cubic), linear / q])
    inner = np.where((inner > 0) & (inner < np.diff(log_x)[:, None]), inner, 0.0)
    values = ((cubic * inner + square) * inner + linear) * inner + constant
    # A stationary point that lies outside its piece stands for the piece's left end.
    places = (log_x[:-1, None] + inner).reshape(-1, losses.shape[1])
    # The first piece may hold both of its stationary points, so its left end is added.
    ends = np.broadcast_to(log_x[[0, -1], None], (2, losses.shape[1]))
    places = np.concatenate([places, ends])
    values = np.concatenate([values.reshape(-1, losses.shape[1]), losses[[0, -1]]])
    lowest = values.argmin(axis=0)[None]
    at = np.take_along_axis(places, lowest, axis=0)[0]
    inside = (at > log_x[0]) & (at < log_x[-1])
    return Minima(at, np.take_along_axis(values, lowest, axis=0)[0], inside)


def sampled_curve(log_x: Floats, loss: Floats, projection: Floats | None) -> tuple[Floats, Floats]:
    """Returns x and losses along the parabola (projection given) or the Akima curve."""
    along = np.linspace(log_x[0], log_x[-1], _CURVE_POINTS)
    if projection is None:
        return np.exp(along), np.exp(Akima1DInterpolator(log_x, np.log(loss))(along))
    powers = np.vander(np.linspace(-1, 1, _CURVE_POINTS), 3, increasing=True)
    return np.exp(along), powers @ (projection @ loss)


def refuse(
    log_x: Floats, loss: Floats, projection: Floats | None, best: Minima, replicates: Minima
) -> tuple[Refusal | None, str]:
    """Returns why a curve has no minimum, or what is doubtful about the one it has.

    Args:
        log_x: log x of the points of the curve, ascending.
        loss: Mean loss of each.
        projection: Matrix of `parabola_projection`; None for an Akima curve.
        best: The minimum of the curve, one column.
        replicates: Minima of noisy replicates.

    Returns:
        The refusal and its sentence; None and a doubt, or an empty text, for a minimum.
    """
    lowest = int(np.argmin(loss))
    end = {0: "lower", len(loss) - 1: "upper"}.get(lowest)
    remedy = {0: "smaller", len(loss) - 1: "larger"}.get(lowest, "more")
    if projection is not None:
        curvature = float(projection[2] @ loss)
        if curvature <= 0:
            return Refusal.WRONG_CURVATURE, (
                f"the parabola opens downward (curvature {curvature:.3g} over half the logarithmic "
                "range), so its vertex is a maximum; add points on both sides of the lowest loss"
            )
        # A parabola through a falling convex curve has a vertex inside: check the points as well.
        if end is not None:
            return Refusal.EDGE, (
                f"the lowest loss lies at the {end} end of the grid, {np.exp(log_x[lowest]):.4g}: "
                f"the minimum is not bracketed; add {remedy} values"
            )
    if not best.inside[0]:
        return Refusal.EDGE, (
            f"the curve is lowest at an end of the grid, {np.exp(best.log_x[0]):.4g}: the minimum "
            "lies there or beyond; add values beyond it"
        )
    share = float(replicates.inside.mean())
    if share < _MIN_SHARE_INSIDE:
        return Refusal.UNRESOLVED, (
            f"only {share:.0%} of the noisy replicates have a minimum inside the grid: the valley "
            "is too flat or the grid too narrow for this noise; add seeds, or values beyond the "
            "grid"
        )
    if end is not None:
        return None, (
            f"the lowest measured loss lies at the {end} end of the grid: the minimum rests on the "
            f"slope of the curve there; add {remedy} values"
        )
    return None, ""


def clamped_estimate(
    value: float, ends: tuple[float, float], grid: tuple[float, float], level: float
) -> Estimate:
    """Returns an estimate from logarithms, its interval open where it reaches an end of the grid.

    `ends` are those of the interval, `grid` those of the grid, both as logarithms.
    """
    low = float(np.exp(ends[0])) if ends[0] > grid[0] else 0.0
    high = float(np.exp(ends[1])) if ends[1] < grid[1] else float("inf")
    return Estimate(float(np.exp(value)), low, high, level)
