"""One iso-FLOP curve: its minimum over model size, or the reason why it has none to offer.

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
from typing import Literal, NamedTuple

import numpy as np
from scipy.interpolate import Akima1DInterpolator

from analysis.compute_optimal.budgets import Budget
from analysis.estimate import Estimate, Floats

Method = Literal["parabola", "akima"]
"""A parabola in log N by least squares, or Akima's interpolation of the points in log N."""

MIN_SIZES = 4
_MIN_SHARE_INSIDE = 0.5
_CURVE_POINTS = 81


class Refusal(StrEnum):
    """Why a budget, or a span of compute, has no minimum."""

    TOO_FEW_SIZES = "too_few_sizes"
    WRONG_CURVATURE = "wrong_curvature"
    EDGE = "edge"
    UNRESOLVED = "unresolved"
    UNCOVERED = "uncovered"


@dataclass(frozen=True)
class Valley:
    """A budget's points, the curve through them and its minimum.

    Attributes:
        flops: The budget, FLOPs.
        n_params: Distinct sizes, ascending.
        tokens: Training tokens of each.
        loss: Mean loss of each, nats.
        n_runs: Runs behind each mean.
        used: Which of them the curve was made from.
        curve_n_params: Sizes along the curve; empty where too few points make one.
        curve_loss: Losses along the curve, nats.
        refusal: Why there is no minimum; None if there is one.
        reason: The refusal, or a doubt about the minimum, in a sentence; empty without either.
        optimal_params: Size at the minimum; an end of the interval that the grid does not bound is
            0 or infinite. None where refused; so are the next two.
        optimal_tokens: Tokens at the minimum, log D being interpolated in log N.
        lowest_loss: Loss at the minimum, nats.
        share_inside: Share of the noisy replicates whose minimum lies inside the grid.
        loss_sd: Standard deviation of each mean loss over seeds, nats; empty where too few sizes
            make a curve.
    """

    flops: float
    n_params: tuple[float, ...]
    tokens: tuple[float, ...]
    loss: tuple[float, ...]
    n_runs: tuple[int, ...]
    used: tuple[bool, ...]
    curve_n_params: tuple[float, ...]
    curve_loss: tuple[float, ...]
    refusal: Refusal | None
    reason: str
    optimal_params: Estimate | None
    optimal_tokens: Estimate | None
    lowest_loss: Estimate | None
    share_inside: float
    loss_sd: tuple[float, ...]

    @property
    def tokens_per_param(self) -> Estimate | None:
        """D* / N*; None where refused.

        At fixed compute D falls as N grows, so the ends of the interval are those of D* and N*.
        """
        size, data = self.optimal_params, self.optimal_tokens
        if size is None or data is None:
            return None
        high = data.high / size.low if size.low > 0 else float("inf")
        return Estimate(data.value / size.value, data.low / size.high, high, size.level)


class Minima(NamedTuple):
    """Lowest points, over the range of sizes, of curves through columns of losses.

    Attributes:
        log_n: log N of each, at an end of the range where there is no minimum inside, shape
            `(n_columns,)`.
        loss: Loss of each, shape `(n_columns,)`.
        inside: Which are minima inside the range, shape `(n_columns,)`.
    """

    log_n: Floats
    loss: Floats
    inside: np.ndarray


def used_points(budget: Budget, span: float | None) -> np.ndarray:
    """Which sizes lie within a factor `span` of that of the lowest loss, shape `(n_sizes,)`."""
    if span is None:
        return np.ones(len(budget.n_params), dtype=bool)
    ratio = np.abs(np.log(budget.n_params / budget.n_params[np.argmin(budget.loss)]))
    return ratio <= np.log(span) * (1 + 1e-12)


def parabola_projection(log_n: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Weighted least squares by a quadratic in log N, as matrices.

    Args:
        log_n: Distinct, ascending, shape `(n,)`, n >= 3.
        weights: One over the variance of each loss, up to a factor, shape `(n,)`.

    Returns:
        The design, shape `(n, 3)`, in powers of `log_n` less its mid-range over its half-range, and
        the matrix that takes losses to coefficients, shape `(3, n)`.
    """
    middle, half = (log_n[0] + log_n[-1]) / 2, (log_n[-1] - log_n[0]) / 2
    design = np.vander((log_n - middle) / half, 3, increasing=True)
    root = np.sqrt(weights / weights.max())
    return design, np.linalg.pinv(design * root[:, None]) * root


def parabola_minima(log_n: Floats, losses: Floats, weights: Floats) -> Minima:
    """Minima of the parabolas fitted to columns of losses, shape `(n, n_columns)`."""
    middle, half = (log_n[0] + log_n[-1]) / 2, (log_n[-1] - log_n[0]) / 2
    offset, slope, curvature = parabola_projection(log_n, weights)[1] @ losses
    upward = curvature > 0
    vertex = -slope / (2 * np.where(upward, curvature, 1.0))
    inside = upward & (np.abs(vertex) < 1)
    right = slope < 0  # the lower end of a parabola without a vertex inside
    at = np.where(inside, vertex, np.where(right, 1.0, -1.0))
    log_at = np.where(inside, middle + half * at, np.where(right, log_n[-1], log_n[0]))
    return Minima(log_at, offset + (slope + curvature * at) * at, inside)


def akima_minima(log_n: Floats, losses: Floats) -> Minima:
    """Exact minima of the Akima curves through columns of losses, shape `(n, n_columns)`.

    Akima (1970), J. ACM 17(4), 589: a cubic between neighbours, with slopes taken from the five
    points about each; a far point that is off leaves the curve where it is.
    """
    cubic, square, linear, constant = Akima1DInterpolator(log_n, losses).c
    # Stationary points in each piece: roots of its derivative, without cancellation.
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        root = np.sqrt(square**2 - 3 * cubic * linear)
        q = -(square + np.copysign(root, square))
        inner = np.stack([q / (3 * cubic), linear / q])
    inner = np.where((inner > 0) & (inner < np.diff(log_n)[:, None]), inner, 0.0)
    values = ((cubic * inner + square) * inner + linear) * inner + constant
    # A stationary point that lies outside its piece stands for the piece's left end.
    places = (log_n[:-1, None] + inner).reshape(-1, losses.shape[1])
    # The first piece may hold both of its stationary points: its left end is asked for by itself.
    ends = np.broadcast_to(log_n[[0, -1], None], (2, losses.shape[1]))
    places = np.concatenate([places, ends])
    values = np.concatenate([values.reshape(-1, losses.shape[1]), losses[[0, -1]]])
    lowest = values.argmin(axis=0)[None]
    at = np.take_along_axis(places, lowest, axis=0)[0]
    inside = (at > log_n[0]) & (at < log_n[-1])
    return Minima(at, np.take_along_axis(values, lowest, axis=0)[0], inside)


def sampled_curve(log_n: Floats, loss: Floats, weights: Floats | None) -> tuple[Floats, Floats]:
    """Sizes and losses along the parabola (weights given) or the Akima curve."""
    along = np.linspace(log_n[0], log_n[-1], _CURVE_POINTS)
    if weights is None:
        return np.exp(along), np.exp(Akima1DInterpolator(log_n, np.log(loss))(along))
    coefficients = parabola_projection(log_n, weights)[1] @ loss
    powers = np.vander(np.linspace(-1, 1, _CURVE_POINTS), 3, increasing=True)
    return np.exp(along), powers @ coefficients


def refuse(
    budget: Budget, used: np.ndarray, best: Minima, replicates: Minima, weights: Floats | None
) -> tuple[Refusal | None, str]:
    """Why a budget's minimum is not one, or what is doubtful about it.

    Args:
        budget: The budget.
        used: Which of its sizes the curve was made from.
        best: The minimum of the curve, one column.
        replicates: Minima of noisy replicates.
        weights: Those of the parabola; None for an Akima curve.

    Returns:
        The refusal and its sentence; None and a doubt, or an empty text, for a minimum.
    """
    sizes, loss = budget.n_params[used], budget.loss[used]
    lowest = int(np.argmin(loss))
    end = {0: "smallest", len(loss) - 1: "largest"}.get(lowest)
    remedy = {0: "smaller", len(loss) - 1: "larger"}.get(lowest, "more")
    if weights is not None:
        curvature = (parabola_projection(np.log(sizes), weights)[1] @ loss)[2]
        if curvature <= 0:
            return Refusal.WRONG_CURVATURE, (
                f"the parabola opens downward (curvature {curvature:.3g} nats over half the range "
                "of log size): its vertex is a maximum; add sizes on both sides of the lowest loss"
            )
        # A parabola through a falling convex curve has a vertex inside: ask the points as well.
        if end is not None:
            return Refusal.EDGE, (
                f"the lowest loss is that of the {end} size, {sizes[lowest]:.4g}: nothing brackets "
                f"the minimum; add {remedy} sizes"
            )
    if not best.inside[0]:
        return Refusal.EDGE, (
            f"the curve is lowest at an end of the grid, size {np.exp(best.log_n[0]):.4g}: the "
            "minimum lies there or beyond; add sizes beyond it"
        )
    share = float(replicates.inside.mean())
    if share < _MIN_SHARE_INSIDE:
        return Refusal.UNRESOLVED, (
            f"only {share:.0%} of the noisy replicates have a minimum inside the grid: the valley "
            "is too flat or the grid too narrow for this noise; add seeds or sizes"
        )
    if end is not None:
        return None, (
            f"the lowest measured loss is that of the {end} size: the minimum rests on the slope "
            f"of the curve there; add {remedy} sizes"
        )
    return None, ""


def clamped_estimate(
    value: float, ends: tuple[float, float], grid: tuple[float, float], level: float
) -> Estimate:
    """An estimate from logarithms, its interval open where it reaches an end of the grid.

    Args:
        value: log of the estimate.
        ends: log of the ends of its interval.
        grid: log of the ends of the grid, ascending.
        level: Of the interval.

    Returns:
        The estimate.
    """
    low = float(np.exp(ends[0])) if ends[0] > grid[0] else 0.0
    high = float(np.exp(ends[1])) if ends[1] < grid[1] else float("inf")
    return Estimate(float(np.exp(value)), low, high, level)
