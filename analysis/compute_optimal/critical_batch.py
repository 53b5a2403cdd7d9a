"""The critical batch and its growth, from learning curves at several batch sizes.

One run, or one for each of several learning rates, at every batch size gives the steps that each
took to a loss; the least over learning rates lie on a frontier (`analysis.laws.critical_batch`)
whose turning point is the critical batch at that loss.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import isotonic_regression
from scipy.special import stdtrit

from analysis.errors import FitError
from analysis.estimate import Bootstrap, Estimate, Floats
from analysis.fitting.bootstrap.replicates import percentiles
from analysis.fitting.fit import fit
from analysis.fitting.result import FitResult
from analysis.guards import positive_column
from analysis.laws import CRITICAL_BATCH

_UPRIGHT = math.pi / 2 - 1e-12


def steps_to_losses(steps: ArrayLike, loss: ArrayLike, targets: ArrayLike) -> Floats:
    """Returns the steps that a run took to reach given losses.

    Isotonic regression first makes the curve fall throughout, because the first of many noisy
    evaluations below a loss comes too early. Between evaluations log steps are linear in the loss.

    Args:
        steps: Steps at which the run was evaluated, ascending, shape `(n_evaluations,)`.
        loss: Loss at each evaluation, shape `(n_evaluations,)`.
        targets: Losses, shape `(n_targets,)`.

    Returns:
        Steps, shape `(n_targets,)`; NaN for a loss that the run never reached, or that is above its
        first evaluation.

    Raises:
        ValueError: Columns of different lengths, values that are not positive and finite, or steps
            that do not ascend.
    """
    at = positive_column("steps", steps)
    losses = positive_column("loss", loss, len(at))
    wanted = positive_column("targets", targets)
    if np.any(np.diff(at) <= 0):
        raise ValueError("steps do not ascend: give the evaluations of one run in order")
    falling = _made_to_fall(losses)
    found = np.exp(np.interp(-wanted, -falling, np.log(at)))
    reached = (wanted <= falling[0]) & (wanted >= falling[-1])
    return np.where(reached, found, np.nan)


def least_over_rates(rates: ArrayLike, steps: ArrayLike) -> Floats:
    """Returns the steps to each loss at the best learning rate.

    They are those at the vertex of the parabola of log steps in log rate through the best rate and
    its neighbours, so that the grid of rates need not be fine. Where a neighbour never reached the
    loss, or the best rate is at an end of the grid, they are those measured at the best rate.

    Args:
        rates: Learning rates, ascending, shape `(n_rates,)`.
        steps: Steps of each run, shape `(n_rates, n_targets)`; NaN where it never reached a loss.

    Returns:
        Steps, shape `(n_targets,)`; NaN where no run reached the loss.
    """
    log_rates = np.log(positive_column("rates", rates))
    least = []
    for log_steps in np.log(np.asarray(steps, dtype=np.float64)).T:
        if np.all(np.isnan(log_steps)):
            least.append(np.nan)
            continue
        best = int(np.nanargmin(log_steps))
        near = slice(best - 1, best + 2)
        if 0 < best < len(log_rates) - 1 and np.all(np.isfinite(log_steps[near])):
            curvature, slope, level = np.polyfit(
                log_rates[near] - log_rates[best], log_steps[near], 2
            )
            # A parabola without curvature has no vertex.
            least.append(level - slope**2 / (4 * curvature) if curvature > 0 else level)
        else:
            least.append(log_steps[best])
    return np.exp(least)


class BatchGrowth(NamedTuple):
    """The critical batch at several losses, and its growth as the loss falls.

    Attributes:
        fits: Fit of `CRITICAL_BATCH` at each loss.
        batch: The critical batch at each loss, with its interval.
        exponent: Exponent of B_crit ~ L^exponent, with its interval; negative where B_crit grows as
            the loss falls. It is -1 / alpha_B of Kaplan et al. 2020 (arXiv 2001.08361, equation
            1.4).
    """

    fits: tuple[FitResult, ...]
    batch: tuple[Estimate, ...]
    exponent: Estimate


def critical_batches(batch: ArrayLike, steps: ArrayLike, losses: ArrayLike) -> BatchGrowth:
    """Fits the frontier at every loss, and a power law of the loss to the critical batches.

    The losses are read off the same runs: their errors are not independent. Every fit redraws the
    residuals of the same batch sizes, so that replicate b of one loss goes with replicate b of
    another. The interval of the exponent is that of the exponents of replicates.

    Args:
        batch: Tokens of a batch, shape `(n_batches,)`, at least four.
        steps: Steps to each loss, shape `(n_batches, n_losses)`, positive.
        losses: Losses, at least two distinct ones, shape `(n_losses,)`.

    Raises:
        ValueError: Shapes that do not fit, or values that are not positive and finite.
        FitError: Fewer than four batches or two losses, or as `analysis.fitting.fit.fit`.
    """
    sizes, targets = positive_column("batch", batch), positive_column("losses", losses)
    table = np.asarray(steps, dtype=np.float64)
    if table.shape != (len(sizes), len(targets)):
        raise ValueError(
            f"steps have shape {table.shape}, not {(len(sizes), len(targets))}: give a row for "
            "each batch and a column for each loss"
        )
    if len(sizes) < 4 or len(np.unique(targets)) < 2:
        raise FitError(
            f"{len(sizes)} batch sizes and {len(np.unique(targets))} losses: give four batch "
            "sizes, and two losses that all of them reach, for a critical batch and its growth"
        )
    residuals = Bootstrap(kind="residuals")
    fits = tuple(fit(CRITICAL_BATCH, sizes, column, bootstrap=residuals) for column in table.T)
    level = fits[0].level
    # (loss, estimate and its replicates)
    turns = np.stack(
        [_turns(np.vstack([list(each.params.values()), each.replicates])) for each in fits]
    )
    with np.errstate(divide="ignore"):
        logs = np.log(turns)
    if not np.all(np.isfinite(logs[:, 0])):
        bad = targets[~np.isfinite(logs[:, 0])][0]
        raise FitError(
            f"At a loss of {bad:.4g} all batch sizes lie far below the critical one, or all far "
            "above it. Add batch sizes on the other side."
        )
    defined = np.all(np.isfinite(logs), axis=0)
    slopes = np.full(logs.shape[1], np.nan)
    slopes[defined] = np.polyfit(np.log(targets), logs[:, defined], 1)[0]
    low, high = _ends(slopes[1:], level, (-math.inf, math.inf))
    return BatchGrowth(
        fits=fits,
        batch=tuple(_turn(each[0], each[1:], level) for each in turns),
        exponent=Estimate(float(slopes[0]), low, high, level),
    )


def ratio_of_means(above: ArrayLike, below: ArrayLike, level: float = 0.95) -> Estimate:
    """Returns the ratio of the means of two quantities that were measured on the same subjects.

    The interval is to first order in the scatter of the subjects (the delta method), on the scale
    of the logarithm, with Student's t.

    Args:
        above: Numerators, shape `(n,)`, two or more.
        below: Denominators, shape `(n,)`; some may be negative, but their mean is positive.
        level: Nominal coverage of the interval.

    Raises:
        FitError: Fewer than two subjects, or a mean that is not positive.
    """
    top, bottom = np.asarray(above, dtype=np.float64), np.asarray(below, dtype=np.float64)
    if len(top) < 2 or top.mean() <= 0 or bottom.mean() <= 0:
        raise FitError(
            f"{len(top)} values with means {top.mean():.3g} and {bottom.mean():.3g}: give two "
            "values or more with positive means."
        )
    ratio = top.mean() / bottom.mean()
    error = np.std(top - ratio * bottom, ddof=1) / np.sqrt(len(top)) / top.mean()
    reach = float(stdtrit(len(top) - 1, (1 + level) / 2) * error)
    return Estimate(
        float(ratio), float(ratio * np.exp(-reach)), float(ratio * np.exp(reach)), level
    )


def common_losses(curves: Sequence[Sequence[ArrayLike]], n_losses: int) -> Floats:
    """Returns losses, evenly spaced in their logarithm, that every batch size reaches.

    At every batch size the run with the lowest loss counts, on its curve made to fall as in
    `steps_to_losses`, which therefore finds steps to each of the losses at every batch size. The
    lowest loss is 1 % above the lowest that all reach, because curves are flat at their ends. The
    highest is 15 % above that, or where the last of those runs begins: earlier losses depend on
    initial weights and warm-up.

    Args:
        curves: Losses of each run, shape `(n_evaluations,)`, of every batch size.
        n_losses: Number of losses.

    Returns:
        Losses, descending, shape `(n_losses,)`.

    Raises:
        FitError: No loss is reached by all.
    """
    lowest = [
        min((_made_to_fall(positive_column("loss", run)) for run in runs), key=lambda run: run[-1])
        for runs in curves
    ]
    begin = min(float(run[0]) for run in lowest)
    end = 1.01 * max(float(run[-1]) for run in lowest)
    if not end < begin:
        raise FitError(
            f"No loss is reached by every batch size: one ends near {end:.4g}, another begins at "
            f"{begin:.4g}. Train the first for longer, or evaluate the other earlier."
        )
    return np.geomspace(min(begin, 1.15 * end), end, n_losses)


def _made_to_fall(losses: Floats) -> Floats:
    """Returns the non-increasing curve nearest to a measured one."""
    return np.asarray(isotonic_regression(losses, increasing=False).x, np.float64)


def _turns(params: Floats) -> Floats:
    """Returns B_crit of rows of parameters; infinite where S_min is 0."""
    with np.errstate(divide="ignore"):
        return CRITICAL_BATCH.derived(params)["B_crit"]


def _turn(value: float, replicates: Floats, level: float) -> Estimate:
    low, high = _ends(replicates / value, level, (0.0, math.inf))
    return Estimate(float(value), float(value * low), float(value * high), level)


def _ends(values: Floats, level: float, undefined: tuple[float, float]) -> tuple[float, float]:
    """Returns percentiles of replicates, some of which may be infinite or NaN.

    `undefined` has the values that stand for NaN at the lower and at the upper end.
    """
    # Percentiles are interpolated, which infinities do not allow: angles stand for the values.
    below, above = (
        percentiles(np.arctan(np.where(np.isnan(values), instead, values))[:, None], level)
        for instead in undefined
    )
    return _from_angle(float(below[0][0])), _from_angle(float(above[1][0]))


def _from_angle(angle: float) -> float:
    return math.copysign(math.inf, angle) if abs(angle) > _UPRIGHT else math.tan(angle)
